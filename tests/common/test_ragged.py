"""Ragged rows, and the .npy files that they and others are written into piece by piece."""

from __future__ import annotations

import numpy as np
import pytest

from kd_keras.common.columns import MappedArray
from kd_keras.common.npy import NpyWriter, put_rows
from kd_keras.common.ragged import Ragged

LISTS = [[1, 2, 3], [], [4], [5, 6]]


def test_rows_are_as_they_were_given():
    rows = Ragged.of([np.array(r, np.float16) for r in LISTS])
    assert len(rows) == 4 and rows.dtype == np.float16
    assert [rows[i].tolist() for i in range(4)] == LISTS
    some = rows.take(np.array([3, 0, 3, 1]))
    assert [some[i].tolist() for i in range(4)] == [LISTS[3], LISTS[0], LISTS[3], []]
    assert some.values is rows.values and some.flat().tolist() == [5, 6, 1, 2, 3, 5, 6]
    assert rows.take(np.array([], int)).flat().shape == (0,)


def test_an_item_may_be_a_vector():
    rows = Ragged.cut(np.arange(12.0).reshape(6, 2), np.array([2, 0, 4]))
    assert rows[0].tolist() == [[0, 1], [2, 3]] and rows[1].shape == (0, 2) and rows[2].shape == (4, 2)
    assert rows.take(np.array([2, 1])).flat().tolist() == np.arange(4.0, 12).reshape(4, 2).tolist()


def test_lengths_that_do_not_add_up_are_refused():
    with pytest.raises(ValueError, match="lengths add up to 5 values, but there are 6"):
        Ragged.cut(np.zeros(6), np.array([2, 3]))


@pytest.mark.parametrize("width", [None, 3])
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_a_file_grows_at_its_end(tmp_path, dtype, width):
    parts = [np.random.default_rng(n).normal(size=(n, width or 1)).astype(dtype) for n in (4, 0, 120_000)]
    parts = [p[:, 0] if width is None else p for p in parts]
    with NpyWriter(tmp_path / "a.npy", dtype, width) as out:
        assert [out.add(p) for p in parts] == [0, 4, 4]
        with pytest.raises(ValueError, match="items of shape"):
            out.add(np.zeros((2, 7), dtype))
        with pytest.raises(ValueError, match="expected float"):
            out.add(parts[0].astype(np.float64))
    got = MappedArray(tmp_path / "a.npy")
    assert got.dtype == dtype and np.asarray(got).tobytes() == np.concatenate(parts).tobytes()
    assert got.shape == (120_004,) if width is None else (120_004, width)


def test_a_file_that_nothing_was_added_to(tmp_path):
    with NpyWriter(tmp_path / "a.npy", np.float16, 5):
        pass
    assert np.load(tmp_path / "a.npy").shape == MappedArray(tmp_path / "a.npy").shape == (0, 5)


def test_rows_are_put_into_their_places(tmp_path):
    path, want = tmp_path / "a.npy", np.random.default_rng(0).normal(size=(6, 2)).astype(np.float16)
    for where in ([4, 0], [5, 1, 2], [3]):
        put_rows(path, np.array(where), want[where], 6)
    assert np.load(path).dtype == np.float16 and (np.load(path) == want).all()
