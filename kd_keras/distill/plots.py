"""The report's pictures. Each function returns a matplotlib Figure, which a notebook shows as it is.

Figures are made without pyplot, so no display is needed and a notebook's backend stays as it is.
"""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from kd_keras.common import files
from kd_keras.distill.settings import BASELINE

BLUE, ORANGE, GREY = "#1f6fb4", "#e07b26", "#777777"
LABELS = {"baseline": "no distillation", "distilled": "distilled"}


def save(figure: Figure, path: Path) -> None:
    """As PNG (or what the suffix says), whole or not at all."""
    with files.atomic_path(path) as temp:
        figure.savefig(temp, dpi=130, bbox_inches="tight")


def _clean(axes: Any) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)


def learning_curves(curves: list[tuple[str, int, list[dict]]], metric: str) -> Figure:
    """Dev score, and the training loss of each arm on its own scale.

    Args:
      curves: (kind, seed, [{"step", "loss", "dev_<metric>"}, …]) of each student.
    """
    kinds = list(dict.fromkeys(kind for kind, _, _ in curves))
    figure = Figure(figsize=(4.2 * (1 + len(kinds)), 3.4))
    axes = figure.subplots(1, 1 + len(kinds))
    figure.subplots_adjust(wspace=0.32)
    for kind, seed, epochs in curves:
        color = ORANGE if kind == BASELINE else BLUE
        x = [e["step"] for e in epochs]
        label = LABELS.get(kind, kind) if seed == curves[0][1] else None
        axes[0].plot(x, [100 * e[f"dev_{metric}"] for e in epochs], color=color, label=label, alpha=0.8)
        axes[1 + kinds.index(kind)].plot(x, [e["loss"] for e in epochs], color=color, alpha=0.8)
    axes[0].set(title=f"dev {metric}, %", xlabel="updates")
    axes[0].legend(frameon=False, loc="lower right")
    for kind, ax in zip(kinds, axes[1:], strict=True):
        ax.set(title=f"training loss, {LABELS.get(kind, kind)}", xlabel="updates")
        ax.set_ylim(bottom=0)
    for ax in axes:
        _clean(ax)
    return figure


def confusion(matrix: np.ndarray, labels: list[str], title: str) -> Figure:
    """int[gold, predicted] counts, coloured by share of the gold class."""
    share = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    side = max(3.2, 0.62 * len(labels) + 1.4)
    figure = Figure(figsize=(side, side))
    ax = figure.subplots()
    ax.imshow(share, cmap="Blues", vmin=0, vmax=1)
    ticks = range(len(labels))
    ax.set_xticks(ticks, labels, rotation=45 if len(labels) > 3 else 0, ha="right" if len(labels) > 3 else "center")
    ax.set_yticks(ticks, labels)
    ax.set(xlabel="predicted", ylabel="gold", title=title)
    for i in ticks:
        for j in ticks:
            if matrix[i, j] or len(labels) <= 4:
                dark = share[i, j] > 0.5
                ax.text(j, i, f"{matrix[i, j]}", ha="center", va="center", color="white" if dark else "black")
    return figure


def score_scatter(gold: np.ndarray, predicted: np.ndarray, title: str) -> Figure:
    """A regression's predicted scores against the gold ones."""
    figure = Figure(figsize=(4.4, 4.2))
    ax = figure.subplots()
    low, high = min(gold.min(), predicted.min()), max(gold.max(), predicted.max())
    ax.plot([low, high], [low, high], color=GREY, lw=1, ls="--", zorder=1)
    ax.scatter(gold, predicted, s=8, alpha=0.35, color=BLUE, lw=0)
    ax.set(xlabel="gold score", ylabel="predicted score", title=title)
    _clean(ax)
    return figure


def logit_scatter(teacher: np.ndarray, student: np.ndarray) -> Figure:
    """Each logit of each row: the student's against the teacher's, and where they differ in label.

    Two classes are drawn as one margin (logit 1 − logit 0), the only thing that decides; a regression has one score.
    """
    figure = Figure(figsize=(4.6, 4.4))
    ax = figure.subplots()
    agree = teacher.argmax(-1) == student.argmax(-1)
    if teacher.shape[1] == 1:
        x, y, same, what = teacher[:, 0], student[:, 0], agree, "score"
    elif teacher.shape[1] == 2:
        x, y, same = teacher[:, 1] - teacher[:, 0], student[:, 1] - student[:, 0], agree
        what = "margin, logit 1 − logit 0"
    else:
        x, y, same = teacher.reshape(-1), student.reshape(-1), np.repeat(agree, teacher.shape[1])
        what = "logits"
    low, high = min(x.min(), y.min()), max(x.max(), y.max())
    ax.plot([low, high], [low, high], color=GREY, lw=1, ls="--", zorder=1)
    ax.scatter(x[same], y[same], s=7, alpha=0.35, color=BLUE, label="same label" if what != "score" else None, lw=0)
    ax.scatter(x[~same], y[~same], s=9, alpha=0.6, color=ORANGE, label="another label", lw=0)
    r = np.corrcoef(x, y)[0, 1] if np.std(x) > 0 and np.std(y) > 0 else float("nan")
    ax.set(xlabel=f"teacher: {what}", ylabel=f"student: {what}", title=f"dev, r = {r:.3f}")
    if what != "score":
        ax.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2, markerscale=2)
    _clean(ax)
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
    _clean(ax)
    return figure
