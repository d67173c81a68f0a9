"""Which digests come first, against a set and NumPy."""

from __future__ import annotations

import errno

import numpy as np
import pytest

from kd_keras.common import firsts
from kd_keras.common.errors import UserError
from kd_keras.common.firsts import Firsts


def marked(blocks: list[np.ndarray]) -> tuple[int, list[list[int]], list[list[bool]]]:
    made = Firsts()
    for block in blocks:
        made.add(block)
    count, found = made.count, list(made.blocks())
    return count, [d.tolist() for d, _ in found], [n.tolist() for _, n in found]


@pytest.mark.parametrize("together", [1, 7, 50, 1 << 19])
@pytest.mark.parametrize("high", [5, 2**64 - 1])
def test_the_first_of_equal_digests_is_new(monkeypatch, together, high):
    """However many are looked at together, and be their first bits the same or not."""
    monkeypatch.setattr(firsts, "_TOGETHER", together)
    draw = np.random.default_rng(together)
    pool = draw.integers(0, high, 60, np.uint64, endpoint=True)
    blocks = [draw.choice(pool, size) for size in (30, 1, 0, 45, 30)]
    seen: set[int] = set()
    wanted = [[not (d in seen or seen.add(d)) for d in block.tolist()] for block in blocks]
    count, digests, new = marked(blocks)
    assert digests == [block.tolist() for block in blocks] and new == wanted
    assert count == len(seen) == len(np.unique(np.concatenate(blocks)))


def test_nothing_has_no_blocks():
    assert marked([]) == (0, [], [])


def test_a_full_disk_is_one_line(monkeypatch):
    class Full:
        def __getattr__(self, name):
            raise OSError(errno.ENOSPC, "No space left on device")

    made = Firsts()
    made._sorted = Full()
    with pytest.raises(UserError, match="TMPDIR"):
        made.add(np.arange(3, dtype=np.uint64))
