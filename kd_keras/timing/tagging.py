"""A tagger's teacher in a benchmark: the windows that it reads, and what its file answers for their words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from kd_keras.common.progress import progress
from kd_keras.common.ragged import Ragged
from kd_keras.formats.litert import LiteRT
from kd_keras.tasks import Rows
from kd_keras.tasks.rows import words_of
from kd_keras.text.base import BackedTokenizer
from kd_keras.text.windows import Windows


def teacher_windows(tokenizer: Any, rows: Rows, length: int) -> Windows:
    """The windows of the sentences for a teacher that reads ``length`` pieces, with [CLS] and [SEP]."""
    return tokenizer.like(length).windows([words_of(text) for text in rows.text], for_bert=True)


def live_logits(teacher: Any, windows: Windows) -> Ragged:
    """Rows of float32[words, tags] of the teacher itself, which pads the windows in its own way."""
    from kd_keras.teachers.tagger import EncodedWords

    return teacher.logits(EncodedWords(windows, teacher.tokenizer))


def read_by_file(path: Path, teacher: Any, rows: Rows, what: str) -> Ragged:
    """As :func:`file_logits`, for ``rows`` as ``teacher`` reads them. It needs a tokenizer and a length."""
    windows = teacher_windows(teacher.tokenizer, rows, teacher.length)
    return file_logits(path, windows, teacher.tokenizer, teacher.length, what)


def file_logits(path: Path, windows: Windows, reader: BackedTokenizer, length: int, what: str) -> Ragged:
    """Rows of float32[words, tags] of a file that ``formats.teacher_tflite`` made for ``length`` tokens."""
    model, out = LiteRT(path), None
    with progress(len(windows), what, "windows") as bar:
        for i in range(0, len(windows), model.batch):
            # The last call is filled up with the last window.
            some = np.minimum(np.arange(i, i + model.batch), len(windows) - 1)
            said = model.answers(reader.laid_out(windows.ids, windows.ids.lengths, some, length))
            if out is None:
                out = np.zeros((int(windows.words.sum()), said.shape[-1]), np.float32)
            windows.collect(out, some, said)
            bar.update(min(model.batch, len(windows) - i))
    return windows.rows(np.zeros((0, 0), np.float32) if out is None else out)
