"""Signals in format 1, as the program wrote them until November 2026 (commit bb1f063), are read as they were.

``signals-format-1`` has those of ROWS, four texts a shard at least, with the [CLS] state of a random BERT of width 4.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from kd_keras.common.errors import UserError
from kd_keras.tasks import Rows
from kd_keras.teachers.bert import Teacher
from kd_keras.teachers.labelling import label
from kd_keras.teachers.settings import LabelSettings
from kd_keras.teachers.signals import SignalStore

KEPT = Path(__file__).with_name("signals-format-1")
SETTINGS = LabelSettings(hidden="cls", shard_rows=4, label_batch_tokens=32)
TEXTS = (
    "a good film", "the plot is dull .", "very fine", "", "a good film", "lovely and very good", "awful film",
    "the film", "the plot is dull .", "bad", "a good film", "is the film very very fine and good .",
)  # fmt: skip
ROWS = Rows([f"train-{n}" for n in range(12)], TEXTS, None, np.arange(12, dtype=np.int32) % 2)


@pytest.fixture(scope="module")
def teacher(make_teacher):
    return make_teacher(hidden_size=4)


@pytest.fixture
def store(teacher, tmp_path, monkeypatch) -> SignalStore:
    """A copy that this teacher made, whatever machine this is; nothing may be labeled."""
    folder = tmp_path / "run" / "train"
    shutil.copytree(KEPT, folder)
    made = json.loads((folder / "manifest.json").read_text())
    assert made["format"] == 1
    (folder / "manifest.json").write_text(json.dumps(made | {"teacher": teacher.fingerprint()}))
    monkeypatch.setattr(Teacher, "predict_batch", lambda *a: pytest.fail("labeled again"))
    return SignalStore(folder)


def stored(column: str) -> dict[str, list[float]]:
    """By row."""
    tables = [pq.read_table(p).to_pydict() for p in sorted(KEPT.glob("*.parquet"))]
    return {i: v for t in tables for i, v in zip(t["id"], t[column], strict=True)}


def test_they_are_found_and_have_every_row(teacher, store):
    got = label(teacher, ROWS, store.folder, SETTINGS, "toy", "train")
    logits, hidden = stored("logits"), stored("hidden")
    assert len(logits) == 12 and got.logits.dtype == np.float32 and got.hidden.dtype == np.float16
    assert got.logits.tolist() == [logits[i] for i in ROWS.ids]
    assert got.hidden[:].tolist() == [hidden[i] for i in ROWS.ids]
    assert got.manifest["data"] == ROWS.fingerprint() and got.more == {}
    assert json.loads((store.folder / "manifest.json").read_text())["format"] == 1, "nothing is written anew"


def test_this_teacher_gives_them_still(teacher, tmp_path):
    got = label(teacher, ROWS, tmp_path / "new", SETTINGS, "toy", "train")
    np.testing.assert_allclose(got.logits, [stored("logits")[i] for i in ROWS.ids], atol=1e-4)
    np.testing.assert_allclose(got.hidden, [stored("hidden")[i] for i in ROWS.ids], atol=5e-3)


def test_another_run_takes_them(teacher, store, tmp_path):
    got = label(teacher, ROWS, tmp_path / "b" / "train", SETTINGS, "toy", "train", known=[store.folder])
    assert got.logits.tolist() == [stored("logits")[i] for i in ROWS.ids]
    assert {p.name for p in (tmp_path / "b" / "train").iterdir()} == {p.name for p in KEPT.iterdir()} | {"hidden.npy"}


def test_those_of_anything_else_are_refused(teacher, make_teacher, store):
    other = Rows(ROWS.ids, ("new", *TEXTS[1:]), None, ROWS.label)
    with pytest.raises(UserError, match="signal of row 'train-0' was made for another text"):
        store.read(other)
    with pytest.raises(UserError, match="signals from another text or setting \\(data"):
        label(teacher, other, store.folder, SETTINGS, "toy", "train")
    with pytest.raises(UserError, match="signals from another teacher"):
        label(make_teacher(hidden_size=4, seed=2), ROWS, store.folder, SETTINGS, "toy", "train")
    with pytest.raises(UserError, match="hidden: .* columns.hidden: "):
        label(teacher, ROWS, store.folder, LabelSettings(shard_rows=4, label_batch_tokens=32), "toy", "train")


def test_half_of_them_is_refused_with_what_to_do(teacher, store):
    (store.folder / "complete.json").unlink()
    with pytest.raises(UserError, match="an earlier version .* began to label here.*; delete the folder and run"):
        label(teacher, ROWS, store.folder, SETTINGS, "toy", "train")


def test_a_damaged_shard_of_them_is_named_with_what_to_do(store):
    store.shard(1).write_bytes(store.shard(0).read_bytes())
    with pytest.raises(
        UserError, match=r"shard-00001.parquet: damaged or missing .*; an earlier version made it: delete .*train and"
    ):
        store.read(ROWS)
