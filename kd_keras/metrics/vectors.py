"""How near a student's vectors are to its teacher's: their cosines, and who their neighbours are."""

from __future__ import annotations

import numpy as np

# Rows whose neighbours are looked for at a time, and how many neighbours count.
_ROWS, _NEAREST = 512, 10


def unit(vectors: np.ndarray) -> np.ndarray:
    """float32[n, width], each of length 1; zeros stay zeros.

    >>> unit(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    vectors = np.asarray(vectors, np.float32)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """float32[n]: of each row of ``a`` with that of ``b``, both float[n, width]."""
    return np.sum(unit(a) * unit(b), axis=-1)


def cosine(labels: np.ndarray, predictions: np.ndarray) -> float:
    """The mean cosine of the teacher's vectors and the student's, float[n, width] both."""
    return float(np.mean(cosines(labels, predictions)))


def neighbours(labels: np.ndarray, predictions: np.ndarray, count: int = _NEAREST) -> float:
    """Which share of the ``count`` texts that are nearest to a text by the teacher's cosines, the text itself left out,
    are among its ``count`` nearest by the student's: the mean over texts.

    Both are float[n, width], of widths of their own. Of ``count`` texts or fewer all are neighbours.

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
