"""Rows with different numbers of values, in memory or in a file: a teacher's signals of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kd_keras.common.columns import MappedArray


@dataclass(frozen=True)
class Ragged:
    """Ragged rows of numbers. Several rows may share their values.

    >>> rows = Ragged.of([np.array([1.0, 2.0]), np.array([]), np.array([3.0])])
    >>> len(rows), rows[0].tolist(), rows.take(np.array([2, 1]))[0].tolist()
    (3, [1.0, 2.0], [3.0])

    Attributes:
      values: [items], or [items, width] if an item is a vector. It is an array in memory or in a file.
      starts, lengths: int64[rows]; row i is ``values[starts[i] : starts[i] + lengths[i]]``.
    """

    values: np.ndarray | MappedArray
    starts: np.ndarray
    lengths: np.ndarray

    @classmethod
    def of(cls, rows: Sequence[np.ndarray]) -> Ragged:
        """Makes rows from one array for each; there is at least one. All have one dtype and width."""
        return cls.cut(np.concatenate(rows), np.fromiter(map(len, rows), np.int64, len(rows)))

    @classmethod
    def cut(cls, values: np.ndarray, lengths: np.ndarray) -> Ragged:
        """Makes rows from the values of all rows, in order. Raises ValueError if ``lengths`` do not add up to them."""
        if lengths.sum() != len(values):
            raise ValueError(f"lengths add up to {lengths.sum()} values, but there are {len(values)}")
        return cls(values, np.cumsum(lengths) - lengths, lengths)

    @classmethod
    def concatenate(cls, parts: Sequence[Ragged]) -> Ragged:
        """The rows of all parts, in order and in memory. There is at least one part."""
        return cls.cut(np.concatenate([p.flat() for p in parts]), np.concatenate([p.lengths for p in parts]))

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, i: int) -> np.ndarray:
        return self.values[self.starts[i] : self.starts[i] + self.lengths[i]]

    @property
    def dtype(self) -> np.dtype:
        return self.values.dtype

    def take(self, rows: np.ndarray) -> Ragged:
        """The rows at ``rows``, in that order. Their values are not copied."""
        return Ragged(self.values, self.starts[rows], self.lengths[rows])

    def flat(self) -> np.ndarray:
        """[items] or [items, width]: the values of all rows, row by row. Do not write to it."""
        if len(self) and (self.starts[1:] == self.starts[:-1] + self.lengths[:-1]).all():
            return self.values[self.starts[0] : self.starts[0] + self.lengths.sum()]
        before = np.cumsum(self.lengths) - self.lengths
        return self.values[np.arange(self.lengths.sum()) + np.repeat(self.starts - before, self.lengths)]


def flat(values: Any) -> Any:
    """The values of all rows of a :class:`Ragged`; other arrays unchanged."""
    return values.flat() if isinstance(values, Ragged) else values
