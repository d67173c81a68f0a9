"""The student's forward pass in ops that TFLite has built in. It needs no Flex and keeps no state between calls.

There are two forms. Both give Keras' answer for ids that are right-padded with 0:

- unrolled: a fixed length, one subgraph, the same work for any text. MediaPipe needs this form.
- loop: any length and any number of texts, with as many steps as the longest has tokens. It is the fastest form in a
  plain interpreter.

An unrolled graph can have BERT's three inputs, as MediaPipe gives them. The graph leaves out [CLS] and [SEP], because
no student has seen them.

The backward direction reads reversed *ids*, because reversing embeddings has no int8 kernel. A tagger joins the states
of both directions at each token. Its answers for padding mean nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from kd_keras.formats.tflite_inputs import MEDIAPIPE_INPUTS
from kd_keras.students.settings import LAST, MAX, MEAN
from kd_keras.students.weights import StudentWeights


def forward_pass(
    weights: StudentWeights,
    length: int | None,
    int8_rows: bool = False,
    bert_inputs: bool = False,
    aliases: Sequence[int] = (),
) -> Any:
    """A concrete function of the student.

    A classifier maps int32[1, time] for each input to {"scores": float32[1, outputs]}. The loop form maps
    int32[batch, time] to float32[batch, outputs]. A tagger gives {"logits": float32[1 or batch, time, outputs]}, a
    universal student {"vector": float32[1 or batch, outputs]}.

    Args:
      weights: the student's.
      length: tokens of the unrolled form. None: the loop form.
      int8_rows: keep the embeddings as int8 with a scale for each row. TFLite's own conversion has one scale for the
        whole table, and turns the whole table into floats when the file is loaded.
      bert_inputs: read ids, mask and segment_ids, int32[1, length + 2] each (``formats.tflite_inputs``).
      aliases: the ids that vocab, vocab + 1, … stand for (``formats.mediapipe``).

    Returns:
      scores: softmax of the logits, or the sigmoid of each. A regression's number is returned as it is.
    """
    model = _Constants(weights, int8_rows)

    def scores(**given: tf.Tensor) -> dict[str, tf.Tensor]:
        texts = [_inside(**given)] if bert_inputs else [given[name] for name in weights.inputs]
        if len(aliases):
            texts = [_meant(ids, len(weights.embeddings), aliases) for ids in texts]
        rows = _as_batch(texts)
        if weights.tagging:
            return {"logits": _of_tokens(model, rows, length)}
        count = tf.reduce_sum(tf.cast(tf.not_equal(rows, 0), tf.int32), 1)
        # Both directions share every op between the matrix products, which halves the number of ops.
        both = tf.concat([count, count], 0)
        states = (
            _unrolled(model, model.projected(rows, count), both)
            if length
            else _loop(model, model.projected_to_the_end(rows, count), both)
        )
        sentence = model.sentence(tf.concat(tf.split(states, 2, 0), 1))
        if len(texts) > 1:
            u, v = tf.split(sentence, 2, 0)
            sentence = tf.concat([u, v, u * v, tf.abs(u - v)], 1)
        logits = model.head(sentence)
        if weights.vector:
            return {"vector": tf.math.l2_normalize(logits, -1) if weights.unit else logits}
        if weights.sigmoid:
            return {"scores": tf.sigmoid(logits)}
        return {"scores": logits if weights.outputs == 1 else tf.nn.softmax(logits)}

    names, size = (MEDIAPIPE_INPUTS, length + 2) if bert_inputs else (weights.inputs, length)
    signature = {name: tf.TensorSpec((1 if length else None, size), tf.int32, name=name) for name in names}
    return tf.function(scores).get_concrete_function(**signature)


def _inside(ids: tf.Tensor, mask: tf.Tensor, segment_ids: tf.Tensor) -> tf.Tensor:
    """Removes [CLS] and [SEP]: int32[1, length + 2] → int32[1, length]. What is not text becomes 0.

    The mask ends with [SEP], so a token is text if the next one is marked too. MediaPipe's segment is always 0. It is
    read only so that the converter keeps the input: MediaPipe refuses a file with two inputs.
    """
    return ids[:, 1:-1] * mask[:, 2:] * (1 - segment_ids[:, 1:-1])


def _meant(ids: tf.Tensor, vocab: int, aliases: Sequence[int]) -> tf.Tensor:
    """Replaces the ids from ``vocab`` up by the ids that they stand for."""
    beyond = ids - vocab
    return tf.where(beyond < 0, ids, tf.gather(tf.constant(aliases, tf.int32), tf.maximum(beyond, 0)))


def _as_batch(texts: list[tf.Tensor]) -> tf.Tensor:
    """Joins the texts of a pair for one pass: int32[batch, time] each → int32[texts · batch, longest time]."""
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
        self.kernels = [(tf.constant(d.kernel), tf.constant(d.bias)) for d in (w.forward, w.backward)]
        self.recurrent = [tf.constant(d.recurrent) for d in (w.forward, w.backward)]
        # Each kernel and bias; a tagger may have no fully connected layer.
        self._head = [tuple(map(tf.constant, layer)) for layer in (w.dense, w.logits) if layer is not None]
        self._sentence = None if w.sentence is None else tuple(map(tf.constant, w.sentence))
        self.pooling = w.pooling
        self.hidden = w.forward.hidden

    def embed(self, ids: tf.Tensor) -> tf.Tensor:
        """int32[…] → float32[…, width]."""
        rows = tf.gather(self._table, ids)
        return rows if self._scales is None else tf.cast(rows, tf.float32) * tf.gather(self._scales, ids)

    def sentence(self, pooled: tf.Tensor) -> tf.Tensor:
        """float32[rows, 2 · hidden] → float32[rows, numbers of a sentence vector]."""
        if self._sentence is None:
            return pooled
        kernel, bias = self._sentence
        return tf.math.l2_normalize(tf.matmul(pooled, kernel) + bias, -1) * kernel.shape[1] ** 0.5

    def head(self, states: tf.Tensor) -> tf.Tensor:
        """float32[…, 2 · hidden] → float32[…, outputs]."""
        *dense, (kernel, bias) = self._head
        for weights, offset in dense:
            states = tf.nn.relu(tf.matmul(states, weights) + offset)
        return tf.matmul(states, kernel) + bias

    def projected(self, ids: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
        """int32[rows, time] → float32[time, 2 · rows, 4 · hidden]: the inputs' part of the gates.

        The second half of the rows reads the text backwards; padding stays at its end.
        """
        rows, parts = ids.shape[0], []
        backwards = tf.reverse_sequence(ids, count, seq_axis=1, batch_axis=0)
        for (kernel, bias), order in zip(self.kernels, (ids, backwards), strict=True):
            x = tf.matmul(self.embed(tf.reshape(tf.transpose(order), [-1])), kernel) + bias
            parts.append(tf.reshape(x, [ids.shape[1], rows, 4 * self.hidden]))
        return tf.concat(parts, 1)

    def projected_to_the_end(self, ids: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
        """As :meth:`projected`, for any number of rows. Each row ends at the last step and begins with zeros.

        Steps of zeros keep a state of zeros, so rows of unequal length need no mask in the loop. The shapes come
        straight from the inputs. If they were computed, TFLite would plan its memory again in each call.
        """
        # One row of padding is added, because TFLite's kernel crashes on no rows at all.
        one_more, counts = tf.pad(ids, [[0, 1], [0, 0]]), tf.concat([count, [0]], 0)
        backwards = tf.reverse_sequence(one_more, counts, seq_axis=1, batch_axis=0)[:-1]
        return self.projected_text(tf.reverse(backwards, [1]), tf.reverse(ids, [1]))

    def projected_text(self, forward: tf.Tensor, backward: tf.Tensor) -> tf.Tensor:
        """int32[rows, time] in each direction's order → float32[time, 2 · rows, 4 · hidden]; padding gives zeros."""
        parts = []
        for (kernel, bias), order in zip(self.kernels, (forward, backward), strict=True):
            order = tf.transpose(order)
            text = tf.expand_dims(tf.cast(tf.not_equal(order, 0), tf.float32), 2)
            parts.append((tf.matmul(self.embed(order), kernel) + bias) * text)
        return tf.concat(parts, 1)

    def first(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The first step. The state is zeros, so there is nothing to forget."""
        # A slice, because an unused output of a split would stay a float in the int8 file.
        gates, candidate = tf.split(x[:, self.hidden :], [2 * self.hidden, self.hidden], 1)
        i, o = tf.split(tf.sigmoid(gates), 2, 1)
        c = i * tf.tanh(candidate)
        return o * tf.tanh(c), c

    def step(self, x: tf.Tensor, h: tf.Tensor, c: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """One LSTM step with forget gates (Gers et al. 2000): float32[2 · rows, 4 · hidden] and state → state."""
        halves = zip(tf.split(h, 2, 0), self.recurrent, strict=True)
        z = x + tf.concat([tf.matmul(half, recurrent) for half, recurrent in halves], 0)
        gates, candidate = tf.split(z, [3 * self.hidden, self.hidden], 1)
        f, i, o = tf.split(tf.sigmoid(gates), 3, 1)
        c = f * c + i * tf.tanh(candidate)
        return o * tf.tanh(c), c


def _of_tokens(w: _Constants, ids: tf.Tensor, length: int | None) -> tf.Tensor:
    """int32[rows, time] → float32[rows, time, outputs]. The unrolled form has one row."""
    if length:
        count = tf.reduce_sum(tf.cast(tf.not_equal(ids, 0), tf.int32), 1)
        both = tf.stack(_states(w, w.projected(ids, count)))
        # Puts the backward states, whose padding is at the end, into the order of the text.
        order = tf.reverse_sequence(tf.range(length)[None], count, seq_axis=1, batch_axis=0)[0]
        states = tf.concat([both[:, 0], tf.gather(both[:, 1], order)], 1)
        return tf.reshape(w.head(states), [1, length, -1])
    # Each direction begins with its text or with zeros. Zeros keep a state of zeros, so the loop needs no mask.
    steps = w.projected_text(ids, tf.reverse(ids, [1]))
    zeros = tf.zeros_like(steps[0, :, : w.hidden])

    def body(t: tf.Tensor, h: tf.Tensor, c: tf.Tensor, states: tf.Tensor) -> tuple:
        h, c = w.step(tf.gather(steps, t), h, c)
        # TFLite can write one row in place, but TensorFlow has no public op for it. So the oldest row (zeros) goes.
        return t + 1, h, c, tf.concat([states[1:], h[None]], 0)

    start = [0, zeros, zeros, tf.zeros_like(steps[:, :, : w.hidden])]
    shapes = [tf.TensorShape([]), zeros.shape, zeros.shape, tf.TensorShape([None, None, w.hidden])]
    *_, states = tf.while_loop(lambda t, *_: t < tf.shape(steps)[0], body, start, shapes)
    forward, backward = tf.split(states, 2, 1)
    # A gather instead of a reversal: TFLite's reversal crashes on no rows at all.
    backward = tf.gather(backward, tf.range(tf.shape(steps)[0] - 1, -1, -1))
    logits = w.head(tf.concat([forward, backward], 2))
    return tf.transpose(logits, [1, 0, 2])


def _states(w: _Constants, steps: tf.Tensor) -> list[tf.Tensor]:
    """float32[length, rows, 4 · hidden] → ``length`` times float32[rows, hidden]."""
    first, *rest = tf.unstack(steps)
    h, c = w.first(first)
    states = [h]
    for x in rest:
        h, c = w.step(x, h, c)
        states.append(h)
    return states


def _unrolled(w: _Constants, steps: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """float32[length, rows, 4 · hidden] → float32[rows, hidden]."""
    states = _states(w, steps)
    pool = {LAST: _state_at, MAX: _max_of, MEAN: _mean_of}[w.pooling]
    return pool(states, count)


def _state_at(states: list[tf.Tensor], count: tf.Tensor) -> tf.Tensor:
    """The state after ``count`` steps. After no steps it is zeros, as in Keras for an empty text."""
    rows, hidden = states[0].shape
    flat = tf.concat([tf.zeros((rows, hidden)), *states], 0)
    return tf.gather(flat, count * rows + tf.range(rows))


def _max_of(states: list[tf.Tensor], count: tf.Tensor) -> tf.Tensor:
    """The largest of the first ``count`` states, or zeros if there are none."""
    inside = tf.range(len(states))[:, None, None] < count[None, :, None]
    # States lie in (-1, 1): -1 never wins.
    best = tf.reduce_max(tf.where(inside, tf.stack(states), -1.0), 0)
    return tf.where(count[:, None] > 0, best, 0.0)


def _mean_of(states: list[tf.Tensor], count: tf.Tensor) -> tf.Tensor:
    """The mean of the first ``count`` states, or zeros if there are none."""
    inside = tf.range(len(states))[:, None, None] < count[None, :, None]
    total = tf.reduce_sum(tf.where(inside, tf.stack(states), 0.0), 0)
    # Divides by the root twice. Beside 1, int8 has three steps for 1/40, but twenty for its root.
    roots = tf.constant(1 / np.sqrt(np.maximum(np.arange(len(states) + 1), 1)), tf.float32)
    root = tf.gather(roots, count)[:, None]
    return total * root * root


def _loop(w: _Constants, steps: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """float32[time, rows, 4 · hidden] → float32[rows, hidden], in as many steps as the longest row has tokens.

    Each row has ``count`` steps and ends at the last one.
    """
    end = tf.shape(steps)[0]
    begin = end - tf.expand_dims(count, 1)
    zeros = tf.zeros_like(steps[0, :, : w.hidden])

    def body(t: tf.Tensor, h: tf.Tensor, c: tf.Tensor, *pooled: tf.Tensor) -> tuple:
        h, c = w.step(tf.gather(steps, t), h, c)
        if w.pooling == MEAN:  # before a row begins, its states are zeros
            return t + 1, h, c, pooled[0] + h
        # Before a row begins, its states do not take part in the maximum.
        best = tuple(tf.where(t < begin, b, tf.maximum(b, h)) for b in pooled)
        return t + 1, h, c, *best

    # States lie in (-1, 1): -1 never wins.
    longest = tf.reduce_max(tf.concat([count, [0]], 0))  # TFLite has no maximum of no rows
    pooled = {LAST: [], MAX: [zeros - 1.0], MEAN: [zeros]}[w.pooling]
    _, h, _, *pooled = tf.while_loop(lambda t, *_: t < end, body, [end - longest, zeros, zeros, *pooled])
    if w.pooling == MEAN:
        return pooled[0] / tf.maximum(tf.cast(count, tf.float32), 1.0)[:, None]
    return tf.where(begin < end, pooled[0], 0.0) if w.pooling == MAX else h
