"""Ctrl-C and SIGTERM while a command is at work. Nothing asserts on time."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SAID = "stopped; finished work is kept, and the same command goes on"


def hear_interrupts() -> None:
    """A shell starts its background jobs, and these tests with them, deaf to SIGINT."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def start(arguments: list[str], log: Path) -> subprocess.Popen:
    with open(log, "wb") as f:
        return subprocess.Popen(
            [sys.executable, *arguments], cwd=log.parent, stdout=f, stderr=f, start_new_session=True, preexec_fn=hear_interrupts,
            env=os.environ | {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"},
        )  # fmt: skip


def stop(process: subprocess.Popen, log: Path, when: str, number: int, everyone: bool = False) -> str:
    """Sends the signal once the log matches ``when``; what the command had said in the end."""
    end = time.monotonic() + 300
    while not re.search(when, log.read_text(errors="replace")):
        assert process.poll() is None, f"ended before {when}: {log.read_text()[-2000:]}"
        assert time.monotonic() < end, f"never came to {when}"
        time.sleep(0.02)
    (os.killpg if everyone else os.kill)(process.pid, number)
    assert process.wait(120) == 128 + number, log.read_text()[-2000:]
    said = log.read_text(errors="replace")
    assert said.count(SAID) == 1 and said.rstrip().endswith(SAID) and "Traceback" not in said, said[-2000:]
    return said


def is_gone(group: int) -> bool:
    """Within a minute."""
    for _ in range(600):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


# In fine-tuning, in labeling, and while processes of two students are started.
@pytest.mark.parametrize(
    ("more", "when", "number"),
    [
        ([], "fine-tuning", signal.SIGINT),
        pytest.param([], "labelling", signal.SIGTERM, marks=pytest.mark.slow),
        pytest.param(["--parallel_students=2"], "2 at a time", signal.SIGINT, marks=pytest.mark.slow),
    ],
)
def test_it_stops_and_goes_on(trained_run, tmp_path, more, when, number):
    # A folder of its own: elsewhere the teacher of another run would be found.
    folder, log = tmp_path / "runs" / "one", tmp_path / "log"
    command = ["-m", "kd_keras.train", *trained_run.arguments, f"--output_dir={folder}", *more]
    process = start(command, log)
    stop(process, log, when, number, everyone=number == signal.SIGINT)
    assert is_gone(process.pid), "a process of its own was left"
    assert not [p for p in folder.rglob("*") if ".tmp" in p.name]
    assert start(command, log).wait(600) == 0, log.read_text()[-3000:]
    assert (folder / "report.md").is_file()


def test_a_call_that_python_cannot_interrupt(tmp_path):
    """Nor one that swallows the interrupt; and what is half written is removed."""
    script = """
import ctypes, sys, time
from kd_keras.common import cli, files
def main(argv):
    with files.atomic_path("whole.txt") as temp, files.atomic_dir("folder"):
        temp.write_text("half")
        print("busy", flush=True)
        while True:
            try:
                time.sleep(60)
            except KeyboardInterrupt:
                pass
            ctypes.CDLL(None).usleep(2**31 - 1)  # a signal ends it early, so again and again
cli.run(main)
"""
    for number in (signal.SIGINT, signal.SIGTERM):
        stop(start(["-c", script], tmp_path / "log"), tmp_path / "log", "busy", number)
        assert [p.name for p in tmp_path.iterdir()] == ["log"]


def test_what_a_library_makes_of_an_interrupt(tmp_path):
    script = """
import time
from kd_keras.common import cli
def main(argv):
    try:
        print("busy", flush=True)
        time.sleep(600)
    except KeyboardInterrupt:
        raise RuntimeError("an operation failed") from None
cli.run(main)
"""
    stop(start(["-c", script], tmp_path / "log"), tmp_path / "log", "busy", signal.SIGINT)


def test_processes_of_a_pool_end_with_it(tmp_path):
    script = """
import time
from kd_keras.common import cli
from kd_keras.common.processes import Pool
def main(argv):
    with Pool(2, print, ("begun",)) as pool:
        list(pool.map(time.sleep, (600, 600)))
if __name__ == "__main__":
    cli.run(main)
"""
    (tmp_path / "many.py").write_text(script)
    log = tmp_path / "log"
    for number, everyone in ((signal.SIGINT, True), (signal.SIGINT, False), (signal.SIGTERM, False)):
        process = start(["-u", "many.py"], log)
        stop(process, log, "begun\n+begun", number, everyone)
        assert is_gone(process.pid)
    process = start(["-u", "many.py"], log)
    while log.read_text().count("begun") < 2:
        assert process.poll() is None, log.read_text()
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert is_gone(process.pid), "not even of one that was killed"
