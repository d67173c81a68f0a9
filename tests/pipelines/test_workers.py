"""Workers that train together: the updates of one process, one writer, and what happens when one of them dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from kd_keras.common import files, team
from kd_keras.common.errors import UserError
from kd_keras.distill.objectives import Contrast, HardLabels, LogitMSE
from kd_keras.distill.stages import Stage, TrainingSet, run_stage
from kd_keras.pipelines.call import free_ports
from kd_keras.pipelines.settings import ClusterSettings, TeamSettings
from kd_keras.text.batches import training_batches
from kd_keras.text.token_ids import TokenIds

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = Path(__file__).with_name("trained_together.py")


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("", (0, 1)),
        ('{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 1}}', (1, 2)),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": "0"}}', (0, 1)),
    ],
)
def test_what_the_environment_says(monkeypatch, said, found):
    monkeypatch.setenv("TF_CONFIG", said)
    assert team.told() == found


@pytest.mark.parametrize(
    "said",
    [
        "worker 1 of 2",
        "[]",
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}',
        '{"cluster": {"chief": ["a:1"], "worker": ["b:1"]}, "task": {"type": "chief", "index": 0}}',
        '{"cluster": {"worker": ["a:1"]}}',
    ],
)
def test_another_environment_is_refused(monkeypatch, said):
    monkeypatch.setenv("TF_CONFIG", said)
    with pytest.raises(UserError, match=r'^TF_CONFIG=.*: expected \{"cluster": \{"worker": \["HOST:PORT", …\]\}'):
        team.told()


def test_what_does_not_go_together_is_refused(monkeypatch):
    TeamSettings(workers=2).check()
    with pytest.raises(UserError, match="^--cluster_workers=4: --workers=2 says how many processes there are; leave"):
        monkeypatch.setattr("importlib.util.find_spec", lambda name: True)
        TeamSettings(workers=2).check(cluster=ClusterSettings(cluster="ray", cluster_workers=4))
    with pytest.raises(UserError, match="^--parallel_students=3: several workers train one student after another"):
        TeamSettings(workers=2).check(parallel_students=3)
    two = {"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 0}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(two))
    TeamSettings().check()
    with pytest.raises(UserError, match="^--workers=3: TF_CONFIG names 2; leave the flag out"):
        TeamSettings(workers=3).check()
    with pytest.raises(UserError, match="^--parallel_students=2: "):
        TeamSettings().check(parallel_students=2)


def test_only_the_chief_writes(tmp_path):
    (tmp_path / "a.txt").write_text("before")
    files.read_only(True)
    try:
        files.write_text(tmp_path / "a.txt", "after")
        files.write_json(tmp_path / "b.json", {})
        with files.atomic_dir(tmp_path / "folder") as temp:
            (temp / "c.txt").write_text("c")
        files.link_or_copy(tmp_path / "a.txt", tmp_path / "d.txt")
    finally:
        files.read_only(False)
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"] and (tmp_path / "a.txt").read_text() == "before"


class OneOfTwo:
    """A worker whose other one sums to the same: what all have in common is twice its own."""

    rank, count, chief = 0, 2, True

    def sums(self, tensors):
        import tensorflow as tf

        return [2.0 * tf.convert_to_tensor(t) for t in tensors]

    def sum(self, tensor):
        return 2.0 * tensor

    def of_chief(self, values):
        return list(values)

    def wait(self):
        pass


def test_parts_of_a_mean_add_up():
    draw = np.random.default_rng(0)
    logits, label = draw.normal(size=(9, 3)).astype(np.float32), np.array([0, 1, 2, -1, -1, 1, 0, 2, 1])
    y = {"label": label, "teacher_logits": draw.normal(size=(9, 3)).astype(np.float32)}
    for objective in (HardLabels(), LogitMSE()):
        whole = float(objective(y, {"logits": logits}))
        known = 7.0 if objective.title == "hard" else 9.0
        parts = [
            float(objective({k: v[n::2] for k, v in y.items()}, {"logits": logits[n::2]}, None, lambda _, k=known: k))
            for n in range(2)
        ]
        assert sum(parts) == pytest.approx(whole, rel=1e-6)


def test_every_row_of_a_batch_goes_to_one_worker():
    ids = {"ids": TokenIds.of([[n + 1] * (1 + n % 3) for n in range(7)])}
    y = {"label": np.arange(7)}
    takes = [iter(training_batches(ids, y, 3, seed=1, part=(n, 2))) for n in range(2)]
    both = [[next(take) for _ in range(3)] for take in takes]
    seen = sorted(int(v) for worker in both for _, labels in worker for v in labels["label"])
    assert seen == list(range(7)) and {x["ids"].shape[0] for worker in both for x, _ in worker} >= {0, 1, 2}


def test_an_objective_of_whole_batches_is_refused(monkeypatch, tmp_path):
    from kd_keras.distill import stages
    from kd_keras.students.settings import StudentSettings
    from kd_keras.students.universal import universal

    monkeypatch.setattr(stages, "current", OneOfTwo)
    student = universal(StudentSettings(embedding_size=4, hidden_size=3, pooling="mean"), np.ones((9, 4)), 4)
    data = TrainingSet({"ids": TokenIds.of([[1], [2]])}, {"teacher_hidden": np.ones((2, 4), np.float32)})
    stage = Stage("one", (Contrast(units=4, state="vector"),), data, 1, 0.1)
    with pytest.raises(UserError, match="--workers: the objective contrast compares all rows of a batch"):
        run_stage(student, stage, _training(tmp_path))


def _training(folder):
    from kd_keras.distill.loop import DevSet, Training
    from kd_keras.distill.settings import TrainSettings

    return Training(DevSet({}, np.zeros(0), ("accuracy",)), TrainSettings(), folder)


def together(count: int, *command: object) -> list[subprocess.Popen]:
    """The command as so many workers."""
    places, made = [f"127.0.0.1:{port}" for port in free_ports(count)], []
    for rank in range(count):
        config = {"cluster": {"worker": places}, "task": {"type": "worker", "index": rank}}
        environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
        environment |= {"TF_CONFIG": json.dumps(config)} if count > 1 else {}
        made.append(
            subprocess.Popen(
                [sys.executable, *map(str, command)],
                env=environment,
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        )
    return made


@pytest.mark.slow
def test_two_workers_make_the_updates_of_one(tmp_path):
    """200 updates of a student and 50 of a teacher, clipped, the last batch of each epoch uneven."""
    found = {}
    for count in (1, 2):
        folder = tmp_path / str(count)
        folder.mkdir()
        workers = together(count, SCRIPT, folder, "student", "teacher")
        for worker in workers:
            _, said = worker.communicate(timeout=600)
            assert worker.returncode == 0, said[-2000:]
        found[count] = [json.loads((folder / f"result-{n}.json").read_text()) for n in range(count)]
    (alone,), (chief, other) = found[1], found[2]
    assert chief == other and len(alone["student"]["loss"]) == 200 and len(alone["teacher"]["loss"]) == 50
    for who, names in (("student", ("loss", "parts", "accuracy")), ("teacher", ("loss",))):
        for name in names:
            np.testing.assert_allclose(chief[who][name], alone[who][name], atol=1e-6, rtol=0)
    assert np.mean(alone["student"]["loss"][-10:]) < np.mean(alone["student"]["loss"][:10]) - 0.05


@pytest.mark.slow
def test_train_with_workers_of_its_own(tmp_path, trained_run, run_python):
    """The command as such: one writes, a killed worker is told in a line, and the same command goes on."""
    arguments = [a for a in trained_run.arguments if not a.startswith(("--epochs", "--seeds"))]
    arguments += ["--epochs=40", "--workers=2", f"--output_dir={tmp_path / 'run'}"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "kd_keras.train", *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, env=environment, cwd=trained_run.folder.parents[1], **pipes)
    end = time.monotonic() + 300
    while not (tmp_path / "run/signals/train/complete.json").exists() and time.monotonic() < end:
        time.sleep(0.05)
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(process.pid)], capture_output=True, text=True)
    (worker, *_) = (int(line) for line in listed.stdout.split())
    os.kill(worker, signal.SIGKILL)
    killed = time.monotonic()
    _, said = process.communicate(timeout=300)
    assert process.returncode == 2 and time.monotonic() - killed < 90, said[-2000:]
    assert said.splitlines()[-1].startswith("error: --workers: another worker is gone"), said[-2000:]
    again = subprocess.run(command, env=environment, cwd=trained_run.folder.parents[1], timeout=600, **pipes)
    assert again.returncode == 0, again.stderr[-2000:]
    assert json.loads((tmp_path / "run/metrics.json").read_text())["student"]["dev"]
    assert "2 workers on this machine train together" in again.stderr
