"""Columns of millions of strings or vectors on disk. They are read in order or by row.

pyarrow is imported when a file is opened. predict needs this module and should start fast.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from kd_keras.common.disk import temporary_disk_errors

T = TypeVar("T")


def batched(items: Iterable, size: int) -> Iterator[list]:
    """Lists of ``size`` items; the last list may be shorter."""
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch


def batched_texts(texts: Iterable[T], size: int, letters: int, length: Callable[[T], int] = len) -> Iterator[list[T]]:
    """Lists of at most ``size`` texts with about ``letters`` characters at most. ``length`` gives those of one."""
    batch: list[T] = []
    total = 0
    for text in texts:
        batch.append(text)
        total += length(text)
        if len(batch) == size or total >= letters:
            yield batch
            batch, total = [], 0
    if batch:
        yield batch


class _Strings(Sequence):
    """Equal to any sequence of the same strings."""

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]


class ParquetColumn(_Strings):
    """Strings in a Parquet file, to be read in order or in slices. One row group is in memory at a time."""

    def __init__(self, path: Path, name: str):
        self.path, self.name = path, name
        with self._open() as file:
            meta = file.metadata
        sizes = [meta.row_group(g).num_rows for g in range(meta.num_row_groups)]
        self._starts = np.cumsum([0, *sizes]).tolist()
        self._last: tuple[int, list[str]] = (-1, [])

    def __getstate__(self) -> dict:
        return self.__dict__ | {"_last": (-1, [])}

    @contextlib.contextmanager
    def _open(self) -> Iterator[Any]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        with pa.OSFile(str(self.path)) as file:  # pyarrow takes a name with ":" for an address
            yield pq.ParquetFile(file)

    def _group(self, number: int) -> list[str]:
        if self._last[0] != number:
            with self._open() as file:
                column = file.read_row_group(number, columns=[self.name])[self.name]
            self._last = (number, column.to_pylist())
        return self._last[1]

    def __len__(self) -> int:
        return self._starts[-1]

    def __getitem__(self, i):
        if not isinstance(i, slice):
            i = range(len(self))[i]
            group = bisect_right(self._starts, i) - 1
            return self._group(group)[i - self._starts[group]]
        where = range(len(self))[i]
        if where.step != 1:
            return [self[j] for j in where]
        out: list[str] = []
        while len(out) < len(where):
            at = where.start + len(out)
            group = bisect_right(self._starts, at) - 1
            begin = self._starts[group]
            out += self._group(group)[at - begin : where.stop - begin]
        return out

    def __iter__(self) -> Iterator[str]:
        for group in range(len(self._starts) - 1):
            yield from self._group(group)


class StringsOnDisk(_Strings):
    """Strings in temporary files without a name. They cannot be sent to another process.

    >>> strings = StringsOnDisk(["a", "b"])
    >>> strings.append("c")
    >>> strings[1:]
    ['b', 'c']
    """

    def __init__(self, strings: Iterable[str] = ()):
        self._file, self._ends = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115
        self._last = array("q", [0])  # ends that are not written yet
        self._count, self._size, self._at_end = 0, 0, True
        for text in strings:
            self.append(text)

    def append(self, text: str) -> None:
        """Raises UserError if the disk of temporary files is full."""
        raw = text.encode("utf-8", "surrogatepass")
        with temporary_disk_errors():
            if not self._at_end:
                self._file.seek(self._size)
                self._at_end = True
            self._file.write(raw)
            self._size += len(raw)
            self._count += 1
            self._last.append(self._size)
            if len(self._last) == 4096:
                self._write_ends()

    def _write_ends(self) -> None:
        self._ends.seek(0, os.SEEK_END)
        self._last.tofile(self._ends)
        self._last = array("q")

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, i):
        if not isinstance(i, slice):
            i = range(len(self))[i]
            return self._read(i, i + 1)[0]
        where = range(len(self))[i]
        if where.step != 1:
            return [self[j] for j in where]
        return self._read(where.start, where.stop) if where else []

    def _read(self, start: int, stop: int) -> list[str]:
        with temporary_disk_errors():  # what was not written yet is written first
            if self._last:
                self._write_ends()
            ends = array("q")
            self._ends.seek(start * ends.itemsize)
            ends.frombytes(self._ends.read((stop + 1 - start) * ends.itemsize))
            self._file.seek(ends[0])
            self._at_end = False
            raw = self._file.read(ends[-1] - ends[0])
        parts = (raw[a - ends[0] : b - ends[0]] for a, b in pairwise(ends))
        return [part.decode("utf-8", "surrogatepass") for part in parts]

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self), 1000):
            yield from self[start : start + 1000]


class DigestSet:
    """The 64-bit digests that were seen, in about 8 bytes each."""

    def __init__(self) -> None:
        self._sorted: list[np.ndarray] = []  # each is at least twice as long as the next

    def has(self, digests: np.ndarray) -> np.ndarray:
        """bool[n]: which of ``digests`` (uint64[n]) were added."""
        seen = np.zeros(len(digests), bool)
        for old in self._sorted:
            at = np.minimum(np.searchsorted(old, digests), len(old) - 1)
            seen |= old[at] == digests
        return seen

    def add(self, digests: np.ndarray) -> np.ndarray:
        """bool[n]: which of ``digests`` (uint64[n]) occur there for the first time."""
        unique, first = np.unique(digests, return_index=True)
        seen = self.has(unique)
        new = np.zeros(len(digests), bool)
        new[first[~seen]] = True
        if not seen.all():
            self._sorted.append(unique[~seen])
        while len(self._sorted) > 1 and 2 * len(self._sorted[-1]) > len(self._sorted[-2]):
            last = self._sorted.pop()
            self._sorted[-1] = np.sort(np.concatenate([self._sorted[-1], last]), kind="stable")
        return new


class MappedArray:
    """An array in a ``.npy`` file. Memory holds only the rows that were read. A process that is sent the array gets its
    path."""

    def __init__(self, path: Path):
        self.path = path
        self._map: Any = np.load(path, mmap_mode="r")

    def __getstate__(self) -> Path:
        return self.path

    def __setstate__(self, path: Path) -> None:
        self.__init__(path)  # type: ignore[misc]

    shape = property(lambda self: self._map.shape)
    dtype = property(lambda self: self._map.dtype)

    def __len__(self) -> int:
        return len(self._map)

    def __getitem__(self, rows) -> np.ndarray:
        return np.asarray(self._map[rows])

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        return np.asarray(self._map, dtype)


class JoinedArray:
    """Several arrays as one, or some of its rows, without a copy. An index array returns an array of those rows."""

    def __init__(self, parts: Sequence, rows: np.ndarray | None = None):
        self.parts, self.rows = list(parts), rows
        self._starts = np.cumsum([0, *(len(p) for p in parts)])
        self.dtype = parts[0].dtype
        self.shape = (len(self), *parts[0].shape[1:])

    def __len__(self) -> int:
        return int(self._starts[-1]) if self.rows is None else len(self.rows)

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        if self.rows is not None:
            rows = self.rows[rows]
        out = np.empty((len(rows), *self.shape[1:]), self.dtype)
        owner = np.searchsorted(self._starts, rows, side="right") - 1
        for n, part in enumerate(self.parts):
            mine = owner == n
            if mine.any():
                out[mine] = part[rows[mine] - self._starts[n]]
        return out

    def take(self, rows: np.ndarray, axis: int = 0) -> JoinedArray:
        """NumPy's ``take`` along axis 0."""
        return JoinedArray(self.parts, rows if self.rows is None else self.rows[rows])
