"""Pictures of a student's errors: which classes it confuses, and the F1 of each class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kd_keras.common.figures import Figure
from kd_keras.common.markdown import width
from kd_keras.runs.drawn_names import INCHES, arrow, look, shortened
from kd_keras.runs.plots import BLUE, ORANGE, clean

MATRIX_CLASSES = 15  # a matrix of more classes cannot be read
PAIRS, BARS, WORST = 15, 40, 20


def errors(matrix: np.ndarray, labels: list[str], title: str) -> Figure:
    """The matrix of int[gold, predicted] counts, or its worst parts if there are many classes."""
    return confusion(matrix, labels, title) if len(labels) <= MATRIX_CLASSES else worst(matrix, labels, title)


def confusion(matrix: np.ndarray, labels: list[str], title: str) -> Figure:
    """int[gold, predicted] counts, colored by share of the gold class."""
    share = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    names = shortened(labels)
    longest, letters = max(map(width, names)), look(names)
    side, room = max(3.2, 0.62 * len(labels) + 1.4), INCHES * longest
    slant = len(labels) > 3 or longest > 8
    figure = Figure(figsize=(side + room, side + (0.7 * room if slant else 0)), layout="constrained")
    ax = figure.subplots()
    ax.imshow(share, cmap="Blues", vmin=0, vmax=1)
    ticks = range(len(labels))
    turned = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if slant else {}
    ax.set_xticks(ticks, names, **letters, **turned)
    ax.set_yticks(ticks, names, **letters)
    ax.set(xlabel="predicted", ylabel="gold", title=title)
    for i in ticks:
        for j in ticks:
            if matrix[i, j] or len(labels) <= 4:
                dark = share[i, j] > 0.5
                ax.text(j, i, f"{matrix[i, j]}", ha="center", va="center", color="white" if dark else "black")
    return figure


def confused(matrix: np.ndarray, most: int = PAIRS) -> list[tuple[int, int, int]]:
    """(gold, predicted, rows) of the classes that are confused, most rows first."""
    wrong = [(int(i), int(j), int(matrix[i, j])) for i, j in np.argwhere(matrix) if i != j]
    return sorted(wrong, key=lambda pair: -pair[2])[:most]


def class_f1(matrix: np.ndarray) -> np.ndarray:
    """float[classes] of int[gold, predicted] counts. NaN if a class is neither gold nor predicted anywhere."""
    total = matrix.sum(0) + matrix.sum(1)
    return np.where(total > 0, 2 * np.diag(matrix) / np.maximum(total, 1), np.nan)


def worst(matrix: np.ndarray, labels: list[str], title: str) -> Figure:
    """The most confused pairs of classes, and the F1 of each class, from int[gold, predicted] counts."""
    names = shortened(labels)
    pairs, f1 = confused(matrix), 100 * class_f1(matrix)
    seen = np.flatnonzero(np.isfinite(f1))
    shown = seen[np.argsort(f1[seen], kind="stable")][: len(seen) if len(seen) <= BARS else WORST]
    many = len(shown) < len(seen)

    # Bars have the same thickness on both sides.
    slots = [max(n, 1) for n in (len(pairs), len(shown))]
    figure = Figure(figsize=(13.5, 1.3 + 0.26 * max(slots)), layout="constrained")
    figure.get_layout_engine().set(wspace=0.06)
    grid = figure.add_gridspec(2, 2, height_ratios=(slots[0], max(slots[1] - slots[0], 1e-3)))
    left = figure.add_subplot(grid[0, 0] if slots[0] < slots[1] else grid[:, 0])
    right = figure.add_subplot(grid[:, 1])
    bars(
        left,
        [arrow(names[i], names[j]) for i, j, _ in pairs],
        [n for _, _, n in pairs],
        [f"{n:,}" for _, _, n in pairs],
        ORANGE,
    )
    how_many = f"{PAIRS} most" if len(pairs) == PAIRS else "all" if pairs else "no"
    left.set_title(f"{how_many} confused pairs, gold → predicted", fontsize=11)
    left.set(xlabel="rows", xlim=(0, 1.1 * pairs[0][2] if pairs else 1))
    left.xaxis.get_major_locator().set_params(integer=True)
    gold = matrix.sum(1)[shown]
    said = [f"{f1[c]:.1f} ({n:,})" for c, n in zip(shown, gold, strict=True)]
    bars(right, [names[c] for c in shown], f1[shown], said, BLUE)
    which = f"the {len(shown)} worst of {len(seen)} classes" if many else f"{len(shown)} classes, the worst first"
    right.set_title(f"F1, %: {which} (gold rows)", fontsize=11)
    right.set(xlabel="F1, %", xlim=(0, 118), xticks=range(0, 101, 20))  # leaves room for the text of a bar of 100
    figure.suptitle(title)
    return figure


def bars(ax: Any, names: Sequence[str], values: Sequence[float], said: Sequence[str], color: str) -> None:
    """Bars to the right, the first on top. Each has its text behind it."""
    bars = ax.barh(range(len(names)), values, height=0.72, color=color)
    ax.bar_label(bars, said, padding=3, fontsize=9)
    ax.set_yticks(range(len(names)), names, fontsize=9, **look(names))
    ax.set_ylim(max(len(names), 1) - 0.5, -0.5)
    clean(ax)
    ax.set_axisbelow(True)
    ax.grid(False, axis="y")
    ax.tick_params(axis="y", length=0)
