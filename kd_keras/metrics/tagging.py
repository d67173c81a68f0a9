"""All scores of a tagger's predictions: in total, by type, by language, and the mean over languages."""

from __future__ import annotations

from typing import Any

import numpy as np

from kd_keras.metrics.groups import by_group, mean_over
from kd_keras.metrics.scores import score_answers
from kd_keras.metrics.spans import by_type
from kd_keras.tasks import Rows, Task, is_gold
from kd_keras.tasks.tagging_sources import METRICS


def tagging_scores(task: Task, rows: Rows, predicted: Any) -> dict[str, Any]:
    """Scores of tags, over the rows with gold.

    Args:
      task: a tagging.
      rows: rows with gold tags; ``rows.group`` names their languages, if they are known.
      predicted: ragged int[rows][words].

    Returns:
      The four metrics by name; "by_type" (strict): type → "rows" (gold entities), "given", "precision", "recall", "f1";
      and for several languages "by_language": language → "rows" (sentences) and the four metrics, and
      "mean_over_languages".

    Raises:
      UserError: no row has gold.
      ValueError: a row has another number of tags than words.
    """
    out: dict[str, Any] = dict(score_answers(METRICS, rows.label, predicted))
    gold = np.flatnonzero(is_gold(rows.label))
    out["by_type"] = by_type(rows.label.take(gold), predicted.take(gold), task.types)
    if rows.group is not None:
        languages = by_group(METRICS, rows.group, rows.label, predicted)
        if len(languages) > 1:
            out |= {"mean_over_languages": mean_over(languages), "by_language": languages}
    return out
