"""A classifier's answers as predict writes them. Imports no TensorFlow."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np

from kd_keras.tasks import Rows, Task

# With more than ALL labels, the BEST ones are listed, unless the caller names another number.
ALL, BEST = 10, 5


def answer_lines(
    task: Task, rows: Rows, scores: np.ndarray, top_k: int | None = None, ascii_only: bool = False
) -> Iterator[str]:
    """One JSON object a row, with its line end: text, label or labels, and scores; for a regression text and score.

    Args:
      scores: float[rows, outputs] of ``Runner.scores``.
      top_k: how many labels are listed. 0: all.
      ascii_only: escape all other characters.
    """
    for i, row in enumerate(scores):
        read = {"text": rows.text[i]} | ({"text_b": rows.text_b[i]} if rows.text_b is not None else {})
        answer = {"score": float(f"{row[0]:.6g}")} if task.is_regression else _named(task, row, top_k)
        yield json.dumps(read | answer, ensure_ascii=ascii_only) + "\n"


def _named(task: Task, scores: np.ndarray, top_k: int | None) -> dict:
    """The best label (or all labels over 0.5), and the scores by name: the best ``top_k``, or all in order."""
    labels = task.labels
    if top_k is None:
        top_k = 0 if len(labels) <= ALL else BEST
    order = np.argsort(-scores, kind="stable")[:top_k] if top_k else range(len(labels))
    given = {"label": labels[scores.argmax()]}
    if task.is_multilabel:
        given = {"labels": [labels[i] for i in np.flatnonzero(scores > 0.5)]}
    return given | {"scores": {labels[i]: round(float(scores[i]), 6) for i in order}}
