"""The different texts of rows, in shards: memory does not grow with the rows, and holds one shard at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kd_keras.common.firsts import Firsts
from kd_keras.common.ragged import Ragged
from kd_keras.tasks import Rows

_BLOCK = 50_000


@dataclass(frozen=True)
class Lent:
    """What is known of some texts of a shard.

    Attributes:
      there: bool[texts]: whether a text is known.
      columns: the signals of these texts, in their order.
    """

    there: np.ndarray
    columns: Mapping[str, np.ndarray | Ragged]


@dataclass(frozen=True)
class ShardText:
    """What a shard is made of: its number, and of each of its texts the id of the first row, uint64 hash, and text.

    ``lent`` is what need not be asked again.
    """

    number: int
    ids: Sequence[str]
    hashes: np.ndarray
    texts: Sequence[str]
    texts_b: Sequence[str] | None = None
    lent: Lent | None = None

    @property
    def what(self) -> str:
        return f"shard {self.number}"

    def asked(self) -> tuple[Sequence[str], Sequence[str] | None]:
        """The texts, and second ones of pairs, that the teacher must read."""
        if self.lent is None:
            return self.texts, self.texts_b
        new = np.flatnonzero(~self.lent.there).tolist()
        return [self.texts[n] for n in new], None if self.texts_b is None else [self.texts_b[n] for n in new]


class Distinct:
    """The first row of each text, as the texts come.

    >>> rows = Rows(["a", "b", "c"], ["good film", "good film", "dull"], None, np.zeros(3, np.int32))
    >>> found = Distinct(rows, shard_rows=10)
    >>> found.count, found.at(range(2)).tolist()
    (2, [0, 2])

    Attributes:
      count: different texts.
      shards: of ``shard_rows`` texts, the last one shorter. There is one if there is no text.
    """

    def __init__(self, rows: Rows, shard_rows: int):
        self._rows, self._size, self._firsts = rows, shard_rows, Firsts()
        for start in range(0, len(rows), _BLOCK):
            self._firsts.add(rows.text_hashes(slice(start, start + _BLOCK)))
        self.count = self._firsts.count
        self.shards = max(1, -(-self.count // shard_rows))

    def hashes(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(int64[n], uint64[n]) of each shard: the rows of its texts, and the texts' hashes."""
        where, hashes = np.zeros(0, np.int64), np.zeros(0, np.uint64)
        start = 0
        for digests, new in self._firsts.blocks():
            where = np.append(where, start + np.flatnonzero(new))
            hashes = np.append(hashes, digests[new])
            start += len(digests)
            while len(where) >= self._size:
                yield where[: self._size], hashes[: self._size]
                where, hashes = where[self._size :], hashes[self._size :]
        if len(where) or not self.count:
            yield where, hashes

    def without(self, there: set[int]) -> Iterator[ShardText]:
        """The shards that are not among ``there``."""
        for number, (where, hashes) in enumerate(self.hashes()):
            if number not in there:
                some = self._rows.take(where)
                yield ShardText(number, some.ids, hashes, some.text, some.text_b)

    def at(self, places: Sequence[int] | np.ndarray) -> np.ndarray:
        """int64[n]: the rows of the texts at ``places``, which rise."""
        found, start = [np.zeros(0, np.int64)], 0
        for where, _ in self.hashes():
            mine = np.asarray(places)[np.searchsorted(places, start) : np.searchsorted(places, start + len(where))]
            found.append(where[mine - start])
            start += len(where)
        return np.concatenate(found)
