"""What Linux has and macOS or Windows lack is not needed: the same code runs with it taken away."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

from kd_keras.common import files, machine, reading, stopping
from kd_keras.common.npy import put_rows

ROOT = Path(__file__).resolve().parents[2]
# Python's documentation names these "Unix" only, or Linux; macOS lacks the first four.
LINUX = ("posix_fallocate", "sched_getaffinity", "sched_setaffinity", "pidfd_open")
UNIX = (
    *LINUX, "geteuid", "getuid", "chown", "fchown", "fchmod", "pread", "pwrite", "set_blocking", "O_NOCTTY", "getloadavg", "mkfifo",
    "killpg", "setsid", "getpgid", "fork", "statvfs", "WNOHANG",
)  # fmt: skip
# In a process of its own, before anything of ours is imported. Python's own libraries hold what they need by then.
TAKEN_AWAY = f"""
import multiprocessing.util, os, pathlib, signal, subprocess, sys, tempfile
def wakeup(number, block=os.set_blocking, plain=signal.set_wakeup_fd, **how):
    block(number, False)  # which Windows does not ask for
    return plain(number, **how)
signal.set_wakeup_fd = wakeup
for name in {UNIX!r}:
    if hasattr(os, name): delattr(os, name)
del signal.pthread_sigmask
sys.modules.update(dict.fromkeys(("resource", "fcntl", "pwd", "grp", "termios")))
for name in ("read_text", "exists", "read_bytes"):
    def refuse(path, *more, plain=getattr(pathlib.Path, name), **how):
        if str(path).startswith(("/proc", "/sys")): raise FileNotFoundError(2, "no such file", str(path))
        return plain(path, *more, **how)
    setattr(pathlib.Path, name, refuse)
"""


@pytest.mark.parametrize("output", ["-", "said.jsonl"])
def test_predict_answers_without_what_only_unix_has(tmp_path, run_python, output):
    model = ROOT / "saved_models" / "sst2" / "mobile" / "tflite" / "dynamic.tflite"
    arguments = [f"--model={model}", "--input=-", f"--output={output}"]
    code = f"import runpy; sys.argv = ['predict', *{arguments!r}]; runpy.run_module('kd_keras.predict', run_name='__main__')\n"
    text = "a gorgeous film\na dull mess\n"
    plain = run_python("-c", "import sys; " + code, input=text, cwd=tmp_path)
    want = plain.stdout if output == "-" else (tmp_path / output).read_text()
    done = run_python("-c", TAKEN_AWAY + code, input=text, cwd=tmp_path)
    assert done.returncode == plain.returncode == 0, done.stderr
    found = done.stdout if output == "-" else (tmp_path / output).read_text()
    assert found == want and '"label": "positive"' in found and '"label": "negative"' in found


def test_rows_get_their_room_where_the_system_cannot_reserve_it(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "posix_fallocate")
    path, want = tmp_path / "a.npy", np.random.default_rng(0).normal(size=(3000, 250))
    put_rows(path, np.array([5, 2999]), want[[5, 2999]], 3000)
    there = path.stat()
    assert there.st_blocks * 512 >= there.st_size > want.nbytes, "a hole is where a full disk kills"
    put_rows(path, np.arange(5), want[:5], 3000)
    found = np.load(path)
    assert (found[[0, 1, 2, 3, 4, 5, 2999]] == want[[0, 1, 2, 3, 4, 5, 2999]]).all() and not found[6:2999].any()


def test_a_full_disk_is_told_there_too(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "posix_fallocate")
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    kept = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    path = tmp_path / "a.npy"
    put_rows(path, np.arange(1), np.ones((1, 4)), 10)
    path.unlink()
    monkeypatch.setattr("kd_keras.common.npy._BLOCK", 1000)
    open_memmap = np.lib.format.open_memmap

    def then_full(*args):
        made = open_memmap(*args)
        resource.setrlimit(resource.RLIMIT_FSIZE, (5000, hard))
        return made

    monkeypatch.setattr(np.lib.format, "open_memmap", then_full)
    try:
        with pytest.raises(OSError, match="too large"):
            put_rows(path, np.arange(1), np.ones((1, 4)), 1000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, kept)


def test_files_are_replaced_without_users_by_number(tmp_path, monkeypatch):
    for name in ("geteuid", "chown"):
        monkeypatch.delattr(os, name)
    path = tmp_path / "a.txt"
    path.write_text("old")
    path.chmod(0o640)
    files.write_text(path, "new")
    assert path.read_text() == "new" and path.stat().st_mode & 0o777 == 0o640
    for text in ("old", "new"):
        with files.atomic_dir(tmp_path / "d") as temp:
            (temp / "x").write_text(text)
    assert (tmp_path / "d" / "x").read_text() == "new"


def test_nobody_is_asked_for_by_a_kill_on_windows(tmp_path, monkeypatch):
    """There ``os.kill(number, 0)`` ends the process."""
    left = tmp_path / f".a.{files._HOST}-4194000.tmp"
    monkeypatch.setattr(os, "name", "nt")
    monkeypatch.setattr(os, "kill", lambda number, what: pytest.fail("asked"))
    left.touch()
    files.remove_left_behind(tmp_path)
    monkeypatch.undo()
    assert left.exists()
    files.remove_left_behind(tmp_path)
    assert not left.exists()


def test_a_pipe_is_read_again_without_pread(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "pread")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = os.open(pipe, os.O_RDWR)
    want = b"".join(b"line %d\n" % n for n in range(3000))
    os.write(writer, want[:60000])
    reader = reading.open_raw
    import threading

    threading.Timer(0.2, lambda: os.close(writer)).start()
    with reader(pipe) as a, reader(pipe) as b:
        assert a.readline() == b.readline() == b"line 0\n"
        assert a.read() == b.read() == want[7:60000]


def test_processes_are_started_without_masks(monkeypatch):
    monkeypatch.delattr(signal, "pthread_sigmask")
    with stopping.held():
        assert stopping._held
    assert not stopping._held


def test_memory_is_told_as_far_as_the_system_tells(monkeypatch):
    def none(path, *args, **how):
        raise FileNotFoundError(2, "no such file", str(path))

    known = machine.memory_mb()
    monkeypatch.setattr(Path, "read_text", none)
    told = machine.memory_mb()
    assert 0.5 * known["now"] < told["peak"] and machine.has_bfloat16() is False
    monkeypatch.setattr(sys, "platform", "darwin")  # counts bytes
    assert machine.memory_mb()["peak"] == pytest.approx(told["peak"] / 1024, rel=0.1)
    monkeypatch.setitem(sys.modules, "resource", None)
    assert machine.memory_mb() == {"now": 0.0, "peak": 0.0}
    assert machine.machine()["cpu"]
