"""The loss with which a teacher learns gold labels and what earlier teachers said, by the kind of task."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import tensorflow as tf

from kd_keras.tasks import Task
from kd_keras.tasks.scale import unscaled
from kd_keras.teachers.bert import Teacher
from kd_keras.teachers.encoded import Encoded
from kd_keras.teachers.heads import linear_of


def loss_of(task: Task, soft: bool = False) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """(labels, logits float32[batch, outputs]) → float32[batch]. Labels are as in Rows.

    With ``soft`` the labels are those of ``targets_of`` with soft text.
    For words: (tags int32[batch, time] with −1 for none, logits float32[batch, time, outputs]) → float32[tags].
    """
    weights = task.class_weights

    def squared(y: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        return tf.square(logits[:, 0] - y)

    def binary(y: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        on = tf.constant(weights or [1.0] * task.num_outputs)
        return tf.reduce_mean(tf.nn.weighted_cross_entropy_with_logits(tf.cast(y, tf.float32), logits, on), -1)

    def of_class(y: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits)
        return losses * tf.gather(tf.constant(weights), y) if weights else losses

    def of_words(y: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        known = tf.where(y >= 0)
        return tf.nn.sparse_softmax_cross_entropy_with_logits(tf.gather_nd(y, known), tf.gather_nd(logits, known))

    def of_probabilities(y: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        return -tf.reduce_sum(y * tf.nn.log_softmax(logits), -1)

    def of_each(y: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        both = tf.concat([logits, -logits], -1)
        return -tf.reduce_sum(y * tf.math.log_sigmoid(both), -1) / task.num_outputs

    if soft and not task.is_regression:
        return of_each if task.is_multilabel else of_probabilities
    kinds = {"regression": squared, "multilabel": binary, "tagging": of_words}
    return kinds.get(task.kind, of_class)


@contextmanager
def moved(teacher: Teacher, over: np.ndarray, task: Task | None = None) -> Iterator[None]:
    """In this context ``over`` is subtracted from the teacher's logits, so that 0 is each label's threshold.

    A teacher that learned the standard scores of a regression ``task`` gives the file's own scores.
    """
    linear = linear_of(teacher.bert)
    own = linear.get_weights()
    kernel, bias = own if task is None else unscaled(task, *own)
    linear.set_weights([kernel, bias - over.astype(bias.dtype)])
    try:
        yield
    finally:
        linear.set_weights(own)


def level(teacher: Teacher, texts: Encoded) -> None:
    """Sets a classifier that gives scores of another regression so that it gives ``texts`` standard ones."""
    linear = linear_of(teacher.bert)
    given = teacher.logits(texts)
    spread = max(float(given.std()), 1e-6)
    kernel, bias = linear.get_weights()
    linear.set_weights([kernel / spread, (bias - given.mean()) / spread])
