"""Columns on disk against lists and NumPy."""

from __future__ import annotations

import errno
import math
import pickle
import tempfile
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kd_keras.common.columns import (
    DigestSet,
    JoinedArray,
    MappedArray,
    ParquetColumn,
    StringsOnDisk,
    batched,
    batched_texts,
)  # fmt: skip
from kd_keras.common.errors import UserError
from kd_keras.common.files import hash_of, hash_of_columns

WORDS = [f"wörd {n}" * (n % 3) for n in range(25)]


@pytest.fixture
def column(tmp_path):
    pq.write_table(pa.table({"a": list(range(25)), "text": WORDS}), tmp_path / "x.parquet", row_group_size=7)
    return ParquetColumn(tmp_path / "x.parquet", "text")


@pytest.fixture(params=["parquet", "temporary"])
def strings(request, column):
    if request.param == "parquet":
        return column
    return StringsOnDisk(WORDS)


def test_a_column_is_a_sequence_of_strings(strings):
    assert len(strings) == 25 and list(strings) == WORDS and strings == WORDS and strings != WORDS[1:]
    assert [strings[i] for i in (0, 24, 7, 6, -1, 13)] == [WORDS[i] for i in (0, 24, 7, 6, -1, 13)]
    for where in (
        slice(0, 7),
        slice(5, 16),
        slice(20, 99),
        slice(9, 9),
        slice(12, 3),
        slice(None),
        slice(None, None, 5),
    ):
        assert list(strings[where]) == WORDS[where], where
    with pytest.raises(IndexError):
        strings[25]


def test_a_column_goes_to_a_process_as_its_path(column):
    assert column[3] == WORDS[3]
    sent = pickle.dumps(column)
    assert len(sent) < 1000 and pickle.loads(sent) == WORDS


def test_strings_may_be_added_between_two_looks(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    strings, want = StringsOnDisk(), ["", "é", "\ud800 half", "x" * 20_000]
    for n, text in enumerate(want):
        strings.append(text)
        assert strings[0] == "" and strings[n] == text and strings[:] == want[: n + 1]
    assert len(strings) == 4 and not list(tmp_path.iterdir()), "there is no file to clear away"


def test_a_full_disk_of_temporary_files_is_named(monkeypatch):
    def full(raw):
        raise OSError(errno.ENOSPC, "No space left on device")

    strings = StringsOnDisk(["a"])
    monkeypatch.setattr(strings, "_file", SimpleNamespace(write=full))
    with pytest.raises(UserError, match="TMPDIR names another folder.*the disk is full"):
        strings.append("b")
    assert len(strings) == 1


def test_batches_hold_everything_once():
    assert list(batched(iter(range(7)), 3)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert list(batched([], 3)) == []


def test_digests_against_a_set():
    draw, seen, mine = np.random.default_rng(1), set(), DigestSet()
    for size in (5, 0, 400, 3, 90, 1000, 1):
        digests = draw.integers(0, 900, size, dtype=np.uint64)
        expected = []
        for d in digests.tolist():
            expected.append(d not in seen)
            seen.add(d)
        assert mine.add(digests).tolist() == expected


def test_arrays_on_disk_and_joined(tmp_path):
    a, b = np.arange(12.0).reshape(4, 3), np.arange(15.0).reshape(5, 3) + 100
    np.save(tmp_path / "a.npy", a)
    mapped = pickle.loads(pickle.dumps(MappedArray(tmp_path / "a.npy")))
    assert mapped.shape == (4, 3) and len(mapped) == 4 and mapped.dtype == a.dtype
    np.testing.assert_array_equal(np.asarray(mapped), a)
    np.testing.assert_array_equal(mapped[1:3], a[1:3])
    whole, joined = np.concatenate([a, b]), JoinedArray([mapped, b])
    rows = np.array([8, 0, 3, 4, 4])
    assert joined.shape == whole.shape and len(joined) == 9
    np.testing.assert_array_equal(joined[rows], whole[rows])
    some = joined.take(rows, 0).take(np.array([4, 1]), 0)
    assert some.shape == (2, 3)
    np.testing.assert_array_equal(some[np.array([1, 0])], whole[[0, 4]])


@pytest.mark.parametrize("rows", [0, 1, 9_999, 10_000, 25_000])
def test_a_hash_read_piece_by_piece_is_the_hash_of_the_whole(rows):
    text = [f'"é\\ {n}\n' for n in range(rows)]
    label = np.where(np.arange(rows) % 3, np.arange(rows), math.nan).astype(np.float32)
    for third in (None, text):
        assert hash_of_columns(text, third, label) == hash_of(text, third, label.tolist())


def test_texts_come_in_lists_of_few_letters():
    texts = ["a" * n for n in (1, 1, 1, 9, 4, 4, 4)]
    assert [list(map(len, b)) for b in batched_texts(iter(texts), 3, 8)] == [[1, 1, 1], [9], [4, 4], [4]]
    assert list(batched_texts([], 3, 8)) == []


def test_digests_are_looked_up_without_being_added():
    some = DigestSet()
    assert some.has(np.array([1, 2], np.uint64)).tolist() == [False, False]
    for start in range(0, 500, 7):
        some.add(np.arange(start, start + 5, dtype=np.uint64))
    asked = np.array([3, 5, 4, 3, 10_000, 494], np.uint64)
    assert some.has(asked).tolist() == [True, False, True, True, False, True]
    assert not some.has(np.array([5], np.uint64)).any()


def test_strings_on_disk_may_grow_between_reads():
    words = [f"wörd {n}" * (n % 3) for n in range(9000)]
    strings = StringsOnDisk()
    for n, word in enumerate(words):
        strings.append(word)
        if n % 1500 in (0, 7):
            assert strings[n // 2] == words[n // 2] and strings[-1] == word and len(strings) == n + 1
    assert list(strings) == words and strings[4000:4200] == words[4000:4200]
