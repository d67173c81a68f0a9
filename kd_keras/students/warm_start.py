"""Starts a student from another one's encoder, as a task's BERT starts from a pre-trained one."""

from __future__ import annotations

import keras
import numpy as np

from kd_keras.common.errors import UserError
from kd_keras.students.settings import ENCODER


def warm_start(student: keras.Model, source: keras.Model) -> keras.Model:
    """``student`` with the embeddings, the BiLSTM and (if it has one) the sentence layer of ``source``. The two may be
    of different kinds.

    >>> from kd_keras import StudentSettings, build_student
    >>> shape, matrix = StudentSettings(embedding_size=4, hidden_size=3), np.ones((9, 4), np.float32)
    >>> one, other = (build_student(shape, matrix, 2, seed, pair) for seed, pair in ((1, False), (2, True)))
    >>> taken = warm_start(other, one).get_layer("bilstm").get_weights()[0]
    >>> bool((taken == one.get_layer("bilstm").get_weights()[0]).all())
    True

    Args:
      student: has the same vocabulary and encoder shape.
      source: a student of any kind.

    Raises:
      UserError: the shapes differ.
    """
    have = {layer.name: layer for layer in source.layers}
    for layer in student.layers:
        if layer.name not in ENCODER:
            continue
        weights = have[layer.name].get_weights() if layer.name in have else []
        if [w.shape for w in weights] != [w.shape for w in layer.get_weights()]:
            raise UserError(
                f"student: its layer {layer.name} has weights of {_shapes(layer.get_weights())}; "
                f"expected {_shapes(weights)}, as in the student that it starts from"
            )
        layer.set_weights(weights)
    return student


def _shapes(weights: list[np.ndarray]) -> str:
    return ", ".join(str(w.shape) for w in weights) or "none"
