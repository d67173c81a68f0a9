"""Finds the entities in tag sequences, and counts the right ones.

Tags are numbered like the labels of a tagging task (``tasks.records.iob2``): 0 is outside, type n begins with 2n + 1
and continues with 2n + 2. No entity crosses the end of a sentence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kd_keras.common.ragged import Ragged


@dataclass(frozen=True)
class Spans:
    """Entities in the order of their starts.

    Attributes:
      start, stop: int64[entities], first word and the word after the last, counted over all rows.
      type: int64[entities].
    """

    start: np.ndarray
    stop: np.ndarray
    type: np.ndarray

    def __len__(self) -> int:
        return len(self.start)


def strict(tags: Ragged) -> Spans:
    """Entities of int[rows][words] tags, as seqeval finds them with mode="strict" and IOB2: each begins with a B.

    An I continues only a B or I of its own type. Any other I belongs to no entity.

    >>> found = strict(Ragged.of([np.array([1, 2, 0, 2]), np.array([2, 3])]))  # B-0 I-0 O I-0; I-0 B-1
    >>> found.start.tolist(), found.stop.tolist(), found.type.tolist()
    ([0, 5], [2, 6], [0, 1])
    """
    flat, kind, alike = _neighbours(tags)
    begins = flat % 2 == 1
    return _spans(begins, ~(alike & ~begins), kind)


def conlleval(tags: Ragged) -> Spans:
    """Entities as the Perl script conlleval finds them: an I after O or after another type begins one too.

    >>> conlleval(Ragged.of([np.array([1, 2, 0, 2]), np.array([2, 3])])).start.tolist()
    [0, 3, 4, 5]
    """
    flat, kind, alike = _neighbours(tags)
    begins = (flat % 2 == 1) | ((flat > 0) & ~alike)
    return _spans(begins, begins | (flat == 0), kind)


def _neighbours(tags: Ragged) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For all words: the tag, its type (−1 outside), and whether the word before it in the row has that type."""
    flat = tags.flat().astype(np.int64, copy=False)
    kind = np.where(flat > 0, (flat - 1) // 2, -1)
    alike = np.zeros(len(flat), bool)
    alike[1:] = (kind[1:] == kind[:-1]) & (kind[1:] >= 0)
    first = np.cumsum(tags.lengths) - tags.lengths
    alike[first[tags.lengths > 0]] = False
    return flat, kind, alike


def _spans(begins: np.ndarray, ends: np.ndarray, kind: np.ndarray) -> Spans:
    """Entities from their starts up to the next word that ends them."""
    start = np.flatnonzero(begins)
    borders = np.append(np.flatnonzero(ends), len(kind))
    return Spans(start, borders[np.searchsorted(borders, start, side="right")], kind[start])


def right(gold: Spans, given: Spans) -> np.ndarray:
    """bool[gold entities]: which were given with exactly the same words and type."""
    _, mine, theirs = np.intersect1d(gold.start, given.start, assume_unique=True, return_indices=True)
    out = np.zeros(len(gold), bool)
    out[mine] = (gold.stop[mine] == given.stop[theirs]) & (gold.type[mine] == given.type[theirs])
    return out


def _both(gold: Ragged, predicted: Ragged, how=strict) -> tuple[int, int, int]:
    """The numbers of gold, given and right entities. Raises ValueError if a row has another number of tags."""
    require_same_words(gold, predicted)
    a, b = how(gold), how(predicted)
    return len(a), len(b), int(right(a, b).sum())


def require_same_words(gold: Ragged, predicted: Ragged) -> None:
    """Raises ValueError if a row does not have one prediction for each word."""
    if len(gold) != len(predicted):
        raise ValueError(f"{len(gold)} rows of gold tags, but predictions of {len(predicted)}")
    wrong = np.flatnonzero(gold.lengths != predicted.lengths)
    if len(wrong):
        n = wrong[0]
        raise ValueError(f"row {n} has {gold.lengths[n]} words, but {predicted.lengths[n]} predictions")


def entity_f1(gold: Ragged, predicted: Ragged) -> float:
    """F1 of strict entities over all rows; 0 if none is gold or given."""
    rows, given, found = _both(gold, predicted)
    return _part(2 * found, rows + given)


def conlleval_f1(gold: Ragged, predicted: Ragged) -> float:
    """F1 of entities as conlleval finds them; 0 if none is gold or given."""
    rows, given, found = _both(gold, predicted, conlleval)
    return _part(2 * found, rows + given)


def entity_precision(gold: Ragged, predicted: Ragged) -> float:
    """Share of the given strict entities that are gold; 0 if none is given."""
    _, given, found = _both(gold, predicted)
    return _part(found, given)


def entity_recall(gold: Ragged, predicted: Ragged) -> float:
    """Share of the strict gold entities that were given; 0 if there are none."""
    rows, _, found = _both(gold, predicted)
    return _part(found, rows)


def _part(some: int, all_of_them: int) -> float:
    return some / all_of_them if all_of_them else 0.0


def by_type(gold: Ragged, predicted: Ragged, types: Sequence[str]) -> dict[str, dict[str, float]]:
    """For each type its gold "rows" (entities), the number "given", "precision", "recall" and "f1", for strict
    entities.

    The last three are fractions, of nothing 0.

    Args:
      gold: int[rows][words] tags, of rows with gold.
      predicted: in the same shape. Raises ValueError if a row has another number of words.
      types: the task's types, in its order.
    """
    require_same_words(gold, predicted)
    a, b = strict(gold), strict(predicted)
    rows, given = (np.bincount(x.type, minlength=len(types)).tolist() for x in (a, b))
    found = np.bincount(a.type[right(a, b)], minlength=len(types)).tolist()
    return {
        name: {
            "rows": rows[n],
            "given": given[n],
            "precision": _part(found[n], given[n]),
            "recall": _part(found[n], rows[n]),
            "f1": _part(2 * found[n], rows[n] + given[n]),
        }
        for n, name in enumerate(types)
    }
