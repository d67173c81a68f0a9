"""Rows as a teacher reads them, and in which batches."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kd_keras.common.seeds import rng
from kd_keras.text.base import BackedTokenizer
from kd_keras.text.token_ids import TokenIds

# What a batch costs beside its tokens, in tokens: 20 ms of MiniLM on two cores, which takes 0.32 ms a token.
BATCH_COST = 64
# How many sizes, at least, batches of one length have to choose from. The first batch of a shape costs time, and 1 to
# 2 MB for good: the kernels that oneDNN makes for it.
SIZES = 8


class Encoded:
    """Rows as the teacher reads them.

    Attributes:
      ids: TokenIds with [CLS] and [SEP].
      first: int32[rows], length of the first segment; what lies behind it has type 1.
      reader: the tokenizer that made them; it knows what the model reads.
    """

    def __init__(self, ids: TokenIds, first: Sequence[int], reader: BackedTokenizer):
        self.ids = ids
        self.first = np.asarray(first, np.int32)
        self.reader = reader

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: np.ndarray) -> Encoded:
        """The chosen rows, in that order."""
        return Encoded(self.ids.take(rows), self.first[rows], self.reader)

    def batch(self, rows: np.ndarray, multiple: int = 1) -> dict[str, np.ndarray]:
        """int32[batch, time] of each of the model's inputs; time is a multiple of ``multiple``."""
        return self.reader.laid_out(self.ids, self.first, rows, multiple)


def token_batches(lengths: np.ndarray, tokens: int) -> list[np.ndarray]:
    """Row indices, sorted by length and cut so that rows × longest ≤ ``tokens`` (at least one row)."""
    order = np.argsort(lengths, kind="stable")
    batches, start = [], 0
    while start < len(order):
        end = start + 1
        while end < len(order) and (end + 1 - start) * lengths[order[end]] <= tokens:
            end += 1
        batches.append(order[start:end])
        start = end
    return batches


def plan(lengths: np.ndarray, tokens: int) -> list[np.ndarray]:
    """Batches of texts of like length, cut where padding and the batches' own cost are least in all.

    They are the same each time, and shuffled so that the time left can be told.

    Args:
      lengths: int[texts], tokens of each.
      tokens: most of a batch, padding included; a longer text is a batch of its own.

    Returns:
      Indices of texts, each once.
    """
    order = np.argsort(lengths, kind="stable")
    cuts, most = _cuts(lengths[order], tokens)
    longest = lengths[order][cuts[1:] - 1]
    # For each cut the least cost of all before it, and the cut where the last batch of these begins (a shortest path).
    cost, begin = np.zeros(len(cuts), np.int64), np.zeros(len(cuts), np.int64)
    for n in range(1, len(cuts)):
        first = np.searchsorted(cuts, cuts[n] - most[n - 1])
        each = cost[first:n] + (cuts[n] - cuts[first:n]) * longest[n - 1]
        best = int(np.argmin(each))
        cost[n], begin[n] = each[best] + BATCH_COST, first + best
    batches, n = [], len(cuts) - 1
    while n:
        batches.append(order[cuts[begin[n]] : cuts[n]])
        n = begin[n]
    return [batches[i] for i in rng(0, "label order").permutation(len(batches))]


def _cuts(lengths: np.ndarray, tokens: int) -> tuple[np.ndarray, np.ndarray]:
    """Where texts, sorted by length, may be cut into batches of at most ``tokens``, from 0 to their number; and, for
    the text before each cut but the first, how many of its length make a batch.

    Where n texts make a batch, cuts are n / 16 to n / 8 texts apart, a power of two, so that batches have few shapes.
    """
    most = np.maximum(1, tokens // np.maximum(1, lengths))
    apart = 1 << np.log2(np.maximum(1, most // SIZES)).astype(np.int64)
    # As behind the next cut, lest longer texts that begin before it make no batch with what lies between.
    ahead = apart[np.minimum(np.arange(len(lengths)) + apart[:1], len(lengths) - 1)]
    cuts = np.flatnonzero(np.append(np.arange(len(lengths)) % ahead == 0, True))
    return cuts, most[cuts[1:] - 1]
