"""Teacher signals: right order, each text once, resumed bit for bit, refused where anything differs."""

from __future__ import annotations

import errno
import json
import os
import re
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from kd_keras.common import machine
from kd_keras.common.errors import UserError
from kd_keras.tasks import Rows
from kd_keras.teachers import labelling, precision, signals
from kd_keras.teachers.bert import Teacher
from kd_keras.teachers.labelling import label
from kd_keras.teachers.settings import LabelSettings
from kd_keras.teachers.signals import SignalStore, text_hash

SETTINGS = LabelSettings(shard_rows=8, label_batch_tokens=48)


@pytest.fixture(scope="module")
def teacher(make_teacher):
    return make_teacher()


@pytest.fixture(scope="module")
def rows(toy_rows) -> Rows:
    made = toy_rows(30)
    return Rows(made.ids, [*made.text[:27], made.text[0], made.text[0], ""], None, made.label)


@pytest.fixture
def calls(monkeypatch):
    """How many texts each forward pass took."""
    taken: list[int] = []
    real = Teacher.predict_batch

    def count(self, batch, cls_only=False):
        taken.append(len(batch["input_ids"]))
        return real(self, batch, cls_only)

    monkeypatch.setattr(Teacher, "predict_batch", count)
    return taken


def run(teacher, rows, folder, settings=SETTINGS, **kwargs):
    return label(teacher, rows, folder, settings, "toy", "train", **kwargs)


def stored(folder) -> dict[str, list]:
    tables = [pq.read_table(p).to_pydict() for p in sorted(folder.glob("*.parquet"))]
    return {k: [v for t in tables for v in t[k]] for k in tables[0]}


def test_logits_come_in_the_order_of_the_rows(teacher, rows, tmp_path):
    got = run(teacher, rows, tmp_path / "s")
    want = np.concatenate([teacher([t]) for t in rows.text])
    np.testing.assert_allclose(got.logits, want, atol=1e-5)
    assert got.logits.dtype == np.float32 and got.hidden is None
    assert np.abs(want[0] - want[1]).max() > 1e-3
    backwards = rows.take(np.arange(len(rows))[::-1])
    again = SignalStore(tmp_path / "s").read(backwards)
    assert (again.logits == got.logits[::-1]).all()


def test_what_is_stored_is_id_hash_and_logits(teacher, rows, tmp_path):
    got = run(teacher, rows, tmp_path / "s")
    table = stored(tmp_path / "s")
    assert sorted(table["id"]) == sorted(rows.ids)
    by_id = dict(zip(rows.ids, rows.text, strict=True))
    assert table["text_hash"] == [text_hash(by_id[i]) for i in table["id"]]
    logits = dict(zip(table["id"], table["logits"], strict=True))
    assert np.array([logits[i] for i in rows.ids], np.float32).tolist() == got.logits.tolist()
    complete = json.loads((tmp_path / "s" / "complete.json").read_text())
    assert complete["rows"] == 30 and len(complete["shards"]) == len(list((tmp_path / "s").glob("*.parquet"))) > 2


def test_each_distinct_text_is_labelled_once(teacher, rows, tmp_path, calls):
    got = run(teacher, rows, tmp_path / "s")
    assert sum(calls) == len(set(rows.text)) < len(rows)
    same = [i for i, t in enumerate(rows.text) if t == rows.text[0]]
    assert len(same) >= 3 and (got.logits[same] == got.logits[0]).all()
    assert max(calls) * 4 <= 48
    before = len(calls)
    again = run(teacher, rows, tmp_path / "s")
    assert len(calls) == before and (again.logits == got.logits).all()


def test_a_pairs_second_text_counts():
    assert text_hash("a", "b") != text_hash("a") != text_hash("a", "")
    assert text_hash("a b", "c") != text_hash("a", "b c")
    assert re.fullmatch("[0-9a-f]{16}", text_hash("\ud800"))


