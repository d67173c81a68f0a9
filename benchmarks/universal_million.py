"""Measures seconds and peak memory of pretrain on much text, and the cost of a kill.

    python benchmarks/universal_million.py --files=a.txt.gz,b.txt.gz [--rows=100000,1000000] [--kill]

Files have one sentence a line. The teacher is a tiny random BERT with the vocabulary of --teacher, so a million
sentences take minutes. docs/results/speed.md says how fast a real teacher labels. With --kill the last size runs once
more. It is killed when half of its shards exist, and again after half of its updates. Its vectors must then equal those
of the first run.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from kd_keras.common import cli, files
from kd_keras.common.markdown import markdown_table

SHAPE = ("--vector_size=64", "--hidden_size=64", "--embedding_size=64", "--embeddings=random")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--files", required=True, help="as pretrain's --unlabeled_files")
    parser.add_argument("--rows", default="100000,1000000", help="numbers of sentences (default: %(default)s)")
    parser.add_argument("--updates", type=int, default=400)
    parser.add_argument("--teacher", default="minilm-l6", help="whose vocabulary is used")
    parser.add_argument("--kill", action="store_true")
    args = parser.parse_args()
    print(f"python {' '.join(sys.argv)}", flush=True)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        make_teacher(args.teacher, folder / "teacher")
        lines, counts = [], [int(n) for n in args.rows.split(",")]
        for count in counts:
            took, peak = finish(command(args, count, folder, folder / str(count)))
            lines += steps(folder / str(count), took, peak)
        print(markdown_table(["sentences", "step", "s", "sentences/s", "peak MB"], lines), flush=True)
        if args.kill:
            kill_twice(
                command(args, counts[-1], folder, folder / "killed"), folder / "killed", folder / str(counts[-1])
            )


def make_teacher(name: str, place: Path) -> None:
    cli.quiet()
    cli.import_tensorflow()
    from kd_keras.teachers.bert import Teacher
    from kd_keras.teachers.checkpoints import find_checkpoint

    vocab = Teacher.load(find_checkpoint(name), 2, 64, 1).tokenizer.vocab
    size = {"hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    Teacher.random(vocab, 2, 64, 1, **size).save(place)


def command(args: argparse.Namespace, rows: int, folder: Path, run: Path) -> list[str]:
    given = [f"--unlabeled_files={args.files}", f"--max_unlabeled={rows}", "--nosplit_sentences", *SHAPE]
    train = [f"--updates={args.updates}", "--evals=8", f"--teacher={folder / 'teacher'}", "--hidden=mean"]
    return [sys.executable, "-m", "kd_keras.pretrain", *given, *train, f"--output_dir={run}"]


def finish(words: list[str]) -> tuple[float, float]:
    """Seconds and peak MB of a process that must succeed."""
    started = time.perf_counter()
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    said = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    if status:
        sys.exit(said.decode()[-2000:])
    return time.perf_counter() - started, used.ru_maxrss / 1024


def steps(run: Path, took: float, peak: float) -> list[list[str]]:
    made = files.read_json(run / "metrics.json")
    count = sum(made["rows"].values()) if isinstance(made["rows"], dict) else made["rows"]
    lines = [
        [f"{count:,}", step, f"{s:.0f}", f"{count / s:,.0f}" if s >= 1 else "", ""]
        for step, s in made["seconds"].items()
    ]
    return [*lines, [f"{count:,}", "all, with start", f"{took:.0f}", "", f"{peak:,.0f}"]]


def kill_twice(words: list[str], run: Path, whole: Path) -> None:
    shards = len(list((whole / "signals" / "text").glob("shard-*.parquet")))
    half = files.read_json(whole / "metrics.json")["updates"] // 2
    for when, there in (
        ("half of the shards", lambda: len(list((run / "signals" / "text").glob("shard-*.parquet"))) >= shards // 2),
        ("half of the updates", lambda: updates(run) >= half),
    ):
        print(f"killed at {when}: after {kill(words, there):.0f} s", flush=True)
    took, _ = finish(words)
    print(f"the same command went on for {took:.0f} s", flush=True)
    some = ["a good film", "", "the train to the coast leaves at noon"]
    for text in some:
        a, b = (vector(folder, text) for folder in (whole, run))
        if not np.array_equal(a, b):
            sys.exit(f"the vectors of {text!r} differ by up to {np.abs(a - b).max():.2g}")
    print(f"the same vectors for {len(some)} texts, bit for bit")


def updates(run: Path) -> int:
    history = list(run.glob("arms/*/history.json"))
    return files.read_json(history[0])["epochs"][-1]["step"] if history else 0


def kill(words: list[str], there: Callable[[], bool]) -> float:
    started = time.perf_counter()
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and not there():
        time.sleep(0.2)
    if process.poll() is not None:
        sys.exit("it ended before it could be killed")
    process.send_signal(signal.SIGKILL)
    process.wait()
    return time.perf_counter() - started


def vector(run: Path, text: str) -> np.ndarray:
    said = subprocess.run(
        [sys.executable, "-m", "kd_keras.embed", f"--model_dir={run}", text], capture_output=True, check=True
    )
    return np.array(json.loads(said.stdout)["vector"])


if __name__ == "__main__":
    main()
