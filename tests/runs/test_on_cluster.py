"""What a cluster's worker does with the students of a run, without a cluster."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kd_keras.common.errors import UserError
from kd_keras.distill.settings import RecipeSettings, TrainSettings
from kd_keras.pipelines.settings import ClusterSettings
from kd_keras.runs import on_cluster
from kd_keras.runs.check import check
from kd_keras.runs.job import Job
from kd_keras.runs.on_cluster import Learner, Order
from kd_keras.runs.run import distil
from kd_keras.runs.settings import JobSettings
from kd_keras.students.inference import load_student
from kd_keras.students.settings import StudentSettings
from kd_keras.teachers.settings import LabelSettings, TeacherSettings

ROOT = Path(__file__).resolve().parents[2]
STUDENT = StudentSettings(tokenizer="words", embeddings="random", embedding_size=8, hidden_size=6, dense_size=8)
RAY = ClusterSettings(cluster="ray", cluster_workers=2)


@pytest.fixture
def job(toy_data, tmp_path):
    """(name, cluster, …) → a run of two arms, taught by a file, in a folder of its own."""
    data, path = toy_data(), tmp_path / "given.jsonl"
    rows = [(t, n) for part in (data.train, data.dev) for t, n in zip(part.text, part.label.tolist(), strict=True)]
    path.write_text(
        "".join(json.dumps({"text": t, "logits": [0.5 - n, n - 0.3]}) + "\n" for t, n in dict(rows).items())
    )

    def make(name: str, cluster: ClusterSettings = ClusterSettings(), **more) -> Job:  # noqa: B008
        how = JobSettings(output_dir=str(tmp_path / name / "run"), teacher_signals=str(path), **more)
        train, recipe = TrainSettings(epochs=1, batch_size=16), RecipeSettings(recipe="soft")
        rest = (TeacherSettings(), LabelSettings(), STUDENT, train, how, recipe)
        return Job(data, None, *rest, cluster=cluster)

    return make


@pytest.fixture(autouse=True)
def eager(monkeypatch):
    """Tracing would take most of the time; and this process has chosen its threads, and its device, long ago."""
    import tensorflow as tf

    monkeypatch.setattr(on_cluster, "begin", lambda cpus: None)
    monkeypatch.setattr(on_cluster, "hide_gpus", lambda: None)
    monkeypatch.setattr(ClusterSettings, "check", lambda self: None)  # Ray need not be installed
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def workers_of(asked: list, at_the_end=lambda: None):
    """In Ray's place: one worker, in this process; ``asked`` gets its order and what each job gave."""

    def work(cluster, worker, order, jobs, ahead, most):
        asked.append((order, ahead, most))
        made = worker(order)
        made.open()
        for job in jobs:
            asked.append(made.do(job))
            yield asked[-1]
        at_the_end()

    return work


def weights(job: Job, arm: str) -> list[np.ndarray]:
    return load_student(Path(job.job.output_dir) / "arms" / arm / "student.keras").get_weights()


def test_workers_make_the_students_of_one_process(job, monkeypatch):
    asked: list = []
    monkeypatch.setattr(on_cluster, "work", workers_of(asked))
    here, there = job("here"), job("there", RAY)
    alone, away = distil(check(here)), distil(check(there))
    (order, ahead, most), *done = asked
    assert (ahead, most, order.cpus) == (1, 2, 1) and order.folder == there.job.output_dir
    assert [n for n, _ in done] == [0, 1] and all(updates == 3 for _, (updates, *_) in done)
    for arm in ("baseline-seed1", "distilled-seed1"):
        for a, b in zip(weights(here, arm), weights(there, arm), strict=True):
            np.testing.assert_array_equal(a, b, err_msg=arm)
    assert alone["student"]["per_seed"] == away["student"]["per_seed"]
    del asked[:]
    distil(check(there))
    assert not asked  # all are found


def test_a_student_that_another_command_trains_is_waited_for(job, monkeypatch):
    claim = Path(job("run").job.output_dir) / "arms" / "distilled-seed1.claim"
    code = "import sys; from pathlib import Path; from kd_keras.common.claims import claimed\n"
    code += "with claimed(Path(sys.argv[1]), 'it'): print('mine', flush=True); sys.stdin.read()"
    other = subprocess.Popen(
        [sys.executable, "-c", code, claim], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout.readline() == "mine\n"
    asked: list = []
    monkeypatch.setattr(on_cluster, "work", workers_of(asked, lambda: other.communicate("")))
    monkeypatch.setattr("kd_keras.runs.check.check_folder", lambda *_: None)  # the claim has made it
    made = distil(check(job("run", RAY)))
    done = dict(asked[1:])
    assert sorted(map(bool, done.values())) == [False, True]  # one was another's
    assert made["student"]["dev"] and made["baseline"]["dev"] and not claim.exists()


def test_a_worker_of_something_else_is_refused(tmp_path):
    order = Order("0.1.0", None, (), str(tmp_path), os.getcwd(), 1)
    Learner(order).open()
    with pytest.raises(UserError, match=r"^[^ ]+: has kd_keras 0.1.0, but the command that asks has 9.9; install the"):
        Learner(replace(order, version="9.9")).open()
    with pytest.raises(UserError, match="sees no .*gone; give a folder that every machine of the cluster sees"):
        Learner(replace(order, folder=str(tmp_path / "gone"))).open()


def test_students_side_by_side_and_on_a_cluster_are_refused(job):
    with pytest.raises(
        UserError, match="^--parallel_students=2: with --cluster=ray the cluster trains the students; use"
    ):
        check(job("run", RAY, parallel_students=2))
