"""Students trained on Ray are those of one process, whatever dies meanwhile. `make ray-test` installs it."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from started import below, started

from kd_keras.students.inference import load_student

# What a run says of itself, and not of its students.
OF_THE_RUN = ("seconds", "machine", "next")

pytestmark = [
    pytest.mark.ray,
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed (requirements-ray.txt)"),
]


@pytest.fixture(scope="module")
def arguments(toy_sentences, write_csv, tmp_path_factory):
    """Of a train that needs no teacher, and a folder for what it makes."""
    away, said = tmp_path_factory.mktemp("students"), ["--task=custom"]
    for seed, (split, count) in enumerate((("train", 96), ("dev", 30))):
        texts, labels = toy_sentences(count, seed)
        said.append(f"--{split}_file={write_csv(away / f'{split}.csv', texts, labels)}")
        lines = [
            json.dumps({"text": t, "logits": [0.5 - n, n - 0.3]}) for t, n in zip(texts, labels.tolist(), strict=True)
        ]
        (away / f"{split}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return away, [
        *said, f"--teacher_signals={away}/train.jsonl,{away}/dev.jsonl", "--tokenizer=words", "--embeddings=random",
        "--embedding_size=8", "--hidden_size=6", "--dense_size=8", "--batch_size=8", "--recipe=soft", "--patience=0",
    ]  # fmt: skip


def start(away: Path, more: list[str], name: str) -> subprocess.Popen:
    """A train that writes to ``away/name/run``; every process has as many threads as a worker of one CPU."""
    threads = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
    return started("-m", "kd_keras.train", *more, f"--output_dir={away}/{name}/run", cwd=away, **threads)


def finished(process: subprocess.Popen) -> str:
    _, said = process.communicate(timeout=400)
    assert process.returncode == 0, said[-3000:]
    return said


def until(process: subprocess.Popen, there) -> None:
    end = time.monotonic() + 240
    while not there():
        assert process.poll() is None and time.monotonic() < end, process.communicate()[1][-3000:]
        time.sleep(0.02)


def students(run: Path) -> dict[str, list[np.ndarray]]:
    folders = sorted(run.glob("arms/*/student.keras"))
    return {p.parent.name: [v.numpy() for v in load_student(p).variables if "seed" not in v.path] for p in folders}


def metrics(run: Path) -> dict:
    found = json.loads((run / "metrics.json").read_text())
    found["student"].pop("bytes")  # a file names its layers, and Keras counts them through a process
    return {k: v for k, v in found.items() if k not in OF_THE_RUN}


def test_a_killed_workers_student_is_trained_again(arguments):
    away, more = arguments
    more = [*more, "--epochs=4", "--seeds=2"]
    finished(start(away, more, "alone"))
    process = start(away, [*more, "--cluster=ray", "--cluster_workers=2"], "ray")
    arms = away / "ray/run/arms"
    until(process, lambda: len(list(arms.glob("*.claim"))) == 2)
    os.kill(below(process, "ray::Learner")[0], signal.SIGKILL)
    said = finished(process)
    assert "4 students on --cluster=ray" in said and "a worker died; another takes its place" in said
    assert said.count("best dev") == 4 and not list(arms.glob("*.claim"))
    one, other = (students(away / name / "run") for name in ("alone", "ray"))
    assert list(one) == list(other) and len(one) == 4
    for name, weights in one.items():
        for a, b in zip(weights, other[name], strict=True):
            np.testing.assert_array_equal(a, b, err_msg=name)
    assert metrics(away / "alone/run") == metrics(away / "ray/run")


def test_workers_that_ray_starts_make_the_updates_of_those_here(arguments):
    away, more = arguments
    more = [*more, "--nobaseline", "--workers=2"]
    finished(start(away, [*more, "--epochs=4"], "here"))
    process = start(away, [*more, "--epochs=400", "--cluster=ray"], "killed")
    until(process, lambda: (away / "killed/run/arms/distilled-seed1").is_dir())
    worker = [n for n in below(process, "kd_keras") if "TF_CONFIG" in Path(f"/proc/{n}/environ").read_text()]
    os.kill(worker[-1], signal.SIGKILL)
    killed = time.monotonic()
    _, said = process.communicate(timeout=300)
    assert process.returncode == 2 and time.monotonic() - killed < 60, said[-3000:]
    assert said.splitlines()[-1].startswith("error: --workers: another worker is gone"), said[-3000:]
    assert "(a worker ended with -9: " in said.splitlines()[-1]
    said = finished(start(away, [*more, "--epochs=4", "--cluster=ray"], "there"))
    assert "2 workers train together: this process, and 1 of --cluster=ray (" in said
    losses = [
        [e["loss"] for e in json.loads((away / name / "run/history.json").read_text())["distilled-seed1"]["epochs"]]
        for name in ("here", "there")
    ]
    np.testing.assert_allclose(*losses, atol=1e-6, rtol=0)
    assert len(losses[0]) > 3


def test_a_run_on_ray_from_its_text_to_its_students(bert_folder, arguments):
    """Several steps of one command start a Ray of their own."""
    away, said = arguments
    more = [
        *(a for a in said if not a.startswith("--teacher_signals")), f"--teacher={bert_folder}", "--teacher_epochs=1",
        "--teacher_max_length=16", "--teacher_start=random", "--allow_weak_teacher", "--augment=ngram", "--n_iter=2",
        "--epochs=2", "--shard_rows=16",
    ]  # fmt: skip
    finished(start(away, more, "whole"))
    made = finished(start(away, [*more, "--cluster=ray", "--cluster_workers=2", "--worker_cpus=1"], "whole-ray"))
    assert "2 students on --cluster=ray" in made
    one, other = (away / name / "run" for name in ("whole", "whole-ray"))
    shards = sorted(p.relative_to(one) for p in one.glob("signals/*/*.parquet"))
    assert len(shards) > 6 and {p.parent.name for p in shards} >= {"train", "dev", "ngram"}
    for path in [*shards, Path("transfer/ngram.parquet")]:
        assert (one / path).read_bytes() == (other / path).read_bytes(), path
    for name, weights in students(one).items():
        for a, b in zip(weights, students(other)[name], strict=True):
            np.testing.assert_array_equal(a, b, err_msg=name)
