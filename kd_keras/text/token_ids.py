"""Token ids of many texts in two flat arrays. No row is a Python object, so cutting and padding are cheap."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from kd_keras.common.columns import batched
from kd_keras.text.truncation import HEAD, ends


def _flat(rows: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
    return np.fromiter(chain.from_iterable(rows), np.int32), np.fromiter(map(len, rows), np.int64, len(rows))


@dataclass(frozen=True)
class TokenIds:
    """Ragged int32 rows.

    Attributes:
      values: int32[tokens], all rows in order.
      offsets: int64[rows + 1]; row i is ``values[offsets[i]:offsets[i + 1]]``.
    """

    values: np.ndarray
    offsets: np.ndarray

    @classmethod
    def of(cls, rows: Iterable[Sequence[int]]) -> TokenIds:
        # Only some rows at a time: a row's overhead is larger than its ids.
        parts = [_flat(some) for some in batched(rows, 10_000)] or [_flat([])]
        lengths = np.concatenate([n for _, n in parts])
        return cls(np.concatenate([v for v, _ in parts]), np.concatenate([[0], np.cumsum(lengths)]))

    @classmethod
    def concatenate(cls, parts: Sequence[TokenIds]) -> TokenIds:
        starts = np.cumsum([0] + [len(p.values) for p in parts])
        offsets = [parts[0].offsets] + [p.offsets[1:] + s for p, s in zip(parts[1:], starts[1:], strict=False)]
        return cls(np.concatenate([p.values for p in parts]), np.concatenate(offsets))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, i: int) -> np.ndarray:
        return self.values[self.offsets[i] : self.offsets[i + 1]]

    def take(self, rows: np.ndarray) -> TokenIds:
        """The chosen rows, in that order."""
        starts, lengths = self.offsets[:-1][rows], self.lengths[rows]
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        where = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], lengths)
        return TokenIds(self.values[where], offsets)

    @property
    def lengths(self) -> np.ndarray:
        """int64[rows]: tokens in each row."""
        return np.diff(self.offsets)

    def cut(self, length: int, truncation: str = HEAD) -> TokenIds:
        """The same rows, cut to at most ``length`` tokens."""
        first, last = ends(length, truncation)
        lengths = self.lengths
        position = np.arange(len(self.values)) - np.repeat(self.offsets[:-1], lengths)
        stays = (position < first) | (position >= np.repeat(lengths - last, lengths))
        return TokenIds(self.values[stays], np.concatenate([[0], np.cumsum(np.minimum(lengths, length))]))

    def padded(self, rows: np.ndarray, pad_to: int = 1) -> np.ndarray:
        """int32[len(rows), time]: the chosen rows, right-padded with 0.

        Args:
          rows: indices.
          pad_to: time is rounded up to a multiple of this. It is at least 1, so that a network can read a batch of
            empty texts.
        """
        starts, lengths = self.offsets[rows], self.lengths[rows]
        time = max(1, int(lengths.max(initial=0)))
        time = -(-time // pad_to) * pad_to
        steps = np.arange(time)
        inside = steps < lengths[:, None]
        out = np.zeros((len(rows), time), np.int32)
        out[inside] = self.values[(starts[:, None] + steps)[inside]]
        return out
