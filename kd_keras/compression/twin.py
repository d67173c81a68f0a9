"""The student as a tf_keras model with the same weights. tensorflow-model-optimization knows no other Keras."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import keras
import numpy as np
import tensorflow as tf
import tf_keras

from kd_keras.common.errors import UserError
from kd_keras.students.inference import predict
from kd_keras.students.settings import LAST, MEAN, VECTOR
from kd_keras.students.weights import student_weights
from kd_keras.text.token_ids import TokenIds

# Allowed difference of logits, relative to the largest. The two versions of Keras add in different orders.
_SAME = 1e-5


def _bare(layer: tf_keras.layers.Layer) -> tf_keras.layers.Layer:
    return layer


def twin(
    student: keras.Model,
    wrap: Callable = _bare,
    embedding: type = tf_keras.layers.Embedding,
    bidirectional: type = tf_keras.layers.Bidirectional,
):
    """The student as a tf_keras model with the same weights.

    Args:
      student: a BiLSTM or siamese student.
      wrap: called with each layer that has kernels, once it has its weights. Returns the layer to use.
      embedding, bidirectional: classes to use instead of tf_keras' own.

    Returns:
      A tf_keras functional model {"ids": int32[batch, time]} (or "ids_a", "ids_b") → {"logits": float32[batch,
      outputs]}.

    Raises:
      UserError: ``student`` has another structure.
    """
    weights = student_weights(student)  # refuses a student of another structure

    def made(layer: tf_keras.layers.Layer, shape: tuple) -> tf_keras.layers.Layer:
        layer.build(shape)
        layer.set_weights(student.get_layer(layer.name).get_weights())
        return wrap(layer)

    channels = []
    for source in student.layers:
        if isinstance(source, keras.layers.Embedding):
            layer = embedding(source.input_dim, source.output_dim, name=source.name, trainable=source.trainable)
            channels.append(made(layer, (None, None)))
    # The cell alone: tf_keras' LSTM layer would trace a GPU's kernel too, which takes half a minute.
    cell = tf_keras.layers.LSTMCell(weights.forward.hidden)
    lstm = tf_keras.layers.RNN(cell, return_sequences=weights.pooling != LAST, name="lstm")
    bilstm = made(bidirectional(lstm, name="bilstm"), (None, None, weights.embeddings.shape[1]))
    rates = {layer.name: layer.rate for layer in student.layers if isinstance(layer, keras.layers.Dropout)}
    word_dropout = tf_keras.layers.Dropout(rates["word_dropout"], noise_shape=(None, None, 1))
    embedding_dropout = tf_keras.layers.Dropout(rates["embedding_dropout"])
    if weights.sentence is not None:
        inside, size = weights.sentence[0].shape
        vector = made(tf_keras.layers.Dense(size, name=VECTOR), (None, inside))

    def encode(ids):
        pooled = pool(ids)
        return pooled if weights.sentence is None else tf.math.l2_normalize(vector(pooled), -1) * size**0.5

    def pool(ids):
        embedded = [channel(ids) for channel in channels]
        x = tf.concat(embedded, -1) if len(embedded) > 1 else embedded[0]
        # The mask is passed on, because a wrapped Embedding makes none and padding would be read as words.
        mask = tf.not_equal(ids, 0)
        states = bilstm(embedding_dropout(word_dropout(x)), mask=mask)
        if weights.pooling == LAST:
            return states
        mask = tf.expand_dims(tf.cast(mask, tf.float32), -1)  # as in students.encoder
        if weights.pooling == MEAN:
            return tf.reduce_sum(states * mask, 1) / tf.maximum(tf.reduce_sum(mask, 1), 1.0)
        return tf.reduce_max(states * mask - 2.0 * (1.0 - mask), 1) * tf.reduce_max(mask, 1)

    ids = {name: tf_keras.Input((None,), dtype="int32", name=name) for name in weights.inputs}
    parts = [encode(i) for i in ids.values()]
    if len(parts) == 2:
        u, v = parts
        parts = [u, v, u * v, tf.abs(u - v)]
    sentence = tf.concat(parts, -1) if len(parts) > 1 else parts[0]
    hidden = tf_keras.layers.Dropout(rates["sentence_dropout"])(sentence)
    units = sentence.shape[-1]
    if weights.dense is not None:
        dense = made(tf_keras.layers.Dense(weights.dense[1].shape[0], "relu", name="dense"), (None, units))
        hidden, units = dense(hidden), weights.dense[1].shape[0]
    logits = made(tf_keras.layers.Dense(weights.outputs, name="logits"), (None, units))
    return tf_keras.Model(ids, {"logits": logits(hidden)})


def require_same_logits(student: keras.Model, other, ids: Mapping[str, TokenIds]) -> float:
    """The largest difference of a logit between the student and its twin.

    Raises:
      UserError: it is larger than rounding explains.
    """
    want, got = predict(student, ids), predict(other, ids)
    difference = float(np.abs(want - got).max())
    if not difference <= _SAME * max(1.0, float(np.abs(want).max())):
        raise UserError(
            f"student.keras: the logits of its tf_keras twin differ by {difference:.2g}; compress takes only students "
            "with the structure that train builds"
        )
    return difference
