"""What an export leaves in the run folder, and how it is read again."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kd_keras.common.errors import UserError
from kd_keras.common.files import sha256_file
from kd_keras.deploy.runner import Runner, require_export
from kd_keras.deploy.settings import ExportSettings
from kd_keras.runs.finished import FinishedRun
from kd_keras.students.settings import StudentSettings
from kd_keras.tasks import Rows

SMALL = StudentSettings(student="bilstm", embedding_size=12, hidden_size=17, dense_size=9)
TEXTS = ["good film", "", "dull", "the plot is very awful . and the film is bad", "lovely lovely"]


def rows_of(texts, text_b=None) -> Rows:
    return Rows([str(i) for i in range(len(texts))], list(texts), text_b, np.full(len(texts), -1, np.int32))


def export(folder, **settings):
    from kd_keras.deploy.exporter import export as run

    return run(folder, ExportSettings(**settings))


@pytest.fixture(scope="module")
def exported(make_run, tmp_path_factory, toy_sentences):
    run = make_run()
    text = tmp_path_factory.mktemp("text") / "cal.txt"
    text.write_text("\n".join(toy_sentences(30, 5)[0]) + "\n")
    done = export(run.folder, formats="tflite_float32,tflite_int8,tflite_loop_dynamic", calibration_file=str(text))
    assert not done.failures, done.failures
    return run, done


@pytest.fixture
def copy(exported, tmp_path):
    """A run folder of one's own."""
    shutil.copytree(exported[0].folder, tmp_path / "run")
    return tmp_path / "run"


def test_the_bundle_says_what_is_in_it(exported):
    run, done = exported
    bundle = run.folder / "tflite"
    names = {"float32.tflite", "int8.tflite", "loop_dynamic.tflite"}
    assert {p.name for p in bundle.iterdir()} == names | {"metadata.json", "labels.txt", "vocab.txt", "README.md"}
    assert (bundle / "labels.txt").read_text() == "neg\nso-so\npos\n"
    assert (bundle / "vocab.txt").read_bytes() == (run.folder / "vocab.txt").read_bytes()
    text = (bundle / "metadata.json").read_text()
    assert str(run.folder) not in text and "cal.txt" in text
    about = json.loads(text)
    assert about["task"]["name"] == "toy" and about["student"] == sha256_file(run.folder / "student.keras")
    assert about["tokenizer"] == {"kind": "wordpiece", "lowercase": True, "max_length": 9}
    assert set(about["models"]) == names and set(done.files) == {f"tflite/{n}" for n in names}
    for name, entry in about["models"].items():
        path = bundle / name
        assert entry["sha256"] == sha256_file(path) and entry["bytes"] == path.stat().st_size
        assert entry["length"] == (None if "loop" in name else 9), "at most the student's own length"
        found = entry["verification"]
        assert found["rows"] == 32 and found["clear_agreement"] >= 0.98
    assert about["models"]["float32.tflite"]["verification"]["max_score_difference"] < 1e-5
    assert about["models"]["float32.tflite"]["verification"]["max_logit_difference"] < 1e-4


def test_every_format_runs_alike(exported, tmp_path):
    run, _ = exported
    rows = rows_of(TEXTS)
    want = Runner.load(run.folder).scores(rows)
    np.testing.assert_allclose(want.sum(-1), 1)
    for name, near in (("tflite_float32", 1e-5), ("tflite_loop_dynamic", 0.06), ("tflite_int8", 0.12)):
        runner = Runner.load(run.folder, name)
        np.testing.assert_allclose(runner.scores(rows), want, atol=near)
        assert runner.format.name == name and runner.scores(rows_of([])).shape == (0, 3)
    # The folder works by itself.
    shutil.copytree(run.folder / "tflite", tmp_path / "phone")
    runner = Runner.load_file(tmp_path / "phone" / "float32.tflite")
    np.testing.assert_allclose(runner.scores(rows), want, atol=1e-5)
    assert runner.task.labels == ("neg", "so-so", "pos")


def test_cut_text_is_counted(make_run):
    run = make_run()
    done = export(run.folder, formats="tflite_float32", tflite_length=4)
    found = done.files["tflite/float32.tflite"][1]
    assert found.cut > 20 and found.max_score_difference < 1e-5, "Keras was asked for the same cut text"
    runner = Runner.load(run.folder, "tflite_float32")
    assert runner.cut(rows_of(["good film", "the plot is very dull"])) == 1
    assert Runner.load(run.folder).cut(rows_of(["the plot is very dull"])) == 0


def test_words_and_pairs(make_run):
    run = make_run(words=True)
    assert not export(run.folder, formats="tflite_loop_float32").failures
    runner = Runner.load(run.folder, "tflite_loop_float32")
    np.testing.assert_allclose(runner.scores(rows_of(TEXTS)), Runner.load(run.folder).scores(rows_of(TEXTS)), atol=1e-5)
    assert runner.tokenizer.fingerprint() == run.tokenizer.fingerprint(), "the delimiter too"
    run = make_run(replace(SMALL, student="siamese"), regression=True)
    assert not export(run.folder, formats="tflite_loop_float32").failures
    rows = rows_of(TEXTS, TEXTS[::-1])
    want = Runner.load(run.folder).scores(rows)
    assert want.shape == (5, 1) and np.ptp(want) > 0.1
    np.testing.assert_allclose(Runner.load(run.folder, "tflite_loop_float32").scores(rows), want, atol=1e-5)


