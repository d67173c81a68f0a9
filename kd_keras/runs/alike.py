"""Of new pairs, as many of each label as the training rows have.

Pairs of texts that share words are seldom duplicates, and seldom follow from each other. A student that learned from
all of them would give their most frequent label too often: 67.3 instead of 71.5 on QQP (docs/results/pairs.md). Thakur
et al. 2021 draw pairs by the density of their scores for the same reason.
"""

from __future__ import annotations

import numpy as np

from kd_keras.common.seeds import rng
from kd_keras.runs.job import Job
from kd_keras.tasks import is_gold


def are_drawn(job: Job) -> bool:
    """Whether new pairs of the training texts are drawn by label: those of classes, without pairs of the user's."""
    text = job.unlabeled
    return job.task.kind == "pair" and text.unlabeled == "task" and not text.unlabeled_files


def alike(label: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """bool[rows]: as many rows as there can be, of each class the share that it has in ``label``.

    >>> alike(np.array([0, 1, 1]), np.eye(2)[[0, 0, 0, 0, 1, 1]]).sum()
    3

    Args:
      label: int[n], gold labels of the training rows; −1 for none.
      logits: float[rows, classes], the teacher's of the new pairs.
    """
    said, classes = logits.argmax(-1), logits.shape[-1]
    share = np.bincount(label[is_gold(label)], minlength=classes) / max(1, is_gold(label).sum())
    there, has = np.bincount(said, minlength=classes), share > 0
    most = np.zeros(classes, np.int64)
    most[has] = (there[has] / share[has]).min() * share[has] + 1e-9
    kept, order = np.zeros(len(said), bool), rng(0, "pairs of each label").permutation(len(said))
    for n, count in enumerate(most.tolist()):
        kept[order[said[order] == n][:count]] = True
    return kept


def about_pairs(job: Job, logits: np.ndarray) -> list[str]:
    """The line for the screen."""
    count = int(alike(job.data.train.label, logits).sum())
    return [f"new pairs: {count:,} of {len(logits):,} are learned from, each label as often as in the training rows"]
