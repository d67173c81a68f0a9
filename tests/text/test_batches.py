"""The order of batches: each row once, always the same, from any step on."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from kd_keras.text.batches import epoch_plan, row_lengths, sorted_plan, steps_per_epoch, training_batches, training_plan
from kd_keras.text.token_ids import TokenIds

LENGTHS = np.random.default_rng(0).integers(0, 60, 1003)


def padding(plan: list[np.ndarray]) -> int:
    return sum(int(LENGTHS[b].max() * len(b) - LENGTHS[b].sum()) for b in plan)


@pytest.mark.parametrize("batch", [1, 8, 100, 5000])
def test_an_epoch_has_each_row_once(batch):
    plan = epoch_plan(LENGTHS, batch, seed=3, epoch=0)
    assert len(plan) == steps_per_epoch(len(LENGTHS), batch)
    assert sorted(np.concatenate(plan).tolist()) == list(range(len(LENGTHS)))
    assert max(map(len, plan)) <= batch


def test_the_order_hangs_on_seed_and_epoch_alone():
    def flat(seed, epoch):
        return np.concatenate(epoch_plan(LENGTHS, 8, seed, epoch)).tolist()

    assert flat(1, 0) == flat(1, 0)
    assert len({tuple(flat(s, e)) for s, e in itertools.product((1, 2), (0, 1))}) == 4


@pytest.mark.parametrize("start", [1, 11, 12, 13, 30])
def test_a_resumed_plan_is_the_tail_of_the_unbroken_one(start):
    lengths = LENGTHS[:95]  # 12 batches of 8 an epoch, the last one short
    whole = [b.tolist() for b in itertools.islice(training_plan(lengths, 8, 5), 40)]
    tail = [b.tolist() for b in itertools.islice(training_plan(lengths, 8, 5, start), 40 - start)]
    assert tail == whole[start:]
    assert sorted(sum(whole[12:24], [])) == list(range(95)), "the second epoch, too, has each row once"


def test_like_lengths_share_a_batch():
    shuffled = np.random.default_rng(1).permutation(len(LENGTHS))
    by_chance = [shuffled[i : i + 16] for i in range(0, len(LENGTHS), 16)]
    assert padding(epoch_plan(LENGTHS, 16, 0, 0)) < padding(by_chance) / 5
    plan = epoch_plan(LENGTHS, 16, 0, 0)
    means = [LENGTHS[b].mean() for b in plan]
    assert means != sorted(means) and means != sorted(means, reverse=True), "the batches themselves are shuffled"


def test_the_sorted_plan_begins_with_the_longest():
    plan = sorted_plan(LENGTHS, 16)
    flat = LENGTHS[np.concatenate(plan)]
    assert (np.diff(flat) <= 0).all()
    assert sorted(np.concatenate(plan).tolist()) == list(range(len(LENGTHS)))


def test_a_pairs_row_is_as_long_as_its_longer_text():
    ids = {"ids_a": TokenIds.of([[1], [1, 2, 3]]), "ids_b": TokenIds.of([[1, 2], [1]])}
    assert row_lengths(ids).tolist() == [2, 3]


def test_batches_hold_the_rows_of_the_plan_and_their_targets():
    lists = [[n + 1] * (n % 5) for n in range(21)]
    ids = {"ids": TokenIds.of(lists)}
    y = {"label": np.arange(21, dtype=np.int32), "teacher_logits": np.arange(42, dtype=np.float32).reshape(21, 2)}
    got = list(training_batches(ids, y, 4, seed=9, start_step=3).take(8))
    plan = list(itertools.islice(training_plan(ids["ids"].lengths, 4, 9, 3), 8))
    for (x, targets), rows in zip(got, plan, strict=True):
        time = max(1, *(len(lists[r]) for r in rows), 1)
        assert x["ids"].numpy().tolist() == [lists[r] + [0] * (time - len(lists[r])) for r in rows]
        assert targets["label"].numpy().tolist() == rows.tolist()
        assert targets["teacher_logits"].numpy().tolist() == [[2.0 * r, 2.0 * r + 1] for r in rows]
        assert x["ids"].dtype == "int32" and targets["teacher_logits"].dtype == "float32"
