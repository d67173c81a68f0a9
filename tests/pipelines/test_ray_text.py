"""Transfer text on Ray itself: the same bytes as one process, whatever dies meanwhile."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from started import below, started

pytestmark = [
    pytest.mark.ray,
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed (requirements-ray.txt)"),
]

# The command, with parts of a few documents, and workers that take their time.
COMMAND = """
import runpy, sys
from kd_keras.augment import augmentation, unlabeled
from kd_keras.pipelines import text

class Slow(text.TextMaker):
    def do(self, job):
        import time
        time.sleep(0.03)
        return super().do(job)

unlabeled._DOCUMENTS, text._FEW, text.TextMaker = 20, 3, Slow
augmentation._ROWS = 10
sys.argv[0] = "transfer"
runpy.run_module("kd_keras.transfer", run_name="__main__", alter_sys=True)
"""


@pytest.fixture(scope="module")
def arguments(tmp_path_factory):
    """Of transfer, without its output: 60 parts, with repeats across them, overlap with dev, and a cap."""
    away = tmp_path_factory.mktemp("text")
    lines = [f"This is the sentence with number {n % 900}, and it ends. Here is one more of {n}!" for n in range(1200)]
    lines[700:705] = ["he wrote: " + " ".join(f"held{n}" for n in range(13))] * 5
    (away / "text.txt").write_text("\n".join(lines) + "\n")
    for name, first in (("train", "seen"), ("dev", "held")):
        rows = [" ".join(f"{first}{n}" for n in range(20)), "This is the sentence with number 7, and it ends."]
        (away / f"{name}.tsv").write_text("text\tlabel\n" + "".join(f"{t}\t{n}\n" for n, t in enumerate(rows)))
    return away, [
        "--task=custom", f"--train_file={away}/train.tsv", f"--dev_file={away}/dev.tsv",
        f"--unlabeled_files={away}/text.txt", "--split_sentences", "--max_unlabeled=1500",
    ]  # fmt: skip


def start(arguments: list[str], output: Path, *more: str) -> subprocess.Popen:
    return started("-c", COMMAND, *arguments, f"--output={output}", *more)


def on_ray(arguments: list[str], output: Path) -> subprocess.Popen:
    return start(arguments, output, "--cluster=ray", "--cluster_workers=2")


def parts(output: Path) -> int:
    return len(list(Path(f"{output}.parts").rglob("part-*.npy")))


def until(process: subprocess.Popen, output: Path, count: int) -> None:
    """Waits until there are so many parts."""
    end = time.monotonic() + 240
    while parts(output) < count and process.poll() is None and time.monotonic() < end:
        time.sleep(0.005)


@pytest.fixture(scope="module")
def alone(arguments):
    away, more = arguments
    process = start(more, away / "alone.jsonl")
    _, said = process.communicate(timeout=400)
    assert process.returncode == 0, said
    made = (away / "alone.jsonl").read_bytes()
    texts = [json.loads(line)["text"] for line in made.decode().splitlines()]
    assert len(texts) == len(set(texts)) == 1500
    assert not [t for t in texts if "held0" in t or "number 7," in t]
    assert "1 with 13 words in a row of dev" in said and "of the 2,0" in said, said
    return made


def test_the_same_bytes_as_one_process(arguments, alone):
    away, more = arguments
    process = on_ray(more, away / "two.jsonl")
    _, said = process.communicate(timeout=400)
    assert process.returncode == 0, said
    assert (away / "two.jsonl").read_bytes() == alone
    assert not Path(f"{away}/two.jsonl.parts").exists()


def test_a_killed_worker_is_replaced(arguments, alone):
    away, more = arguments
    output = away / "worker.jsonl"
    process = on_ray(more, output)
    until(process, output, 8)
    os.kill(below(process, "ray::Slow")[0], signal.SIGKILL)
    _, said = process.communicate(timeout=400)
    assert process.returncode == 0 and "a worker died; another takes its place" in said, said
    assert output.read_bytes() == alone


def test_a_killed_command_goes_on(arguments, alone):
    away, more = arguments
    output = away / "command.jsonl"
    process = on_ray(more, output)
    until(process, output, 12)
    process.kill()
    process.communicate()
    made = parts(output)
    assert 12 <= made < 60 and not output.exists()
    first = min(Path(f"{output}.parts").rglob("part-*.npy"))
    before = first.stat().st_mtime_ns
    again = start(more, output, "--cluster=ray", "--cluster_workers=2")
    until(again, output, made + 1)
    assert first.stat().st_mtime_ns == before, "a part that is there is not made again"
    _, said = again.communicate(timeout=400)
    assert again.returncode == 0, said
    assert output.read_bytes() == alone and not Path(f"{output}.parts").exists()


def test_augmentation_has_the_same_bytes_though_a_worker_is_killed(tmp_path):
    names = ("anna", "bert", "carl", "dora")
    rows = [
        f"the old {names[n % 4]} walks a big dog on day {n} and is {'' if n % 3 else 'not '}glad" for n in range(300)
    ]
    (tmp_path / "train.tsv").write_text("text\tlabel\n" + "".join(f"{t}\t{n % 3 % 2}\n" for n, t in enumerate(rows)))
    more = ["--task=custom", f"--train_file={tmp_path}/train.tsv", "--augment=all", "--n_iter=4"]
    alone, two = tmp_path / "alone.jsonl", tmp_path / "two.jsonl"
    one = start(more, alone, "--augment_workers=1")
    _, said = one.communicate(timeout=400)
    assert one.returncode == 0, said
    process = on_ray(more, two)
    until(process, two, 12)
    os.kill(below(process, "ray::Slow")[0], signal.SIGKILL)
    _, said = process.communicate(timeout=400)
    assert process.returncode == 0 and "a worker died; another takes its place" in said, said
    assert two.read_bytes() == alone.read_bytes() and len(alone.read_text().splitlines()) > 600
    assert not Path(f"{two}.parts").exists()
