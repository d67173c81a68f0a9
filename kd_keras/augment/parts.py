"""Rows in parts on disk, of which each digest's first is kept: memory does not grow with the rows.

A part is a consecutive run of what is read, so who makes it, and when, changes nothing. It has two files: its rows, and
its digests in their order. Ranges of digests are looked at one after the other. A range holds all rows of a digest, and
few enough rows for memory. In the end the parts are read as they came.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import kd_keras
from kd_keras.common import files
from kd_keras.common.errors import UserError

# Digests that are looked at together, while there are at most so many ranges.
_TOGETHER, _MOST_RANGES = 1 << 19, 256
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
    marks: a byte for each digest of each part: 1 if its row is left.
    """

    counts: Counter[str]
    left: int
    count: int
    limit: int
    parts: int
    marks: IO[bytes]


class Parts:
    """The parts in a folder.

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
        """Looks which rows of the first ``count`` parts are kept; at most ``cap``."""
        counts: Counter[str] = Counter()
        starts = [0]
        for number in range(count):
            starts.append(starts[-1] + self._load(number).shape[1])
            with pa.OSFile(str(self._rows(number))) as file:
                counts.update(json.loads(pq.read_schema(file).metadata[_COUNTS]))
        ranges = min(max(1, -(-starts[-1] // _TOGETHER)), _MOST_RANGES)
        edges = [number * 2**64 // ranges for number in range(ranges + 1)]
        marks = tempfile.TemporaryFile(dir=self.folder)  # noqa: SIM115, without a name: even a kill leaves nothing
        left = []
        for low, high in pairwise(edges):
            begins, ends, digests, row = self._range(count, low, high)
            mark = np.zeros(len(digests), bool)
            mark[np.unique(digests, return_index=True)[1]] = True  # of equal ones the first in order
            counts["repeats"] += int((~mark).sum())
            counts["left out"] += int((mark & (row == NO_ROW)).sum())
            mark &= row != NO_ROW
            left.append(int(mark.sum()))
            for start, begin, mine in zip(starts, begins, np.split(mark, ends[:-1]), strict=False):
                marks.seek(start + begin)
                marks.write(mine.tobytes())
        kept, limit = min(sum(left), cap or sum(left)), 2**64 - 1
        if kept < sum(left):
            at = int(np.searchsorted(np.cumsum(left), kept))  # the range of the last one that is kept
            begins, ends, digests, _ = self._range(count, edges[at], edges[at + 1])
            sizes = np.diff(ends, prepend=0)
            mark = np.concatenate([_marked(marks, a + b, n) for a, b, n in zip(starts, begins, sizes, strict=False)])
            last = kept - sum(left[:at]) - 1
            limit = int(np.partition(digests[mark], last)[last])
        return Kept(counts, sum(left), kept, limit, count, marks)

    def rows(self, kept: Kept, columns: list[str] | None = None) -> Iterator[tuple[pa.Table, Counter[str]]]:
        """The rows that are kept, and the counts, of each part in order.

        Raises:
          UserError: a part is damaged.
        """
        start = 0
        for number in range(kept.parts):
            digests, row = self._load(number)
            left = _marked(kept.marks, start, len(digests)) & (digests.view(np.uint64) <= np.uint64(kept.limit))
            start += len(digests)
            try:
                with (
                    pa.OSFile(str(self._rows(number))) as opened,
                    pq.ParquetFile(opened, page_checksum_verification=True) as file,
                ):
                    table = file.read(columns)
            except (pa.ArrowException, OSError) as e:
                said = files.tail(" ".join(str(e).split()), 90)
                raise UserError(
                    f"{self._rows(number)}: damaged ({said}); delete the folder and run the same command again"
                ) from None
            mask = np.zeros(len(table), bool)
            mask[row[left]] = True
            yield table.filter(pa.array(mask)), Counter(json.loads(table.schema.metadata[_COUNTS]))

    def _load(self, number: int) -> np.ndarray:
        """int64[2, n]: digests as they lie in memory, and rows."""
        return np.load(self._digests(number), mmap_mode="r")

    def _range(self, count: int, low: int, high: int) -> tuple[list[int], list[int], np.ndarray, np.ndarray]:
        """The digests from ``low`` to before ``high``.

        Returns:
          (where they begin in each part, where those of each part end in the next, uint64[n] digests, int64[n] rows).
        """
        begins, ends, found = [], [0], []
        for number in range(count):
            part = self._load(number)
            digests = part[0].view(np.uint64)
            begin = int(np.searchsorted(digests, np.uint64(low)))
            end = int(np.searchsorted(digests, np.uint64(high - 1), side="right"))
            found.append(np.array(part[:, begin:end]))
            begins.append(begin)
            ends.append(ends[-1] + end - begin)
        together, row = np.concatenate([*found, np.zeros((2, 0), np.int64)], axis=1)
        return begins, ends[1:], together.view(np.uint64), row


def _marked(marks: IO[bytes], start: int, count: int) -> np.ndarray:
    """bool[count]"""
    marks.seek(start)
    return np.frombuffer(marks.read(count), bool)


def alone(opens: Callable[[], Maker], parts: Parts, jobs: Iterator[Job]) -> Iterator[int]:
    """A :data:`Crew`: this process."""
    maker = None
    for job in jobs:
        maker = maker or opens()
        parts.make(maker, job)
        yield len(job.items)
