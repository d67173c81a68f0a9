"""Rows as a BERT reads them, and in which batches."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kd_keras.text.token_ids import TokenIds


class Encoded:
    """Rows as the teacher reads them.

    Attributes:
      ids: TokenIds with [CLS] and [SEP].
      first: int32[rows], length of the first segment; what lies behind it has type 1.
    """

    def __init__(self, ids: TokenIds, first: Sequence[int]):
        self.ids = ids
        self.first = np.asarray(first, np.int32)

    def __len__(self) -> int:
        return len(self.ids)

    def batch(self, rows: np.ndarray, multiple: int = 1) -> dict[str, np.ndarray]:
        """int32[batch, time] input_ids, attention_mask and token_type_ids; time is a multiple of ``multiple``."""
        ids = self.ids.padded(rows, multiple)
        mask = (ids != 0).astype(np.int32)
        types = (np.arange(ids.shape[1]) >= self.first[rows][:, None]).astype(np.int32) * mask
        return {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}


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
