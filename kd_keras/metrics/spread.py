"""How far a score may be from that of other rows of the same kind."""

from __future__ import annotations

import numpy as np

from kd_keras.common.seeds import rng
from kd_keras.metrics.scores import score

# Scores within so many standard errors of the best are not told apart by their rows.
NEAR = 2.0
_RESAMPLES = 500


def standard_error(metric: str, label: np.ndarray, logits: np.ndarray) -> float:
    """The standard error of a score on these rows, by the bootstrap (Efron & Tibshirani 1993, chapter 6)."""
    return float(np.std(_resampled(metric, label, logits)))


def error_of_difference(metric: str, label: np.ndarray, logits: np.ndarray, other: np.ndarray) -> float:
    """The standard error of the difference of two models' scores. Both are drawn the same rows."""
    return float(np.std(_resampled(metric, label, logits) - _resampled(metric, label, other)))


def _resampled(metric: str, label: np.ndarray, logits: np.ndarray) -> np.ndarray:
    draw, count = rng(0, "bootstrap"), len(label)
    drawn = (draw.integers(count, size=count) for _ in range(_RESAMPLES))
    return np.array([score([metric], label[rows], logits[rows])[metric] for rows in drawn])
