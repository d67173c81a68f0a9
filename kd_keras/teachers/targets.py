"""What a teacher learns from: the labels of each batch in the shape of the logits, or what earlier teachers said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from kd_keras.common.ragged import Ragged
from kd_keras.metrics.answers import sigmoid
from kd_keras.metrics.scores import softmax
from kd_keras.tasks import Rows, Task
from kd_keras.tasks.scale import standard
from kd_keras.teachers.encoded import Encoded
from kd_keras.text.windows import PerPiece


@dataclass(frozen=True)
class SoftText:
    """Texts without gold, and what earlier teachers said of them.

    Attributes:
      texts, texts_b: texts; the second ones of pairs.
      logits: float32[texts, outputs].
      key: of texts and teachers.
    """

    texts: Sequence[str]
    texts_b: Sequence[str] | None
    logits: np.ndarray
    key: str

    def behind(self, rows: Rows) -> tuple[list[str], list[str] | None]:
        """Its texts behind those of ``rows``, and the second ones."""
        texts_b = None if rows.text_b is None else [*rows.text_b, *self.texts_b]
        return [*rows.text, *self.texts], texts_b


@dataclass(frozen=True)
class Targets:
    """Attributes:
    values: labels of each row, as in Rows. A tagging has its tags at the first pieces of words, and −1 elsewhere.
    spec: of a batch of them.
    """

    values: np.ndarray | PerPiece
    spec: tf.TensorSpec

    def __call__(self, rows: np.ndarray, batch: dict[str, np.ndarray]) -> np.ndarray:
        """The targets of ``rows``, which ``batch`` has in this order."""
        if isinstance(self.values, PerPiece):
            return self.values.padded(rows, batch["input_ids"].shape[1])
        return self.values[rows]


def targets_of(task: Task, rows: Rows, encoded: Encoded, soft: SoftText | None = None) -> Targets:
    """The targets of rows that have gold, and behind them those of ``soft``."""
    if isinstance(rows.label, Ragged):
        tags = encoded.windows.of_words(rows.label.flat().astype(np.int32), -1)
        return Targets(tags, tf.TensorSpec((None, None), tf.int32))
    label = standard(task, rows.label.astype(np.float32)) if task.is_regression else rows.label.astype(np.int32)
    if soft is not None:
        label = np.concatenate([_as_soft(task, label), _softly(task, soft.logits)]).astype(np.float32)
    return Targets(label, tf.TensorSpec((None, *label.shape[1:]), label.dtype))


def _as_soft(task: Task, label: np.ndarray) -> np.ndarray:
    """Gold in the shape of :func:`_softly`, times the weights of classes, which logits have learned already."""
    weights = np.asarray(task.class_weights or [1.0] * task.num_outputs, np.float32)
    if task.is_regression:
        return label
    if task.is_multilabel:
        return np.concatenate([weights * label, 1 - label], 1)
    return weights[label][:, None] * np.eye(task.num_outputs, dtype=np.float32)[label]


def _softly(task: Task, logits: np.ndarray) -> np.ndarray:
    """A score as it is learned, float[rows]; the probabilities of classes, float[rows, labels]; or of labels that each
    is there and that it is not, float[rows, 2 × labels]."""
    if task.is_regression:
        return standard(task, logits[:, 0])
    if task.is_multilabel:
        return np.concatenate([sigmoid(logits), sigmoid(-logits)], 1)
    return softmax(logits)
