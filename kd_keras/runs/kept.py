"""The students that a run trained, and which of them it kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kd_keras.common import files
from kd_keras.common.errors import UserError
from kd_keras.common.layout import RunLayout
from kd_keras.distill.settings import BASELINE, DISTILLED


def read_metrics(layout: RunLayout) -> dict[str, Any]:
    """metrics.json of a run; nothing where it is missing or damaged."""
    try:
        found = files.read_json(layout.metrics) if layout.metrics.is_file() else {}
    except UserError:
        found = {}
    return found if isinstance(found, dict) else {}


def kept_arm(layout: RunLayout, metrics: Mapping[str, Any]) -> str | None:
    """The arm that student.keras is; None where nothing tells."""
    if said := metrics.get("kept", {}).get("arm"):
        return said
    if "chosen_seed" in metrics:  # of an older run, which always kept a distilled one
        return layout.arm(DISTILLED, metrics["chosen_seed"]).name
    return None


def is_baseline(arm: str | None) -> bool:
    """Whether it learnt from gold labels alone."""
    return arm is not None and arm.startswith(f"{BASELINE}-")
