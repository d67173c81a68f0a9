"""The best legal sequence of tags: in IOB2 an I follows a B or I of its type, and begins no entity.

Viterbi finds the best path over the whole sentence. Illegal transitions are impossible, and all legal ones have the
same weight. So the logits alone decide.
"""

from __future__ import annotations

import numpy as np

from kd_keras.common.ragged import Ragged

# Rows that are decoded at once. More would need more memory at the same speed.
_ROWS = 4096


def constrained(logits: np.ndarray) -> np.ndarray:
    """int64[words]: the legal tags with the highest sum of logits; logits are float[words, tags].

    >>> constrained(np.array([[0.0, 0.5, 2.0], [0.0, 0.0, 3.0]])).tolist()  # I I is impossible, B I is not
    [1, 2]
    """
    if not len(logits):
        return np.zeros(0, np.int64)
    return decoded(Ragged.cut(logits, np.array([len(logits)])))[0]


def decoded(logits: Ragged) -> Ragged:
    """:func:`constrained` for each row: float[rows][words, tags] → int64[rows][words]."""
    out = np.zeros(int(logits.lengths.sum()), np.int64)
    first = np.cumsum(logits.lengths) - logits.lengths
    order = np.argsort(-logits.lengths, kind="stable")[: np.count_nonzero(logits.lengths)]
    for begin in range(0, len(order), _ROWS):
        chosen = order[begin : begin + _ROWS]
        _decode(logits.take(chosen), first[chosen], out)
    return Ragged.cut(out, logits.lengths)


def _decode(logits: Ragged, first: np.ndarray, out: np.ndarray) -> None:
    """Writes the tags of rows, longest first, into ``out``. Each row begins at its ``first``."""
    lengths, flat = logits.lengths, logits.flat().astype(np.float64)
    at = np.cumsum(lengths) - lengths
    # The number of rows that still have a word at each time.
    alive = np.searchsorted(-lengths, -np.arange(1, lengths[0] + 1), side="right")
    begin, goes_on = np.arange(1, flat.shape[1], 2), np.arange(2, flat.shape[1], 2)
    score = flat[at]
    score[:, goes_on] = -np.inf
    before: list[np.ndarray] = []
    for time, rows in enumerate(alive[1:].tolist(), 1):
        was = score[:rows]
        came = np.repeat(was.argmax(1)[:, None], flat.shape[1], 1)
        came[:, goes_on] = np.where(was[:, goes_on] > was[:, begin], goes_on, begin)
        before.append(came)
        score[:rows] = np.take_along_axis(was, came, 1) + flat[at[:rows] + time]
    tag = score.argmax(1)
    for time in range(len(alive) - 1, -1, -1):
        rows = alive[time]
        out[first[:rows] + time] = tag[:rows]
        if time:
            tag[:rows] = before[time - 1][np.arange(rows), tag[:rows]]
