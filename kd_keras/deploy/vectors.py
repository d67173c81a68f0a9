"""Asks a universal student: turns texts into vectors, and compares their cosines with gold scores."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import ExitStack

import numpy as np

from kd_keras.common import files
from kd_keras.common.errors import UserError
from kd_keras.common.npy import NpyWriter
from kd_keras.deploy.in_parts import in_parts
from kd_keras.deploy.runner import Runner
from kd_keras.metrics import score
from kd_keras.metrics.vectors import cosines
from kd_keras.tasks import Columns, Rows, Task, read_labelled
from kd_keras.tasks.file_settings import AS_NAMED, FileSettings

_DIGITS = 6


def require_encoder(task: Task, where: str) -> None:
    """Raises UserError if a student gives no vectors."""
    if not task.is_text:
        raise UserError(
            f"{where}: is a student of task {task.name}, which gives no vectors; expected a student of pretrain "
            "(python -m kd_keras.predict asks this one)"
        )


def embed(runner: Runner, texts: Sequence[str]) -> np.ndarray:
    """float32[texts, numbers], in the order of the texts.

    >>> embed(Runner.load("RUN"), ["a good film", "", "a fine movie"]).shape
    (3, 64)

    Args:
      runner: a universal student in any format.
      texts: an empty text has a vector too. What is longer than the student reads is cut.
    """
    return np.asarray(runner.scores(runner.task.rows(texts)), np.float32)


def write(runner: Runner, rows: Rows, output: str, ascii_only: bool = False) -> None:
    """Writes the vectors of ``rows`` to ``output``: a ``.npy`` file, else JSON lines. "-" is standard output."""
    with ExitStack() as stack:
        if output.endswith(".npy"):
            temp = stack.enter_context(files.atomic_path(output))
            file = stack.enter_context(NpyWriter(temp, np.float32, runner.task.vector_size))
            for part in in_parts(rows, "embedding"):
                file.add(embed(runner, part.text))
            return
        if output == "-":
            sink = sys.stdout
        else:
            temp = stack.enter_context(files.atomic_path(output))
            sink = stack.enter_context(open(temp, "w", encoding="utf-8", newline="\n"))
        for part in in_parts(rows, "embedding"):
            for text, vector in zip(part.text, embed(runner, part.text), strict=True):
                line = {"text": text, "vector": [round(x, _DIGITS) for x in vector.tolist()]}
                sink.write(json.dumps(line, ensure_ascii=ascii_only) + "\n")


def read_pairs(
    path: str, columns: tuple[str, str, str], on_bad_row: str = "stop", how: FileSettings = AS_NAMED
) -> tuple[Task, Rows]:
    """Reads pairs of texts with gold scores, from the columns of the first text, the second text and the score."""
    a, b, gold = columns
    task = Task(
        "similarity", "regression", (), "spearman", ("spearman", "pearson"), columns=Columns((a,), b, gold)
    )  # fmt: skip
    return task, read_labelled(path, task, on_bad_row, flag="--similarity", files=how)


def similarity(runner: Runner, task: Task, pairs: Rows) -> dict[str, float]:
    """Spearman's and Pearson's correlation of a pair's cosine with its gold score.

    >>> task, pairs = read_pairs("pairs.tsv", ("sentence1", "sentence2", "score"))
    >>> sorted(similarity(Runner.load("RUN"), task, pairs))
    ['pearson', 'spearman']
    """
    both = embed(runner, [*pairs.text, *pairs.text_b])
    return score(task.metrics, pairs.label, cosines(both[: len(pairs)], both[len(pairs) :]))
