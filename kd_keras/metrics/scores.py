"""Scores in NumPy. They agree with scikit-learn, SciPy and seqeval, but are 0 if those are NaN.

Every metric takes gold labels and predictions in one shape, n > 0: int[n] (regression: float[n]; several labels a text:
int[n, labels] of 0 and 1; tagging: ragged int[n][words]; vectors: float[n, width]).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kd_keras.common.errors import UserError
from kd_keras.common.ragged import Ragged
from kd_keras.common.registry import Registry
from kd_keras.metrics import spans, vectors
from kd_keras.metrics.decoding import decoded
from kd_keras.tasks import is_gold


@dataclass(frozen=True)
class Metric:
    """A score.

    Attributes:
      function: (labels, predictions) → float, as a fraction (0 to 1, correlations −1 to 1).
      percent: whether tables show it times 100.
    """

    name: str
    function: Callable[[Any, Any], float]
    percent: bool
    higher_is_better: bool = True


def confusion_matrix(labels: np.ndarray, predictions: np.ndarray, classes: int) -> np.ndarray:
    """int64[classes, classes]: the number of rows with gold label i (row) and prediction j (column)."""
    flat = np.asarray(labels, np.int64) * classes + np.asarray(predictions, np.int64)
    return np.bincount(flat, minlength=classes * classes).reshape(classes, classes)


def by_label(labels: np.ndarray, predictions: np.ndarray, count: int) -> list[dict[str, float]]:
    """For each of ``count`` labels its gold "rows", the number of times it is "given", "precision", "recall" and "f1".

    The last three are fractions; 0 if undefined.

    Args:
      labels: int[n] ids, or int[n, count] of 0 and 1.
      predictions: in the same shape.
    """
    gold, called = (
        np.asarray(x) > 0 if np.ndim(x) == 2 else np.asarray(x)[:, None] == np.arange(count)
        for x in (labels, predictions)
    )
    right, rows, given = (gold & called).sum(0), gold.sum(0), called.sum(0)
    parts = {
        "rows": rows,
        "given": given,
        "precision": right / np.maximum(given, 1),
        "recall": right / np.maximum(rows, 1),
        "f1": 2 * right / np.maximum(rows + given, 1),
    }
    return [{name: values[n].item() for name, values in parts.items()} for n in range(count)]


def accuracy(labels: np.ndarray, predictions: np.ndarray) -> float:
    """Share of rows whose prediction is the gold label."""
    return float(np.mean(np.asarray(labels) == np.asarray(predictions)))


def f1(labels: np.ndarray, predictions: np.ndarray, positive: int = 1) -> float:
    """F1 of class ``positive``; 0 if it is never gold and never predicted."""
    gold, called = np.asarray(labels) == positive, np.asarray(predictions) == positive
    total = gold.sum() + called.sum()
    return float(2 * (gold & called).sum() / total) if total else 0.0


def macro_f1(labels: np.ndarray, predictions: np.ndarray) -> float:
    """Mean F1 of the classes that are gold or predicted at least once; with several labels a text, of all labels."""
    labels, predictions = np.asarray(labels), np.asarray(predictions)
    if labels.ndim == 2:
        return float(np.mean([f1(labels[:, n], predictions[:, n]) for n in range(labels.shape[1])]))
    return float(np.mean([f1(labels, predictions, c) for c in np.union1d(labels, predictions)]))


def micro_f1(labels: np.ndarray, predictions: np.ndarray) -> float:
    """F1 of int[n, labels]. Each label of each text counts the same."""
    return f1(np.ravel(labels), np.ravel(predictions))


def exact_match(labels: np.ndarray, predictions: np.ndarray) -> float:
    """Share of rows of int[n, labels] that have exactly the gold labels."""
    return float(np.mean((np.asarray(labels) == np.asarray(predictions)).all(1)))


def mcc(labels: np.ndarray, predictions: np.ndarray) -> float:
    """Matthews correlation for any number of classes (Gorodkin 2004); 0 if either side is constant."""
    table = confusion_matrix(labels, predictions, int(max(np.max(labels), np.max(predictions))) + 1)
    table = table.astype(np.float64)  # products of counts overflow integers
    gold, called, n = table.sum(1), table.sum(0), table.sum()
    spread = (n**2 - gold @ gold) * (n**2 - called @ called)
    return float((np.trace(table) * n - gold @ called) / np.sqrt(spread)) if spread > 0 else 0.0


def pearson(labels: np.ndarray, predictions: np.ndarray) -> float:
    """Linear correlation; 0 if either side is constant."""
    a, b = np.asarray(labels, np.float64), np.asarray(predictions, np.float64)
    if np.ptp(a) == 0 or np.ptp(b) == 0:  # rounding of the mean must not give a constant a spread
        return 0.0
    a, b = a - a.mean(), b - b.mean()
    return float(np.clip(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)), -1.0, 1.0))


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 0; equal values share the mean of their ranks."""
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts + 1) / 2)[which]


