"""A student of tokens: a BiLSTM that gives each piece the logits of every tag (Mukherjee & Hassan Awadallah 2020)."""

from __future__ import annotations

import keras
import numpy as np

from kd_keras.students.encoder import Encoder
from kd_keras.students.settings import StudentSettings


def tagger(settings: StudentSettings, matrix: np.ndarray, outputs: int) -> keras.Model:
    """A student that tags words, each at its first piece.

    The paper's fully connected layer has GELU and the teacher's width, as it stands for a layer of the teacher's. Here
    its width is a setting, a linear projection that is thrown away leads to the teacher's, and it has ReLU, as the
    other students, which every exported format computes.

    Args:
      settings: the shape; ``dense_size`` 0 leaves the fully connected layer out.
      matrix: float32[vocab, width], the first embeddings.
      outputs: number of tags.

    Returns:
      A functional model {"ids": int32[batch, time]} → {"logits": float32[batch, time, outputs],
      "hidden": float32[batch, time, dense_size, or 2 · hidden_size where that is 0]}.
      0 is padding; more of it changes nothing.
    """
    ids = keras.Input((None,), dtype="int32", name="ids")
    states = Encoder(settings, matrix, states=True)(ids)
    hidden = keras.layers.Dropout(settings.dropout, name="state_dropout")(states)
    if settings.dense_size:
        hidden = keras.layers.Dense(settings.dense_size, activation="relu", name="dense")(hidden)
    logits = keras.layers.Dense(outputs, name="logits")(hidden)
    return keras.Model({"ids": ids}, {"logits": logits, "hidden": hidden}, name="student")
