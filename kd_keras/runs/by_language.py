"""Entities by language and by type: a picture and tables."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from kd_keras.common.figures import Figure
from kd_keras.common.markdown import markdown_table, width
from kd_keras.runs.drawn_names import INCHES, look, numbered, shortened
from kd_keras.runs.plots import BLUE, GREEN, GREY, ORANGE, PURPLE

_COLORS = {"teacher": GREY, "student": BLUE, "no distillation": ORANGE}
_METRICS = {
    "entity_f1": "F1", "conlleval_f1": "conlleval F1", "entity_precision": "precision", "entity_recall": "recall",
}  # fmt: skip
# Languages in one row of bars, and characters of a name under its bars.
_ROW, _NAME = 24, 18
NUMBERED = "The picture shows some of them by a number (#)."


def picture(scores: Mapping[str, Mapping[str, float]]) -> Figure:
    """Bars for each language, the lowest F1 first. The second title (the student) decides the order, if there is one.

    Args:
      scores: title ("teacher", "student", "no distillation") → language → F1, a fraction. There are 1 to 5 titles. If
        a title lacks a language, it has no bar there.
    """
    titles = list(scores)
    by = scores[titles[:2][-1]]
    languages = sorted(
        dict.fromkeys(name for each in scores.values() for name in each), key=lambda name: (by.get(name, -1.0), name)
    )
    rows = -(-len(languages) // _ROW)
    wide = -(-len(languages) // rows)
    names = dict(zip(sorted(languages), shortened(sorted(languages), _NAME), strict=True))
    across = max(4.5, 1.2 + wide * (0.16 + 0.14 * len(titles)))
    longest = INCHES * max(map(width, names.values()))
    turned, high = {}, 2.8
    if longest > 0.9 * (across - 0.9) / wide:
        turned, high = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}, 2.6 + 0.7 * longest
    figure = Figure(figsize=(across, 0.6 + high * rows), layout="constrained")
    for row, ax in enumerate(np.atleast_1d(figure.subplots(rows, 1))):
        shown = languages[row * wide : (row + 1) * wide]
        _bars(ax, scores, shown)
        under = [names[name] for name in shown]
        ax.set_xticks(range(len(shown)), under, fontsize=9, **look(under), **turned)
        side = max(0, 3 - wide) / 2  # without it, a single bar would fill the whole width
        ax.set_xlim(-0.6 - side, wide - 0.4 + side)  # bars have the same width in every row
        ax.set_ylim(0, 100)
        ax.tick_params(axis="x", length=0)
        ax.set_ylabel("entity F1, %")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, loc="outside upper center", ncols=len(titles))
    return figure


def _bars(ax: Any, scores: Mapping[str, Mapping[str, float]], shown: Sequence[str]) -> None:
    thick, others = 0.8 / len(scores), iter((GREEN, PURPLE, GREY, BLUE, ORANGE))
    for n, (title, found) in enumerate(scores.items()):
        x = np.arange(len(shown)) + thick * (n - (len(scores) - 1) / 2)
        values = [100 * found.get(name, np.nan) for name in shown]
        ax.bar(x, values, thick, color=_COLORS.get(title) or next(others), label=title)
    ax.spines[["top", "right"]].set_visible(False)
    ax.set_axisbelow(True)
    ax.grid(axis="y", alpha=0.25)


def table(found: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    """Markdown of title → language → "rows" and metrics (:func:`kd_keras.metrics.by_group`).

    Several titles have one column each, with strict F1. A single title has all four metrics. Languages are sorted by
    name. The last line is their mean, in which each counts alike.
    """
    languages = sorted({name for each in found.values() for name in each})
    if len(found) > 1:
        columns = {title: (each, "entity_f1") for title, each in found.items()}
    else:
        (only,) = found.values()
        columns = {title: (only, metric) for metric, title in _METRICS.items()}
    lines, numbers = [], _numbers(languages)
    for name in languages:
        rows = next(each[name]["rows"] for each in found.values() if name in each)
        cells = [_cell(each[name][metric] if name in each else None) for each, metric in columns.values()]
        lines.append([_name(name), *numbers.get(name, []), f"{rows:,}", *cells])
    means = [[each[name][metric] for name in each] for each, metric in columns.values()]
    number = ["#"] if numbers else []
    lines.append(
        ["mean", *[""] * len(number), "", *(_cell(float(np.mean(values)) if values else None) for values in means)]
    )
    return markdown_table(["language", *number, "sentences", *columns], lines) + _about(numbers)


def type_table(found: Mapping[str, Mapping[str, float]]) -> str:
    """Markdown of type → "rows" (gold entities), "given", "precision", "recall", "f1"."""
    numbers = _numbers(found)
    lines = [
        [
            _name(name),
            *numbers.get(name, []),
            f"{each['rows']:,}",
            f"{each['given']:,}",
            *(_cell(each[p]) for p in ("precision", "recall", "f1")),
        ]
        for name, each in found.items()
    ]
    head = ["type", *(["#"] if numbers else []), "entities", "given", "precision", "recall", "F1"]
    return markdown_table(head, lines) + _about(numbers)


def _numbers(names: Collection[str]) -> dict[str, list[str]]:
    """A cell for each name that has a number in the picture. Empty if none has."""
    ordered = sorted(names)
    return {name: [str(n)] for n, name in enumerate(ordered, 1)} if numbered(ordered, _NAME) else {}


def _about(numbers: Mapping[str, Any]) -> str:
    return f"\n\n{NUMBERED}" if numbers else ""


def _name(name: str) -> str:
    return " ".join(name.split()).replace("|", "\\|")


def _cell(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.2f}"
