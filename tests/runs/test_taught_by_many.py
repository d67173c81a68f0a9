"""Several teachers in a run: the mean of what each says, each found by itself, none trained or asked twice."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from killing import Killed, kill_after

from kd_keras.common.errors import UserError
from kd_keras.common.layout import RunLayout
from kd_keras.distill.settings import RecipeSettings, TrainSettings
from kd_keras.runs.check import check
from kd_keras.runs.inputs import prepare
from kd_keras.runs.job import Job, Run
from kd_keras.runs.settings import JobSettings
from kd_keras.students.settings import StudentSettings
from kd_keras.teachers import fine_tuner, labelling
from kd_keras.teachers.bert import Teacher
from kd_keras.teachers.checkpoints import find_checkpoint
from kd_keras.teachers.finetune import fine_tune
from kd_keras.teachers.settings import LabelSettings, TeacherSettings
from kd_keras.teachers.signals import SignalStore
from kd_keras.text import embeddings

LABEL = LabelSettings(shard_rows=8, label_batch_tokens=48)


@pytest.fixture(autouse=True)
def eagerly():
    """No graph is traced for each of the many teachers of a few updates: tracing would take most of the time."""
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture
def make_job(bert_folder, toy_data):
    data = toy_data()

    def make(folder, signals=None, label=LABEL, **teacher) -> Job:
        settings = TeacherSettings(
            **({"teacher": str(bert_folder), "teacher_epochs": 1, "teacher_batch_size": 8, "teacher_learning_rate": 1e-2,
                "checkpoint_seconds": 1e9} | teacher)
        )  # fmt: skip
        student = StudentSettings(embedding_size=8, hidden_size=6, dense_size=8)
        job = JobSettings(output_dir=str(folder), signals=signals and str(signals), allow_weak_teacher=True)
        soft = RecipeSettings(recipe="soft")  # needs no hidden states, which only a first teacher's signals have
        return Job(data, None, settings, label, student, TrainSettings(), job, soft)

    return make


def run(job: Job):
    made = Run.of(job)
    made.layout.root.mkdir(parents=True, exist_ok=True)
    return prepare(made, {})


@pytest.fixture
def work(monkeypatch):
    """What was fine-tuned (seeds) and labeled ((teacher, split) by its weights), in order."""
    done: dict[str, list] = {"tuned": [], "labelled": []}
    go, label = fine_tuner.FineTuner.go, labelling._label

    def tuned(self):
        done["tuned"].append(self.settings.teacher_seed)
        go(self)

    def labelled(teacher, rows, found, store, settings, split, lent):
        done["labelled"].append((teacher.fingerprint()["weights"], split))
        label(teacher, rows, found, store, settings, split, lent)

    monkeypatch.setattr(fine_tuner.FineTuner, "go", tuned)
    monkeypatch.setattr(labelling, "_label", labelled)
    return done


def test_the_student_learns_the_mean_of_three_teachers(make_job, tmp_path, work, bert_folder):
    inputs = run(make_job(tmp_path / "run", teacher_seed=2, teacher_seeds=3, label=replace(LABEL, hidden="mean")))
    layout, data = RunLayout(tmp_path / "run"), make_job(tmp_path).data
    assert work["tuned"] == [2, 3, 4]
    teachers = [Teacher.load_finished(find_checkpoint(str(p))) for p in layout.every_teacher()]
    assert [p.name for p in layout.every_teacher()] == ["teacher", "teacher-2", "teacher-3"]
    for split, rows in (("train", data.train), ("dev", data.dev)):
        own = np.stack([t(rows.text) for t in teachers])
        assert min(np.abs(own[i] - own[j]).max() for i, j in ((0, 1), (0, 2), (1, 2))) > 1e-3
        np.testing.assert_allclose(inputs.signals[split].logits, own.sum(0) / 3, atol=1e-5)
        for n in range(3):
            np.testing.assert_allclose(inputs.each_teacher[n][split], own[n], atol=1e-5)
    # What cannot be averaged is the first one's.
    first = SignalStore(layout.signals("dev")).read(data.dev)
    assert first.hidden.shape == (20, 16)
    np.testing.assert_array_equal(inputs.signals["dev"].hidden, first.hidden)
    stored = pq.read_schema(layout.signals("dev", 2) / "shard-00000.parquet").names
    assert stored == ["id", "text_hash", "logits"]
    rows = [teachers[0].tokenizer.index[p] for p in inputs.tokenizer.vocab]
    matrices = [embeddings.from_teacher(t.word_embeddings(), rows, 8) for t in teachers[:2]]
    assert (inputs.matrix == matrices[0]).all() and (inputs.matrix != matrices[1]).any()
    # It says so.
    assert inputs.teacher["seeds"] == [2, 3, 4] and [
        t["weights"] for t in inputs.signals["dev"].manifest["teacher"]
    ] == [t.fingerprint()["weights"] for t in teachers]
    (note,) = [n for n in inputs.notes if n.startswith("teachers: ")]
    for n, logits in enumerate(inputs.each_teacher):
        accuracy = (logits["dev"].argmax(-1) == data.dev.label).mean()
        assert f"{100 * accuracy:.2f} (seed {n + 2})" in note
    # A teacher of an ensemble is the one that it would be alone.
    alone = replace(make_job(tmp_path).teacher, teacher_seed=3)
    by_itself = fine_tune(find_checkpoint(str(bert_folder)), data, alone, tmp_path / "alone" / "teacher")
    assert by_itself.fingerprint() == teachers[1].fingerprint()


def test_kept_signals_of_two_teachers_have_vectors_of_the_first_alone(make_job, tmp_path):
    vectors = replace(LABEL, hidden="mean")
    run(make_job(tmp_path / "run", teacher_seeds=2, label=vectors))
    layout = RunLayout(tmp_path / "run")
    again = make_job(tmp_path / "next", layout.root / "signals", vectors, teacher=str(layout.teacher), teacher_seeds=2)
    check(again)
    with pytest.raises(UserError, match="train has the teacher's vectors 'mean', but this run needs 'none'"):
        check(make_job(tmp_path / "none", layout.root / "signals", teacher=str(layout.teacher), teacher_seeds=2))


def test_one_teacher_is_what_it_always_was(make_job, tmp_path):
    job = make_job(tmp_path / "run")
    inputs = run(job)
    assert "seeds" not in inputs.teacher and not [n for n in inputs.notes if n.startswith("teachers: ")]
    assert isinstance(inputs.signals["train"].manifest["teacher"], dict)
    assert {p.name for p in (tmp_path / "run").iterdir()} == {
        "teacher", "signals", "vocab.txt", "tokenizer.json", "timings.json", "references",
    }  # fmt: skip
    key = job.key()
    later = {
        "teacher_seeds",
        "teacher_rounds",
        "teacher_truncation",
        "student_truncation",
        "rest",
        "label_precision",
        "parallel_students",
    }
    assert not later & {*key, *key["teacher"], *key["student"], *key["label"], *key["job"]}, (
        "runs of before must be found again"
    )
    assert make_job(tmp_path, teacher_seeds=2).key()["teacher"] == key["teacher"] | {"teacher_seeds": 2}


def test_more_seeds_cost_only_the_new_teachers(make_job, tmp_path, work):
    one = run(make_job(tmp_path / "one"))
    work["tuned"].clear(), work["labelled"].clear()
    three = run(make_job(tmp_path / "three", teacher_seeds=3))
    assert work["tuned"] == [2, 3]
    assert [split for _, split in work["labelled"]] == [f"{s}, teacher {n}" for n in (2, 3) for s in ("dev", "train")]
    assert (three.each_teacher[0]["dev"] == one.signals["dev"].logits).all()
    # And what was one of several is found as the first of others, or by itself.
    work["tuned"].clear(), work["labelled"].clear()
    others = run(make_job(tmp_path / "others", teacher_seed=2, teacher_seeds=2))
    last = run(make_job(tmp_path / "last", teacher_seed=3))
    assert work == {"tuned": [], "labelled": []}
    assert (others.each_teacher[0]["train"] == three.each_teacher[1]["train"]).all()
    assert (last.signals["train"].logits == three.each_teacher[2]["train"]).all()


@pytest.mark.slow
def test_killed_in_the_second_teacher_it_goes_on_there(make_job, tmp_path, work, monkeypatch):
    whole = run(make_job(tmp_path / "a" / "whole", teacher_seeds=2))
    broken = tmp_path / "b" / "broken"
    run(make_job(broken, checkpoint_seconds=0.0))
    with monkeypatch.context() as patch:
        kill_after(patch, 3)
        with pytest.raises(Killed):
            run(make_job(broken, teacher_seeds=2, checkpoint_seconds=0.0))
    assert [p.name for p in RunLayout(broken).every_teacher()] == ["teacher"], "half a teacher must not be found"
    assert any(broken.glob(".teacher-2-checkpoint-*"))
    write = SignalStore.write_shard

    def die(self, number, *args):
        if number == 2:
            raise Killed
        write(self, number, *args)

    work["tuned"].clear(), work["labelled"].clear()
    with monkeypatch.context() as patch:
        patch.setattr(SignalStore, "write_shard", die)
        with pytest.raises(Killed):
            run(make_job(broken, teacher_seeds=2, checkpoint_seconds=0.0))
    kept = {
        p: p.stat().st_mtime_ns for p in RunLayout(broken).signals("dev", 2).glob("*.parquet")
    }  # dev is labeled first
    assert len(kept) == 2 and work["tuned"] == [2]
    work["tuned"].clear(), work["labelled"].clear()
    resumed = run(make_job(broken, teacher_seeds=2, checkpoint_seconds=0.0))
    assert work["tuned"] == [] and [s for _, s in work["labelled"]] == ["dev, teacher 2", "train, teacher 2"]
    assert {p: p.stat().st_mtime_ns for p in kept} == kept
    for split in ("train", "dev"):
        assert resumed.signals[split].logits.tobytes() == whole.signals[split].logits.tobytes()
    assert not [p.name for p in broken.iterdir() if p.name.startswith(".")], "no checkpoint is left"


def test_a_given_ensemble_teaches_as_the_run_that_made_it(make_job, tmp_path, work):
    made = run(make_job(tmp_path / "mine" / "run", teacher_seeds=2))
    folder = tmp_path / "mine" / "run"
    given = {"teacher": str(folder / "teacher"), "signals": folder / "signals"}
    work["tuned"].clear(), work["labelled"].clear()
    job = make_job(tmp_path / "yours" / "run", teacher_seeds=2, **given)
    check(job)
    taken = run(job)
    assert work == {"tuned": [], "labelled": []}
    assert (taken.signals["train"].logits == made.signals["train"].logits).all()
    assert taken.teacher["seeds"] == [1, 2]
    single = run(make_job(tmp_path / "yours" / "first", **given))
    assert (single.signals["train"].logits == made.each_teacher[0]["train"]).all() and work["labelled"] == []
    for seeds, message in (
        (3, r"--teacher_seeds=3: --teacher=.* .*teacher-3 for another seed does not exist"),
        (2, "from another teacher"),
    ):
        wrong = make_job(tmp_path / "yours" / "wrong", teacher_seeds=seeds, **given)
        with pytest.raises(UserError, match=message) as error:
            check(wrong)
        assert "\n" not in str(error.value)
        # Next: the second teacher's signals are those of the first.
        store = RunLayout(folder).signals("dev", 2)
        shutil.rmtree(store)
        shutil.copytree(RunLayout(folder).signals("dev"), store)
    shutil.rmtree(store)
    with pytest.raises(UserError, match=r"teacher-2/dev: no teacher signals here"):
        check(wrong)
    assert not (tmp_path / "yours" / "wrong").exists()
    assert json.loads((folder / "teacher-2" / "teacher.json").read_text())["key"]["teacher_seed"] == 2


def test_folders_of_others_beside_a_run_are_left_alone(tmp_path, monkeypatch):
    for name in ("mine", "older", "locked"):
        (tmp_path / name / "teacher").mkdir(parents=True)
    monkeypatch.setattr(os, "access", lambda path, mode: path.name != "locked")
    found = RunLayout(tmp_path / "mine").siblings("custom")
    assert [run.root.name for run in found] == ["older"]
