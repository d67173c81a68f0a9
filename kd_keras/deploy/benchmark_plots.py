"""Accuracy against latency and against size, as a matplotlib Figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from kd_keras.distill.plots import BLUE, GREY, ORANGE

COLORS = {"float32": BLUE, "float16": "#3a9c6d", "dynamic": ORANGE, "int8": "#a23b72"}
MARKERS = {"student, unrolled": "o", "student, any length": "s", "teacher": "^"}
PRECISIONS = {"dynamic": "dynamic range"}


def front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Indices of the points (cost, score) that no other beats in both, by rising cost."""
    best, kept = float("-inf"), []
    for i in sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1])):
        if points[i][1] > best:
            best = points[i][1]
            kept.append(i)
    return kept


def pareto(models: Sequence[dict], latency_title: str, metric_title: str) -> Figure:
    """Two panels that share the score's axis.

    Args:
      models: each {"who", "form", "precision", "score", "ms", "mb"}; score in the unit of ``metric_title``.
      latency_title: of the left x axis.
      metric_title: of the y axis.
    """
    figure = Figure(figsize=(9.4, 4.1))
    axes = figure.subplots(1, 2, sharey=True)
    figure.subplots_adjust(wspace=0.08, bottom=0.3)
    for ax, cost, title in zip(axes, ("ms", "mb"), (latency_title, "file size, MB"), strict=True):
        points = [(m[cost], m["score"]) for m in models]
        line = [points[i] for i in front(points)]
        ax.plot(*zip(*line, strict=True), color=GREY, lw=1, ls="--", zorder=1)
        for m, (x, y) in zip(models, points, strict=True):
            # Hollow, as students of one accuracy and speed lie on each other.
            color, size = COLORS[m["precision"]], 9 if _kind(m) != "student, any length" else 8
            ax.plot(x, y, _marker(m), ms=size, mfc="none", mec=color, mew=1.8, zorder=2)
        ax.set_xscale("log")
        ax.set_xlabel(title)
        _plain_ticks(ax, [x for x, _ in points])
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(alpha=0.25)
    axes[0].set_ylabel(metric_title)
    low, high = min(m["score"] for m in models), max(m["score"] for m in models)
    margin = max(0.12 * (high - low), 0.1)
    axes[0].set_ylim(low - margin, high + margin)
    figure.legend(handles=_legend(models), frameon=False, loc="lower center", ncols=4, bbox_to_anchor=(0.5, 0.0))
    return figure


def _kind(m: dict) -> str:
    if m["who"] == "teacher":
        return "teacher"
    return "student, unrolled" if m["form"] == "unrolled" else "student, any length"


def _marker(m: dict) -> str:
    return MARKERS[_kind(m)]


def _plain_ticks(ax: Any, values: Sequence[float]) -> None:
    """Numbers such as 0.2, 1, 5 in place of powers of ten, a quarter decade of air on either side."""
    low, high = min(values) / 1.5, max(values) * 1.5
    ax.set_xlim(low, high)
    steps = [a * 10.0**e for e in range(-4, 6) for a in (1, 2, 5)]
    ax.set_xticks([s for s in steps if low <= s <= high])
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    ax.xaxis.set_minor_formatter(FuncFormatter(lambda *_: ""))


def _legend(models: Sequence[dict]) -> list[Line2D]:
    def handle(marker: str, color: str, label: str) -> Line2D:
        return Line2D([], [], marker=marker, mfc="none", mec=color, mew=1.8, ls="", ms=8, label=label)

    kinds = [k for k in MARKERS if any(_kind(m) == k for m in models)]
    precisions = [p for p in COLORS if any(m["precision"] == p for m in models)]
    out = [handle(MARKERS[k], "#444444", k) for k in kinds]
    out += [handle("D", COLORS[p], PRECISIONS.get(p, p)) for p in precisions]
    return [*out, Line2D([], [], color=GREY, lw=1, ls="--", label="not beaten in both")]
