"""The teacher as TFLite against the live one, and models that are made once."""

from __future__ import annotations

import json

import numpy as np
import pytest

from kd_keras.common import files
from kd_keras.common.errors import UserError
from kd_keras.common.layout import RunLayout
from kd_keras.formats import teacher_tflite
from kd_keras.formats.format import EXPORTS
from kd_keras.formats.litert import LiteRT
from kd_keras.formats.tflite import describe
from kd_keras.runs.finished import FinishedRun
from kd_keras.tasks import Rows, Task
from kd_keras.text.base import BERT_INPUTS
from kd_keras.timing import models
from kd_keras.timing.models import TEACHER_FORMATS, MadeModels, run_teacher

TEXTS = ["good film", "", "a very dull plot and the awful film is bad .", "unknownword", "lovely", "[MASK] film"] * 2


def rows_of(texts, texts_b=None) -> Rows:
    return Rows([f"r-{i}" for i in range(len(texts))], texts, texts_b, np.full(len(texts), -1, np.int32))


@pytest.fixture(scope="module")
def teacher(make_teacher):
    return make_teacher(labels=3)


@pytest.mark.parametrize("pairs", [False, True])
def test_a_converted_teacher_is_the_live_one(teacher, tmp_path, pairs):
    rows = rows_of(TEXTS, TEXTS[::-1] if pairs else None)
    want = teacher.logits(teacher.encode(rows), tokens_per_batch=64)
    path = tmp_path / "teacher.tflite"
    path.write_bytes(teacher_tflite.convert(teacher, TEACHER_FORMATS["float32"], 16))
    inputs = teacher_tflite.bert_inputs(teacher.tokenizer, rows.text, rows.text_b, 16)
    got = teacher_tflite.logits(path, inputs)
    np.testing.assert_allclose(got, want, atol=1e-5)
    assert np.ptp(want, axis=0).max() > 0.1, "texts with equal logits would prove nothing"
    graph = describe(path.read_bytes())
    assert graph["subgraphs"] == 1 and graph["custom_ops"] == [] and not [o for o in graph["ops"] if "FLEX" in o]
    assert sorted(LiteRT(path).inputs_in_order()) == sorted((n, [1, 16]) for n in BERT_INPUTS)


def test_dynamic_range_is_smaller_and_near(make_teacher, tmp_path):
    teacher = make_teacher(labels=3, hidden_size=64, intermediate_size=128)
    sizes, answers = {}, {}
    inputs = teacher_tflite.bert_inputs(teacher.tokenizer, TEXTS, None, 16)
    for precision, fmt in TEACHER_FORMATS.items():
        path = tmp_path / f"{precision}.tflite"
        path.write_bytes(teacher_tflite.convert(teacher, fmt, 16))
        sizes[precision], answers[precision] = path.stat().st_size, teacher_tflite.logits(path, inputs)
    assert sizes["dynamic"] < 0.6 * sizes["float32"]
    difference = np.abs(answers["dynamic"] - answers["float32"]).max()
    assert 0 < difference < 0.1 * np.ptp(answers["float32"])


@pytest.fixture
def run(make_run, make_teacher):
    """A run folder with a teacher in it, and rows."""
    made = make_run()
    layout = RunLayout(made.folder)
    make_teacher(labels=3).save(layout.teacher, key={"max_length": 14})
    texts = [t for t in TEXTS if t] + ["the plot is fine", "bad and dull and awful"]
    return layout, made.task, rows_of(texts)


