"""What a teacher learns from gold: the labels of each batch, in the shape of the logits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from kd_keras.common.ragged import Ragged
from kd_keras.tasks import Rows, Task
from kd_keras.teachers.encoded import Encoded
from kd_keras.text.windows import PerPiece


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


def targets_of(task: Task, rows: Rows, encoded: Encoded) -> Targets:
    """The targets of rows that have gold."""
    if isinstance(rows.label, Ragged):
        tags = encoded.windows.of_words(rows.label.flat().astype(np.int32), -1)
        return Targets(tags, tf.TensorSpec((None, None), tf.int32))
    label = rows.label.astype(np.float32 if task.is_regression else np.int32)
    return Targets(label, tf.TensorSpec((None, *label.shape[1:]), label.dtype))
