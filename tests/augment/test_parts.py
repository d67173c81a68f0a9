"""Rows in parts, against a plain dict over all of them."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from kd_keras.augment import parts as module
from kd_keras.augment.parts import NO_ROW, Job, Made, Parts, alone
from kd_keras.common import firsts
from kd_keras.common.errors import UserError


def maker(items):
    """Items are (digest, text); one without a text is left out, and its later repeats are repeats."""
    digests, first = np.unique(np.array([d for d, _ in items], np.uint64), return_index=True)
    there = [i for i in np.sort(first).tolist() if items[i][1] is not None]
    row = np.full(len(items), NO_ROW)
    row[there] = np.arange(len(there))
    counts = Counter(seen=len(items), repeats=len(items) - len(first))
    return Made(pa.table({"text": pa.array([items[i][1] for i in there], pa.string())}), digests, row[first], counts)


def by_hand(batches, cap):
    """(texts that are kept, in order, repeats, left out)."""
    first, repeats = {}, 0
    for digest, text in (item for some in batches for item in some):
        repeats += digest in first
        first.setdefault(digest, text)
    left = {d: t for d, t in first.items() if t is not None}
    drawn = set(sorted(left)[: cap or len(left)])
    return [t for d, t in left.items() if d in drawn], repeats, len(first) - len(left)


def kept_by(folder, batches, cap, crew=alone):
    parts = Parts(folder)
    parts.begin({"of": "a test"})
    done = []
    count = parts.fill(lambda: maker, iter(batches), crew, done.append)
    assert count == len(batches) and sum(done) == sum(map(len, batches))
    kept = parts.sift(count, cap)
    return [t for rows, _ in parts.rows(kept) for t in rows["text"].to_pylist()], kept


def drawn_batches(seed, digests):
    draw = np.random.default_rng(seed)
    made = iter(range(10_000))
    return [
        [
            (int(draw.choice(digests)), f"text {next(made)}" if draw.random() < 0.8 else None)
            for _ in range(int(draw.integers(1, 40)))
        ]
        for _ in range(12)
    ]


@pytest.mark.parametrize(("together", "bits"), [(1, 16), (7, 3), (50, 1), (1 << 21, 16)])
@pytest.mark.parametrize("cap", [None, 1, 13, 60, 10_000])
def test_the_first_of_each_digest_and_the_lowest_are_kept(tmp_path, monkeypatch, together, bits, cap):
    monkeypatch.setattr(firsts, "_TOGETHER", together)
    monkeypatch.setattr(module, "_BITS", bits)
    every = np.random.default_rng(1).integers(0, 2**64, 150, dtype=np.uint64)
    every[:4] = 0, 1, 2**63, 2**64 - 1  # the ends of ranges
    for seed in range(4):
        batches = drawn_batches(seed, every)
        want, repeats, out = by_hand(batches, cap)
        texts, kept = kept_by(tmp_path / str(seed), batches, cap)
        assert texts == want and kept.count == len(want)
        assert (kept.counts["repeats"], kept.counts["left out"]) == (repeats, out)
        assert kept.counts["seen"] == sum(map(len, batches))


def test_one_text_over_and_over_and_nothing_at_all(tmp_path):
    texts, kept = kept_by(tmp_path / "a", [[(5, "a")] * 9] * 9, None)
    assert texts == ["a"] and kept.counts["repeats"] == 80
    texts, kept = kept_by(tmp_path / "b", [[(5, None)], [(5, "late"), (6, None)]], 3)
    assert texts == [] and kept.left == kept.count == 0
    texts, kept = kept_by(tmp_path / "c", [], None)
    assert texts == [] and kept.count == 0
    texts, kept = kept_by(tmp_path / "d", [[], [(1, "one")], []], None)
    assert texts == ["one"] and kept.parts == 3


def test_who_makes_which_part_and_when_changes_nothing(tmp_path):
    batches = drawn_batches(3, np.arange(60, dtype=np.uint64))

    def crew(opens, parts, jobs):
        for job in reversed(list(jobs)):
            parts.make(opens(), job)
            yield len(job.items)

    assert kept_by(tmp_path / "a", batches, 40, crew)[0] == kept_by(tmp_path / "b", batches, 40)[0]
    made = [{p.name: p.read_bytes() for p in (tmp_path / name).iterdir()} for name in "ab"]
    assert made[0] == made[1] and len(made[0]) == 2 * len(batches) + 1, "two files a part, and the key"


def test_a_killed_command_goes_on_and_another_begins_anew(tmp_path):
    batches = drawn_batches(5, np.arange(80, dtype=np.uint64))
    parts = Parts(tmp_path / "parts")
    parts.begin({"of": "a test"})
    for number in (0, 4):
        parts.make(maker, Job(number, batches[number]))
    half = tmp_path / "parts" / "part-000002.parquet"  # its digests were not written
    half.write_bytes(b"half")
    asked = []

    def crew(opens, parts, jobs):
        for job in jobs:
            asked.append(job.number)
            parts.make(opens(), job)
            yield len(job.items)

    texts, _ = kept_by(tmp_path / "parts", batches, None, crew)
    assert texts == by_hand(batches, None)[0]
    assert asked == [n for n in range(len(batches)) if n not in (0, 4)]
    parts.begin({"of": "another"})
    assert not parts.has(0) and [p.name for p in parts.folder.iterdir()] == ["key.json"]
    parts.remove()
    assert not parts.folder.exists()


def test_a_damaged_part_is_named(tmp_path):
    parts = Parts(tmp_path)
    parts.begin({})
    parts.fill(lambda: maker, [[(1, "one"), (2, "two")]], alone, lambda n: None)
    kept = parts.sift(1)
    path = tmp_path / "part-000000.parquet"
    raw = bytearray(path.read_bytes())
    raw[10] ^= 255
    path.write_bytes(raw)
    with pytest.raises(UserError, match=r"part-000000\.parquet: damaged .*delete .* and run"):
        list(parts.rows(kept))


def test_memory_has_the_digests_of_equal_first_bits(tmp_path, monkeypatch):
    draw = np.random.default_rng(2)
    batches = [[(int(d), "t") for d in draw.integers(0, 2**64, 50, dtype=np.uint64)] for _ in range(40)]
    monkeypatch.setattr(module, "_BITS", 5)
    sizes, real = [], np.partition
    monkeypatch.setattr(np, "partition", lambda digests, last: sizes.append(len(digests)) or real(digests, last))
    assert len(kept_by(tmp_path / "p", batches, 700)[0]) == 700
    assert len(sizes) == 1 and 0 < sizes[0] < 120


def test_a_damaged_part_of_a_killed_command_is_named(tmp_path):
    parts = Parts(tmp_path)
    parts.begin({})
    parts.fill(lambda: maker, [[(1, "one")], [(2, "two")]], alone, lambda n: None)
    rows, digests = tmp_path / "part-000001.parquet", tmp_path / "part-000000.npy"
    whole = rows.read_bytes()
    rows.write_bytes(whole[:-1] + b"x")
    with pytest.raises(UserError, match=r"part-000001\.parquet: damaged .*delete .* and run"):
        parts.sift(2)
    rows.write_bytes(whole)
    digests.write_bytes(digests.read_bytes()[:-5])
    with pytest.raises(UserError, match=r"part-000000\.npy: damaged"):
        parts.sift(2)