@pytest.mark.parametrize("after", [1, 2])
def test_a_crash_between_shards_costs_no_finished_shard_and_no_bit(teacher, rows, tmp_path, monkeypatch, calls, after):
    whole = run(teacher, rows, tmp_path / "whole")
    texts = sum(calls)
    calls.clear()
    real = SignalStore.write_shard

    def die(self, number, *args):
        if number == after:
            raise KeyboardInterrupt
        real(self, number, *args)

    with monkeypatch.context() as patch:
        patch.setattr(SignalStore, "write_shard", die)
        with pytest.raises(KeyboardInterrupt):
            run(teacher, rows, tmp_path / "s")
    kept = {p: p.stat().st_mtime_ns for p in (tmp_path / "s").glob("*.parquet")}
    assert len(kept) == after
    with pytest.raises(UserError, match=r"labelling did not end \(complete.json is missing\)"):
        SignalStore(tmp_path / "s").read(rows)
    in_shards = sum(len(set(pq.read_table(p)["text_hash"].to_pylist())) for p in kept)
    calls.clear()
    resumed = run(teacher, rows, tmp_path / "s")
    assert sum(calls) == texts - in_shards
    assert {p: p.stat().st_mtime_ns for p in kept} == kept
    assert resumed.logits.tobytes() == whole.logits.tobytes()
    for p in sorted((tmp_path / "whole").iterdir()):
        assert p.read_bytes() == (tmp_path / "s" / p.name).read_bytes(), p.name


@pytest.mark.parametrize("damage", ["flip", "truncate", "empty", "delete"])
def test_a_damaged_shard_is_named_and_only_it_is_made_again(teacher, rows, tmp_path, calls, damage):
    whole = run(teacher, rows, tmp_path / "s")
    path = tmp_path / "s" / "shard-00001.parquet"
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 3] ^= 0xFF
    damaged = {"flip": bytes(raw), "truncate": path.read_bytes()[:-30], "empty": b""}
    path.write_bytes(damaged[damage]) if damage != "delete" else path.unlink()
    for again in (lambda: run(teacher, rows, tmp_path / "s"), lambda: SignalStore(tmp_path / "s").read(rows)):
        with pytest.raises(UserError, match=r"shard-00001\.parquet: damaged or missing Parquet shard") as error:
            again()
        assert "\n" not in str(error.value)
    path.unlink(missing_ok=True)
    (tmp_path / "s" / "complete.json").unlink()  # as the message asks
    calls.clear()
    mended = run(teacher, rows, tmp_path / "s")
    assert 0 < sum(calls) <= 16 and (mended.logits == whole.logits).all()


@pytest.mark.parametrize("damage", ["flip", "truncate"])
def test_a_damaged_shard_stops_a_resumed_run_before_it_labels(teacher, rows, tmp_path, calls, damage):
    run(teacher, rows, tmp_path / "s")
    (tmp_path / "s" / "complete.json").unlink()
    (tmp_path / "s" / "shard-00002.parquet").unlink()
    path = tmp_path / "s" / "shard-00000.parquet"
    raw = bytearray(path.read_bytes())
    if damage == "flip":
        raw[60] ^= 0xFF
    path.write_bytes(bytes(raw[:-20] if damage == "truncate" else raw))
    calls.clear()
    with pytest.raises(UserError, match=r"shard-00000\.parquet: damaged Parquet shard .* delete this file") as error:
        run(teacher, rows, tmp_path / "s")
    assert not calls and "\n" not in str(error.value)


