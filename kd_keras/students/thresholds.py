"""Moves each label's threshold into the last bias, for students with several labels a text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from kd_keras.metrics.answers import thresholds
from kd_keras.students.inference import predict
from kd_keras.text.token_ids import TokenIds


def move_thresholds(student: Any, label: np.ndarray, ids: Mapping[str, TokenIds]) -> np.ndarray:
    """Moves each label's logits so that its best threshold on these rows is 0. Returns the old thresholds,
    float64[labels].

    Args:
      student: a Keras model with a layer "logits".
      label: int[rows, labels], as in Rows.
      ids: the student's input for the rows.
    """
    over = thresholds(label, predict(student, ids))
    bias = student.get_layer("logits").bias
    bias.assign(bias.numpy() - over.astype(np.float32))
    return over
