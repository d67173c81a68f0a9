"""Tags of words as entities of the text: type, where it stands, what it says, and how sure that is."""

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
    """The entities of each text, first to last, each {"type", "start", "end", "surface", "score"}.

    ``text[start:end]`` is the surface, from where the first word begins to where the last one ends. The score is the
    lowest probability that a word of it has its tag, as an entity is right only if every word is.

    >>> logits = Ragged.of([np.log([[0.1, 0.9, 1e-4], [0.2, 1e-3, 0.8], [0.9, 0.05, 0.05]])])
    >>> ((found,),) = [entities(["New York?"], [[(0, 3), (4, 8), (8, 9)]], logits, ["LOC"])]
    >>> [(e["type"], e["start"], e["end"], e["surface"], round(e["score"], 1)) for e in found]
    [('LOC', 0, 8, 'New York', 0.8)]

    Args:
      texts: what the words are of.
      words: (start, end) of each, in characters of its text.
      logits: ragged float[texts][words, tags]; ValueError where a text has another number of words.
      types: of the task.
    """
    lengths = np.fromiter(map(len, words), np.int64, len(words))
    if not np.array_equal(lengths, logits.lengths):
        raise ValueError(f"texts of {lengths.tolist()[:20]} words, but logits of {logits.lengths.tolist()[:20]}")
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
