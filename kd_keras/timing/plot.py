"""Accuracy against latency and against size, as a matplotlib Figure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter
from matplotlib.transforms import Bbox

from kd_keras.runs.plots import BLUE, GREEN, GREY, ORANGE, PURPLE, score_range

COLORS = {"float32": BLUE, "float16": GREEN, "dynamic": ORANGE, "int8": PURPLE}
MARKERS = {"student, unrolled": "o", "student, any length": "s", "teacher": "^", "rival": "D"}
PRECISIONS = {"dynamic": "dynamic range"}
# Where a name may stand, in points from its dot, nearest first: to its right or left, above it, below it.
SPOTS = sorted(
    [(side * 8, dy) for side in (1, -1) for dy in range(-121, 122, 11)] + [(0, dy) for dy in (11, -11, 22, -22)],
    key=lambda spot: abs(spot[1]) + abs(spot[0]) + (spot[0] < 0),
)


def front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Indices of the points (cost, score) that no other point beats in both, by rising cost."""
    best, kept = float("-inf"), []
    for i in sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1])):
        if points[i][1] > best:
            best = points[i][1]
            kept.append(i)
    return kept


def pareto(models: Sequence[dict], latency_title: str, metric_title: str, whole: float = 100) -> Figure:
    """Two panels that share the score's axis.

    Args:
      models: each {"name", "who", "form", "precision", "score", "ms", "mb"}, with the score in ``metric_title``'s unit.
      latency_title: the left x axis.
      metric_title: the y axis.
      whole: the highest possible score in that unit.
    """
    figure = Figure(figsize=(11.6, 5.2))
    axes = figure.subplots(1, 2, sharey=True)
    figure.subplots_adjust(left=0.07, right=0.98, top=0.97, wspace=0.06, bottom=0.25)
    for ax, cost, title in zip(axes, ("ms", "mb"), (latency_title, "file size, MB"), strict=True):
        points = [(m[cost], m["score"]) for m in models]
        line = [points[i] for i in front(points)]
        ax.plot(*zip(*line, strict=True), color=GREY, lw=1, ls="--", zorder=1)
        for m, (x, y) in zip(models, points, strict=True):
            # Hollow markers, because students of equal accuracy and speed overlap.
            color, size = COLORS[m["precision"]], 9 if _kind(m) != "student, any length" else 8
            ax.plot(x, y, _marker(m), ms=size, mfc="none", mec=color, mew=1.8, zorder=2, clip_on=False)
        ax.set_xscale("log")
        ax.set_xlabel(title)
        _plain_ticks(ax, [x for x, _ in points])
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(alpha=0.25)
    axes[0].set_ylabel(metric_title)
    axes[0].set_ylim(score_range([m["score"] for m in models], whole))
    for ax, cost in zip(axes, ("ms", "mb"), strict=True):
        points = [(m[cost], m["score"]) for m in models]
        dots = [(m["name"], COLORS[m["precision"]], *p) for m, p in zip(models, points, strict=True)]
        _name(ax, dots, [points[i] for i in front(points)])
    figure.legend(handles=_legend(models), frameon=False, loc="lower center", ncols=4, bbox_to_anchor=(0.5, 0.0))
    return figure


def _kind(m: dict) -> str:
    if m["who"] != "student":
        return m["who"]
    return "student, unrolled" if m["form"] == "unrolled" else "student, any length"


def _marker(m: dict) -> str:
    return MARKERS[_kind(m)]


def _name(ax: Any, dots: Sequence[tuple[str, str, float, float]], line: Sequence[tuple[float, float]]) -> None:
    """Writes each dot's (name, color, x, y) beside it, at the nearest free spot. A line leads to a distant name.

    ``line`` has the corners of a line that names should not cover.
    """
    half = 7 * ax.figure.dpi / 72  # half a marker and some space, in pixels
    taken = [Bbox.from_extents(*(p - half), *(p + half)) for p in ax.transData.transform([d[2:] for d in dots])]
    path = [a + (b - a) * t for a, b in pairwise(ax.transData.transform(line)) for t in np.linspace(0, 1, 50)]
    frame, names, leads = ax.get_window_extent(), [], []
    for text, color, x, y in sorted(dots, key=lambda d: (-d[3], d[2])):
        look = {"textcoords": "offset points", "color": color, "fontsize": 8, "va": "center", "parse_math": False}
        note, best, at = ax.annotate(text, (x, y), (0, 0), **look), None, ax.transData.transform((x, y))
        for dx, dy in SPOTS:
            _put(note, dx, dy)
            box = note.get_window_extent()
            outside = not (frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1)
            covered = 9 * sum(box.overlaps(t) for t in taken) + 0.5 * any(box.contains(*p) for p in path)
            covered += any(box.contains(*p) for p in leads)
            covered += any(t.contains(*p) for p in _lead(box, *at, dx, dy) for t in names)
            if best is None or (outside, covered) < best[0]:
                best = (outside, covered), box, dx, dy
            if best[0] == (False, 0):
                break
        _, box, dx, dy = best
        _put(note, dx, dy)
        taken.append(box)
        names.append(box)
        leads += _lead(box, *at, dx, dy)
        if abs(dy) > 11:
            end = dx, dy - (0 if dx else 5 * np.sign(dy))  # at the name's side, or below or above it
            lead = {"arrowstyle": "-", "color": color, "lw": 0.6, "shrinkA": 0, "shrinkB": 5}
            ax.annotate("", (x, y), end, textcoords="offset points", arrowprops=lead, zorder=1)


def _lead(box: Bbox, x: float, y: float, dx: float, dy: float) -> list[tuple[float, float]]:
    """Points of the line from a dot, at x and y, to its name's box. Empty if the name is beside its dot."""
    if abs(dy) <= 11:
        return []
    end = (np.clip(x, box.x0, box.x1), box.y0 if dy > 0 and not dx else box.y1 if not dx else (box.y0 + box.y1) / 2)
    return [(x + (end[0] - x) * t, y + (end[1] - y) * t) for t in np.linspace(0, 0.95, 20)]


def _put(note: Any, dx: float, dy: float) -> None:
    note.set_position((dx, dy))
    note.set_ha("left" if dx > 0 else "right" if dx < 0 else "center")


def _plain_ticks(ax: Any, values: Sequence[float]) -> None:
    """Numbers such as 0.2, 1, 5 instead of powers of ten, with a margin of a factor 1.5 on either side."""
    low, high = min(values) / 1.5, max(values) * 1.5
    ax.set_xlim(low, high)
    for digits in ((1, 2, 5), range(1, 10)):
        steps = [s for e in range(-4, 6) for a in digits if low <= (s := a * 10.0**e) <= high]
        if len(steps) > 1:
            break
    ax.set_xticks(steps)
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
