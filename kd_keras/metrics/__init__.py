"""How good predictions are: accuracy, F1, Matthews, Pearson, Spearman."""

from kd_keras.metrics.scores import Metric, confusion_matrix, get, names, pearson, predictions_of, score, softmax

__all__ = ["Metric", "confusion_matrix", "get", "names", "pearson", "predictions_of", "score", "softmax"]
