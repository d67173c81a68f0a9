"""Uneven classes: the metric that selects, and the weights of the classes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kd_keras.common.errors import UserError
from kd_keras.common.ragged import Ragged
from kd_keras.tasks.overlaps import contradictions, in_train
from kd_keras.tasks.records import Task, TaskData
from kd_keras.tasks.rows import Rows, has_label
from kd_keras.tasks.tagged import entity_counts

# If the largest class has a larger share, accuracy mostly counts rows that any model gets right.
UNEVEN = 0.7
# A smaller dev split cannot compare models.
FEW_ROWS = 10


def label_counts(train: Rows, classes: int) -> np.ndarray:
    """int64[classes]: the rows of each class. With several labels a text, the rows that have each label.

    For a tagging task, the words that have each tag.
    """
    if isinstance(train.label, Ragged):
        return np.bincount(train.label.flat(), minlength=classes).astype(np.int64)
    if train.label.ndim == 2:
        return train.label[has_label(train)].sum(0, dtype=np.int64)
    return np.bincount(train.label[has_label(train)].astype(np.int64), minlength=classes)


def is_uneven(counts: np.ndarray) -> bool:
    return bool(counts.max(initial=0) > UNEVEN * counts.sum())


def balanced(task: Task, train: Rows, class_weights: str) -> tuple[Task, list[str]]:
    """``task`` with class weights, and notes for the report.

    Args:
      class_weights: "none", "balanced" (rows ÷ (classes · rows of the class), as scikit-learn's), or a number for each
        label, separated by commas. With several labels a text, "balanced" is rows without the label ÷ rows with it.

    Raises:
      UserError: there is not one number for each label, or the task has no labels.
    """
    check_weights(task, class_weights)
    if class_weights == "none":
        return task, []
    counts = label_counts(train, len(task.labels))
    if task.is_multilabel:
        others = int(has_label(train).sum()) - counts
        weights = others / np.maximum(counts, 1) if class_weights == "balanced" else _numbers(class_weights, task)
        return _weighed(task, weights)
    if class_weights == "balanced":
        weights = counts.sum() / (np.maximum(counts, 1) * np.count_nonzero(counts))
    else:
        weights = _numbers(class_weights, task)
    weights = weights * counts.sum() / max(float(weights @ counts), 1e-12)  # the mean over the rows is 1
    return _weighed(task, weights)


def check_weights(task: Task, class_weights: str) -> None:
    """Raises UserError if a task's labels cannot have weights."""
    if class_weights != "none" and (task.is_regression or task.is_tagging):
        what = "is a regression, which has no classes" if task.is_regression else "tags words, which count alike"
        raise UserError(f"--class_weights={class_weights}: task {task.name} {what}; leave it out")


def _weighed(task: Task, weights: np.ndarray) -> tuple[Task, list[str]]:
    said = ", ".join(f"{name} {w:.3g}" for name, w in zip(task.labels, weights, strict=True))
    named = said if len(task.labels) <= 10 else f"from {weights.min():.3g} to {weights.max():.3g}"
    return replace(task, class_weights=tuple(round(float(w), 6) for w in weights)), [f"class weights: {named}"]


def _numbers(text: str, task: Task) -> np.ndarray:
    try:
        values = np.array([float(part) for part in text.split(",")])
    except ValueError:
        values = np.zeros(0)
    if len(values) != len(task.labels) or not (np.isfinite(values).all() and values.min() >= 0 and values.max() > 0):
        raise UserError(
            f"--class_weights={text}: expected none, balanced, or {len(task.labels)} numbers from 0 on with commas "
            f"between, for the labels {', '.join(task.labels[:6])}{', …' if len(task.labels) > 6 else ''}"
        )
    return values


def metric_for(task: Task, train: Rows, asked: str | None) -> tuple[Task, list[str]]:
    """``task`` with the dev metric that selects weights, and notes for the report.

    Args:
      asked: the user's choice. None is the task's own metric, but macro F1 for a user's files if the largest class has
        over 70 %.
    """
    if asked is not None:
        check_metric(task, asked)
        return task.selected_by(asked), []
    if task.kind not in ("single", "pair") or task.name != "custom":
        return task, []
    counts = label_counts(train, len(task.labels))
    if not is_uneven(counts):
        return task, []
    largest = int(counts.argmax())
    share = counts[largest] / counts.sum()
    return task.selected_by("macro_f1"), [
        f"classes are uneven: {task.labels[largest]!r} has {share:.0%} of the training rows, so dev macro_f1 chooses "
        f"the weights (--metric=accuracy chooses by accuracy)"
    ]


def check_metric(task: Task, asked: str | None) -> None:
    """Raises UserError if the metric belongs to another kind of task."""
    if asked is None:
        return
    fit, what = ("accuracy", "f1", "macro_f1", "mcc"), "labels"
    if task.is_regression:
        fit, what = ("pearson", "spearman"), "a regression"
    if task.is_multilabel:
        fit, what = ("micro_f1", "macro_f1", "exact_match"), "several labels a text"
    if task.is_tagging:
        fit, what = task.metrics, "tags of words"
    if asked not in fit:
        raise UserError(f"--metric={asked}: task {task.name} has {what}; expected one of {', '.join(fit)}")
    if asked == "f1" and len(task.labels) != 2:
        raise UserError(
            f"--metric=f1: is F1 of the second of two labels, but {task.name} has {len(task.labels)}; use macro_f1"
        )


def lacking(data: TaskData) -> list[str]:
    """Notes on a dev split that lacks classes, or has too few rows to compare them."""
    task, dev = data.task, data.dev
    if task.name != "custom":
        return []
    rows = len(dev) if task.is_tagging else int(has_label(dev).sum())
    few = f"dev: only {rows} row{'s' * (rows != 1)}, so dev scores say little; give --dev_file=FILE with more"
    notes = [few] if rows < FEW_ROWS else []
    notes += in_train(data.train, dev, "dev") + contradictions(data.train)
    if task.is_regression:
        return notes + _scores(data)
    if task.is_tagging:
        return [*notes, *_types_lacking(data)]
    if not notes and rows < len(task.labels):
        notes.append(
            f"dev: {rows} rows for {len(task.labels)} labels, so dev scores say little; give --dev_file=FILE with more"
        )
    for split, counts in (("train", label_counts(data.train, len(task.labels))),
                          ("dev", label_counts(dev, len(task.labels)))):  # fmt: skip
        missing = [name for name, count in zip(task.labels, counts, strict=True) if not count]
        if missing:
            some = ", ".join(missing[:5]) + (", …" if len(missing) > 5 else "")
            notes.append(f"{split}: has no row of {len(missing)} of {len(task.labels)} labels ({some})")
    return notes


def _scores(data: TaskData) -> list[str]:
    """Notes on scores that tell nothing. UserError if train has only one."""
    train, dev = (rows.label[has_label(rows)] for rows in (data.train, data.dev))
    if len(train) and train.min() == train.max():
        raise UserError(f"{data.source}: all training rows have the score {train[0]:g}; there is nothing to learn")
    notes = []
    if len(dev) and dev.min() == dev.max():
        notes.append(
            f"dev: all rows have the score {dev[0]:g}, so no correlation can be measured; give --dev_file=FILE"
        )
    return notes


def _types_lacking(data: TaskData) -> list[str]:
    notes, types = [], data.task.types
    for split, rows in (("train", data.train), ("dev", data.dev)):
        counts = entity_counts(rows.label, len(types))
        if missing := [name for name, count in zip(types, counts, strict=True) if not count]:
            some = ", ".join(missing[:5]) + (", …" if len(missing) > 5 else "")
            notes.append(f"{split}: has no entity of {len(missing)} of {len(types)} types ({some})")
    return notes