def test_a_second_export_keeps_what_is_still_true(copy, make_model):
    export(copy, formats="tflite_loop_float32")
    names = {p.name for p in (copy / "tflite").glob("*.tflite")}
    assert names == {"float32.tflite", "int8.tflite", "loop_dynamic.tflite", "loop_float32.tflite"}
    assert set(json.loads((copy / "tflite" / "metadata.json").read_text())["models"]) == names
    # Another student: what was made from the first one goes.
    model = make_model(SMALL, len((copy / "vocab.txt").read_text().splitlines()), 3, seed=9)
    model.save(copy / "student.keras")
    with pytest.raises(
        UserError, match="tflite_float32: .* was made from another student.keras; make it again with: python -m"
    ):
        Runner.load(copy, "tflite_float32")
    export(copy, formats="tflite_loop_float32")
    assert {p.name for p in (copy / "tflite").glob("*.tflite")} == {"loop_float32.tflite"}


def test_a_wrong_file_is_removed_and_named(copy, monkeypatch):
    from kd_keras.deploy import exporter

    right = exporter.student_weights

    def mixed_up(*given):
        w = right(*given)
        return replace(w, forward=w.backward, backward=w.forward)

    monkeypatch.setattr(exporter, "student_weights", mixed_up)
    done = export(copy, formats="tflite_float32,tflite_loop_dynamic")
    assert not done.files and len(done.failures) == 2
    assert "tflite/float32.tflite: differs from Keras by" in done.failures[0]
    assert "tflite/loop_dynamic.tflite: gives Keras' label on" in done.failures[1]
    assert {p.name for p in (copy / "tflite").iterdir()} == {
        "int8.tflite",
        "metadata.json",
        "labels.txt",
        "vocab.txt",
        "README.md",
    }
    assert set(json.loads((copy / "tflite" / "metadata.json").read_text())["models"]) == {"int8.tflite"}


def test_files_that_do_not_fit_together(copy):
    bundle = copy / "tflite"

    def refused(pattern: str, path: Path = bundle / "float32.tflite"):
        with pytest.raises(UserError, match=pattern):
            Runner.load_file(path)

    refused("--model: no such file", bundle / "none.tflite")
    shutil.copy(bundle / "float32.tflite", bundle / "mine.tflite")
    refused("mine.tflite: metadata.json does not list this file; it lists: float32.tflite", bundle / "mine.tflite")
    vocab = (bundle / "vocab.txt").read_text()
    (bundle / "vocab.txt").write_text(vocab + "more\n")
    refused(r"vocab.txt: has \d+ lines, expected")
    (bundle / "vocab.txt").write_text(vocab)
    shutil.copy(bundle / "int8.tflite", bundle / "float32.tflite")
    refused("float32.tflite: is not the file that metadata.json describes")
    (bundle / "metadata.json").write_text('{"version": 99}')
    refused("metadata.json: has version 99, expected 1")
    (bundle / "metadata.json").unlink()
    refused("has no metadata.json; expected a folder that python -m kd_keras.export wrote")
    from kd_keras.formats.format import EXPORTS

    with pytest.raises(UserError, match="--formats=saved_model: .* has no such export; make it with: python -m kd_ker"):
        require_export(FinishedRun.open(copy), EXPORTS["saved_model"])


def test_texts_that_cannot_be_used(exported, tmp_path):
    folder = exported[0].folder
    (tmp_path / "empty.txt").write_text("\n\n")
    (tmp_path / "other.csv").write_text("text,label\ngood film,great\n")
    with pytest.raises(UserError, match="--check_file=.*empty.txt: holds no text"):
        export(folder, formats="tflite_float32", check_file=str(tmp_path / "empty.txt"))
    with pytest.raises(UserError, match="line 2, column 'label': expected one of neg, so-so, pos"):
        export(folder, formats="tflite_float32", check_file=str(tmp_path / "other.csv"))
    with pytest.raises(UserError, match="--calibration_file: no such file"):
        export(folder, formats="tflite_int8", calibration_file=str(tmp_path / "none.txt"))


def test_what_an_export_replaces_keeps_its_link_and_its_mode(copy, tmp_path):
    shutil.move(copy / "tflite", tmp_path / "app")
    (copy / "tflite").symlink_to(tmp_path / "app")
    (tmp_path / "app" / "float32.tflite").rename(tmp_path / "model.tflite")
    (tmp_path / "app" / "float32.tflite").symlink_to(tmp_path / "model.tflite")
    (tmp_path / "model.tflite").chmod(0o640)
    old = (tmp_path / "model.tflite").read_bytes()
    done = export(copy, formats="tflite_float32", tflite_length=4)
    assert not done.failures and (tmp_path / "model.tflite").read_bytes() != old
    assert (copy / "tflite").is_symlink() and (tmp_path / "app" / "float32.tflite").is_symlink()
    assert (tmp_path / "model.tflite").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("rows", [0, 2])
def test_a_file_of_one_text_refuses_a_batch(exported, rows):
    """Those with BERT's inputs and a tokenizer inside too."""
    from ai_edge_litert.interpreter import Interpreter

    for name in ("float32.tflite", "int8.tflite"):
        run = Interpreter(model_path=str(exported[0].folder / "tflite" / name))
        for tensor in run.get_input_details():
            run.resize_tensor_input(tensor["index"], (rows, int(tensor["shape"][1])))
        with pytest.raises((RuntimeError, ValueError)):
            run.allocate_tensors()