def test_signals_of_anything_else_are_refused(teacher, make_teacher, rows, tmp_path):
    run(teacher, rows, tmp_path / "s")
    changed = Rows(rows.ids, ["other", *rows.text[1:]], None, rows.label)
    renamed = Rows(["x", *rows.ids[1:]], rows.text, None, rows.label)
    for call, message in [
        (lambda: run(make_teacher(seed=2), rows, tmp_path / "s"), r"signals from another teacher \(teacher.weights: "),
        (lambda: run(teacher, changed, tmp_path / "s"), r"signals from another text or setting \(data: "),
        (lambda: run(teacher, rows, tmp_path / "s", replace(SETTINGS, hidden="cls")), "another text or setting"),
        (lambda: SignalStore(tmp_path / "s").read(changed), "signal of row 'train-0' was made for another text"),
        (lambda: SignalStore(tmp_path / "s").read(renamed), "no signal for row 'x'; these are signals of other data"),
        (lambda: SignalStore(tmp_path / "none").read(rows), r"no teacher signals here \(no manifest.json\)"),
    ]:
        with pytest.raises(UserError, match=message) as error:
            call()
        assert "\n" not in str(error.value)
    assert len(run(teacher, rows, tmp_path / "s").logits) == 30, "the refusals left the store as it was"


