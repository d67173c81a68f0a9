"""Pictures of grids: the scores of many arms."""

from __future__ import annotations

import textwrap

import numpy as np

from kd_keras.common.figures import Figure
from kd_keras.runs.plots import BLUE, GREEN, GREY, LABELS, ORANGE, PURPLE, clean, score_range

# Each recipe's line has its own marker, because not everybody can tell seven colors apart.
_LOOKS = ((BLUE, "o"), (GREEN, "s"), (PURPLE, "^"), ("#56b4e9", "D"), ("black", "v"), (GREY, "P"), ("#8c6d1f", "X"))


def ablation(rows: list[tuple[str, list[list[float]]]], what: str, teacher: float) -> Figure:
    """A grid's scores: a dot for each seed, and a bar at the mean, for baseline and distilled side by side.

    Args:
      rows: (name, [scores without distillation, scores with]) of each transfer set.
      what: the axis' label.
      teacher: its score, drawn as a dashed line.
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
    ax.set_ylim(score_range([teacher, *(v for _, sides in rows for values in sides for v in values)], 100))
    ax.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, 1.14), ncols=3)
    clean(ax)
    return figure


def transfer_curves(
    curves: dict[str, list[tuple[int, list[float]]]], baseline: list[float], teacher: float, what: str
) -> Figure:
    """Scores over the number of transfer rows: each recipe's mean as a line, with a dot for each seed.

    Args:
      curves: recipe → (rows beyond the training rows, scores of the seeds).
      baseline: scores of the seeds without distillation. A line marks their mean.
      teacher: its score, drawn as a dashed line.
      what: the axis' label.
    """
    figure = Figure(figsize=(6.4, 4.2))
    ax = figure.subplots()
    sizes = sorted({size for points in curves.values() for size, _ in points})
    ax.axhline(teacher, color=GREY, ls="--", lw=1, label="teacher")
    ax.axhline(np.mean(baseline), color=ORANGE, lw=1.5, label="no distillation")
    for n, (name, points) in enumerate(curves.items()):
        # Drawn side by side, so that the dots of one size do not hide each other.
        x = np.array([sizes.index(size) for size, _ in points]) + 0.06 * (n - (len(curves) - 1) / 2)
        color, marker = _LOOKS[n % len(_LOOKS)]
        ax.plot(x, [np.mean(values) for _, values in points], color=color, marker=marker, ms=6, lw=1.2, label=name)
        for at, (_, values) in zip(x, points, strict=True):
            ax.scatter([at] * len(values), values, s=9, color=color, marker=marker, alpha=0.4, lw=0)
    ax.set_xticks(range(len(sizes)), [f"{size:,}" for size in sizes])
    ax.set(xlabel="transfer rows beyond the training rows", ylabel=what)
    drawn = [v for points in curves.values() for _, values in points for v in values]
    ax.set_ylim(score_range([teacher, *baseline, *drawn], 100))
    ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    clean(ax)
    return figure
