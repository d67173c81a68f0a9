"""Kills a worker, the command, or the whole cluster at random moments of labeling, and compares the bytes at the end.

    python benchmarks/cluster_kills.py --teacher_dir=RUN/teacher --output_dir=DIR [--kills=10] [--texts=2000]

After a kill the same command runs again until it ends well. Every file must have the bytes that one process makes
without Ray. Needs `make install-ray`, and `ps`.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from kd_keras.common.markdown import markdown_table

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from started import below, started

KINDS = ("worker", "command", "cluster")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--teacher_dir", required=True)
    parser.add_argument("--output_dir", type=Path, required=True)
    parser.add_argument("--kills", type=int, default=10, help="of each kind")
    parser.add_argument("--texts", type=int, default=2000)
    parser.add_argument("--kinds", default=",".join(KINDS))
    args = parser.parse_args()
    args.output_dir.mkdir(parents=True, exist_ok=True)
    text = args.output_dir / "text.txt"
    text.write_text("".join(f"{line}\n" for line in made_up(args.texts)))
    arguments = [f"--teacher_dir={args.teacher_dir}", f"--input={text}", f"--shard_rows={max(1, args.texts // 50)}"]
    wanted = label([*arguments, f"--output_dir={args.output_dir / 'alone'}"])
    if wanted.wait():
        sys.exit(wanted.stderr.read())
    reference = files_in(args.output_dir / "alone")
    on_ray = [*arguments, "--cluster=ray", "--cluster_workers=2"]
    draw, lines = random.Random(1), []
    for kind in args.kinds.split(","):
        same, runs, at = 0, [], []
        for number in range(args.kills):
            folder = args.output_dir / f"{kind}-{number}"
            shutil.rmtree(folder, ignore_errors=True)
            # Every third moment is before the first shard, while Ray and the workers start.
            shards = 0 if number % 3 == 0 else draw.randrange(1, 50)
            begun, killed = one(kind, [*on_ray, f"--output_dir={folder}"], folder, shards, 4 * draw.random())
            same += files_in(folder) == reference
            runs.append(begun)
            at.append(killed)
        lines.append([kind, str(args.kills), ", ".join(map(str, sorted(at))), str(max(runs)), str(same)])
        print(*lines[-1], sep="; ", flush=True)
    print(f"python {' '.join(sys.argv)}")
    print(markdown_table(["killed", "times", "shards there, of 50", "most runs of the command", "same bytes"], lines))


def made_up(count: int) -> list[str]:
    words, draw = ("a", "good", "bad", "film", "plot", "is", "the", "very", "dull", "and"), np.random.default_rng(1)
    return [f"{' '.join(draw.choice(words, draw.integers(4, 12)))} {n}" for n in range(count)]


def one(kind: str, arguments: list[str], folder: Path, shards: int, wait: float) -> tuple[int, int]:
    """Kills once, and runs the command until it ends well; how many runs that took, and the shards at the kill."""
    process = label(arguments)
    end = time.monotonic() + 300
    while len(list(folder.glob("shard-*"))) < shards and process.poll() is None and time.monotonic() < end:
        time.sleep(0.005)
    if not shards:
        time.sleep(wait)
    if kind == "command":
        numbers = [process.pid]
    else:
        numbers = below(process, "ray::Labeller")[:1] if kind == "worker" else below(process)
    there = len(list(folder.glob("shard-*")))
    for number in numbers:
        with contextlib.suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)
    said = process.communicate()[1]
    runs = 1
    while process.returncode:
        if runs == 5:
            sys.exit(f"{folder}: does not end well: {said}")
        process = label(arguments)
        said = process.communicate()[1]
        runs += 1
    return runs, there


def label(arguments: list[str]) -> subprocess.Popen:
    return started("-m", "kd_keras.label", *arguments)


def files_in(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir()}


if __name__ == "__main__":
    main()
