"""Labeling on Ray itself: the same bytes as one process, whatever dies meanwhile. `make ray-test` installs it."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from started import below, started
from stores import arguments_of_label

pytestmark = [
    pytest.mark.ray,
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed (requirements-ray.txt)"),
]


@pytest.fixture(scope="module")
def arguments(toy_sentences, tmp_path_factory):
    """Of label, and a folder for what it makes."""
    away = tmp_path_factory.mktemp("ray")
    return away, arguments_of_label(away, toy_sentences)


@pytest.fixture(scope="module")
def alone(arguments, run_python):
    away, more = arguments
    done = run_python("-m", "kd_keras.label", *more, f"--output_dir={away}/alone")
    assert done.returncode == 0, done.stderr
    return files_in(away / "alone")


def files_in(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir()}


def start(more: list[str], folder: Path) -> subprocess.Popen:
    on_ray = ("--cluster=ray", "--cluster_workers=2")
    return started("-m", "kd_keras.label", *more, f"--output_dir={folder}", *on_ray)


def until(process: subprocess.Popen, folder: Path, shards: int) -> None:
    """Waits until there are so many shards."""
    end = time.monotonic() + 240
    while len(list(folder.glob("shard-*"))) < shards and process.poll() is None and time.monotonic() < end:
        time.sleep(0.005)


def test_the_same_bytes_as_one_process(arguments, alone):
    away, more = arguments
    process = start(more, away / "two")
    _, said = process.communicate(timeout=400)
    assert process.returncode == 0, said
    assert files_in(away / "two") == alone


def listening(numbers: list[int]) -> set[str]:
    """Addresses, as /proc writes them, on which these processes listen."""
    found = {}
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            _, local, _, state, *more = line.split()
            if state == "0A":
                found[f"socket:[{more[5]}]"] = local.partition(":")[0]
    held = set()
    for number in numbers:
        with contextlib.suppress(OSError):
            held |= {os.readlink(link) for link in Path(f"/proc/{number}/fd").iterdir() if link.is_symlink()}
    return {found[name] for name in held & set(found)}


@pytest.mark.skipif(not Path("/proc/net/tcp").is_file(), reason="only Linux tells in /proc who listens")
def test_nobody_else_reaches_the_ray_that_is_started(arguments, alone):
    away, more = arguments
    process = start(more, away / "reached")
    until(process, away / "reached", 3)
    found = listening(below(process))
    _, said = process.communicate(timeout=400)
    assert process.returncode == 0 and files_in(away / "reached") == alone, said
    loopback = {"0100007F", "0" * 24 + "01000000", "0" * 16 + "FFFF0000" + "0100007F"}
    assert found and found <= loopback, found


@pytest.mark.parametrize("shards", [0, 3, 20])
def test_a_killed_worker_is_replaced(arguments, alone, shards):
    away, more = arguments
    folder = away / f"worker-{shards}"
    process = start(more, folder)
    until(process, folder, shards)
    workers = []
    while not workers and process.poll() is None:
        workers = below(process, "ray::Labeller")
    os.kill(workers[0], signal.SIGKILL)
    _, said = process.communicate(timeout=400)
    assert process.returncode == 0, said
    assert files_in(folder) == alone


@pytest.mark.parametrize("shards", [1, 15])
def test_a_killed_command_goes_on(arguments, alone, shards):
    away, more = arguments
    folder = away / f"command-{shards}"
    process = start(more, folder)
    until(process, folder, shards)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    again = start(more, folder)
    _, said = again.communicate(timeout=400)
    assert again.returncode == 0, said
    assert files_in(folder) == alone


def test_a_killed_cluster_is_said_in_a_line(arguments, alone):
    away, more = arguments
    folder = away / "cluster"
    process = start(more, folder)
    until(process, folder, 1)
    for number in below(process):  # workers, and all that keeps them
        with contextlib.suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)
    _, said = process.communicate(timeout=400)
    assert process.returncode == 2 and "the cluster is gone" in said.splitlines()[-1], said
    again = start(more, folder)
    _, said = again.communicate(timeout=400)
    assert again.returncode == 0 and files_in(folder) == alone, said
