"""The report's pictures. Each function returns a matplotlib Figure, which a notebook shows as it is.

Figures are made without pyplot, so no display is needed and a notebook's backend stays as it is.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kd_keras import metrics
from kd_keras.common import files, seeds
from kd_keras.common.figures import Figure
from kd_keras.distill.settings import BASELINE

BLUE, ORANGE, GREY = "#1f6fb4", "#e07b26", "#777777"
LABELS = {"baseline": "no distillation", "distilled": "distilled"}
# Of scores that curves are set beside: none looks like another.
LINES = (("--", "#444444"), (":", "#3a9c6d"), ("-.", "#a23b72"), ((0, (6, 2, 1, 2, 1, 2)), "#8c6d1f"))
MATRIX_CLASSES = 15  # beyond them a matrix cannot be read
PAIRS, BARS, WORST = 15, 40, 20
NAME, INCHES = 26, 0.075  # characters of a label that are drawn, and about the width of one
POINTS = 20_000


def save(figure: Figure, path: Path) -> None:
    """As PNG (or what the suffix says), whole or not at all."""
    with files.atomic_path(path) as temp:
        figure.savefig(temp, dpi=130, bbox_inches="tight")


def clean(axes: Any) -> None:
    """No frame above and to the right, a faint grid."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)


def shortened(names: Sequence[str], most: int = NAME) -> list[str]:
    """Names of at most ``most`` characters, cut in the middle; two that would look the same keep their number."""

    def cut(name: str, end: str = "") -> str:
        if len(name) + len(end) <= most:
            return name + end
        kept = most - 1 - len(end)
        return name[: kept - kept // 2] + "…" + name[len(name) - kept // 2 :] + end

    names = [" ".join(name.split()) for name in names]
    short = [cut(name) for name in names]
    alike = {s for s in short if short.count(s) > 1}
    return [cut(name, f" #{n}") if s in alike else s for n, (name, s) in enumerate(zip(names, short, strict=True))]


def learning_curves(
    curves: list[tuple[str, int, list[dict]]], metric: str, lines: dict[str, float] | None = None
) -> Figure:
    """Dev score, and the training loss of each arm on its own scale.

    Args:
      curves: (kind, seed, [{"step", "loss", "dev_<metric>"}, …]) of each student.
      lines: name → dev score, a fraction as those of the curves, of what they are set beside: broken lines.
    """
    kinds = list(dict.fromkeys(kind for kind, _, _ in curves))
    percent = metrics.get(metric).percent
    scale = 100 if percent else 1
    width = 4.2 * (1 + len(kinds))
    figure = Figure(figsize=(width, 3.7), layout="constrained")
    axes = figure.subplots(1, 1 + len(kinds))
    for kind, seed, epochs in curves:
        color = ORANGE if kind == BASELINE else BLUE
        scored = [e for e in epochs if f"dev_{metric}" in e]  # not while a representation is learnt
        label = LABELS.get(kind, kind) if seed == curves[0][1] else None
        axes[0].plot(
            [e["step"] for e in scored],
            [scale * e[f"dev_{metric}"] for e in scored],
            color=color,
            label=label,
            alpha=0.8,
        )
        axes[1 + kinds.index(kind)].plot(
            [e["step"] for e in epochs], [e["loss"] for e in epochs], color=color, alpha=0.8
        )
    for n, (name, value) in enumerate((lines or {}).items()):
        style, color = LINES[n % len(LINES)]
        axes[0].axhline(scale * value, ls=style, color=color, lw=1.3, label=name)
    axes[0].set(title=f"dev {metric}" + (", %" if percent else ""), xlabel="updates")
    handles, names = axes[0].get_legend_handles_labels()
    names = shortened(names, 40)
    columns = max(1, int(width / (0.7 + INCHES * max(map(len, names), default=0))))
    figure.legend(handles, names, frameon=False, loc="outside lower center", ncols=columns)
    for kind, ax in zip(kinds, axes[1:], strict=True):
        ax.set(title=f"training loss, {LABELS.get(kind, kind)}", xlabel="updates")
        ax.set_ylim(bottom=0)
    for ax in axes:
        clean(ax)
    return figure


def errors(matrix: np.ndarray, labels: list[str], title: str) -> Figure:
    """Of int[gold, predicted] counts the matrix itself, or, of many classes, what is worst in it."""
    return confusion(matrix, labels, title) if len(labels) <= MATRIX_CLASSES else worst(matrix, labels, title)


def confusion(matrix: np.ndarray, labels: list[str], title: str) -> Figure:
    """int[gold, predicted] counts, coloured by share of the gold class."""
    share = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    names = shortened(labels)
    longest = max(map(len, names))
    side, room = max(3.2, 0.62 * len(labels) + 1.4), INCHES * longest
    slant = len(labels) > 3 or longest > 8
    figure = Figure(figsize=(side + room, side + (0.7 * room if slant else 0)), layout="constrained")
    ax = figure.subplots()
    ax.imshow(share, cmap="Blues", vmin=0, vmax=1)
    ticks = range(len(labels))
    turned = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if slant else {}
    ax.set_xticks(ticks, names, parse_math=False, **turned)
    ax.set_yticks(ticks, names, parse_math=False)
    ax.set(xlabel="predicted", ylabel="gold", title=title)
    for i in ticks:
        for j in ticks:
            if matrix[i, j] or len(labels) <= 4:
                dark = share[i, j] > 0.5
                ax.text(j, i, f"{matrix[i, j]}", ha="center", va="center", color="white" if dark else "black")
    return figure


def confused(matrix: np.ndarray, most: int = PAIRS) -> list[tuple[int, int, int]]:
    """(gold, predicted, rows) of the classes that are taken for each other, most rows first."""
    wrong = [(int(i), int(j), int(matrix[i, j])) for i, j in np.argwhere(matrix) if i != j]
    return sorted(wrong, key=lambda pair: -pair[2])[:most]


def class_f1(matrix: np.ndarray) -> np.ndarray:
    """float[classes] of int[gold, predicted] counts; NaN of a class that is neither gold nor predicted anywhere."""
    total = matrix.sum(0) + matrix.sum(1)
    return np.where(total > 0, 2 * np.diag(matrix) / np.maximum(total, 1), np.nan)


def worst(matrix: np.ndarray, labels: list[str], title: str) -> Figure:
    """The pairs of classes of int[gold, predicted] counts that are most confused, beside the F1 of each class."""
    names = shortened(labels)
    pairs, f1 = confused(matrix), 100 * class_f1(matrix)
    seen = np.flatnonzero(np.isfinite(f1))
    shown = seen[np.argsort(f1[seen], kind="stable")][: len(seen) if len(seen) <= BARS else WORST]
    many = len(shown) < len(seen)

    # A bar is as thick on either side.
    slots = [max(n, 1) for n in (len(pairs), len(shown))]
    figure = Figure(figsize=(13.5, 1.3 + 0.26 * max(slots)), layout="constrained")
    figure.get_layout_engine().set(wspace=0.06)
    grid = figure.add_gridspec(2, 2, height_ratios=(slots[0], max(slots[1] - slots[0], 1e-3)))
    left = figure.add_subplot(grid[0, 0] if slots[0] < slots[1] else grid[:, 0])
    right = figure.add_subplot(grid[:, 1])
    bars(
        left,
        [f"{names[i]} → {names[j]}" for i, j, _ in pairs],
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
    right.set(xlabel="F1, %", xlim=(0, 118), xticks=range(0, 101, 20))  # what is said of a bar of 100 has room
    figure.suptitle(title)
    return figure


def bars(ax: Any, names: Sequence[str], values: Sequence[float], said: Sequence[str], color: str) -> None:
    """Bars to the right, the first on top, each with what is said of it behind."""
    bars = ax.barh(range(len(names)), values, height=0.72, color=color)
    ax.bar_label(bars, said, padding=3, fontsize=9)
    ax.set_yticks(range(len(names)), names, fontsize=9, parse_math=False)
    ax.set_ylim(max(len(names), 1) - 0.5, -0.5)
    clean(ax)
    ax.set_axisbelow(True)
    ax.grid(False, axis="y")
    ax.tick_params(axis="y", length=0)


def score_scatter(gold: np.ndarray, predicted: np.ndarray, title: str) -> Figure:
    """A regression's predicted scores against the gold ones."""
    figure = Figure(figsize=(4.4, 4.2))
    ax = figure.subplots()
    low, high = min(gold.min(), predicted.min()), max(gold.max(), predicted.max())
    ax.plot([low, high], [low, high], color=GREY, lw=1, ls="--", zorder=1)
    ax.scatter(gold, predicted, s=8, alpha=0.35, color=BLUE, lw=0)
    ax.set(xlabel="gold score", ylabel="predicted score", title=title)
    clean(ax)
    return figure


def logit_scatter(teacher: np.ndarray, student: np.ndarray, label_sets: bool = False) -> Figure:
    """Each logit of each row: the student's against the teacher's, and where they differ in label.

    Two classes are drawn as one margin (logit 1 − logit 0), the only thing that decides; a regression has one score.
    With ``label_sets`` each logit decides by itself, at 0.
    Of more points than ``POINTS`` as many are drawn, the same ones each time; r is that of all.
    """
    figure = Figure(figsize=(4.6, 4.4))
    ax = figure.subplots()
    agree = teacher.argmax(-1) == student.argmax(-1)
    if teacher.shape[1] == 1:
        x, y, same, what = teacher[:, 0], student[:, 0], agree, "score"
    elif label_sets:
        x, y, what = teacher.reshape(-1), student.reshape(-1), "logits"
        same = (x > 0) == (y > 0)
    elif teacher.shape[1] == 2:
        x, y, same = teacher[:, 1] - teacher[:, 0], student[:, 1] - student[:, 0], agree
        what = "margin, logit 1 − logit 0"
    else:
        x, y, same = teacher.reshape(-1), student.reshape(-1), np.repeat(agree, teacher.shape[1])
        what = "logits"
    low, high = min(x.min(), y.min()), max(x.max(), y.max())
    ax.plot([low, high], [low, high], color=GREY, lw=1, ls="--", zorder=1)
    r = np.corrcoef(x, y)[0, 1] if np.std(x) > 0 and np.std(y) > 0 else float("nan")
    title = f"dev, r = {r:.3f}"
    if len(x) > POINTS:
        title += f"\n{POINTS:,} of {len(x):,} points"
        kept = seeds.rng(0, "points that are drawn").choice(len(x), POINTS, replace=False)
        x, y, same = x[kept], y[kept], same[kept]
    size, faint = (7, 1.0) if len(x) <= 5000 else (3, 0.5)
    for which, area, color, alpha, label in (
        (same, size, BLUE, 0.35, "same label" if what != "score" else None),
        (~same, size + 2, ORANGE, 0.6, "another label"),
    ):
        ax.scatter(x[which], y[which], s=area, alpha=faint * alpha, color=color, label=label, lw=0, rasterized=True)
    ax.set(xlabel=f"teacher: {what}", ylabel=f"student: {what}", title=title)
    if what != "score":
        legend = ax.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2, markerscale=2)
        for handle in legend.legend_handles:
            handle.set_alpha(0.8)
    clean(ax)
    return figure


def ablation(rows: list[tuple[str, list[list[float]]]], what: str, teacher: float) -> Figure:
    """A grid's scores: a dot for each seed, a bar at the mean, baseline beside distilled.

    Args:
      rows: (name, [scores without distillation, scores with]) of each transfer set.
      what: the axis' label.
      teacher: its score, a dashed line.
    """
    figure = Figure(figsize=(1.6 + 1.25 * len(rows), 3.6))
    ax = figure.subplots()
    for n, (_, sides) in enumerate(rows):
        for side, values in enumerate(sides):
            x = n + (-0.17, 0.17)[side]
            color = (ORANGE, BLUE)[side]
            label = tuple(LABELS.values())[side] if n == 0 else None
            ax.plot([x - 0.13, x + 0.13], [np.mean(values)] * 2, color=color, lw=2.5, label=label)
            ax.scatter([x] * len(values), values, s=16, color=color, alpha=0.55, lw=0)
    ax.axhline(teacher, color=GREY, ls="--", lw=1, label="teacher")
    ax.set_xticks(range(len(rows)), [textwrap.fill(name, 14) for name, _ in rows])
    ax.set_ylabel(what)
    ax.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, 1.14), ncols=3)
    clean(ax)
    return figure


