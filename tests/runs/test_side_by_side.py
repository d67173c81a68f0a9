"""Students trained at the same time are those trained one after the other, and a killed one is said and trained again."""

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

from kd_keras.students.inference import load_student

ROOT = Path(__file__).resolve().parents[2]


def weights(folder: Path) -> list[np.ndarray]:
    return [v.numpy() for v in load_student(folder / "student.keras").variables if "seed" not in v.path]


def test_they_are_the_students_of_a_run_that_trains_one_after_the_other(trained_run, run_verb):
    folder = trained_run.folder.parents[1] / "side by side" / "run"  # no sibling, whose students it would take
    command = [*trained_run.arguments, f"--output_dir={folder}", "--parallel_students=2"]
    first, again = run_verb("train", command, command)
    assert first["code"] == again["code"] == 0, first["err"][-2000:]
    assert "4 students, 2 at a time" in first["err"] and "at a time" not in again["err"]
    assert (
        again["err"].count(f"found in {folder / 'arms'}") == 4 and "found in" not in first["err"].split("at a time")[1]
    )
    for arm in ("baseline-seed1", "distilled-seed1", "baseline-seed2", "distilled-seed2"):
        one, other = (json.loads((r / "arms" / arm / "history.json").read_text()) for r in (trained_run.folder, folder))
        assert one["key"] == other["key"] and one["best_step"] == other["best_step"], arm
        for a, b in zip(*(weights(r / "arms" / arm) for r in (trained_run.folder, folder)), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-5, err_msg=arm)
    seconds = json.loads((folder / "timings.json").read_text())
    assert "students, 2 at a time" in seconds


@pytest.mark.slow
def test_a_killed_one_is_said_and_trained_again(trained_run, tmp_path):
    folder = trained_run.folder.parents[1] / "killed" / "run"
    command = [sys.executable, "-m", "kd_keras.train", *trained_run.arguments, "--epochs=60", "--patience=0",
               "--evals_per_epoch=0.02", f"--output_dir={folder}", "--parallel_students=2"]  # fmt: skip
    log = tmp_path / "log"
    with open(log, "w") as f:
        run = subprocess.Popen(command, cwd=tmp_path, stdout=f, stderr=f, env=os.environ | {"PYTHONPATH": str(ROOT)})
    while " updates" not in log.read_text():
        assert run.poll() is None, log.read_text()[-2000:]
        time.sleep(0.2)
    children = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
    (victim, *_) = [c for c in children if b"spawn_main" in Path(f"/proc/{c}/cmdline").read_bytes()]
    os.kill(int(victim), signal.SIGKILL)
    assert run.wait(60) == 2
    assert (
        log.read_text().splitlines()[-1].startswith("error: --parallel_students=2: the process of a student was killed")
    )
    done = subprocess.run(
        command[:-1], cwd=tmp_path, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "the process" not in done.stderr


def test_a_process_imports_no_tensorflow_before_it_begins(run_python):
    """Else its start-up notes are on the screen, and a GPU is not set up as it is elsewhere."""
    code = "import sys, kd_keras.runs.parallel; print([m for m in ('tensorflow', 'keras') if m in sys.modules])"
    assert run_python("-c", code).stdout.strip() == "[]"
