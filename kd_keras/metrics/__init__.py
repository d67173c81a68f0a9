"""How good predictions are: accuracy, F1, Matthews, Pearson, Spearman."""

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
    softmax,
    spread_cell,
)

__all__ = [
    "Metric",
    "by_label",
    "confusion_matrix",
    "get",
    "mean_and_spread",
    "names",
    "pearson",
    "predictions_of",
    "score",
    "softmax",
    "spread_cell",
]
