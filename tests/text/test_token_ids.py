"""Ragged rows against plain Python lists."""

from __future__ import annotations

import numpy as np
import pytest

from kd_keras.text.token_ids import TokenIds


def ragged(seed: int, rows: int, longest: int) -> list[list[int]]:
    draw = np.random.default_rng(seed)
    return [draw.integers(1, 99, draw.integers(0, longest + 1)).tolist() for _ in range(rows)]


@pytest.mark.parametrize("pad_to", [1, 4, 7])
def test_padded_agrees_with_a_loop(pad_to):
    lists = ragged(0, 40, 9)
    ids = TokenIds.of(lists)
    draw = np.random.default_rng(1)
    for size in (1, 3, 40):
        rows = draw.permutation(40)[:size]
        got = ids.padded(rows, pad_to)
        longest = max(1, *(len(lists[r]) for r in rows), 1)
        time = longest + (-longest) % pad_to
        assert got.dtype == np.int32
        assert got.tolist() == [lists[r] + [0] * (time - len(lists[r])) for r in rows]


def test_rows_may_repeat_and_may_all_be_empty():
    ids = TokenIds.of([[], [5, 6], []])
    assert ids.padded(np.array([1, 0, 1])).tolist() == [[5, 6], [0, 0], [5, 6]]
    assert ids.padded(np.array([0, 2])).tolist() == [[0], [0]]
    assert ids.padded(np.array([], np.int64)).shape == (0, 1)


def test_rows_lengths_and_concatenation():
    a, b, none = ragged(2, 7, 4), ragged(3, 5, 6), []
    whole = TokenIds.concatenate([TokenIds.of(p) for p in (a, none, b)])
    assert [whole[i].tolist() for i in range(len(whole))] == a + b
    assert whole.lengths.tolist() == [len(r) for r in a + b]
    assert len(TokenIds.of([])) == 0
