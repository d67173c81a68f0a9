"""``--labels_per_class``: some training rows keep their labels. The others become text that the teacher labels.

The setting of Mukherjee & Hassan Awadallah 2019, arXiv 1910.01769, section 4: 500 labels a class, the rest of the
training set as transfer text.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kd_keras.common.errors import UserError
from kd_keras.common.seeds import rng
from kd_keras.tasks.records import Task, TaskData
from kd_keras.tasks.rows import Rows


def check_few_labels(task: Task, per_class: int | None) -> None:
    """Raises UserError if labels cannot be drawn by class."""
    if per_class is not None and per_class < 1:
        raise UserError(f"--labels_per_class={per_class}: expected at least 1")
    if per_class is not None and (task.is_regression or task.is_multilabel or task.is_tagging):
        what = "is a regression, which has no classes" if task.is_regression else "has several labels a text"
        if task.is_tagging:
            what = "tags words (use --labels_per_language)"
        raise UserError(f"--labels_per_class={per_class}: task {task.name} {what}; leave it out")


def few_labels(data: TaskData, per_class: int, seed: int) -> TaskData:
    """``data`` with ``per_class`` labeled training rows of each class, and the other rows in ``rest``.

    Each class is drawn separately, and a larger number keeps what a smaller one drew. Dev and extra splits do not
    change. Both parts of train keep the file's order. Rows without a label go to the rest.

    Args:
      data: of a classification task.
      per_class: labels a class. A class with fewer rows gives all of them, and the notes say so.
      seed: draws the rows.
    """
    check_few_labels(data.task, per_class)
    train, notes, drawn = data.train, list(data.notes), []
    for number, name in enumerate(data.task.labels):
        members = np.flatnonzero(train.label == number)
        order = rng(seed, "labels per class", data.task.name, number).permutation(len(members))
        drawn.append(np.sort(members[order[:per_class]]))
        if len(members) < per_class:
            notes.append(f"labels: {name} has {len(members):,} rows, fewer than {per_class:,} a class: all are taken")
    kept = np.sort(np.concatenate(drawn))
    others = np.setdiff1d(np.arange(len(train)), kept)
    counts = ", ".join(f"{name} {len(d):,}" for name, d in zip(data.task.labels, drawn, strict=True))
    left = f"the other {len(others):,} are transfer text without labels" if len(others) else "none is left over"
    notes.append(f"labels: of {len(train):,} training rows {counts}, drawn with seed {seed}; {left}")
    return replace(data, train=train.take(kept), rest=_bare(train.take(others)) if len(others) else None, notes=notes)


def _bare(rows: Rows) -> Rows:
    """``rows`` without their labels."""
    return replace(rows, label=np.full(len(rows), -1, np.int32))