def transfer_curves(
    curves: dict[str, list[tuple[int, list[float]]]], baseline: list[float], teacher: float, what: str
) -> Figure:
    """Scores over the number of transfer rows: the mean of each recipe as a line, a dot for each seed.

    Args:
      curves: recipe → (rows beyond the training rows, scores of the seeds).
      baseline: scores of the seeds without distillation; a line at their mean.
      teacher: its score, a dashed line.
      what: the axis' label.
    """
    figure = Figure(figsize=(6.4, 4.2))
    ax = figure.subplots()
    sizes = sorted({size for points in curves.values() for size, _ in points})
    ax.axhline(teacher, color=GREY, ls="--", lw=1, label="teacher")
    ax.axhline(np.mean(baseline), color=ORANGE, lw=1.5, label="no distillation")
    for n, (name, points) in enumerate(curves.items()):
        # Beside each other, or the dots of equal sizes hide one another.
        x = np.array([sizes.index(size) for size, _ in points]) + 0.06 * (n - (len(curves) - 1) / 2)
        color = f"C{n}" if n != 1 else "C9"  # C1 is the baseline's orange
        ax.plot(x, [np.mean(values) for _, values in points], color=color, marker="_", ms=10, lw=1.2, label=name)
        for at, (_, values) in zip(x, points, strict=True):
            ax.scatter([at] * len(values), values, s=12, color=color, alpha=0.5, lw=0)
    ax.set_xticks(range(len(sizes)), [f"{size:,}" for size in sizes])
    ax.set(xlabel="transfer rows beyond the training rows", ylabel=what)
    ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    clean(ax)
    return figure
