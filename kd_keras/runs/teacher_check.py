"""Looks at a teacher before any long work. Each finding is a line with a number and a next step."""

from __future__ import annotations

import numpy as np

from kd_keras.common.errors import UserError
from kd_keras.metrics import by_label, score
from kd_keras.metrics.answers import answers, sureness
from kd_keras.metrics.spread import standard_error
from kd_keras.tasks import Task, is_gold

# Below this share of the way from even probabilities to certainty, logits teach little.
_FLAT = 0.2
_MADE = "Try more --teacher_epochs, another --teacher_learning_rate or another --teacher"
_GIVEN = "Check that the files' classes are the task's, in the same order"


def check_teacher(
    task: Task, label: np.ndarray, logits: np.ndarray, floor: np.ndarray | None, allowed: bool, given: bool = False
) -> list[str]:
    """Notes on a teacher of texts, by its dev logits.

    Args:
      task: a task of labels or scores.
      label: int[rows] or int[rows, labels], gold; −1 if there is none. Of scores float[rows].
      logits: float[rows, outputs], the teacher's.
      floor: float[rows, outputs], the linear model's. None if there is none.
      allowed: go on with a teacher that is below the floor.
      given: the teacher is another model, so no flag can train it better.

    Raises:
      UserError: it is below the floor by more than its standard error.
    """
    metric, labels, gold = task.metric, task.labels, is_gold(label)
    label, logits = label[gold], logits[gold]
    notes, longer = [], "" if given else ", more --teacher_epochs"
    if not len(label):
        return []
    if floor is not None:
        floor = floor[gold]
        mine, least = (score([metric], label, x)[metric] for x in (logits, floor))
        error = standard_error(metric, label, logits)
        under = f"the teacher has dev {metric} {100 * mine:.2f}, below the {100 * least:.2f} of a linear model (TF-IDF)"
        if mine < least - error and not allowed:
            raise UserError(
                f"{under} by more than its standard error ({100 * error:.2f}; {len(label):,} rows); "
                f"its student would be worse than the linear model, which takes seconds. {_GIVEN if given else _MADE}; "
                "or use it with --allow_weak_teacher"
            )
        if mine < least:
            advice = "" if allowed else ", within its standard error"
            notes.append(f"{under}{advice}: a larger --dev_file{longer} would tell more")
    if task.is_regression:
        return notes
    found = by_label(label, answers(task, logits), len(labels))
    missed = [name for name, each in zip(labels, found, strict=True) if each["rows"] and not each["given"]]
    if missed:
        some = ", ".join(missed[:5]) + (", …" if len(missed) > 5 else "")
        notes.append(
            f"the teacher never gives {len(missed)} of {len(labels)} labels on dev ({some}): more rows of them"
            + ("" if given else ", --class_weights=balanced or more --teacher_epochs")
            + " may help"
        )
    if task.is_multilabel:  # any teacher is sure that most labels do not fit a text
        return notes
    sure = float(sureness(task, logits).mean())
    if (spread := (sure - 1 / len(labels)) / (1 - 1 / len(labels))) < _FLAT:
        notes.append(
            f"the teacher is unsure: its mean highest probability on dev is {sure:.2f} over "
            f"{len(labels)} labels ({spread:.0%} of the way from chance to certainty)"
            + ("" if given else "; more --teacher_epochs may help")
        )
    return notes
