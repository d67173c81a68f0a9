"""Scores of predictions: accuracy, F1, Matthews, Pearson, Spearman; F1 of entities, by type and by language."""

from kd_keras.metrics.groups import by_group, mean_over
from kd_keras.metrics.scores import (
    Metric,
    by_label,
    confusion_matrix,
    get,
    mean_and_spread,
    names,
    pearson,
    predictions_of,
    score,
    score_answers,
    softmax,
    spread_cell,
)
from kd_keras.metrics.spans import by_type

__all__ = [
    "Metric",
    "by_group",
    "by_label",
    "by_type",
    "confusion_matrix",
    "get",
    "mean_and_spread",
    "mean_over",
    "names",
    "pearson",
    "predictions_of",
    "score",
    "score_answers",
    "softmax",
    "spread_cell",
]
