"""The scale of a regression's scores. Models learn scores of mean 0 and deviation 1, whatever a file has."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kd_keras.tasks.records import Task
from kd_keras.tasks.rows import Rows, has_label


def scaled(task: Task, train: Rows) -> Task:
    """``task`` with the mean and standard deviation of the scores of a user's file.

    The usual learning rates move an output by about 1, so prices in the thousands would never be reached. Registered
    tasks, whose scores are near that, learn them as they are.
    """
    scores = train.label[has_label(train)] if task.is_regression and task.name == "custom" else np.zeros(0)
    if not len(scores) or scores.min() == scores.max():
        return task
    return replace(task, scale=(float(scores.mean(dtype=np.float64)), float(scores.std(dtype=np.float64))))


def standard(task: Task, scores: np.ndarray) -> np.ndarray:
    """``scores`` as models learn them: (score − mean) / deviation. The same array if the task has no scale.

    >>> task = Task("custom", "regression", (), "pearson", ("pearson",), scale=(50.0, 20.0))
    >>> standard(task, np.array([50.0, 90.0], np.float32))
    array([0., 2.], dtype=float32)

    Args:
      task: any task; see ``Task.scale``.
      scores: float[…]. NaN stays.
    """
    if task.scale is None:
        return scores
    mean, deviation = task.scale
    return ((scores.astype(np.float64) - mean) / deviation).astype(scores.dtype)


def unscaled(task: Task, kernel: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A last layer that learned :func:`standard` scores, as one that gives the file's own."""
    if task.scale is None:
        return kernel, bias
    mean, deviation = task.scale
    return (kernel * deviation).astype(kernel.dtype), (bias * deviation + mean).astype(bias.dtype)
