"""The student's forward pass in plain TensorFlow ops that TFLite has built in: no Flex, no state between calls.

Two forms, exact copies of Keras' answer for ids that are right-padded with 0:

- unrolled: a fixed length, one subgraph, the same work for any text. What MediaPipe needs.
- loop: any length, stops at the last token. Fastest in a plain interpreter.

The backward direction reads reversed *ids*: reversing embeddings has no int8 kernel.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from kd_keras.deploy.weights import Direction, StudentWeights


def forward_pass(weights: StudentWeights, length: int | None, int8_rows: bool = False) -> Any:
    """A concrete function int32[1, time] for each input → {"scores": float32[1, outputs]}.

    Args:
      weights: of the student.
      length: unrolled to this many tokens; None: the loop form.
      int8_rows: the embeddings as int8 with a scale for each row. TFLite's own conversion has one scale for the whole
        table, and unpacks all of it into floats when the file is loaded.

    Returns:
      scores: softmax of the logits; a regression's number as it is.
    """
    encode = _unrolled if length else _loop
    constants = _Constants(weights, int8_rows)

    def scores(**ids: tf.Tensor) -> dict[str, tf.Tensor]:
        rows = _as_batch([ids[name] for name in weights.inputs])
        count = tf.reduce_sum(tf.cast(tf.not_equal(rows, 0), tf.int32), 1)
        sentence = encode(constants, rows, count, length)
        if len(ids) > 1:
            u, v = sentence[:1], sentence[1:]
            sentence = tf.concat([u, v, u * v, tf.abs(u - v)], 1)
        hidden = tf.nn.relu(tf.matmul(sentence, constants.dense[0]) + constants.dense[1])
        logits = tf.matmul(hidden, constants.logits[0]) + constants.logits[1]
        return {"scores": logits if weights.outputs == 1 else tf.nn.softmax(logits)}

    signature = {name: tf.TensorSpec((1, length), tf.int32, name=name) for name in weights.inputs}
    return tf.function(scores).get_concrete_function(**signature)


def _as_batch(texts: list[tf.Tensor]) -> tf.Tensor:
    """int32[1, time] of each text → int32[texts, longest time]: a pair goes through the encoder as a batch of two."""
    if len(texts) == 1:
        return texts[0]
    if texts[0].shape[1] is None:
        longest = tf.reduce_max([tf.shape(t)[1] for t in texts])
        texts = [tf.pad(t, [[0, 0], [0, longest - tf.shape(t)[1]]]) for t in texts]
    return tf.concat(texts, 0)


class _Constants:
    """The weights as tensors, each made once."""

    def __init__(self, w: StudentWeights, int8_rows: bool):
        self._scales = None
        if int8_rows:
            scales = np.maximum(np.abs(w.embeddings).max(1, keepdims=True), 1e-12).astype(np.float32) / 127
            self._table = tf.constant(np.round(w.embeddings / scales).astype(np.int8))
            self._scales = tf.constant(scales)
        else:
            self._table = tf.constant(w.embeddings)
        self.directions = tuple(_Cell(d) for d in (w.forward, w.backward))
        self.dense, self.logits = (tuple(map(tf.constant, layer)) for layer in (w.dense, w.logits))
        self.pool_max = w.pool_max
        self.hidden = w.forward.hidden

    def embed(self, ids: tf.Tensor) -> tf.Tensor:
        """int32[rows] → float32[rows, width]."""
        rows = tf.gather(self._table, ids)
        return rows if self._scales is None else tf.cast(rows, tf.float32) * tf.gather(self._scales, ids)


class _Cell:
    def __init__(self, d: Direction):
        self.kernel, self.recurrent, self.bias = (tf.constant(a) for a in (d.kernel, d.recurrent, d.bias))
        self.hidden = d.hidden

    def project(self, x: tf.Tensor) -> tf.Tensor:
        """float32[rows, width] → float32[rows, 4 · hidden], the inputs' part of the gates."""
        return tf.matmul(x, self.kernel) + self.bias

    def step(self, x: tf.Tensor, h: tf.Tensor | None, c: tf.Tensor | None) -> tuple[tf.Tensor, tf.Tensor]:
        """One step of Hochreiter & Schmidhuber's cell with forget gates; None is the state of zeros before the text."""
        if h is None:
            # Nothing to forget. An unused output of a split would stay a float in the int8 file.
            gates, candidate = tf.split(x[:, self.hidden :], [2 * self.hidden, self.hidden], 1)
            i, o = tf.split(tf.sigmoid(gates), 2, 1)
            c = i * tf.tanh(candidate)
        else:
            gates, candidate = tf.split(x + tf.matmul(h, self.recurrent), [3 * self.hidden, self.hidden], 1)
            f, i, o = tf.split(tf.sigmoid(gates), 3, 1)
            c = f * c + i * tf.tanh(candidate)
        return o * tf.tanh(c), c


