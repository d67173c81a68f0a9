"""Rows in parts on disk, of which each digest's first is kept: memory does not grow with the rows.

A part is a consecutive run of what is read, so who makes it, and when, changes nothing. It has two files: its rows, and
its digests in their order. :mod:`kd_keras.common.firsts` finds the first of equal digests. In the end the parts are
read as they came.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import kd_keras
from kd_keras.common import files
from kd_keras.common.errors import UserError
from kd_keras.common.firsts import Firsts

# The rows of a draw are counted by so many first bits of their digests; those of equal bits are in memory together.
_BITS = 16
_COUNTS = b"counts"
# In the place of a row that is left out, and whose later repeats are left out with it.
NO_ROW = -1


@dataclass(frozen=True)
class Job:
    """What one part is made of.

    Attributes:
      number: of the part, from 0 on.
      items: documents, or rows.
    """

    number: int
    items: Any

    @property
    def what(self) -> str:
        return f"part {self.number} of the text"


@dataclass(frozen=True)
class Made:
    """One part.

    Attributes:
      rows: in the order of what they were made of.
      digests: uint64[n], each once, rising.
      row: int64[n], the row of each digest, or ``NO_ROW``.
      counts: of what was seen; they are summed over the parts.
    """

    rows: pa.Table
    digests: np.ndarray
    row: np.ndarray
    counts: Counter[str]


Maker = Callable[[Any], Made]
# (opens, parts, jobs) → how many items a job had, when its part is there.
Crew = Callable[[Callable[[], Maker], "Parts", Iterator[Job]], Iterable[int]]


@dataclass(frozen=True)
class Kept:
    """Attributes:
    counts: of all parts; "repeats" and "left out" are digests that came before, and that have no row.
    left: rows that are neither.
    count: those of them that are kept: with a cap those of lowest digest, a fair draw in which a smaller one is part
      of a larger.
    limit: no kept row has a higher digest.
    parts: how many there are.
    firsts: the digests of each part, and which have no equal one before.
    """

    counts: Counter[str]
    left: int
    count: int
    limit: int
    parts: int
    firsts: Firsts


class Parts:
    """The parts in a folder.

    >>> import tempfile
    >>> def maker(texts):
    ...     digests, row = np.unique(np.array([len(t) for t in texts], np.uint64), return_index=True)
    ...     return Made(pa.table({"text": texts}), digests, row, Counter(seen=len(texts)))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     parts = Parts(Path(folder) / "parts")
    ...     parts.begin({})
    ...     parts.make(maker, Job(0, ["a", "bb"]))
    ...     parts.make(maker, Job(1, ["ccc", "dd"]))
    ...     kept = parts.sift(2)
    ...     [row for rows, _ in parts.rows(kept) for row in rows["text"].to_pylist()]
    ['a', 'bb', 'ccc']
    """

    def __init__(self, folder: Path):
        self.folder = Path(folder)

    def _rows(self, number: int) -> Path:
        return self.folder / f"part-{number:06d}.parquet"

    def _digests(self, number: int) -> Path:
        return self.folder / f"part-{number:06d}.npy"

    def key(self) -> Any:
        """What :meth:`begin` was told; None if nothing was begun."""
        path = self.folder / "key.json"
        return files.read_json(path) if path.is_file() else None

    def begin(self, key: dict) -> None:
        """Keeps what a killed command of the same ``key`` left, and removes any other."""
        key = json.loads(json.dumps({"version": kd_keras.__version__, **key}))
        if self.key() != key:
            self.remove()
            files.write_json(self.folder / "key.json", key)
        files.remove_left_behind(self.folder)

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def has(self, number: int) -> bool:
        return self._digests(number).is_file()

    def make(self, maker: Maker, job: Job) -> None:
        """Writes the part of ``job``, if it is not there."""
        if self.has(job.number):
            return
        made = maker(job.items)
        counts = json.dumps(made.counts)
        with files.atomic_path(self._rows(job.number)) as temp:
            rows = made.rows.replace_schema_metadata({_COUNTS: counts})
            with pa.OSFile(str(temp), "wb") as file:  # a name with ":" would be taken for an address
                pq.write_table(rows, file, compression="zstd", write_page_checksum=True)
        with files.atomic_path(self._digests(job.number)) as temp, open(temp, "wb") as file:
            np.save(file, np.stack([made.digests.view(np.int64), made.row.astype(np.int64)]))

    def fill(
        self, opens: Callable[[], Maker], batches: Iterable[Any], crew: Crew, done: Callable[[int], object]
    ) -> int:
        """Makes the parts that are missing, one of each of ``batches``; how many there are.

        Args:
          opens: makes what makes a part; it can be sent to another process.
          crew: who makes them.
          done: told how many items of a batch have their part.
        """
        count = 0

        def missing() -> Iterator[Job]:
            nonlocal count
            for items in batches:
                if self.has(count):
                    done(len(items))
                else:
                    yield Job(count, items)
                count += 1

        for items in crew(opens, self, missing()):
            done(items)
        return count

    def sift(self, count: int, cap: int | None = None) -> Kept:
        """Looks which rows of the first ``count`` parts are kept; at most ``cap``.

        Raises:
          UserError: the disk of temporary files is full.
        """
        counts: Counter[str] = Counter()
        firsts = Firsts()
        for number in range(count):
            firsts.add(self._load(number)[0].view(np.uint64))
            with self._opened(number) as file:
                counts.update(json.loads(file.schema_arrow.metadata[_COUNTS]))
        sizes = np.zeros(1 << _BITS, np.int64)  # how many are left, by the first bits of their digests
        for digests, row, new in self._each(count, firsts):
            there = row != NO_ROW
            counts["repeats"] += int((~new).sum())
            counts["left out"] += int((new & ~there).sum())
            sizes += np.bincount(_first_bits(digests[new & there]), minlength=len(sizes))
        left, limit = int(sizes.sum()), 2**64 - 1
        kept = min(left, cap or left)
        if kept < left:
            before = np.cumsum(sizes)
            at = int(np.searchsorted(before, kept))  # where the last one that is kept is
            some = np.concatenate(
                [d[new & (row != NO_ROW) & (_first_bits(d) == at)] for d, row, new in self._each(count, firsts)]
            )
            last = kept - int(before[at] - sizes[at]) - 1
            limit = int(np.partition(some, last)[last])
        return Kept(counts, left, kept, limit, count, firsts)

    def _each(self, count: int, firsts: Firsts) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """(uint64[n] digests, int64[n] rows, bool[n] whether no equal digest came before) of each part."""
        for number, (digests, new) in zip(range(count), firsts.blocks(), strict=True):
            yield digests, np.array(self._load(number)[1]), new

    def rows(self, kept: Kept, columns: list[str] | None = None) -> Iterator[tuple[pa.Table, Counter[str]]]:
        """The rows that are kept, and the counts, of each part in order.

        Raises:
          UserError: a part is damaged.
        """
        for number, (digests, row, new) in enumerate(self._each(kept.parts, kept.firsts)):
            left = new & (row != NO_ROW) & (digests <= np.uint64(kept.limit))
            table = self.table(number, columns)
            mask = np.zeros(len(table), bool)
            mask[row[left]] = True
            yield table.filter(pa.array(mask)), Counter(json.loads(table.schema.metadata[_COUNTS]))

    def table(self, number: int, columns: list[str] | None = None) -> pa.Table:
        """All rows of a part.

        Raises:
          UserError: the part is damaged.
        """
        with self._opened(number) as file:
            return file.read(columns)

    @contextlib.contextmanager
    def _opened(self, number: int) -> Iterator[pq.ParquetFile]:
        path = self._rows(number)
        with (
            _damage(path),
            pa.OSFile(str(path)) as opened,
            pq.ParquetFile(opened, page_checksum_verification=True) as file,
        ):
            yield file

    def _load(self, number: int) -> np.ndarray:
        """int64[2, n]: digests as they lie in memory, and rows."""
        with _damage(path := self._digests(number)):
            return np.load(path, mmap_mode="r")


@contextlib.contextmanager
def _damage(path: Path) -> Iterator[None]:
    """UserError if a part that is read inside is damaged."""
    try:
        yield
    except (pa.ArrowException, OSError, ValueError) as e:
        said = files.tail(" ".join(str(e).split()), 90)
        raise UserError(f"{path}: damaged ({said}); delete {path.parent} and run the same command again") from None


def _first_bits(digests: np.ndarray) -> np.ndarray:
    return (digests >> np.uint64(64 - _BITS)).astype(np.int64)


def alone(opens: Callable[[], Maker], parts: Parts, jobs: Iterator[Job]) -> Iterator[int]:
    """A :data:`Crew`: this process."""
    maker = None
    for job in jobs:
        maker = maker or opens()
        parts.make(maker, job)
        yield len(job.items)
