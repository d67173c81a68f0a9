"""The best legal tags: against every path there is."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from kd_keras.common.ragged import Ragged
from kd_keras.metrics.decoding import constrained, decoded


def legal(path) -> bool:
    """Whether each I has a B or I of its type before it."""
    pairs = zip([0, *path], path, strict=False)
    return all(now == 0 or now % 2 == 1 or was in (now - 1, now) for was, now in pairs)


def best(logits: np.ndarray) -> tuple[int, ...]:
    words, tags = logits.shape
    paths = [p for p in product(range(tags), repeat=words) if legal(p)]
    return max(paths, key=lambda p: logits[np.arange(words), list(p)].sum())


@pytest.mark.parametrize("tags", [1, 3, 5, 7])
def test_the_best_of_all_legal_paths_is_found(tags):
    draw = np.random.default_rng(tags)
    rows = [draw.normal(size=(n, tags)) for n in draw.integers(0, {7: 5, 5: 6}.get(tags, 8), 60)]
    want = [best(r) for r in rows]
    assert [tuple(constrained(r).tolist()) for r in rows] == want
    together = decoded(Ragged.of(rows))
    assert [tuple(together[n].tolist()) for n in range(len(rows))] == want, "as each by itself, in the rows' order"
    if tags > 1:
        assert any(not legal(r.argmax(1)) for r in rows), "or nothing was asked"


def test_tags_that_are_legal_by_themselves_stay():
    draw = np.random.default_rng(0)
    for _ in range(200):
        logits = draw.normal(size=(6, 5))
        if legal(own := logits.argmax(1)):
            assert constrained(logits).tolist() == own.tolist()


def test_rows_share_their_values_and_may_be_many(monkeypatch):
    from kd_keras.metrics import decoding

    draw = np.random.default_rng(1)
    lengths = draw.integers(0, 12, 50)
    rows = Ragged.cut(draw.normal(size=(lengths.sum(), 7)).astype(np.float32), lengths)
    whole = decoded(rows)
    monkeypatch.setattr(decoding, "_ROWS", 3)
    chosen = draw.permutation(50)
    some = decoded(rows.take(chosen))
    for n, row in enumerate(chosen):
        assert some[n].tolist() == whole[row].tolist()
        assert legal(some[n])


def test_nothing_has_no_tags():
    assert constrained(np.zeros((0, 5))).tolist() == []
    assert decoded(Ragged.cut(np.zeros((0, 5)), np.array([0, 0]))).lengths.tolist() == [0, 0]
    assert len(decoded(Ragged.cut(np.zeros((0, 5)), np.zeros(0, int)))) == 0
