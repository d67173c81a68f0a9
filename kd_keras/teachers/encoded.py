"""Rows as a teacher reads them, and their batches."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kd_keras.common.seeds import rng
from kd_keras.text.base import BackedTokenizer
from kd_keras.text.token_ids import TokenIds

# A batch's own cost, in tokens: 20 ms for MiniLM on two cores, which takes 0.32 ms a token.
BATCH_COST = 64
# Batches of one length have at least this many sizes to choose from. The first batch of a shape takes time, and 1 to
# 2 MB that are not freed: the kernels that oneDNN makes for it.
SIZES = 8


class Encoded:
    """Rows as the teacher reads them.

    Attributes:
      ids: TokenIds with [CLS] and [SEP].
      first: int32[rows], length of the first segment. Later tokens have type 1.
      reader: the tokenizer that made them. It knows the model's inputs.
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
        """int32[batch, time] for each of the model's inputs. time is a multiple of ``multiple``."""
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
    """Batches of texts of similar length, with the least total cost of padding and of batches.

    They are the same each time. They are shuffled, so that the remaining time can be estimated.

    Args:
      lengths: int[texts], tokens of each text.
      tokens: the most tokens of a batch, with padding. A longer text is a batch alone.

    Returns:
      Indices of texts, each once.
    """
    order = np.argsort(lengths, kind="stable")
    cuts, most = _cuts(lengths[order], tokens)
    longest = lengths[order][cuts[1:] - 1]
    # A shortest path: for each cut, the least cost of all before it, and the cut where their last batch begins.
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
    """Possible cuts, from 0 to the number of texts, and how many texts of its length make a batch.

    Texts are sorted by length, and a batch has at most ``tokens``. The second array is for the text before each cut but
    the first. If n texts make a batch, cuts are n / 16 to n / 8 texts apart, a power of two. So there are few shapes.
    """
    most = np.maximum(1, tokens // np.maximum(1, lengths))
    apart = 1 << np.log2(np.maximum(1, most // SIZES)).astype(np.int64)
    # As behind the next cut. Otherwise longer texts that begin before it fit into no batch with the texts between.
    ahead = apart[np.minimum(np.arange(len(lengths)) + apart[:1], len(lengths) - 1)]
    cuts = np.flatnonzero(np.append(np.arange(len(lengths)) % ahead == 0, True))
    return cuts, most[cuts[1:] - 1]
