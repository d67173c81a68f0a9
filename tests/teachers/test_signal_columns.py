"""Columns of signals, of rows and of tokens, through write and read: made-up ones, as no teacher makes the latter yet."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from kd_keras.common.columns import MappedArray
from kd_keras.common.errors import UserError
from kd_keras.common.ragged import Ragged
from kd_keras.tasks import Rows
from kd_keras.teachers import signal_columns
from kd_keras.teachers.signal_columns import DTYPES, Column
from kd_keras.teachers.signals import SignalStore

COUNTS = [3, 0, 1, 5, 0, 2, 4]  # values or vectors of each text
TEXTS = [f"text {n}" for n in range(7)]
# Some texts twice, not in the store's order.
ORDER = [6, 1, 1, 3, 0, 5, 2, 4, 3]
ROWS = Rows([f"r-{n}" for n in range(9)], [TEXTS[n] for n in ORDER], None, np.zeros(9, np.int32))


def ragged(dtype: str, width: int | None = None, counts=COUNTS) -> Ragged:
    draw = np.random.default_rng(len(dtype))
    return Ragged.of([draw.normal(size=(n,) if width is None else (n, width)).astype(dtype) for n in counts])


def write(folder, values: dict, kinds: dict[str, Column], size: int = 3) -> SignalStore:
    """The store of all TEXTS in shards of ``size`` texts."""
    store = SignalStore(folder)
    store.begin({"teacher": "made up", "columns": signal_columns.to_json(kinds)})
    texts = Rows([f"t-{n}" for n in range(7)], TEXTS, None, np.zeros(7, np.int32))
    starts = range(0, 7, size)
    for n, start in enumerate(starts):
        where = np.arange(start, min(start + size, 7))
        part = {k: v.take(where) if isinstance(v, Ragged) else v[where] for k, v in values.items()}
        store.write_shard(n, [texts.ids[i] for i in where], texts.text_hashes()[where], part)
    store.finish(len(starts))
    return store


LOGITS = np.arange(14, dtype=np.float32).reshape(7, 2)
ROW = {"logits": Column("row", "float32")}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("width", [None, 3])
def test_token_columns_come_in_the_order_of_the_rows(tmp_path, dtype, width):
    given = ragged(dtype, width)
    store = write(tmp_path, {"logits": LOGITS, "words": given}, ROW | {"words": Column("token", dtype)})
    got = store.read(ROWS)
    assert got.logits.tolist() == LOGITS[ORDER].tolist() and got.hidden is None
    words = got.more["words"]
    assert words.dtype == dtype and isinstance(words.values, MappedArray) and len(words) == 9
    for i, n in enumerate(ORDER):
        assert words[i].shape == given[n].shape and words[i].tobytes() == given[n].tobytes()
    assert len(words.values) == sum(COUNTS), "a text's values lie there once"
    assert set(store.read(ROWS, with_hidden=False).more) == set()


@pytest.mark.parametrize("width", [None, 3])
def test_texts_that_all_have_no_token(tmp_path, width):
    given = ragged("float16", width, [0] * 7)
    store = write(tmp_path, {"logits": LOGITS, "words": given}, ROW | {"words": Column("token", "float16")})
    words = store.read(ROWS).more["words"]
    assert words.lengths.tolist() == [0] * 9 and words[4].shape == ((0,) if width is None else (0, 3))


@pytest.mark.parametrize("dtype", DTYPES)
def test_any_row_column_is_put_in_order_on_disk(tmp_path, dtype):
    given = np.random.default_rng(0).normal(size=(7, 5)).astype(dtype)
    kinds = ROW | {"hidden": Column("row", dtype), "more": Column("row", dtype)}
    got = write(tmp_path, {"logits": LOGITS, "hidden": given, "more": given + 1}, kinds).read(ROWS)
    assert (got.hidden[:] == given[ORDER]).all() and (got.more["more"][:] == given[ORDER] + 1).all()
    assert got.hidden.dtype == got.more["more"].dtype == dtype
    assert sorted(p.name for p in tmp_path.glob("*.npy")) == ["hidden.npy", "more.npy"]


def test_values_are_rounded_to_the_columns_dtype():
    column = Column("token", "float16")
    third = Ragged.of([np.array([1 / 3, 2.0])])
    back = column.decode(pa.chunked_array([column.encode(third)]))
    assert back[0].tolist() == [float(np.float16(1 / 3)), 2.0] and back.dtype == np.float16


@pytest.mark.parametrize(
    "kind, values, message",
    [
        ("row", Ragged.of([np.ones(2)]), "a row column of Ragged"),
        ("token", np.ones((2, 2)), "a token column of ndarray"),
        ("row", np.ones(3), r"a row column of shape \(3,\)"),
        ("token", Ragged.of([np.ones((2, 2, 2))]), r"a token column of shape \(2, 2, 2\)"),
    ],
)
def test_values_of_another_kind_are_refused(kind, values, message):
    with pytest.raises(ValueError, match=message):
        Column(kind, "float32").encode(values)


def test_a_kind_or_a_dtype_that_is_none():
    for wrong in (("cell", "float32"), ("row", "float64")):
        with pytest.raises(ValueError, match=f"{wrong[0]}.*{wrong[1]}.*: expected one of"):
            Column(*wrong)


def test_other_columns_than_the_manifests_are_refused(tmp_path):
    store = SignalStore(tmp_path)
    store.begin({"columns": signal_columns.to_json(ROW)})
    with pytest.raises(ValueError, match=r"columns \['hidden'\], but the manifest has \['logits'\]"):
        store.write_shard(0, ["a"], np.zeros(1, np.uint64), {"hidden": np.ones((1, 2))})


@pytest.mark.parametrize("damage", ["flip", "truncate", "delete"])
def test_a_damaged_file_of_token_columns_is_named(tmp_path, damage):
    store = write(tmp_path, {"logits": LOGITS, "words": ragged("float16")}, ROW | {"words": Column("token", "float16")})
    raw = bytearray(store.shard(1).read_bytes())
    raw[len(raw) // 3] ^= 0xFF
    store.shard(1).unlink()
    if damage != "delete":
        store.shard(1).write_bytes(raw if damage == "flip" else raw[:-9])
    with pytest.raises(UserError, match=r"shard-00001\.parquet: damaged or missing Parquet shard .*only its texts"):
        store.read(ROWS)
    assert not list(tmp_path.glob("*.npy")) and not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    "kinds, message",
    [
        ({"words": Column("token", "float32")}, "column words: expected a token column of float32 .*halffloat"),
        ({"words": Column("row", "float16")}, "column words: expected a row column of float16 .*list<"),
        ({"words": Column("token", "float16"), "states": Column("row", "float16")}, "damaged Parquet shard"),
    ],
)
def test_a_file_with_other_columns_than_its_manifest_is_refused(tmp_path, kinds, message):
    right = ROW | {"words": Column("token", "float16")}
    store = write(tmp_path, {"logits": LOGITS, "words": ragged("float16")}, right)
    (tmp_path / "manifest.json").unlink()
    (tmp_path / "complete.json").rename(tmp_path / "kept")
    shards = [p.rename(tmp_path / f"{n}.kept") for n, p in enumerate(sorted(tmp_path.glob("*.parquet")))]
    store.begin({"columns": signal_columns.to_json(ROW | kinds)})
    for n, p in enumerate(shards):
        p.rename(store.shard(n))
    (tmp_path / "kept").rename(tmp_path / "complete.json")
    with pytest.raises(UserError, match=rf"shard-00000\.parquet: .*{message}"):
        store.read(ROWS)
    assert not list(tmp_path.glob("*.npy"))


def test_gaps_in_a_column_are_refused():
    with pytest.raises(ValueError, match="without gaps"):
        Column("token", "float32").decode(pa.chunked_array([pa.array([[1.0], None], pa.list_(pa.float32()))]))


def test_a_folder_with_a_colon_is_no_address(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = write("exp:1/a%20[b] #", {"logits": LOGITS}, ROW)
    assert store.read(ROWS).logits.tolist() == LOGITS[ORDER].tolist()
