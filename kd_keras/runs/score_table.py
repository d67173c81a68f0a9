"""The table of a run: teacher, students and reference models, by split and metric."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kd_keras.common.markdown import markdown_table
from kd_keras.runs import references
from kd_keras.runs.given import is_given

SIZES = ("parameters", "parameters_without_embeddings")
TITLES = {
    "teacher": "teacher",
    "baseline": "student, no distillation",
    "student": "student, distilled",
}
GIVEN = "teacher (given)"


def titles(metrics: Mapping[str, Any]) -> dict[str, str]:
    """``TITLES``. They say so if the teacher was given as signals."""
    return TITLES | ({"teacher": GIVEN} if is_given(metrics.get("teacher", {})) else {})


def summary(metrics: dict) -> str:
    """The final table, for the screen and the report: Markdown that also reads well as text."""
    splits = [s for s in metrics["rows"] if s in metrics["student"]]
    names = list(metrics["student"][splits[0]])
    head = ["", *(f"{s} {m}" for s in splits for m in names), "parameters", "without embeddings"]
    lines: list[list[str]] = []
    for name, part in metrics.get("references", {}).items():
        lines.append([references.TITLES[name], *(_cell(part[s][m], None) for s in splits for m in names), "", ""])
    for kind, title in titles(metrics).items():
        if kind not in metrics:
            continue
        part = metrics[kind]
        sizes = [f"{part[p] / 1e6:.2f} M" if p in part else "" for p in SIZES]
        if alone := part.get("ensemble"):
            count = len(part["seeds"])
            cells = [_cell(alone["mean"][s][m], alone["spread"][s][m]) for s in splits for m in names]
            lines.append([f"one of {count} teachers", *cells, *sizes])
            title, sizes = f"{count} teachers together", [f"{count} × {size}" for size in sizes]
        for number, other in enumerate(part.get("rounds", ()), 1):
            if number != part["round"]:
                cells = [_cell(other[s][m], None) for s in splits for m in names]
                lines.append([f"teacher of round {number}, not used", *cells, "", ""])
        if "round" in part:
            title = f"{title}, round {part['round']}"
        many = kind != "teacher" and len(metrics["seeds"]) > 1
        cells = [
            _cell(part[s][m], part["spread"][s][m] if many else None) if s in part else ""
            for s in splits
            for m in names
        ]
        lines.append([title, *cells, *sizes])
    if "baseline" in metrics:
        gain = [f"{100 * (metrics['student'][s][m] - metrics['baseline'][s][m]):+.2f}" for s in splits for m in names]
        lines.append(["gain of distillation", *gain, "", ""])
    return markdown_table(head, lines)


def _cell(value: float, spread: float | None) -> str:
    return f"{100 * value:.2f}" + (f" ± {100 * spread:.2f}" if spread is not None else "")
