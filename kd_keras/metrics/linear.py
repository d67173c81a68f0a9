"""Linear models as references: TF-IDF with logistic or ridge regression, and logistic regression on vectors.

All are scikit-learn's and take seconds. A student must beat the first one to be useful. Wang & Manning 2012,
"Baselines and Bigrams", show how often a neural model does not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from kd_keras.common.seeds import rng
from kd_keras.tasks import Rows, has_label, is_gold

# n-grams of words and of characters, and the limits of rows and of features of each kind.
_ROWS, _FEATURES = 20_000, 50_000
_C_TEXT = 10.0
# scikit-learn's C for vectors of length 1.
_C_VECTORS = 30.0
# The logit of a class without rows, relative to the best of the others.
_UNSEEN = -10.0


@dataclass(frozen=True)
class Linear:
    """Weights of a linear classifier: logits = x @ kernel + bias.

    Attributes:
      kernel: float32[width, classes].
      bias: float32[classes].
    """

    kernel: np.ndarray
    bias: np.ndarray

    def logits(self, vectors: np.ndarray) -> np.ndarray:
        """Logits float32[rows, classes] of vectors float[rows, width]."""
        return vectors.astype(np.float32) @ self.kernel + self.bias


def probe(vectors: np.ndarray, labels: np.ndarray, classes: int, c: float = _C_VECTORS) -> Linear:
    """Logistic regression on vectors. Vectors are not scaled: their mean length goes into the weights.

    Args:
      vectors: float[rows, width].
      labels: int[rows], −1 for none; with several labels a text int[rows, labels], each learned by itself.
      classes: number of classes. Classes without rows get logits under all others.
      c: scikit-learn's C, for vectors of mean length 1.
    """
    chosen = _some(np.flatnonzero(is_gold(labels)))
    length = max(float(np.linalg.norm(vectors[chosen], axis=1).mean()), 1e-6)
    x, y, options = vectors[chosen] / length, labels[chosen], {"C": c, "max_iter": 1000, "tol": 1e-3}
    if y.ndim == 2:
        kernel, bias = np.zeros((vectors.shape[1], classes), np.float32), _odds(y).astype(np.float32)
        for n, model in _each(x, y, options):
            kernel[:, n], bias[n] = model.coef_[0] / length, model.intercept_[0]
        return Linear(kernel, bias)
    model = _logistic(x, y, options)
    kernel, bias = np.zeros((vectors.shape[1], classes), np.float32), np.full(classes, _UNSEEN, np.float32)
    kernel[:, model.classes_], bias[model.classes_] = _columns(model.coef_.T / length, model.intercept_)
    return Linear(kernel, bias)


def _columns(kernel: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One column for each class. With two classes scikit-learn keeps only their difference."""
    if kernel.shape[1] > 1:
        return kernel, bias
    return np.concatenate([-kernel / 2, kernel / 2], 1), np.concatenate([-bias / 2, bias / 2])


def tfidf(train: Rows, splits: Mapping[str, Rows], classes: int) -> dict[str, np.ndarray]:
    """split → float64[rows, classes]: log probabilities of TF-IDF (words 1–2, characters 2–4) + logistic regression.

    With several labels a text, the log odds of each label. Of scores float64[rows, 1], by ridge regression. The
    features of a pair are both texts and their common words.
    """
    chosen = _some(np.flatnonzero(has_label(train)))
    rows = train.take(chosen)
    features = _Features(rows)
    if rows.label.dtype.kind == "f":
        model = _ridge(features(rows), rows.label)
        return {name: model.predict(features(split))[:, None] for name, split in splits.items()}
    options = {"C": _C_TEXT, "max_iter": 200, "tol": 1e-3}
    if rows.label.ndim == 2:
        out = {name: np.tile(_odds(rows.label), (len(split), 1)) for name, split in splits.items()}
        found = {name: features(split) for name, split in splits.items()}
        for n, model in _each(features(rows), rows.label, options):
            for name, x in found.items():
                out[name][:, n] = model.decision_function(x)
        return out
    model = _logistic(features(rows), rows.label, options)
    out = {}
    for name, split in splits.items():
        found = np.full((len(split), classes), _UNSEEN - 50.0)
        found[:, model.classes_] = np.maximum(model.predict_log_proba(features(split)), _UNSEEN - 50.0)
        out[name] = found
    return out


def _logistic(x: Any, y: np.ndarray, options: Mapping[str, Any]) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(**options).fit(x, y)


def _ridge(x: Any, y: np.ndarray) -> Any:
    from sklearn.linear_model import Ridge

    return Ridge().fit(x, y)


def _each(x: Any, y: np.ndarray, options: Mapping[str, Any]) -> Iterator[tuple[int, Any]]:
    """(label, its model) for each label of int[rows, labels] that some rows have and some lack."""
    for n in range(y.shape[1]):
        if 0 < y[:, n].sum() < len(y):
            yield n, _logistic(x, y[:, n], options)


def _odds(y: np.ndarray) -> np.ndarray:
    """float64[labels]: log odds of int[rows, labels]. A label that no row or every row has gets half a row more."""
    has = y.sum(0, dtype=np.float64)
    return np.log((has + 0.5) / (len(y) - has + 0.5))


class _Features:
    def __init__(self, rows: Rows):
        from sklearn.feature_extraction.text import TfidfVectorizer

        common: dict[str, Any] = {"sublinear_tf": True, "max_features": _FEATURES, "dtype": np.float32}
        texts = [*rows.text, *(rows.text_b or ())]
        # Words of any script, of one letter or more. A text that has only signs has characters.
        words = TfidfVectorizer(ngram_range=(1, 2), token_pattern=r"(?u)\w+|[^\w\s]", **common)
        self._parts = [v.fit(texts) for v in (words, TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), **common))]

    def __call__(self, rows: Rows):
        from scipy.sparse import hstack

        a = [v.transform(rows.text) for v in self._parts]
        if rows.text_b is None:
            return hstack(a, format="csr")
        b = [v.transform(rows.text_b) for v in self._parts]
        return hstack([*a, *b, *(x.multiply(y) for x, y in zip(a, b, strict=True))], format="csr")


def _some(rows: np.ndarray) -> np.ndarray:
    """At most ``_ROWS`` of them, drawn at random, in order."""
    if len(rows) <= _ROWS:
        return rows
    return np.sort(rng(0, "linear").permutation(rows)[:_ROWS])


def constant(train: Rows, rows: int, classes: int) -> np.ndarray:
    """float64[rows, classes]: logits that always give the most frequent label of ``train``."""
    counts = np.bincount(train.label[has_label(train)], minlength=classes)
    return np.tile(np.eye(classes)[counts.argmax()], (rows, 1))
