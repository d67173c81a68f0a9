"""Scores of groups of rows, such as languages, and their mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kd_keras.metrics.scores import score_answers
from kd_keras.tasks import is_gold


def by_group(
    metric_names: Sequence[str], group: Sequence[str], gold: Any, predicted: Any
) -> dict[str, dict[str, float]]:
    """Each group's "rows" with gold, and its scores by name. Groups are in alphabetical order; groups without gold are
    left out.

    Args:
      group: the group of each row (``Rows.group``).
      gold: as in Rows: int[rows], or ragged int[rows][words].
      predicted: in the same shape.
    """
    has_gold = is_gold(gold)
    which = np.asarray(group)
    out = {}
    for name in sorted(set(group)):
        rows = np.flatnonzero((which == name) & has_gold)
        if len(rows):
            labels, answers = gold.take(rows), predicted.take(rows)
            out[name] = {"rows": len(rows)} | score_answers(metric_names, labels, answers)
    return out


def mean_over(found: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """metric → mean over the groups of :func:`by_group`. Each group counts the same, for any number of rows."""
    names = [name for name in next(iter(found.values()), {}) if name != "rows"]
    return {name: float(np.mean([each[name] for each in found.values()])) for name in names}
