"""Shards of different texts, against a dictionary of texts."""

from __future__ import annotations

import numpy as np
import pytest

from kd_keras.tasks import Rows
from kd_keras.teachers import distinct
from kd_keras.teachers.distinct import Distinct


@pytest.fixture(params=[3, 1000])
def block(request, monkeypatch):
    monkeypatch.setattr(distinct, "_BLOCK", request.param)


def rows_of(texts: list[str], texts_b: list[str] | None = None) -> Rows:
    return Rows([f"r{n}" for n in range(len(texts))], texts, texts_b, np.zeros(len(texts), np.int32))


@pytest.mark.parametrize("pair", [False, True])
@pytest.mark.parametrize("size", [1, 4, 50])
def test_shards_have_the_first_row_of_each_text_in_order(block, size, pair):
    draw = np.random.default_rng(size)
    texts = [f"text {n}" for n in draw.integers(0, 14, 40)]
    texts_b = [f"b {n}" for n in draw.integers(0, 2, 40)] if pair else None
    rows = rows_of(texts, texts_b)
    first: dict[tuple, int] = {}
    for n, both in enumerate(zip(texts, texts_b or texts, strict=True)):
        first.setdefault(both, n)
    where = list(first.values())
    found = Distinct(rows, size)
    assert (found.count, found.shards) == (len(where), -(-len(where) // size))
    shards = list(found.without(set()))
    assert [s.number for s in shards] == list(range(found.shards))
    assert [len(s.texts) for s in shards[:-1]] == [size] * (len(shards) - 1)
    assert [i for s in shards for i in s.ids] == [rows.ids[i] for i in where]
    assert [t for s in shards for t in s.texts] == [texts[i] for i in where]
    assert [t for s in shards for t in s.texts_b or ()] == ([texts_b[i] for i in where] if pair else [])
    assert [h for s in shards for h in s.hashes.tolist()] == rows.text_hashes()[where].tolist()
    assert [s.number for s in found.without({0, 2})] == [n for n in range(found.shards) if n not in (0, 2)]
    some = sorted({0, len(where) // 2, len(where) - 1})
    assert found.at(some).tolist() == [where[i] for i in some]


def test_no_text_is_one_empty_shard(block):
    found = Distinct(rows_of([]), 4)
    (shard,) = found.without(set())
    assert (found.count, found.shards, shard.number, list(shard.texts)) == (0, 1, 0, [])
    assert found.at(np.zeros(0, np.int64)).tolist() == []
