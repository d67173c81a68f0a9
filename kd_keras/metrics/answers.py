"""What logits mean in each kind of task: scores of labels, the answer, and whether two answers are the same."""

from __future__ import annotations

from typing import Any

import numpy as np

from kd_keras.common.ragged import Ragged, flat
from kd_keras.metrics.scores import predictions_of, softmax
from kd_keras.metrics.spans import require_same_words
from kd_keras.tasks import Task, is_gold


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Sigmoid in float64, of any shape.

    >>> sigmoid(np.array([-1000.0, 0.0])).tolist()
    [0.0, 0.5]
    """
    return 0.5 * (1 + np.tanh(np.asarray(logits, np.float64) / 2))


def scores_of(task: Task, logits: Any) -> Any:
    """Scores for users of logits float[rows, outputs], or ragged float[rows][words, tags] of a tagger, in the same
    shape.

    Softmax, so that a row or word adds up to 1. With several labels a text, the sigmoid of each label. A regression's
    number and a vector do not change.
    """
    if task.is_tagging:
        return Ragged.cut(softmax(logits.flat()), logits.lengths)
    if task.is_regression or task.is_text:
        return logits
    return sigmoid(logits) if task.is_multilabel else softmax(logits)


def as_logits(task: Task, scores: Any) -> Any:
    """Scores of :func:`scores_of` as metrics take them: in the order, and with the sign, of logits."""
    if task.is_tagging:  # the best path has the highest sum of logits
        return Ragged.cut(np.log(np.maximum(scores.flat(), 1e-30)), scores.lengths)
    return scores - 0.5 if task.is_multilabel else scores


def answers(task: Task, logits: Any) -> Any:
    """int64[rows] label ids; int64[rows, labels] of 0 and 1 for several labels a text; float[rows] for a regression.

    For a tagger ragged int64[rows][words]: the best legal sequence of tags (``metrics.decoding``).
    """
    return predictions_of(task.no_labels(len(logits)), logits)


def same_answers(task: Task, a: Any, b: Any) -> np.ndarray:
    """bool[rows]: whether two models' logits give the same label, or exactly the same labels. For taggers
    bool[words]."""
    if task.is_tagging:
        mine, theirs = answers(task, a), answers(task, b)
        require_same_words(mine, theirs)
        return mine.flat() == theirs.flat()
    same = answers(task, a) == answers(task, b)
    return same.all(1) if same.ndim == 2 else same


def named(task: Task, answer: np.ndarray) -> str:
    """An answer in words: a label's name, or several."""
    if np.ndim(answer) == 0:
        return task.labels[int(answer)]
    return ", ".join(task.labels[n] for n in np.flatnonzero(answer)) or "no label"


def only_answer(task: Task, logits: Any) -> str | None:
    """The only answer in the logits of many rows, in words. None if there are several answers, or scores.

    For a tagger, the only tag that any word gets.
    """
    if task.is_regression or task.is_text or task.num_outputs < 2:
        return None
    return the_only(task, answers(task, logits))


def the_only(task: Task, answer: Any) -> str | None:
    """:func:`only_answer` for answers instead of logits."""
    found = np.unique(flat(answer), axis=0)
    return named(task, found[0]) if len(found) == 1 else None


def less(logits: Any, over: np.ndarray) -> Any:
    """Logits minus the :func:`thresholds` that dev chose. A tagger has none, so its logits do not change."""
    return logits if isinstance(logits, Ragged) else logits - over


def sureness(task: Task, logits: Any) -> np.ndarray:
    """float64[rows]: the probability of the answer. With several labels a text, that of the surest decision.

    For a tagger float64[words], all rows in order.
    """
    if task.is_tagging:
        return scores_of(task, logits).flat().max(-1)
    scores = scores_of(task, logits)
    return (np.maximum(scores, 1 - scores) if task.is_multilabel else scores).max(-1)


def thresholds(label: np.ndarray | Ragged, logits: Any, least: int = 5) -> np.ndarray:
    """float64[labels]: the logit over which each label is given, so that its F1 on these rows is best.

    If a text or word has one label, a score or a vector, nothing is chosen: [0].

    A threshold stays 0 if 0 is as good, or if fewer than ``least`` rows have the label or lack it. It lies in the
    middle between two rows' logits (Lipton et al. 2014, "Thresholding Classifiers to Maximize F1 Score").

    Args:
      label: as in Rows; rows without gold do not count.
      logits: float[rows, labels].

    >>> label, logits = np.array([[1], [1], [0], [0]]), np.array([[3.0], [-1.0], [-2.0], [-4.0]])
    >>> thresholds(label, logits, least=1).tolist()
    [-1.5]
    """
    if isinstance(label, Ragged) or label.ndim == 1 or label.dtype.kind == "f":
        return np.zeros(1)
    gold = is_gold(label)
    label, logits = label[gold], logits[gold]
    return np.array([_threshold(label[:, n], logits[:, n], least) for n in range(label.shape[1])])


def _threshold(gold: np.ndarray, logits: np.ndarray, least: int) -> float:
    if min(gold.sum(), len(gold) - gold.sum()) < least:
        return 0.0
    order = np.argsort(-logits, kind="stable")
    ranked, hits = logits[order].astype(np.float64), np.cumsum(gold[order])
    ends = np.flatnonzero(np.append(ranked[:-1] > ranked[1:], True))  # rows with equal logits get the label together
    f1 = 2 * hits[ends] / (ends + 1 + gold.sum())
    given = int((logits > 0).sum())
    now = 2 * hits[given - 1] / (given + gold.sum()) if given else 0.0
    if f1.max() <= now + 1e-12:
        return 0.0
    best = ends[np.argmax(f1)]
    after = ranked[best + 1] if best + 1 < len(ranked) else ranked[best] - 1.0
    return float((ranked[best] + after) / 2)
