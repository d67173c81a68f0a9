"""Which of many digests come for the first time. Memory does not grow with them: they lie in temporary files."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from functools import cached_property
from itertools import pairwise

import numpy as np

from kd_keras.common.disk import temporary_disk_errors

# Digests are looked at together with those of the same first bits, and so many at a time if bits allow it.
_BITS, _TOGETHER = 8, 1 << 19
_EDGES = np.arange(1, 1 << _BITS, dtype=np.uint64) << np.uint64(64 - _BITS)


class Firsts:
    """Digests in blocks, in the order in which they were added, and which of them have no equal one before.

    The files have no name, so even a kill leaves nothing.

    >>> firsts = Firsts()
    >>> firsts.add(np.array([7, 5, 7], np.uint64))
    >>> firsts.add(np.array([5, 1], np.uint64))
    >>> firsts.count
    3
    >>> [(digests.tolist(), new.tolist()) for digests, new in firsts.blocks()]
    [([7, 5, 7], [True, True, False]), ([5, 1], [False, True])]
    """

    def __init__(self) -> None:
        self._sorted, self._order, self._new = (tempfile.TemporaryFile() for _ in range(3))  # noqa: SIM115
        self._starts = [0]  # of the blocks
        self._ends: list[np.ndarray] = []  # of each block: where the digests of the same first bits end

    def add(self, digests: np.ndarray) -> None:
        """One more block, uint64[n]. Memory holds a block at a time, so take some 100,000 at most.

        Raises:
          UserError: the disk of temporary files is full.
        """
        order = np.argsort(digests, kind="stable")  # so that the first of equal ones comes first
        ordered = digests[order]
        with temporary_disk_errors():
            self._sorted.write(ordered)
            self._order.write(order.astype(np.int32))
        self._ends.append(np.append(np.searchsorted(ordered, _EDGES), len(digests)))
        self._starts.append(self._starts[-1] + len(digests))

    @cached_property
    def count(self) -> int:
        """How many different digests there are. No block may be added after it was asked for.

        Raises:
          UserError: as :meth:`add`.
        """
        ends = np.sum(self._ends, axis=0, dtype=np.int64) if self._ends else np.zeros(0, np.int64)
        sizes, found, low = np.diff(ends, prepend=0), 0, 0
        while low < len(sizes):
            high = max(low + 1, int(np.searchsorted(np.cumsum(sizes[low:]), _TOGETHER, side="right")) + low)
            with temporary_disk_errors():
                found += self._look(low, high)
            low = high
        return found

    def _look(self, low: int, high: int) -> int:
        """Marks what is new of the digests whose first bits are ``low`` to before ``high``."""
        slices = [
            (start + (ends[low - 1] if low else 0), start + ends[high - 1])
            for start, ends in zip(self._starts, self._ends, strict=False)
        ]
        digests = np.concatenate([self._read(self._sorted, np.uint64, *each) for each in slices])
        new = np.zeros(len(digests), bool)
        new[np.unique(digests, return_index=True)[1]] = True
        at = 0
        for begin, end in slices:
            self._new.seek(begin)
            self._new.write(new[at : at + end - begin])
            at += end - begin
        return int(new.sum())

    def blocks(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(uint64[n], bool[n]) of each block: its digests, and which are new."""
        self.count  # noqa: B018, which marks what is new
        for start, end in pairwise(self._starts):
            order = self._read(self._order, np.int32, start, end)
            digests, new = np.empty(end - start, np.uint64), np.empty(end - start, bool)
            digests[order] = self._read(self._sorted, np.uint64, start, end)
            new[order] = self._read(self._new, bool, start, end)
            yield digests, new

    @staticmethod
    def _read(file, dtype: type, start: int, end: int) -> np.ndarray:
        size = np.dtype(dtype).itemsize
        with temporary_disk_errors():  # what was not written yet is written first
            file.seek(int(start) * size)
            return np.frombuffer(file.read(int(end - start) * size), dtype)
