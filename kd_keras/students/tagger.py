"""A student of tokens: a BiLSTM that gives each piece logits of all tags (Mukherjee & Hassan Awadallah 2020)."""

from __future__ import annotations

import keras
import numpy as np

from kd_keras.students.encoder import Encoder
from kd_keras.students.settings import StudentSettings


def tagger(settings: StudentSettings, matrix: np.ndarray, outputs: int) -> keras.Model:
    """A student that tags each word at its first piece.

    The paper's fully connected layer has GELU and the teacher's width, as it matches a layer of the teacher. Here its
    width is a setting. A linear projection to the teacher's width is thrown away after training. The layer has ReLU, as
    in the other students, which every exported format can compute.

    Args:
      settings: the shape; ``dense_size`` 0 leaves out the fully connected layer.
      matrix: float32[vocab, width], the first embeddings.
      outputs: number of tags.

    Returns:
      A functional model {"ids": int32[batch, time]} → {"logits": float32[batch, time, outputs],
      "hidden": float32[batch, time, dense_size, or 2 · hidden_size if that is 0]}.
      0 is padding, and more padding changes nothing.
    """
    ids = keras.Input((None,), dtype="int32", name="ids")
    states = Encoder(settings, matrix, states=True)(ids)
    hidden = keras.layers.Dropout(settings.dropout, name="state_dropout")(states)
    if settings.dense_size:
        hidden = keras.layers.Dense(settings.dense_size, activation="relu", name="dense")(hidden)
    logits = keras.layers.Dense(outputs, name="logits")(hidden)
    return keras.Model({"ids": ids}, {"logits": logits, "hidden": hidden}, name="student")