def test_a_full_disk_leaves_no_half_shard_and_a_rerun_ends(teacher, rows, tmp_path, monkeypatch, calls):
    whole = run(teacher, rows, tmp_path / "whole")
    texts = sum(calls)
    real = pq.write_table

    def full(table, where, **kwargs):
        if "shard-00001" not in str(where):
            return real(table, where, **kwargs)
        real(table, where, **kwargs)
        with open(where, "rb+") as f:
            f.truncate(os.path.getsize(where) // 2)
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(signals.pq, "write_table", full)
        with pytest.raises(UserError, match=r"shard-00001\.parquet: the disk is full .* run the same command"):
            run(teacher, rows, tmp_path / "s")
    assert sorted(os.listdir(tmp_path / "s")) == ["manifest.json", "shard-00000.parquet"]
    calls.clear()
    assert (run(teacher, rows, tmp_path / "s").logits == whole.logits).all()
    assert 0 < sum(calls) < texts


def test_signals_are_taken_from_another_run_only_where_they_fit(teacher, make_teacher, rows, tmp_path, calls):
    first = run(teacher, rows, tmp_path / "a")
    calls.clear()
    taken = run(teacher, rows, tmp_path / "b", known=[tmp_path / "none", tmp_path / "a"])
    assert not calls and (taken.logits == first.logits).all()
    other = make_teacher(seed=2)
    run(other, rows, tmp_path / "c", known=[tmp_path / "a"])
    assert calls, "another teacher's signals must not be taken"
    with pytest.raises(UserError, match="signals from another teacher"):
        run(other, rows, tmp_path / "d", known=[tmp_path / "a"], must_be_known=True)
    assert not (tmp_path / "d").exists()
    path = tmp_path / "a" / "shard-00000.parquet"
    raw = path.read_bytes()
    path.unlink()
    path.write_bytes(raw[:-1])
    calls.clear()
    assert (run(teacher, rows, tmp_path / "e", known=[tmp_path / "a"]).logits == first.logits).all() and calls


def test_shards_of_another_plan_stop_a_resumed_run(teacher, rows, tmp_path, calls):
    run(teacher, rows, tmp_path / "s")
    (tmp_path / "s" / "complete.json").unlink()
    first, second = (tmp_path / "s" / f"shard-0000{n}.parquet" for n in (0, 1))
    second.write_bytes(first.read_bytes())
    calls.clear()
    with pytest.raises(UserError, match=r"shard-00001\.parquet: holds other rows .* delete the folder"):
        run(teacher, rows, tmp_path / "s")
    assert not calls


@pytest.mark.parametrize("layer", [-1, 0, 1])
@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_hidden_states_are_stored_as_half_floats(teacher, rows, tmp_path, pooling, layer):
    got = run(teacher, rows, tmp_path / "s", replace(SETTINGS, hidden=pooling, hidden_layer=layer))
    assert got.hidden.dtype == np.float16 and got.hidden.shape == (30, 16)
    assert pq.read_table(tmp_path / "s" / "shard-00000.parquet")["hidden"].type.value_type == "halffloat"
    for i in (0, 7, 29):
        encoded = teacher.encode(rows.take([i]))
        states = teacher.predict_batch(encoded.batch(np.array([0])))[f"hidden_{2 if layer == -1 else layer}"].numpy()[0]
        real = states[: encoded.ids.lengths[0]]
        want = real[0] if pooling == "cls" else real.mean(0)
        np.testing.assert_allclose(got.hidden[i], want, rtol=2e-3, atol=2e-3)
    distinct = {h.tobytes() for h in np.asarray(got.hidden).round(2)}
    assert len(distinct) > 5 or (pooling, layer) == ("cls", 0)


def test_a_layer_that_is_not_there_is_refused(teacher, rows, tmp_path):
    with pytest.raises(UserError, match="--hidden_layer=3: the teacher has layers 0 to 2"):
        run(teacher, rows, tmp_path / "s", replace(SETTINGS, hidden="cls", hidden_layer=3))
    assert not (tmp_path / "s").exists()


def test_the_plan_has_each_text_once_and_never_changes():
    lengths = np.random.default_rng(0).integers(2, 20, 100)
    shards = labelling.plan(lengths, SETTINGS)
    flat = np.concatenate([b for s in shards for b in s])
    assert sorted(flat.tolist()) == list(range(100))
    assert flat.tolist() == np.concatenate([b for s in labelling.plan(lengths, SETTINGS) for b in s]).tolist()
    assert all(sum(map(len, s)) >= 8 for s in shards[:-1])


def test_bfloat16_labels_are_near_and_say_what_they_are(teacher, rows, tmp_path, capsys):
    lower = replace(SETTINGS, label_precision="bfloat16")
    whole, rough = run(teacher, rows, tmp_path / "whole"), run(teacher, rows, tmp_path / "rough", lower)
    moved = np.abs(rough.logits - whole.logits)
    assert 0 < moved.max() < 0.05 * np.abs(whole.logits).max() and rough.logits.dtype == np.float32
    assert (rough.logits.argmax(-1) == whole.logits.argmax(-1)).all()
    said = capsys.readouterr().err
    assert "labels in bfloat16: of " in said and " 100.00% get float32's label, logits differ by 0.0" in said
    assert "precision" not in whole.manifest and rough.manifest["precision"] == "bfloat16"
    with pytest.raises(UserError, match="precision"):
        run(teacher, rows, tmp_path / "whole", lower)


@pytest.mark.parametrize("bound, value", [("AGREEMENT", 1.01), ("DRIFT", 1e-9)])
def test_bfloat16_that_moves_labels_is_refused(teacher, rows, tmp_path, monkeypatch, bound, value):
    monkeypatch.setattr(precision, bound, value)
    with pytest.raises(UserError, match=r"get float32's label, .*; take --label_precision=float32"):
        run(teacher, rows, tmp_path / "s", replace(SETTINGS, label_precision="bfloat16"))
    assert not (tmp_path / "s").exists()
    assert len(run(teacher, rows, tmp_path / "s").logits) == len(rows)  # as advised, in the same folder


def test_a_processor_without_bfloat16_is_told(monkeypatch, tmp_path):
    lower = replace(SETTINGS, label_precision="bfloat16")
    for words, has in (("avx2 fma", False), ("avx2 avx512_bf16 fma", True), ("amx_bf16", True)):
        (tmp_path / "cpuinfo").write_text(f"processor : 0\nmodel name : bf16 9000\nflags\t\t: {words}\n\n")
        monkeypatch.setattr(machine, "Path", lambda _: tmp_path / "cpuinfo")
        assert machine.has_bfloat16() == has
        if has:
            lower.check_machine()
        else:
            SETTINGS.check_machine()
            with pytest.raises(UserError, match="--label_precision=bfloat16: this processor has none"):
                lower.check_machine()
