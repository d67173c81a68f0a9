"""A student without a task: a BiLSTM whose vector of a text is near the teacher's (Wu et al. 2020)."""

from __future__ import annotations

import keras
import numpy as np

from kd_keras.students.encoder import Encoder
from kd_keras.students.settings import UNIT, StudentSettings


def universal(
    settings: StudentSettings, matrix: np.ndarray, outputs: int, unit: bool = True, states: bool = False
) -> keras.Model:
    """A student that gives each text a vector.

    From the paper we know only that an LSTM approximates the sentence representation of a BERT without fine-tuning; we
    could not read its tables. Layers and widths are ours.

    >>> import numpy as np
    >>> settings = StudentSettings(embedding_size=16, hidden_size=8, pooling="mean")
    >>> student = universal(settings, np.ones((100, 16), np.float32), outputs=12)
    >>> student({"ids": np.array([[5, 7, 0]])})["vector"].shape
    TensorShape([1, 12])

    Args:
      settings: the shape. Its ``pooling`` turns the states into "sentence"; ``dense_size`` is not used.
      matrix: float32[vocab, width], the first embeddings.
      outputs: size of the vector.
      unit: whether vectors have length 1.
      states: whether "hidden" is an output too, float32[batch, time, 2 · hidden_size], for objectives of tokens;
        :func:`without_states` removes it.

    Returns:
      A functional model {"ids": int32[batch, time]} → {"vector": float32[batch, outputs],
      "sentence": float32[batch, 2 · hidden_size]}. 0 is padding, and more padding changes nothing.
    """
    ids = keras.Input((None,), dtype="int32", name="ids")
    encoder = Encoder(settings, matrix)
    hidden = encoder.states(ids)
    sentence = encoder.pooled(hidden, ids)
    vector = keras.layers.Dense(outputs, name="vector")(
        keras.layers.Dropout(settings.dropout, name="sentence_dropout")(sentence)
    )
    if unit:
        vector = keras.layers.UnitNormalization(name=UNIT)(vector)
    more = {"hidden": hidden} if states else {}
    return keras.Model({"ids": ids}, {"vector": vector, "sentence": sentence, **more}, name="student")


def without_states(student: keras.Model) -> keras.Model:
    """The same student with the same layers, without "hidden"."""
    kept = {name: value for name, value in student.output.items() if name != "hidden"}
    return keras.Model(student.input, kept, name=student.name)
