"""Compares a student's vectors with its teacher's: cosines and neighbors."""

from __future__ import annotations

import numpy as np

# Rows whose neighbors are searched at a time, and the number of neighbors.
_ROWS, _NEAREST = 512, 10


def unit(vectors: np.ndarray) -> np.ndarray:
    """float32[n, width], each row of length 1; zeros stay zeros.

    >>> unit(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    vectors = np.asarray(vectors, np.float32)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """float32[n]: the cosine of each row of ``a`` with the same row of ``b``, both float[n, width]."""
    return np.sum(unit(a) * unit(b), axis=-1)


def cosine(labels: np.ndarray, predictions: np.ndarray) -> float:
    """The mean cosine of the teacher's and the student's vectors, both float[n, width]."""
    return float(np.mean(cosines(labels, predictions)))


def neighbours(labels: np.ndarray, predictions: np.ndarray, count: int = _NEAREST) -> float:
    """The share of neighbors that teacher and student have in common, as a mean over texts.

    A text's neighbors are the ``count`` other texts that are nearest by cosine.

    Both are float[n, width], with their own widths. If there are at most ``count`` texts, all are neighbors.

    >>> line = np.array([[1, 0], [1, 0.1], [0, 1], [0.1, 1]], np.float32)
    >>> neighbours(line, line, count=1), neighbours(line, line[[0, 2, 1, 3]], count=1)
    (1.0, 0.0)
    """
    teacher, student = unit(labels), unit(predictions)
    count = min(count, len(teacher) - 1)
    if count < 1:
        return 1.0
    shared = 0
    for start in range(0, len(teacher), _ROWS):
        near = []
        for vectors in (teacher, student):
            found = vectors[start : start + _ROWS] @ vectors.T
            rows = np.arange(len(found))
            found[rows, start + rows] = -np.inf
            near.append(np.argpartition(-found, count - 1, axis=1)[:, :count])
        shared += sum(len(np.intersect1d(a, b)) for a, b in zip(*near, strict=True))
    return shared / (count * len(teacher))