def _both_ways(ids: tf.Tensor, count: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """ids, and ids with the text's part reversed; padding stays at the end of both."""
    return ids, tf.reverse_sequence(ids, count, seq_axis=1, batch_axis=0)


def _unrolled(w: _Constants, ids: tf.Tensor, count: tf.Tensor, length: int) -> tf.Tensor:
    """int32[rows, length] → float32[rows, 2 · hidden]."""
    rows = ids.shape[0]
    parts = []
    for cell, order in zip(w.directions, _both_ways(ids, count), strict=True):
        # Time first, so that one op cuts the projection into steps.
        x = w.embed(tf.reshape(tf.transpose(order), [-1]))
        steps = tf.unstack(tf.reshape(cell.project(x), [length, rows, 4 * cell.hidden]))
        h = c = None
        states = []
        for step in steps:
            h, c = cell.step(step, h, c)
            states.append(h)
        parts.append(_max_of(states, count) if w.pool_max else _state_at(states, count))
    return tf.concat(parts, 1)


def _state_at(states: list[tf.Tensor], count: tf.Tensor) -> tf.Tensor:
    """The state after ``count`` steps; zeros after none, as Keras has it for an empty text."""
    rows, hidden = states[0].shape
    flat = tf.concat([tf.zeros((rows, hidden)), *states], 0)
    return tf.gather(flat, count * rows + tf.range(rows))


def _max_of(states: list[tf.Tensor], count: tf.Tensor) -> tf.Tensor:
    """The largest of the first ``count`` states; zeros of none."""
    inside = tf.range(len(states))[:, None, None] < count[None, :, None]
    # States lie in (-1, 1): -1 never wins.
    best = tf.reduce_max(tf.where(inside, tf.stack(states), -1.0), 0)
    return tf.where(count[:, None] > 0, best, 0.0)


def _loop(w: _Constants, ids: tf.Tensor, count: tf.Tensor, length: None) -> tf.Tensor:
    """int32[rows, time] → float32[rows, 2 · hidden]; as many steps as the longest row has tokens."""
    rows = ids.shape[0]
    orders = _both_ways(ids, count)
    longest = tf.reduce_max(count)
    zeros = tf.zeros((rows, w.hidden))
    lowest = tf.fill((rows, w.hidden), -1.0)

    def keep(t: tf.Tensor, new: tf.Tensor, old: tf.Tensor) -> tf.Tensor:
        # Of a pair, one text may be over before the other.
        return new if rows == 1 else tf.where(t < count[:, None], new, old)

    def body(t: tf.Tensor, state: tuple) -> tuple:
        after = []
        for cell, order, (h, c, best) in zip(w.directions, orders, state, strict=True):
            # Only ids cross from step to step: whole projections would be copied at each of them.
            x = cell.project(w.embed(tf.gather(order, t, axis=1)))
            h_new, c_new = cell.step(x, h, c)
            best = keep(t, tf.maximum(best, h_new), best) if w.pool_max else best
            after.append((keep(t, h_new, h), keep(t, c_new, c), best))
        return t + 1, tuple(after)

    start = tuple((zeros, zeros, lowest) for _ in w.directions)
    _, ends = tf.while_loop(lambda t, state: t < longest, body, (tf.constant(0), start))
    if not w.pool_max:
        return tf.concat([h for h, _, _ in ends], 1)
    return tf.where(count[:, None] > 0, tf.concat([best for _, _, best in ends], 1), 0.0)
