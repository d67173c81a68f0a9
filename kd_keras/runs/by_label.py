"""The kept student, label by label: a table and a picture."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from kd_keras.common.figures import Figure
from kd_keras.common.markdown import markdown_table
from kd_keras.runs.drawn_names import numbered, shortened
from kd_keras.runs.error_plots import BARS, WORST, bars
from kd_keras.runs.plots import BLUE
from kd_keras.runs.wrong_texts import cell

# The table has at most this many rows; metrics.json has all.
_MOST = 40
NUMBERED = "The picture shows some labels by a number (#). It is their line in labels.txt."


def table(found: Mapping[str, Mapping[str, float]]) -> str:
    """Markdown of label → "rows", "given", "precision", "recall", "f1". If there are many, those of the lowest F1."""
    shown = list(found)
    if len(shown) > _MOST:
        shown = sorted(found, key=lambda name: found[name]["f1"])[:_MOST]
    numbers = {name: str(n) for n, name in enumerate(found, 1)} if numbered(list(found)) else {}
    lines = [
        [cell(name, 300), *([numbers[name]] if numbers else []), f"{each['rows']:,}",
         f"{each['given']:,}", *(f"{100 * each[part]:.2f}" for part in ("precision", "recall", "f1"))]
        for name, each in ((name, found[name]) for name in shown)
    ]  # fmt: skip
    rest = (
        f"\n\nOnly the {len(shown)} of the lowest F1. metrics.json has {len(found)}." if len(shown) < len(found) else ""
    )
    head = ["label", *(["#"] if numbers else []), "rows", "given", "precision", "recall", "F1"]
    return markdown_table(head, lines) + rest + ("\n\n" + NUMBERED if numbers else "")


def picture(found: Mapping[str, Mapping[str, float]], title: str) -> Figure:
    """A bar for the F1 of each label, the lowest first."""
    names = list(found)
    f1 = 100 * np.array([found[name]["f1"] for name in names])
    order = np.argsort(f1, kind="stable")[: len(names) if len(names) <= BARS else WORST]
    short = shortened(names)
    figure = Figure(figsize=(7.2, 1.5 + 0.26 * len(order)), layout="constrained")
    ax = figure.subplots()
    said = [f"{f1[n]:.1f} ({found[names[n]]['rows']:,})" for n in order]
    bars(ax, [short[n] for n in order], f1[order], said, BLUE)
    which = "" if len(order) == len(names) else f": the {len(order)} lowest of {len(names)}"
    ax.set_title(f"{title}\nF1 by label, %{which} (gold rows)", fontsize=11)
    ax.set(xlabel="F1, %", xlim=(0, 118), xticks=range(0, 101, 20))
    return figure
