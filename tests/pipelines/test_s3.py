"""Signals in an S3, which moto plays in a process of its own: the bytes of a folder here, whatever dies meanwhile.

`make s3-test` installs moto.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator

import numpy as np
import pytest
from started import started
from stores import SHARDS, arguments_of_label, content

from kd_keras.common.folders import folder_at

BUCKET = "s3://made-up"


def lacks(module: str) -> pytest.MarkDecorator:
    missing = importlib.util.find_spec(module) is None
    return pytest.mark.skipif(missing, reason=f"{module} is not installed (requirements-{module}.txt)")


pytestmark = [pytest.mark.s3, lacks("moto")]


@contextlib.contextmanager
def server(**more: str) -> Iterator[str]:
    """The address of a server of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        env=os.environ | more, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        end = time.monotonic() + 120
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert process.poll() is None and time.monotonic() < end, "moto does not answer"
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def s3(tmp_path_factory) -> Iterator[str]:
    """The address of an S3 with an empty bucket, which the environment names."""
    with server() as address, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", address)
        patch.setenv("AWS_ACCESS_KEY_ID", "made")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "up")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("KD_KERAS_CACHE", str(tmp_path_factory.mktemp("cache")))
        bucket = urllib.request.Request(f"{address}/{BUCKET.removeprefix('s3://')}", method="PUT")
        urllib.request.urlopen(bucket).close()
        yield address


@pytest.fixture(scope="module")
def arguments(toy_sentences, tmp_path_factory):
    """Of label, and a folder for what it makes."""
    away = tmp_path_factory.mktemp("s3")
    return away, arguments_of_label(away, toy_sentences)


@pytest.fixture(scope="module")
def here(arguments, run_python) -> dict[str, bytes]:
    """The files that label writes into a folder of this machine."""
    away, more = arguments
    done = run_python("-m", "kd_keras.label", *more, f"--output_dir=file://{away}/here")
    assert done.returncode == 0, done.stderr
    return content(folder_at(away / "here", "signals"))


def start(more: list[str], address: str) -> subprocess.Popen:
    return started("-m", "kd_keras.label", *more, f"--output_dir={address}")


def test_the_bytes_of_a_folder_here(s3, arguments, here):
    process = start(arguments[1], f"{BUCKET}/a/whole")
    out, said = process.communicate(timeout=400)
    assert process.returncode == 0, said
    assert content(folder_at(f"{BUCKET}/a/whole", "signals")) == here and len(here) == SHARDS + 2
    assert f"600 rows labeled in {BUCKET}/a/whole" in out


@pytest.mark.parametrize("shards", [1, 15])
def test_a_killed_command_goes_on(s3, arguments, here, shards):
    address = f"{BUCKET}/killed-{shards}"
    place, process = folder_at(address, "signals"), start(arguments[1], address)
    end = time.monotonic() + 240
    while len(place.names()) <= shards and process.poll() is None and time.monotonic() < end:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL and 0 < len(content(place)) < len(here)
    again = start(arguments[1], address)
    _, said = again.communicate(timeout=400)
    assert again.returncode == 0 and "going on with shard" in said, said
    assert content(place) == here


@pytest.mark.ray
@lacks("ray")
def test_workers_of_a_cluster_need_no_shared_folder(s3, arguments, here):
    process = start([*arguments[1], "--cluster=ray", "--cluster_workers=2"], f"{BUCKET}/cluster")
    _, said = process.communicate(timeout=400)
    assert process.returncode == 0, said
    assert content(folder_at(f"{BUCKET}/cluster", "signals")) == here


def test_what_is_refused_is_a_line_before_tensorflow(s3, arguments, run_verb, monkeypatch):
    def said(address: str) -> str:
        (answer,) = run_verb("label", [*arguments[1], f"--output_dir={address}"])
        (line,) = answer["err"].splitlines()
        assert answer["code"] == 2 and not answer["tf"] and line.startswith(f"error: --output_dir={address}: "), answer
        return line

    assert "there is no such bucket; make it, or give another address" in said("s3://no-such-bucket/x")
    folder_at(f"{BUCKET}/taken", "signals").write_json("other.json", {})
    assert "exists and holds no signals" in said(f"{BUCKET}/taken")
    with server(INITIAL_NO_AUTH_ACTION_COUNT="0") as strict, monkeypatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", strict)
        assert "not allowed; the usual environment gives credentials (AWS_ACCESS_KEY_ID" in said(f"{BUCKET}/x")
    monkeypatch.setenv("AWS_ENDPOINT_URL", strict)  # nobody listens there now
    assert "cannot be reached; look at the network and AWS_ENDPOINT_URL" in said(f"{BUCKET}/x")


def test_a_student_of_signals_there_is_that_of_signals_here(s3, trained_run, run_verb, tmp_path):
    from pyarrow.fs import LocalFileSystem, copy_files

    from kd_keras.students.inference import load_student

    signals, address = trained_run.folder / "signals", f"{BUCKET}/run/signals"
    place = folder_at(address, "signals")
    copy_files(str(signals), place._path, LocalFileSystem(), place._files)
    asked = [a for a in trained_run.arguments if not a.startswith(("--teacher=", "--seeds="))]
    asked += [f"--teacher={trained_run.folder}/teacher", "--nobaseline"]
    answers = run_verb(
        "train",
        [*asked, f"--signals={signals}", f"--output_dir={tmp_path}/here"],
        [*asked, f"--signals={address}", f"--output_dir={tmp_path}/there"],
        eager=True,
    )
    assert [a["code"] for a in answers] == [0, 0], answers[1]["err"]
    assert f"fetching {address}/train" in answers[1]["err"] and "labeling" not in answers[1]["err"]
    one, other = (load_student(tmp_path / name / "student.keras").get_weights() for name in ("here", "there"))
    assert len(one) == len(other) > 3 and all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    for name in ("manifest.json", "complete.json", "shard-00000.parquet"):
        assert (tmp_path / "there/signals/train" / name).read_bytes() == (signals / "train" / name).read_bytes()


def test_a_damaged_object_is_named_before_tensorflow(s3, trained_run, run_verb, tmp_path):
    address, where = f"{BUCKET}/damaged/signals", trained_run.folder / "signals"
    for split in ("train", "dev"):
        place = folder_at(f"{address}/{split}", "signals")
        for path in (where / split).glob("*.*"):
            with place.writing(path.name) as file:
                file.write(path.read_bytes()[: -9 if path.name == "shard-00001.parquet" else None])
    asked = [a for a in trained_run.arguments if not a.startswith("--teacher=")]
    asked += [f"--teacher={trained_run.folder}/teacher", f"--signals={address}", f"--output_dir={tmp_path}/run"]
    (answer,) = run_verb("train", asked)
    (line,) = (line for line in answer["err"].splitlines() if line.startswith("error: "))
    assert answer["code"] == 2 and not answer["tf"] and not (tmp_path / "run").exists()
    assert f"{address}/train/shard-00001.parquet: damaged or missing Parquet shard" in line
