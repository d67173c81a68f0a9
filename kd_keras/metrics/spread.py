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


def weighed(found: float, error: float, usual: float, spread: float) -> tuple[float, float]:
    """Mean and standard deviation of a difference, by what these rows say and by what it usually is.

    Both are taken for normal distributions and weighed by their precision (Gelman et al. 2013, section 2.5).

    Args:
      found: the difference on these rows, and ``error``, its standard error.
      usual: its mean elsewhere, and ``spread``, its standard deviation there.

    >>> mean, deviation = weighed(-0.1, 0.06, 0.06, 0.06)
    >>> f"{mean:.2f} ± {deviation:.3f}"
    '-0.02 ± 0.042'
    """
    if not error:
        return found, 0.0
    mine, theirs = error**-2, spread**-2
    return (found * mine + usual * theirs) / (mine + theirs), (mine + theirs) ** -0.5


def _resampled(metric: str, label: np.ndarray, logits: np.ndarray) -> np.ndarray:
    draw, count = rng(0, "bootstrap"), len(label)
    drawn = (draw.integers(count, size=count) for _ in range(_RESAMPLES))
    return np.array([score([metric], label[rows], logits[rows])[metric] for rows in drawn])
