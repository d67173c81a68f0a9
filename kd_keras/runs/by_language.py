"""Entities language by language and type by type: a picture and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kd_keras.common.figures import Figure
from kd_keras.common.markdown import markdown_table
from kd_keras.runs.plots import BLUE, GREY, ORANGE, shortened

_COLORS = (GREY, BLUE, ORANGE, "#3a9c6d", "#a23b72")
_METRICS = {
    "entity_f1": "F1", "conlleval_f1": "conlleval F1", "entity_precision": "precision", "entity_recall": "recall",
}  # fmt: skip
# Languages beside one another in one row of bars.
_ROW = 24


def picture(scores: Mapping[str, Mapping[str, float]]) -> Figure:
    """Bars of each language, the lowest first by the second title's F1 (the student's), or by that of the only one.

    Args:
      scores: title ("teacher", "student", "no distillation") → language → F1, a fraction; 1 to 5 titles. A language
        that one of them lacks has no bar there.
    """
    titles = list(scores)
    by = scores[titles[:2][-1]]
    languages = sorted(
        dict.fromkeys(name for each in scores.values() for name in each), key=lambda name: (by.get(name, -1.0), name)
    )
    rows = -(-len(languages) // _ROW)
    wide = -(-len(languages) // rows)
    figure = Figure(
        figsize=(max(4.5, 1.2 + wide * (0.16 + 0.14 * len(titles))), 0.6 + 2.8 * rows), layout="constrained"
    )
    names = dict(zip(languages, shortened(languages, 14), strict=True))
    slant = max(map(len, names.values())) > 3
    for row, ax in enumerate(np.atleast_1d(figure.subplots(rows, 1))):
        shown = languages[row * wide : (row + 1) * wide]
        _bars(ax, [names[name] for name in shown], scores, shown)
        ax.set_xlim(-0.6, wide - 0.4)  # a bar is as thick in every row
        ax.set_ylim(0, 100)
        ax.tick_params(axis="x", length=0, rotation=45 if slant else 0)
        ax.set_ylabel("entity F1, %")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, loc="outside upper center", ncols=len(titles))
    return figure


def _bars(ax: Any, names: Sequence[str], scores: Mapping[str, Mapping[str, float]], shown: Sequence[str]) -> None:
    width = 0.8 / len(scores)
    for n, (title, found) in enumerate(scores.items()):
        x = np.arange(len(shown)) + width * (n - (len(scores) - 1) / 2)
        values = [100 * found.get(name, np.nan) for name in shown]
        ax.bar(x, values, width, color=_COLORS[n % len(_COLORS)], label=title)
    ax.set_xticks(range(len(shown)), names, fontsize=9, parse_math=False)
    ax.spines[["top", "right"]].set_visible(False)
    ax.set_axisbelow(True)
    ax.grid(axis="y", alpha=0.25)


def table(found: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    """Markdown of title → language → "rows" and metrics (:func:`kd_keras.metrics.by_group`).

    Of several titles the strict F1 of each; of one all four metrics. Languages by name, and at the end their mean, in
    which each counts alike.
    """
    languages = sorted({name for each in found.values() for name in each})
    if len(found) > 1:
        columns = {title: (each, "entity_f1") for title, each in found.items()}
    else:
        (only,) = found.values()
        columns = {title: (only, metric) for metric, title in _METRICS.items()}
    lines = []
    for name in languages:
        rows = next(each[name]["rows"] for each in found.values() if name in each)
        cells = [_cell(each[name][metric] if name in each else None) for each, metric in columns.values()]
        lines.append([_name(name), f"{rows:,}", *cells])
    means = [[each[name][metric] for name in each] for each, metric in columns.values()]
    lines.append(["mean", "", *(_cell(float(np.mean(values)) if values else None) for values in means)])
    return markdown_table(["language", "sentences", *columns], lines)


def type_table(found: Mapping[str, Mapping[str, float]]) -> str:
    """Markdown of type → "rows" (gold entities), "given", "precision", "recall", "f1"."""
    lines = [
        [
            _name(name),
            f"{each['rows']:,}",
            f"{each['given']:,}",
            *(_cell(each[p]) for p in ("precision", "recall", "f1")),
        ]
        for name, each in found.items()
    ]
    return markdown_table(["type", "entities", "given", "precision", "recall", "F1"], lines)


def _name(name: str) -> str:
    return " ".join(name.split()).replace("|", "\\|")


def _cell(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.2f}"
