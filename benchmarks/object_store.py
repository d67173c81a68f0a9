"""Seconds to label into a folder and into an object store, in turns, with one teacher in one process.

python -m moto.server -p 5000 &
curl -X PUT localhost:5000/bucket
AWS_ENDPOINT_URL=http://localhost:5000 AWS_ACCESS_KEY_ID=a AWS_SECRET_ACCESS_KEY=b \
    python benchmarks/object_store.py --teacher_dir=RUN/teacher --address=s3://bucket/benchmark
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from cluster_kills import made_up

from kd_keras.common.cli import import_tensorflow, quiet
from kd_keras.tasks import Rows
from kd_keras.teachers.checkpoints import find_checkpoint
from kd_keras.teachers.settings import LabelSettings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--teacher_dir", required=True, help="a fine-tuned teacher")
    parser.add_argument("--address", required=True, help="of an object store: s3://BUCKET/PREFIX")
    parser.add_argument("--texts", type=int, default=2000, help="made-up texts of 4 to 11 words")
    parser.add_argument("--shard_rows", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    quiet()
    import_tensorflow()
    from kd_keras.teachers.labelling import label
    from kd_keras.teachers.tagger import load_finished

    teacher, settings = load_finished(find_checkpoint(given.teacher_dir)), LabelSettings(shard_rows=given.shard_rows)
    texts = made_up(given.texts)
    rows = Rows([str(n) for n in range(len(texts))], texts, None, np.full(len(texts), -1, np.int32))

    def seconds(place: str | Path) -> float:
        started = time.perf_counter()
        label(teacher, rows, place, settings, "benchmark", "text")
        return time.perf_counter() - started

    with tempfile.TemporaryDirectory() as away:
        seconds(Path(away) / "warm")
        mark = f"{given.address}/{time.time_ns()}"
        pairs = [(seconds(Path(away) / str(n)), seconds(f"{mark}-{n}")) for n in range(given.rounds)]
    here, there = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(f"{here:.2f} s into a folder, {there:.2f} s into {given.address}: {there / here:.2f} times; {pairs}")


if __name__ == "__main__":
    main()