def test_a_model_is_made_once(run, monkeypatch, make_teacher):
    layout, task, rows = run
    made = MadeModels(FinishedRun(layout, task), rows)
    paths = [made.teacher("float32", 8), made.student(EXPORTS["tflite_float32"], 5)]
    assert [p.name for p in paths] == ["teacher-float32-8.tflite", "student-float32-5.tflite"]
    assert LiteRT(paths[1]).length == 5
    checks = made.checks()
    assert checks["teacher-float32-8.tflite"]["max_score_difference"] < 1e-5
    assert checks["teacher-float32-8.tflite"]["rows"] == len(rows) + 2, "an empty text and a mark between them"
    assert checks["student-float32-5.tflite"]["cut"] > 0, "compared on text that is cut too"

    def no(*_: object):
        raise AssertionError("converted again")

    with monkeypatch.context() as patched:
        patched.setattr(teacher_tflite, "convert", no)
        patched.setattr(models, "convert", no)
        again = MadeModels(FinishedRun(layout, task), rows)
        assert again.checks() == {}, "of what this benchmark asks for"
        assert [again.teacher("float32", 8), again.student(EXPORTS["tflite_float32"], 5)] == paths
        assert again.checks() == checks
        with pytest.raises(AssertionError):
            again.teacher("float32", 9)
    # Another teacher in its place, or a file that was touched: made anew.
    before = paths[0].read_bytes()
    paths[1].write_bytes(b"cut short")
    make_teacher(labels=3, seed=9).save(layout.teacher, key={"max_length": 14})
    again = MadeModels(FinishedRun(layout, task), rows)
    assert again.teacher("float32", 8).read_bytes() != before
    assert LiteRT(again.student(EXPORTS["tflite_float32"], 5)).length == 5


def test_a_wrong_conversion_is_never_timed(run, monkeypatch, make_teacher):
    layout, task, rows = run
    right, other = teacher_tflite.convert, make_teacher(labels=3, seed=5)
    monkeypatch.setattr(teacher_tflite, "convert", lambda _, *how: right(other, *how))
    with pytest.raises(UserError, match="teacher-float32-8.tflite: differs from Keras by"):
        MadeModels(FinishedRun(layout, task), rows).teacher("float32", 8)
    assert not list((layout.benchmark / "models").glob("*.tflite"))


def test_a_run_without_a_finished_teacher(run):
    layout, _, _ = run
    task = Task("toy", "single", ("neg", "so-so", "pos"))
    found = run_teacher(FinishedRun(layout, task))
    assert (found.length, found.positions, found.tokenizer.max_length) == (14, 64, 14)
    manifest = layout.teacher / "teacher.json"
    files.write_json(manifest, {k: v for k, v in json.loads(manifest.read_text()).items() if k != "key"})
    with pytest.raises(UserError, match="not a finished teacher of train .*--teacher_formats=none"):
        run_teacher(FinishedRun(layout, task))
    with pytest.raises(UserError, match="has no teacher/; --teacher_formats=none measures only the student"):
        run_teacher(FinishedRun(RunLayout(layout.benchmark), task))


def test_a_teacher_of_the_ends_of_texts_is_timed_on_them(run):
    """Else its score is of text that it never learned to read."""
    layout, task, rows = run
    manifest = layout.teacher / "teacher.json"
    made = json.loads(manifest.read_text())
    files.write_json(manifest, made | {"key": made["key"] | {"teacher_truncation": "tail"}})
    tokenizer = run_teacher(FinishedRun(layout, task)).tokenizer
    long = " ".join(rows.text[:9])
    assert tokenizer.truncation == "tail"
    ids = teacher_tflite.bert_inputs(tokenizer, [long], None, 8)["input_ids"][0]
    assert ids[1:-1].tolist() == tokenizer.like(1 << 20).encode([long])[0][-6:].tolist()


@pytest.mark.parametrize("rows", [0, 2, 3])
def test_a_batch_is_refused(teacher, rows):
    """A resized file must not give one answer for all."""
    from ai_edge_litert.interpreter import Interpreter

    run = Interpreter(model_content=teacher_tflite.convert(teacher, TEACHER_FORMATS["float32"], 16))
    for tensor in run.get_input_details():
        run.resize_tensor_input(tensor["index"], (rows, 16))
    with pytest.raises((RuntimeError, ValueError)):
        run.allocate_tensors()
