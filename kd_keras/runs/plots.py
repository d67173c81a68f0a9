"""The report's pictures. Each function returns a matplotlib Figure, which a notebook can show.

Figures are made without pyplot. So no display is needed, and a notebook keeps its backend.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kd_keras import metrics
from kd_keras.common import files, seeds
from kd_keras.common.figures import Figure
from kd_keras.distill.settings import BASELINE
from kd_keras.runs.drawn_names import INCHES, look, shortened

# Color-blind people can tell these apart, by hue or by brightness.
BLUE, ORANGE, GREY, GREEN, PURPLE = "#1f6fb4", "#e07b26", "#777777", "#009e73", "#a23b72"
LABELS = {"baseline": "no distillation", "distilled": "distilled"}
# For the scores that curves are compared with. No two look the same.
LINES = (("--", "#444444"), (":", GREEN), ("-.", PURPLE), ((0, (6, 2, 1, 2, 1, 2)), "#8c6d1f"))
LEAST = 0.04  # smallest range of an axis, as a share of a whole score: two tenths of a point should look small
POINTS = 20_000


def save(figure: Figure, path: Path) -> None:
    """Writes a PNG (or the suffix's format) completely or not at all."""
    with files.atomic_path(path) as temp:
        figure.savefig(temp, dpi=130, bbox_inches="tight")


def clean(axes: Any) -> None:
    """Removes the frame above and to the right, and adds a faint grid."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)


def score_range(scores: Sequence[float], whole: float) -> tuple[float, float]:
    """Limits of an axis: the scores with a margin, at least ``LEAST`` of ``whole`` apart, and at most ``whole``."""
    low, high = min(scores), max(scores)
    air = max(0.12 * (high - low), (LEAST * whole - (high - low)) / 2)
    over = max(high + air - whole, 0)
    return low - air - over, high + air - over


def curve(ax: Any, x: Sequence[float], y: Sequence[float], **look: Any) -> None:
    """A line, or a dot if there is only one point."""
    ax.plot(x, y, marker="o" if len(x) == 1 else None, **look)


def count_updates(ax: Any) -> None:
    """Puts whole numbers on the x axis, far enough apart to read."""
    from matplotlib.ticker import MaxNLocator

    ax.set_xlabel("updates")
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    ax.xaxis.set_major_formatter("{x:,.0f}")


def learning_curves(
    curves: list[tuple[str, int, list[dict]]], metric: str, lines: dict[str, float] | None = None
) -> Figure:
    """The dev score, and each arm's training loss on its own scale.

    Args:
      curves: (kind, seed, [{"step", "loss", "dev_<metric>"}, …]) of each student.
      lines: name → dev score (a fraction) of what they are compared with, drawn as broken lines.
    """
    kinds = list(dict.fromkeys(kind for kind, _, _ in curves))
    percent = metrics.get(metric).percent
    scale = 100 if percent else 1
    width = 4.2 * (1 + len(kinds))
    figure = Figure(figsize=(width, 3.7), layout="constrained")
    axes, scores = figure.subplots(1, 1 + len(kinds)), [scale * value for value in (lines or {}).values()]
    for kind, seed, epochs in curves:
        color = ORANGE if kind == BASELINE else BLUE
        scored = [e for e in epochs if f"dev_{metric}" in e]  # there is no score while a representation is learned
        label = LABELS.get(kind, kind) if seed == curves[0][1] else None
        steps, found = [e["step"] for e in scored], [scale * e[f"dev_{metric}"] for e in scored]
        scores += found
        curve(axes[0], steps, found, color=color, label=label, alpha=0.8)
        loss = axes[1 + kinds.index(kind)]
        curve(loss, [e["step"] for e in epochs], [e["loss"] for e in epochs], color=color, alpha=0.8)
    for n, (name, value) in enumerate((lines or {}).items()):
        style, color = LINES[n % len(LINES)]
        axes[0].axhline(scale * value, ls=style, color=color, lw=1.3, label=name)
    axes[0].set(title=f"dev {metric}" + (", %" if percent else ""))
    axes[0].set_ylim(score_range(scores, scale))
    handles, names = axes[0].get_legend_handles_labels()
    names = shortened(names, 40)
    columns = max(1, int(width / (0.7 + INCHES * max(map(len, names), default=0))))
    figure.legend(handles, names, frameon=False, loc="outside lower center", ncols=columns)
    for kind, ax in zip(kinds, axes[1:], strict=True):
        ax.set(title=f"training loss, {LABELS.get(kind, kind)}")
        ax.set_ylim(bottom=0)
    for ax in axes:
        clean(ax)
        count_updates(ax)
    return figure


def score_scatter(gold: np.ndarray, predicted: np.ndarray, title: str) -> Figure:
    """A regression's predicted scores against the gold scores."""
    figure = Figure(figsize=(4.4, 4.2))
    ax = figure.subplots()
    low, high = min(gold.min(), predicted.min()), max(gold.max(), predicted.max())
    ax.plot([low, high], [low, high], color=GREY, lw=1, ls="--", zorder=1)
    ax.scatter(gold, predicted, s=8, alpha=0.35, color=BLUE, lw=0)
    ax.set(xlabel="gold score", ylabel="predicted score", title=title)
    clean(ax)
    return figure


def logit_scatter(
    teacher: np.ndarray, student: np.ndarray, label_sets: bool = False, labels: Sequence[str] = ("0", "1")
) -> Figure:
    """Each logit of each row: the student's against the teacher's, with different labels in another color.

    Two classes are drawn as one margin, because it alone decides: the logit of the second of ``labels`` minus that of
    the first. A regression has one score. With ``label_sets`` each logit decides by itself, at 0. At most ``POINTS``
    points are drawn, the same ones each time; r counts all of them.
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
        first, second = shortened(labels, 12)
        what = f"logit of {second} − logit of {first}"
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
    # Drawn in the order of the rows, so that neither color covers the other.
    colors = np.where(same, BLUE, ORANGE)
    ax.scatter(x, y, s=np.where(same, size, size + 2), c=colors, alpha=faint * 0.45, lw=0, rasterized=True)
    ax.set(title=title)
    ax.set_xlabel(f"teacher: {what}", **look([what]))
    ax.set_ylabel(f"student: {what}", **look([what]))
    if what != "score":
        from matplotlib.lines import Line2D

        dots = [
            Line2D([], [], marker="o", ls="", ms=6, mec="none", color=color, alpha=0.8, label=label)
            for color, label in ((BLUE, "same label"), (ORANGE, "another label"))
        ]
        ax.legend(handles=dots, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2)
    clean(ax)
    return figure
