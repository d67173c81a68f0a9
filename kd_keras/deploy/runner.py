"""A run folder as a classifier: text in, logits out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kd_keras.common import files
from kd_keras.common.errors import UserError
from kd_keras.common.layout import RunLayout
from kd_keras.tasks import Rows, Task
from kd_keras.text.tokenizers import Tokenizer, load_tokenizer


@dataclass(frozen=True)
class Runner:
    """A student with its tokenizer and labels.

    Attributes:
      task: kind, labels and metrics.
      tokenizer: the student's.
      student: the Keras model.
    """

    task: Task
    tokenizer: Tokenizer
    student: object

    @classmethod
    def load(cls, model_dir: str | Path) -> Runner:
        """Raises UserError where ``model_dir`` is no run folder, or its files do not fit together."""
        task = read_task(model_dir)
        layout = RunLayout(Path(model_dir))
        tokenizer = load_tokenizer(layout.vocab, layout.tokenizer)
        from kd_keras.distill.arms import load_student

        student = load_student(layout.student)
        rows = student.get_layer("embeddings").input_dim
        if rows != len(tokenizer):
            raise UserError(
                f"{layout.vocab}: has {len(tokenizer):,} lines, but the student was trained with {rows:,}; "
                "take both from the same run"
            )
        return cls(task, tokenizer, student)

    def logits(self, rows: Rows) -> np.ndarray:
        """float32[rows, classes]; an empty text and a very long one (cut at the tokenizer's length) get theirs too."""
        from kd_keras.distill.stages import predict

        if not len(rows):
            return np.zeros((0, len(self.task.labels)), np.float32)
        return predict(self.student, {"ids": self.tokenizer.encode(rows.text)})


def read_task(model_dir: str | Path) -> Task:
    """The task of a finished run; UserError where ``model_dir`` is none. Imports nothing heavy."""
    layout = RunLayout(Path(model_dir))
    if not layout.root.is_dir():
        raise UserError(f"--model_dir={model_dir}: no such folder")
    needed = (layout.student, layout.task, layout.tokenizer, layout.vocab)
    missing = [p.name for p in needed if not p.is_file()]
    if missing:
        raise UserError(
            f"--model_dir={model_dir}: expected a finished run of train, but {', '.join(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} missing"
        )
    return Task.from_json(files.read_json(layout.task))


def softmax(logits: np.ndarray) -> np.ndarray:
    """float64[rows, classes], each row adding up to 1."""
    e = np.exp(logits.astype(np.float64) - logits.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)
