"""A store of signals in an object store: the bytes of one here, resumed, refused if damaged. fsspec keeps it in memory."""

from __future__ import annotations

import secrets
from dataclasses import replace

import numpy as np
import pytest
from stores import content

from kd_keras.common.errors import UserError
from kd_keras.common.folders import Away
from kd_keras.tasks import Rows
from kd_keras.teachers.labelling import label
from kd_keras.teachers.settings import LabelSettings
from kd_keras.teachers.signals import SignalStore

SETTINGS = LabelSettings(shard_rows=8, label_batch_tokens=48, hidden="mean")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("KD_KERAS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def address() -> str:
    return f"memory://{secrets.token_hex(8)}/signals"


@pytest.fixture(scope="module")
def teacher(make_teacher):
    return make_teacher()


@pytest.fixture(scope="module")
def rows(toy_rows) -> Rows:
    made = toy_rows(30)
    return Rows(made.ids, [*made.text[:28], made.text[0], ""], None, made.label)


def run(teacher, rows, folder, settings=SETTINGS):
    return label(teacher, rows, folder, settings, "toy", "text")


def test_it_has_the_bytes_of_one_here(teacher, rows, tmp_path, address, cache):
    here = run(teacher, rows, tmp_path / "s")
    away = run(teacher, rows, address)
    assert content(SignalStore(address).place) == content(SignalStore(tmp_path / "s").place)
    assert len(content(SignalStore(address).place)) > 4
    assert away.logits.tobytes() == here.logits.tobytes() and away.hidden is None and not cache.exists()
    again = SignalStore(address).read(rows.take([3, 1]))
    assert (again.logits == here.logits[[3, 1]]).all()
    assert np.array_equal(again.hidden[:], here.hidden[[3, 1]])
    (copy,) = cache.iterdir()
    assert (copy / "hidden.npy").is_file()


@pytest.mark.parametrize("after", [1, 3])
def test_a_killed_command_goes_on_to_the_same_bytes(teacher, rows, tmp_path, address, monkeypatch, after):
    run(teacher, rows, tmp_path / "s")
    real, puts = Away._put, []

    def die(self, name, content):
        if name == f"shard-{after:05d}.parquet":
            raise KeyboardInterrupt
        puts.append(name)
        real(self, name, content)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Away, "_put", die)
        run(teacher, rows, address)
    assert puts == ["manifest.json", *(f"shard-{n:05d}.parquet" for n in range(after))]
    with pytest.raises(UserError, match=r"^memory://.*: labeling did not end \(complete.json is missing\)"):
        SignalStore(address).read(rows)
    puts.clear()
    monkeypatch.setattr(Away, "_put", lambda self, name, content: puts.append(name) or real(self, name, content))
    run(teacher, rows, address)
    assert content(SignalStore(address).place) == content(SignalStore(tmp_path / "s").place)
    assert puts == [
        *sorted(set(content(SignalStore(address).place)) - {"manifest.json", "complete.json"})[after:],
        "complete.json",
    ]


@pytest.mark.parametrize("damage", ["flip", "truncate", "delete"])
def test_a_damaged_object_is_named(teacher, rows, address, damage):
    run(teacher, rows, address)
    place, name = SignalStore(address).place, "shard-00001.parquet"
    raw = bytearray(content(place)[name])
    raw[len(raw) // 3] ^= 0xFF
    if damage == "delete":
        place._files.delete_file(place._of(name))
    else:
        place._put(name, bytes(raw if damage == "flip" else raw[:-30]))
    said = rf"^{address}/{name}: damaged or missing Parquet shard"
    for ask in (
        lambda: run(teacher, rows, address), lambda: SignalStore(address).read(rows),
        lambda: SignalStore(address).here().verify(),
    ):  # fmt: skip
        with pytest.raises(UserError, match=said) as error:
            ask()
        assert "\n" not in str(error.value)
    place._files.delete_file(place._of("complete.json"))
    if damage != "delete":  # half of one is never taken for a finished one
        with pytest.raises(UserError, match=rf"^{address}/{name}: damaged Parquet shard"):
            run(teacher, rows, address)


def test_signals_of_anything_else_are_refused(teacher, rows, address):
    run(teacher, rows, address)
    with pytest.raises(UserError, match=rf"^{address}: signals from another text or setting \(hidden"):
        run(teacher, rows, address, replace(SETTINGS, hidden="none"))
    with pytest.raises(UserError, match=rf"^{address}: no signal for row"):
        SignalStore(address).read(Rows(["new"], ["a new text"], None, np.zeros(1, np.int32)), with_hidden=False)
    with pytest.raises(UserError, match=rf"^{address}x: no teacher signals here"):
        SignalStore(f"{address}x").read(rows)


def test_a_folder_of_something_else_is_refused(address):
    store = SignalStore(address)
    store.check_free("--output_dir")
    store.place.write_json("notes.json", {})
    with pytest.raises(UserError, match=rf"^--output_dir={address}: exists and holds no signals; choose another"):
        store.check_free("--output_dir")
