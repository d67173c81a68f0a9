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
from kd_keras.tasks import Rows, text_hash
from kd_keras.teachers import distinct, encoded, labelling, precision, signals
from kd_keras.teachers.bert import Teacher
from kd_keras.teachers.labelling import label
from kd_keras.teachers.settings import LabelSettings
from kd_keras.teachers.signals import SignalStore

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
    texts = list(dict.fromkeys(rows.text))
    first = [rows.text.index(t) for t in texts]
    assert len(texts) < 30 and table["id"] == [rows.ids[i] for i in first], "the first row of each text, in order"
    assert table["text_hash"] == [text_hash(t) for t in texts]
    assert np.array(table["logits"], np.float32).tolist() == got.logits[first].tolist()
    complete = json.loads((tmp_path / "s" / "complete.json").read_text())
    sizes = [8] * (len(texts) // 8) + [len(texts) % 8]
    assert [shard["texts"] for shard in complete["shards"]] == sizes and complete["texts"] == len(texts)
    assert len(list((tmp_path / "s").glob("*.parquet"))) == len(sizes) > 2
    assert got.manifest["columns"] == {"logits": {"kind": "row", "dtype": "float32"}}


def test_a_shard_is_a_function_of_its_texts_alone(teacher, rows, tmp_path):
    hidden = replace(SETTINGS, hidden="mean")
    run(teacher, rows, tmp_path / "s", hidden)
    texts = list(dict.fromkeys(rows.text))[8:16]
    made = labelling.label_shard(teacher, texts, hidden)
    table = SignalStore(tmp_path / "s").read_shard(1).to_pydict()
    assert {n: (v.dtype, v.shape) for n, v in made.items()} == {"logits": ("f4", (8, 2)), "hidden": ("f2", (8, 16))}
    for name in made:
        assert np.array(table[name], made[name].dtype).tobytes() == made[name].tobytes()
    # Rows before and behind it, and rows that repeat its texts, change nothing in its file.
    more = Rows([f"new-{n}" for n in range(16)], [*texts, *texts], None, np.zeros(16, np.int32))
    run(teacher, more, tmp_path / "more", hidden)
    again = SignalStore(tmp_path / "more").read_shard(0).to_pydict()
    assert again | {"id": None} == table | {"id": None} and len(list((tmp_path / "more").glob("*.parquet"))) == 1


def test_memory_holds_one_shard_of_text_at_a_time(teacher, tmp_path, monkeypatch):
    """Text that stays on disk is read in order, a shard's at a time."""
    asked, counts = [], []

    class Text(list):
        def __getitem__(self, i):
            asked.append(i)
            return list.__getitem__(self, i)

    real = labelling.label_shard

    def shard(teacher, texts, *args):
        counts.append((len(texts), asked[-1]))
        return real(teacher, texts, *args)

    monkeypatch.setattr(labelling, "label_shard", shard)
    monkeypatch.setattr(distinct, "_BLOCK", 10)
    texts = Text([f"{a} {b}" for a in ("good", "bad", "dull") for b in ("film", "plot", "a", "the", "is", "very", ".")])
    rows = Rows([str(n) for n in range(21)], texts, None, np.zeros(21, np.int32))
    rows.fingerprint()
    asked.clear()
    labelling.make(teacher, rows, SignalStore(tmp_path / "s"), SETTINGS, "toy", "train")
    assert asked == [slice(0, 10), slice(10, 20), slice(20, 30), *range(21)], "once for the hashes, once for shards"
    assert counts == [(8, 7), (8, 15), (5, 20)]


def test_no_rows_have_no_signals(teacher, rows, tmp_path):
    got = run(teacher, rows.take([]), tmp_path / "s", replace(SETTINGS, hidden="cls"))
    assert len(got.logits) == len(got.hidden) == 0


def test_each_distinct_text_is_labelled_once(teacher, rows, tmp_path, calls, capsys):
    got = run(teacher, rows, tmp_path / "s")
    assert sum(calls) == len(set(rows.text)) < len(rows)
    same = [i for i, t in enumerate(rows.text) if t == rows.text[0]]
    assert len(same) >= 3 and (got.logits[same] == got.logits[0]).all()
    assert max(calls) * 4 <= 48
    twice = len(rows) - len(set(rows.text))
    said = f"; {twice} rows have the very text of an earlier row of train, which the teacher read once\n"
    assert f"signals (train): {len(rows)} rows{said}" in capsys.readouterr().err
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
    with pytest.raises(UserError, match=r"labeling did not end \(complete.json is missing\)"):
        SignalStore(tmp_path / "s").read(rows)
    calls.clear()
    resumed = run(teacher, rows, tmp_path / "s")
    assert sum(calls) == texts - 8 * after
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
    assert sum(calls) == 8 and (mended.logits == whole.logits).all()


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
    with pytest.raises(
        UserError, match=r"shard-00000\.parquet: damaged Parquet shard .* delete it and complete"
    ) as error:
        run(teacher, rows, tmp_path / "s")
    assert not calls and "\n" not in str(error.value)


def test_signals_of_anything_else_are_refused(teacher, make_teacher, rows, tmp_path):
    run(teacher, rows, tmp_path / "s")
    changed = Rows(rows.ids, ["other", *rows.text[1:]], None, rows.label)
    more = Rows(["x", *rows.ids], ["new", *rows.text], None, np.zeros(31, np.int32))
    for call, message in [
        (lambda: run(make_teacher(seed=2), rows, tmp_path / "s"), r"signals from another teacher \(teacher.weights: "),
        (lambda: run(teacher, changed, tmp_path / "s"), r"signals from another text or setting \(data: "),
        (lambda: run(teacher, rows, tmp_path / "s", replace(SETTINGS, hidden="cls")), "another text or setting"),
        (lambda: SignalStore(tmp_path / "s").read(changed), "signal of row 'train-0' was made for another text"),
        (lambda: SignalStore(tmp_path / "s").read(more), "no signal for row 'x'; these are signals of other data"),
        (lambda: SignalStore(tmp_path / "none").read(rows), r"no teacher signals here \(no manifest.json\)"),
    ]:
        with pytest.raises(UserError, match=message) as error:
            call()
        assert "\n" not in str(error.value)
    whole = run(teacher, rows, tmp_path / "s").logits
    assert len(whole) == 30, "the refusals left the store as it was"
    renamed = Rows([f"x-{i}" for i in range(30)], rows.text[::-1], None, rows.label)
    assert (SignalStore(tmp_path / "s").read(renamed).logits == whole[::-1]).all(), "a signal belongs to its text"


def test_a_manifest_that_is_none_is_refused(teacher, rows, tmp_path):
    run(teacher, rows, tmp_path / "s")
    path = tmp_path / "s" / "manifest.json"
    good = json.loads(path.read_text())
    for bad, message in [
        ([], r"expected a manifest of signals in format 1 or 2, found \[\]"),
        (good | {"format": 3}, r"in format 1 or 2, found \{.*the version of the program that made it"),
        ({k: v for k, v in good.items() if k != "columns"}, "says no columns of signals"),
        (good | {"columns": {"logits": {"kind": "cell", "dtype": "float32"}}}, "says no columns of signals"),
        (good | {"columns": {"logits": {"kind": "row", "dtype": "float16"}}}, "column logits: expected a row column"),
        (good | {"columns": {"logits": {"kind": "token", "dtype": "float32"}}}, "column logits: expected a token"),
        (good | {"columns": good["columns"] | {"x": {"kind": "row", "dtype": "float16"}}}, "shard-00000.parquet: dam"),
    ]:
        path.write_text(json.dumps(bad))
        with pytest.raises(UserError, match=message) as error:
            SignalStore(tmp_path / "s").read(rows)
        assert "\n" not in str(error.value)


def test_a_full_disk_leaves_no_half_shard_and_a_rerun_ends(teacher, rows, tmp_path, monkeypatch, calls):
    whole = run(teacher, rows, tmp_path / "whole")
    texts = sum(calls)
    real = pq.write_table

    def full(table, where, **kwargs):
        real(table, where, **kwargs)
        if "shard-00001" not in where.name:
            return
        where.truncate(where.tell() // 2)
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
        SignalStore(tmp_path / "a").verify(labelling.manifest(other, "toy", rows, SETTINGS))
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
    with pytest.raises(UserError, match=r"shard-00001\.parquet: holds other texts .* delete the folder"):
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
    batches = encoded.plan(lengths, 48)
    assert sorted(np.concatenate(batches).tolist()) == list(range(100))
    assert all(len(b) * lengths[b].max() <= 48 for b in batches)
    assert [b.tolist() for b in encoded.plan(lengths, 48)] == [b.tolist() for b in batches]
    padded = sum(len(b) * lengths[b].max() for b in batches)
    assert lengths.sum() <= padded < 1.1 * lengths.sum()
    assert [b.tolist() for b in encoded.plan(np.array([99, 2]), 48)] in ([[0], [1]], [[1], [0]]), "too long by itself"
    assert encoded.plan(np.zeros(0, np.int64), 48) == []


def test_batches_have_few_shapes():
    """However many shards there are: a shape's first batch costs memory for good."""
    draw, shapes = np.random.default_rng(0), set()
    for _ in range(40):
        # The long ones begin at once, and few of them make a batch.
        lengths = np.concatenate([draw.integers(4, 15, 1000), draw.integers(300, 500, 24)])
        batches = encoded.plan(lengths, 2048)
        assert sorted(np.concatenate(batches).tolist()) == list(range(1024))
        assert all(len(b) * lengths[b].max() <= 2048 for b in batches)
        shapes |= {(len(b), lengths[b].max()) for b in batches if lengths[b].max() < 15}
    assert len(shapes) < 80, "with cuts anywhere there are some 260"


@pytest.mark.parametrize("seed", range(3))
def test_the_plan_is_the_cheapest_of_all(monkeypatch, seed):
    """Against every way to cut eight texts, sorted by length, into batches."""
    monkeypatch.setattr(encoded, "BATCH_COST", 5)
    monkeypatch.setattr(encoded, "SIZES", 100)  # any number of texts
    lengths = np.random.default_rng(seed).integers(2, 20, 8)

    def cost(batches):
        return sum(len(b) * max(b) + 5 if len(b) * max(b) <= 48 else np.inf for b in batches)

    of_like_length, every = np.sort(lengths), []
    for cuts in range(2**7):
        ends = [n + 1 for n in range(7) if cuts >> n & 1]
        every.append(cost(np.split(of_like_length, ends)))
    assert cost([lengths[b] for b in encoded.plan(lengths, 48)]) == min(every)
    assert len(set(every)) > 10


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
