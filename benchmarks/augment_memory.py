"""Measures the peak memory of augmentation, for few and many new rows of the same made-up training rows.

    python benchmarks/augment_memory.py --n_iter=10,100

Each number of draws gets a fresh process, which makes every part itself.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from pathlib import Path

import numpy as np

from kd_keras.augment.augmentation import augmented
from kd_keras.augment.settings import AugmentSettings
from kd_keras.common.machine import memory_mb
from kd_keras.tasks import Rows

WORDS = tuple(f"w{n}" for n in range(400))


def augment(count: int, n_iter: int, pipe) -> None:
    draw = np.random.default_rng(1)
    words, lengths = draw.integers(0, len(WORDS), (count, 16)), draw.integers(8, 17, count)
    texts = [" ".join(WORDS[w] for w in row[:n]) for row, n in zip(words.tolist(), lengths, strict=True)]
    train = Rows([f"train-{n}" for n in range(count)], texts, None, np.zeros(count, np.int32))
    before, begun = memory_mb()["peak"], time.process_time()
    with tempfile.TemporaryDirectory() as temp:
        settings = AugmentSettings(augment="mask", n_iter=n_iter, p_mask=0.3)
        made = augmented(train, settings, Path(temp) / "mask.parquet")
    pipe.send((len(made), time.process_time() - begun, before, memory_mb()["peak"]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rows", type=int, default=20_000, help="training rows")
    parser.add_argument("--n_iter", required=True, help="draws of each row, with commas between")
    args = parser.parse_args()
    print("| draws of a row | new rows | CPU seconds | peak MB with train alone | peak MB |")
    print("| ---: | ---: | ---: | ---: | ---: |", flush=True)
    for n_iter in map(int, args.n_iter.split(",")):
        mine, other = multiprocessing.get_context("spawn").Pipe()
        process = multiprocessing.get_context("spawn").Process(target=augment, args=(args.rows, n_iter, other))
        process.start()
        made, seconds, before, peak = mine.recv()
        process.join()
        print(f"| {n_iter} | {made:,} | {seconds:.0f} | {before:.0f} | {peak:.0f} |", flush=True)


if __name__ == "__main__":
    main()
