"""The BiLSTM encoder: token ids → a vector for each text (Tang et al. 2019, section 3.1), or for each token.

Every layer is built in, so ``keras.saving.load_model`` needs none of this code.
"""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from kd_keras.students.settings import LAST, MAX, MEAN, UNIT, VECTOR, StudentSettings


class Encoder:
    """The layers of the encoder, called once for each text. A siamese student calls the same layers twice.

    Args:
      settings: the shape.
      matrix: float32[vocab, width], the first embeddings of every channel.
      states: whether to return the states of each token.
    """

    def __init__(self, settings: StudentSettings, matrix: np.ndarray, states: bool = False):
        self._pooling = LAST if states else settings.pooling
        self._channels = [_embedding(matrix, settings.channels != "static", "embeddings")]
        if settings.channels == "multichannel":
            # Kim 2014, section 3.1. Words that the task's text lacks keep the vectors' meaning in the frozen copy.
            self._channels.append(_embedding(matrix, False, "embeddings_static"))
            self._side_by_side = keras.layers.Concatenate(name="channels")
        # A dropped word has a zero vector, so that the student does not depend on single words.
        self._word_dropout = keras.layers.Dropout(
            settings.word_dropout, noise_shape=(None, None, 1), name="word_dropout"
        )
        self._dropout = keras.layers.Dropout(settings.embedding_dropout, name="embedding_dropout")
        over_time = states or self._pooling != LAST
        lstm = keras.layers.LSTM(settings.hidden_size, return_sequences=over_time, name="lstm")
        self._bilstm = keras.layers.Bidirectional(lstm, merge_mode="concat", name="bilstm")
        # ``students.weights`` tells the mean from the maximum by the layer's name.
        self._mean = keras.layers.Dot(axes=(1, 1), name=MEAN) if self._pooling == MEAN else None
        size = 0 if states else settings.sentence_size
        self._vector = keras.layers.Dense(size, name=VECTOR) if size else None
        self._unit = keras.layers.UnitNormalization(name=UNIT) if size else None

    def __call__(self, ids: keras.KerasTensor) -> keras.KerasTensor:
        """int32[batch, time], 0 is padding → float32[batch, 2 · hidden_size, or sentence_size], or [batch, time, 2 ·
        hidden_size]."""
        pooled = self.pooled(self.states(ids), ids)
        if self._vector is None:
            return pooled
        # Numbers of about 1, as a head's initial weights expect.
        return self._unit(self._vector(pooled)) * self._vector.units**0.5

    def states(self, ids: keras.KerasTensor) -> keras.KerasTensor:
        """float32[batch, time, 2 · hidden_size], or without time if only the last state is needed."""
        embedded = [channel(ids) for channel in self._channels]
        x = self._side_by_side(embedded) if len(embedded) > 1 else embedded[0]
        return self._bilstm(self._dropout(self._word_dropout(x)))

    def pooled(self, states: keras.KerasTensor, ids: keras.KerasTensor) -> keras.KerasTensor:
        """Pools the ``states`` of :meth:`states` into one vector for each text."""
        if self._mean is not None:
            return self._mean([_shares(ids), states])
        return _max_over_time(states, ids) if self._pooling == MAX else states


def _embedding(matrix: np.ndarray, trainable: bool, name: str) -> keras.layers.Embedding:
    rows, width = matrix.shape
    # The values are assigned, as an initializer would be saved with the model's configuration.
    layer = keras.layers.Embedding(rows, width, "zeros", mask_zero=True, trainable=trainable, name=name)
    layer.build()
    layer.embeddings.assign(matrix)
    return layer


def _shares(ids: keras.KerasTensor) -> keras.KerasTensor:
    """float32[batch, time]: 1 / (tokens of the text) at each token, 0 at padding."""
    mask = ops.cast(ops.not_equal(ids, 0), "float32")
    return mask / ops.maximum(ops.sum(mask, axis=1, keepdims=True), 1.0)


def _max_over_time(states: keras.KerasTensor, ids: keras.KerasTensor) -> keras.KerasTensor:
    """float32[batch, time, units] → float32[batch, units]: the maximum over tokens that are not padding."""
    mask = ops.expand_dims(ops.cast(ops.not_equal(ids, 0), "float32"), -1)
    # States lie in (-1, 1), so padding at -2 never wins. A text that is only padding gives 0.
    best = ops.max(states * mask - 2.0 * (1.0 - mask), axis=1)
    return best * ops.max(mask, axis=1)
