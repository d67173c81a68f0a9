"""Turns tags of words into entities of the text: type, place, surface and score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kd_keras.common.ragged import Ragged
from kd_keras.metrics.decoding import decoded
from kd_keras.metrics.scores import softmax
from kd_keras.metrics.spans import strict

Place = tuple[int, int]


def entities(
    texts: Sequence[str], words: Sequence[Sequence[Place]], logits: Ragged, types: Sequence[str]
) -> list[list[dict[str, Any]]]:
    """The entities of each text in order, each {"type", "start", "end", "surface", "score"}.

    ``text[start:end]`` is the surface, from the start of the first word to the end of the last. The score is the lowest
    probability of its words' tags, as an entity is right only if every word is.

    >>> logits = Ragged.of([np.log([[0.1, 0.9, 1e-4], [0.2, 1e-3, 0.8], [0.9, 0.05, 0.05]])])
    >>> ((found,),) = [entities(["New York?"], [[(0, 3), (4, 8), (8, 9)]], logits, ["LOC"])]
    >>> [(e["type"], e["start"], e["end"], e["surface"], round(e["score"], 1)) for e in found]
    [('LOC', 0, 8, 'New York', 0.8)]

    Args:
      texts: the texts of the words.
      words: (start, end) of each, in characters of its text.
      logits: ragged float[texts][words, tags]. Raises ValueError if a text has another number of words.
      types: the task's types.
    """
    lengths = np.fromiter(map(len, words), np.int64, len(words))
    if not np.array_equal(lengths, logits.lengths):
        raise ValueError(f"texts have {lengths.tolist()[:20]} words, but logits have {logits.lengths.tolist()[:20]}")
    tags = decoded(logits)
    chosen = tags.flat()
    sure = softmax(logits.flat())[np.arange(len(chosen)), chosen] if len(chosen) else np.zeros(0)
    places = [place for row in words for place in row]
    found = strict(tags)
    rows = np.searchsorted(np.cumsum(lengths), found.start, side="right")
    out: list[list[dict[str, Any]]] = [[] for _ in texts]
    each = zip(rows.tolist(), found.start.tolist(), found.stop.tolist(), found.type.tolist(), strict=True)
    for row, first, stop, kind in each:
        start, end = places[first][0], places[stop - 1][1]
        about = {"type": types[kind], "start": start, "end": end, "surface": texts[row][start:end]}
        out[row].append(about | {"score": float(sure[first:stop].min())})
    return out
