"""Opens a trained student and runs it, with Keras and NumPy alone.

student = load_student("RUN/student.keras")
logits = predict(student, {"ids": tokenizer.encode(["a gorgeous film"])})
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import keras
import numpy as np

from kd_keras.common import files
from kd_keras.common.errors import UserError
from kd_keras.common.places import local
from kd_keras.students import cudnn
from kd_keras.text.batches import row_lengths, sorted_plan
from kd_keras.text.token_ids import TokenIds
from kd_keras.text.windows import Windows


def load_student(path: str | Path) -> keras.Model:
    """Loads a saved student in Keras' safe mode, which executes nothing in the file.

    >>> load_student("RUN/student.keras").input
    {'ids': <KerasTensor ...>}

    Raises:
      UserError: the file is no student, or cannot be loaded.
    """
    path = local(path, "student")
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as e:
        raise UserError(
            f"{path}: cannot be loaded as a student ({files.tail(str(e).strip() or type(e).__name__)})"
        ) from e


def predict(student: keras.Model, ids: Mapping[str, TokenIds], batch_size: int = 512) -> np.ndarray:
    """float32[rows, classes]: the student's logits in the order of the rows, computed in batches of similar length. A
    universal student gives vectors, float32[rows, vector_size].

    Args:
      student: a functional model that reads ``ids`` and returns a dict with "logits" or "vector".
      ids: {"ids": TokenIds}, or "ids_a" and "ids_b" for pairs.
      batch_size: rows in a call.
    """
    call, lengths = _logits_of(student, ids), row_lengths(ids)
    out: np.ndarray | None = None
    for rows in sorted_plan(lengths, batch_size):
        logits = call({k: t.padded(rows) for k, t in ids.items()}).numpy()
        if out is None:
            out = np.zeros((len(lengths), logits.shape[1]), np.float32)
        out[rows] = logits
    return np.zeros((0, 0), np.float32) if out is None else out


def predict_tags(student: keras.Model, windows: Windows, batch_size: int = 512) -> np.ndarray:
    """float32[words, tags]: the logits of each word at its first piece, in the order of the rows.

    Args:
      student: a tagger.
      windows: the windows of the rows; see :meth:`kd_keras.text.tokenizers.WordPiece.windows`; ``windows.rows`` splits
        the answer.
      batch_size: windows in a call.
    """
    ids = {"ids": windows.ids}
    call = _logits_of(student, ids)
    out = np.zeros((int(windows.words.sum()), student.output["logits"].shape[-1]), np.float32)
    for chosen in sorted_plan(windows.ids.lengths, batch_size):
        windows.collect(out, chosen, call({"ids": windows.ids.padded(chosen)}).numpy())
    return out


def answer_of(student: keras.Model) -> str:
    """The name of the student's output: "vector" for a universal student, else "logits"."""
    return "vector" if "vector" in student.output else "logits"


def _logits_of(student: keras.Model, ids: Mapping[str, TokenIds]) -> Callable:
    """Traced once for each student, as dev is scored after each round."""
    import tensorflow as tf

    call = getattr(student, "_kd_predict", None)
    if cudnn.prepare(student, ids) or call is None:
        spec = {k: tf.TensorSpec((None, None), tf.int32) for k in ids}
        name = answer_of(student)
        call = tf.function(lambda x: student(x, training=False)[name], input_signature=[spec])
        object.__setattr__(student, "_kd_predict", call)
    return call
