"""``--teacher_rounds=2``: a second teacher learns what the first say of text without labels."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from killing import Killed, kill_after
from scipy.special import log_softmax

from kd_keras.augment.transfer import Transfer
from kd_keras.common.errors import UserError
from kd_keras.common.layout import RunLayout
from kd_keras.distill.settings import RecipeSettings, TrainSettings
from kd_keras.metrics import linear
from kd_keras.runs import taught
from kd_keras.runs.auto import rounds
from kd_keras.runs.inputs import prepare
from kd_keras.runs.job import Job, Run
from kd_keras.runs.results import teacher_scores
from kd_keras.runs.rounds import beside, check_rounds, soft_text
from kd_keras.runs.score_table import summary
from kd_keras.runs.settings import JobSettings
from kd_keras.students.settings import StudentSettings
from kd_keras.tasks import Rows, Task
from kd_keras.teachers import fine_tuner, labelling
from kd_keras.teachers.bert import Teacher
from kd_keras.teachers.checkpoints import find_checkpoint
from kd_keras.teachers.losses import loss_of
from kd_keras.teachers.settings import LabelSettings, TeacherSettings
from kd_keras.teachers.signals import Signals
from kd_keras.teachers.targets import SoftText, targets_of

TEXTS = ["good film", "a very dull plot", "lovely", "the awful film is bad ."]
LOGITS = np.array([[0.5, -2.0, 1.0], [3.0, 0.0, -1.0]], np.float32)


@pytest.fixture(autouse=True)
def eagerly():
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture
def more(toy_rows):
    made = toy_rows(24)
    rows = replace(made, ids=[f"more-{n}" for n in range(24)], label=np.full(24, -1, np.int32))
    return {"unlabeled": Transfer(rows, np.full(24, -1, np.int64), ["unlabeled"] * 24, [])}


@pytest.fixture
def make_job(bert_folder, toy_data):
    data = toy_data()

    def make(folder, **teacher) -> Job:
        settings = {"teacher": str(bert_folder), "teacher_epochs": 1, "teacher_batch_size": 8, "teacher_rounds": 2}
        settings |= {"teacher_learning_rate": 1e-2, "checkpoint_seconds": 0.0, **teacher}
        student = StudentSettings(embedding_size=8, hidden_size=6, dense_size=8)
        job, soft = JobSettings(output_dir=str(folder), allow_weak_teacher=True), RecipeSettings(recipe="soft")
        label = LabelSettings(shard_rows=8, label_batch_tokens=48)
        return Job(data, None, TeacherSettings(**settings), label, student, TrainSettings(), job, soft)

    return make


def run(job: Job, more):
    made = Run.of(job)
    made.layout.root.mkdir(parents=True, exist_ok=True)
    return prepare(made, more)


@pytest.fixture
def tuned(monkeypatch):
    """Texts that each fine-tuning learned from."""
    found, go = [], fine_tuner.FineTuner.go

    def counted(self):
        found.append(len(self.encoded))
        go(self)

    monkeypatch.setattr(fine_tuner.FineTuner, "go", counted)
    return found


def said_by(layout: RunLayout, texts) -> np.ndarray:
    return Teacher.load_finished(find_checkpoint(str(layout.teacher)))(texts)


def test_two_teachers_teach_a_third_and_all_is_found_again(make_job, more, tmp_path, tuned, monkeypatch):
    job, layout = make_job(tmp_path / "run", teacher_seeds=2), RunLayout(tmp_path / "run")
    monkeypatch.setattr(taught, "score", lambda *_: {job.task.metric: 0.5})  # of equal rounds the last
    inputs = run(job, more)
    rows = len(job.data.train)
    assert tuned == [rows, rows, rows + 24]
    assert [p.name for p in layout.round(1).every_teacher()] == ["teacher", "teacher-2"]
    assert [p.name for p in layout.every_teacher()] == ["teacher"], "what the students learn from"
    for split, texts in (("dev", job.data.dev.text), ("unlabeled", more["unlabeled"].rows.text)):
        np.testing.assert_allclose(inputs.signals[split].logits, said_by(layout.round(2), texts), atol=1e-5)
        assert np.abs(inputs.signals[split].logits - said_by(layout.round(1), texts)).max() > 1e-3
    np.testing.assert_array_equal(said_by(layout, TEXTS), said_by(layout.round(2), TEXTS))
    assert layout.signals("unlabeled").is_dir() and inputs.teacher["round"] == 2 and "seeds" not in inputs.teacher
    assert (
        "teachers by rounds: dev accuracy round 1 50.00, round 2 50.00; the student learns from round 2" in inputs.notes
    )

    monkeypatch.setattr(labelling, "_label", None)
    again = run(job, more)
    assert len(tuned) == 3
    np.testing.assert_array_equal(again.signals["train"].logits, inputs.signals["train"].logits)


def test_a_killed_second_round_goes_on(make_job, more, tmp_path, tuned, monkeypatch):
    run(make_job(tmp_path / "a" / "whole"), more)
    job = make_job(tmp_path / "b" / "killed")  # where no run of before is found
    first_round = math.ceil(len(job.data.train) / 8)
    with monkeypatch.context() as patch:
        kill_after(patch, first_round + 1)
        with pytest.raises(Killed):
            run(job, more)
    run(job, more)
    whole, killed = (RunLayout(tmp_path / name) for name in ("a/whole", "b/killed"))
    np.testing.assert_array_equal(said_by(killed, TEXTS), said_by(whole, TEXTS))


def test_a_worse_round_is_not_used_and_the_table_has_both(make_job, more, tmp_path, monkeypatch):
    job, found = make_job(tmp_path / "run"), iter([0.75, 0.5])
    monkeypatch.setattr(taught, "score", lambda *_: {job.task.metric: next(found)})
    inputs = run(job, more)
    layout = RunLayout(tmp_path / "run")
    np.testing.assert_array_equal(said_by(layout, TEXTS), said_by(layout.round(1), TEXTS))
    np.testing.assert_allclose(inputs.signals["dev"].logits, said_by(layout, job.data.dev.text), atol=1e-5)
    assert inputs.teacher["round"] == 1
    teacher = teacher_scores(job, inputs) | inputs.teacher
    gold = job.data.dev.label
    want = [np.mean(said_by(layout.round(n), job.data.dev.text).argmax(-1) == gold) for n in (1, 2)]
    assert [r["dev"]["accuracy"] for r in teacher["rounds"]] == pytest.approx(want)
    student = {"dev": {"accuracy": 0.5}, "spread": {"dev": {"accuracy": 0.0}}}
    table = summary({"rows": {"dev": 20}, "teacher": teacher, "student": student, "seeds": [1]})
    cells = [[cell.strip() for cell in line.strip("|").split("|")][:2] for line in table.splitlines()]
    assert ["teacher of round 2, not used", f"{100 * want[1]:.2f}"] in cells
    assert ["teacher, round 1", f"{100 * want[0]:.2f}"] in cells


def test_a_round_that_is_worse_by_less_than_chance_is_used(make_job, more, tmp_path, monkeypatch):
    job, found = make_job(tmp_path / "run"), iter([0.75, 0.7])
    monkeypatch.setattr(taught, "score", lambda *_: {job.task.metric: next(found)})
    assert run(job, more).teacher["round"] == 2


def test_auto_makes_a_second_round_for_few_rows_with_text_of_their_own():
    task, auto = Task("custom", "single", ("a", "b")), TeacherSettings()
    assert rounds(auto, task, 10_000, own_text=True) == 2
    assert rounds(auto, task, 10_001, own_text=True) == rounds(auto, task, 100, own_text=False) == 1
    for name, kind in (("sst2", "single"), ("custom", "multilabel")):
        assert rounds(auto, replace(task, name=name, kind=kind), 100, own_text=True) == 1
    assert rounds(replace(auto, teacher_epochs=3), task, 100, own_text=True) == 1
    assert rounds(replace(auto, teacher_rounds=1), task, 100, own_text=True) == 1
    assert rounds(replace(auto, teacher_rounds=2), task, 10_001, own_text=False) == 2
    with pytest.raises(UserError, match=r"--teacher_rounds=1.5: expected 1, 2 or auto"):
        TeacherSettings(teacher_rounds=1.5)


def test_a_second_round_draws_from_much_text(toy_rows):
    train, sets = toy_rows(8), {name: replace(toy_rows(n), label=np.full(n, -1)) for name, n in (("a", 30), ("b", 20))}
    logits = {
        "a": np.arange(60, dtype=np.float32).reshape(30, 2),
        "b": 100 + np.arange(40, dtype=np.float32).reshape(20, 2),
    }
    signals = {name: Signals(some, None, {"teacher": name}) for name, some in logits.items()}
    signals["train"] = Signals(np.zeros((8, 2), np.float32), None, {"teacher": "t"})
    whole, part, again = (soft_text(train, sets, signals, most) for most in (None, 12, 12))
    assert len(whole.texts) == len(soft_text(train, sets, signals, 50).texts) == 50
    assert len(part.texts) == 12 and part.texts == again.texts and part.key == again.key != whole.key
    said = {float(row[0]): text for row, text in zip(whole.logits, whole.texts, strict=True)}
    assert [said[float(row[0])] for row in part.logits] == part.texts, "each text has its own answer"


def test_the_probe_speaks_beside_the_teachers(make_job, more, tmp_path, monkeypatch):
    soft = SoftText(["a", "b"], None, np.array([[2.0, 0.0], [0.0, 3.0]], np.float32), "key")
    probe = np.array([[0.0, 1.0], [5.0, 1.0]], np.float32)
    both = beside(soft, probe)
    np.testing.assert_allclose(both.logits, (log_softmax(soft.logits, -1) + log_softmax(probe, -1)) / 2, rtol=1e-5)
    assert both.key != soft.key and beside(soft, None) is soft
    asked = []
    monkeypatch.setattr(taught.rounds, "beside", lambda soft, probe: asked.append(probe) or soft)
    run(make_job(tmp_path / "cls"), more)
    assert asked == [None], "a teacher that starts at random has no probe"
    job = make_job(tmp_path / "mean", teacher_pooling="mean", teacher_start="probe")
    run(job, more)
    made = Teacher.load(find_checkpoint(job.teacher.teacher), 2, job.task.max_length, pooling="mean")
    vectors, label = made.vectors(made.encode(job.data.train)), job.data.train.label
    want = linear.probe(vectors, label, 2).logits(made.vectors(made.encode(more["unlabeled"].rows)))
    np.testing.assert_allclose(asked[1], want, atol=1e-3)
    monkeypatch.setattr(linear, "_logistic", None)
    run(job, more)
    np.testing.assert_array_equal(asked[2], asked[1], "it is kept")


def test_other_text_is_another_teacher(make_job, more, tmp_path, tuned):
    run(make_job(tmp_path / "one"), more)
    fewer = {"unlabeled": replace(more["unlabeled"], rows=more["unlabeled"].rows.take(range(16)))}
    run(make_job(tmp_path / "two"), fewer)
    rows = len(make_job(tmp_path).data.train)
    assert tuned == [rows, rows + 24, rows + 16], "the first round is found in the other run"
    key = json.loads((tmp_path / "two" / "rounds" / "2" / "teacher" / "teacher.json").read_text())["key"]
    assert key["soft_text"] and "teacher_rounds" not in key


def targets(task, label, soft):
    """float[rows, …] of gold rows and, behind them, of soft text."""
    rows = Rows(["a", "b"], TEXTS[:2], None, np.asarray(label))
    return targets_of(task, rows, None, SoftText(TEXTS[2:], None, soft, "")).values


def log_sigmoid(x):
    return -np.log1p(np.exp(-x))


def test_of_classes_gold_is_the_loss_of_labels_and_soft_text_a_cross_entropy():
    task = Task("t", "single", ("x", "y", "z"), class_weights=(0.5, 1.0, 2.0))
    label, said = [2, 0], np.array([[1.0, 0.2, -1.0], [0.0, 0.5, 2.0]], np.float32)
    both = targets(task, np.array(label, np.int32), LOGITS)
    gold = loss_of(task)(tf.constant(label), tf.constant(said))
    np.testing.assert_allclose(loss_of(task, soft=True)(both[:2], said), gold, rtol=1e-5)
    p, q = (np.exp(a) / np.exp(a).sum(1, keepdims=True) for a in (LOGITS, said))
    np.testing.assert_allclose(loss_of(task, soft=True)(both[2:], said), -(p * np.log(q)).sum(1), rtol=1e-5)


def test_of_several_labels_each_is_a_cross_entropy_of_its_own():
    task = Task("t", "multilabel", ("x", "y", "z"), class_weights=(3.0, 1.0, 2.0))
    label, said = np.array([[1, 0, 1], [0, 0, 1]], np.int32), np.array([[1.0, 0.2, -1.0], [0.0, 0.5, 2.0]], np.float32)
    both = targets(task, label, LOGITS)
    gold = loss_of(task)(tf.constant(label), tf.constant(said))
    np.testing.assert_allclose(loss_of(task, soft=True)(both[:2], said), gold, rtol=1e-5)
    p = 1 / (1 + np.exp(-LOGITS))
    want = -(p * log_sigmoid(said) + (1 - p) * log_sigmoid(-said)).mean(1)
    np.testing.assert_allclose(loss_of(task, soft=True)(both[2:], said), want, rtol=1e-5)


def test_of_scores_it_is_the_squared_difference():
    task = Task("t", "regression", (), "pearson", ("pearson",))
    both = targets(task, np.array([2.0, 4.5], np.float32), np.array([[1.0], [3.0]], np.float32))
    np.testing.assert_allclose(loss_of(task, soft=True)(both, np.zeros((4, 1), np.float32)), [4, 20.25, 1, 9])


def test_what_can_have_no_second_round_is_refused(make_job, tmp_path, more, monkeypatch):
    with pytest.raises(UserError, match=r"--teacher_rounds=2: there is no text without labels .* add --unlabeled=task"):
        check_rounds(make_job(tmp_path / "run"))
    check_rounds(make_job(tmp_path / "run", teacher_rounds=1))
    with pytest.raises(UserError, match="--teacher_rounds=2: --teacher_epochs=0 trains nothing"):
        TeacherSettings(teacher_rounds=2, teacher_epochs=0)
    monkeypatch.setattr(Job, "task", Task("towns", "tagging", ("O", "B-A", "I-A"), "entity_f1", ("entity_f1",)))
    with pytest.raises(UserError, match="--teacher_rounds=2: task towns tags words"):
        check_rounds(make_job(tmp_path / "run"))