def spearman(labels: np.ndarray, predictions: np.ndarray) -> float:
    """Correlation of ranks; 0 if either side is constant."""
    return pearson(_ranks(np.asarray(labels)), _ranks(np.asarray(predictions)))


_REGISTRY: Registry[Metric] = Registry("metric")
for _name, _function, _percent in (
    ("accuracy", accuracy, True),
    ("f1", f1, True),
    ("macro_f1", macro_f1, True),
    ("mcc", mcc, False),
    ("micro_f1", micro_f1, True),
    ("exact_match", exact_match, True),
    ("pearson", pearson, False),
    ("spearman", spearman, False),
    ("entity_f1", spans.entity_f1, True),
    ("conlleval_f1", spans.conlleval_f1, True),
    ("entity_precision", spans.entity_precision, True),
    ("entity_recall", spans.entity_recall, True),
    ("cosine", vectors.cosine, False),
    ("neighbours", vectors.neighbours, True),
):
    _REGISTRY.register(_name, Metric(_name, _function, _percent))

get = _REGISTRY.get
names = _REGISTRY.names


def softmax(logits: np.ndarray) -> np.ndarray:
    """Softmax: float64[rows, classes]; each row adds up to 1."""
    e = np.exp(logits.astype(np.float64) - logits.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def predictions_of(labels: np.ndarray | Ragged, logits: np.ndarray | Ragged) -> np.ndarray | Ragged:
    """int64[n]: the argmax of logits float[n, classes]. Other kinds of labels have other answers.

    A regression (labels are float) has float[n]. Vectors (float[n, width]) do not change. Several labels a text (labels
    are int[n, labels]) have int64[n, labels], 1 if the logit is over 0. A tagger's ragged float[n][words, tags] gives
    int64[n][words], the best legal sequence of tags.
    """
    if isinstance(logits, Ragged):
        return decoded(logits)
    if np.issubdtype(labels.dtype, np.floating):
        return logits.reshape(labels.shape).astype(np.float64)
    if logits.ndim != 2:
        raise ValueError(f"logits have the shape {logits.shape}, expected [rows, classes]")
    return (logits > 0).astype(np.int64) if labels.ndim == 2 else logits.argmax(-1)


def score(metric_names: Sequence[str], labels: np.ndarray | Ragged, logits: np.ndarray | Ragged) -> dict[str, float]:
    """Metrics by name, as fractions, over the rows that have a gold label.

    Args:
      labels: int[n], −1 for none; float[n], NaN for none (a regression); int[n, labels], a row of −1 for none; for
        tagging ragged int[n][words], a row without tags for none.
      logits: float[n, classes]; for a regression float[n] or float[n, 1]; for tagging ragged float[n][words, tags].

    Raises:
      UserError: no row has a gold label, a logit is not finite, or a metric is unknown.
      ValueError: the number of rows, or of words in a row with gold, differs.
    """
    labels, logits = gold_rows(labels, logits)
    flat = logits.flat() if isinstance(logits, Ragged) else logits
    if not np.isfinite(flat).all():
        raise UserError("the model's outputs are not finite numbers: it has diverged; use a lower learning rate")
    return score_answers(metric_names, labels, predictions_of(labels, logits))


def score_answers(metric_names: Sequence[str], labels: Any, predictions: Any) -> dict[str, float]:
    """:func:`score` for answers instead of logits: int64[n], as :func:`predictions_of` returns them."""
    metrics = [get(name) for name in metric_names]
    labels, predictions = gold_rows(labels, predictions)
    return {m.name: m.function(labels, predictions) for m in metrics}


def gold_rows(labels: Any, values: Any) -> tuple[Any, Any]:
    """Labels and values of the rows with gold. Both are in order in memory."""
    if not isinstance(labels, Ragged):
        labels, values = np.asarray(labels), np.asarray(values)
    elif not isinstance(values, Ragged):
        raise ValueError("tags of words: expected values of words in a Ragged, with a row for each sentence")
    if len(labels) != len(values):
        raise ValueError(f"{len(labels)} labels, but logits for {len(values)} rows")
    gold = np.flatnonzero(is_gold(labels))
    if not len(gold):
        raise UserError("nothing to score: no row has a gold label")
    if not isinstance(labels, Ragged):
        return labels[gold], values[gold]
    labels, values = (Ragged.cut((taken := x.take(gold)).flat(), taken.lengths) for x in (labels, values))
    spans.require_same_words(labels, values)
    return labels, values


def mean_and_spread(values: Sequence[float]) -> tuple[float, float]:
    """Mean and sample standard deviation (0 for a single value)."""
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def spread_cell(values: Sequence[float], sign: str = "") -> str:
    """For tables: the mean and, if there are several values, ± standard deviation, with two digits each."""
    mean, spread = mean_and_spread(values)
    return f"{mean:{sign}.2f}" + (f" ± {spread:.2f}" if len(values) > 1 else "")
