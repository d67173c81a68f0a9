"""Measures the memory of a command that drops repeats of unlabeled text and joins its parts, for made-up digests.

    python benchmarks/transfer_parts.py --rows=10000000

Nothing is split or looked up: that has the memory of one part, however many there are. Half of the rows are kept.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa

from kd_keras.augment import unlabeled
from kd_keras.augment.parts import Made, Parts, alone
from kd_keras.augment.transfer import write
from kd_keras.common.machine import memory_mb

PART = 20_000


def made(numbers: range) -> Made:
    digests = np.random.default_rng(numbers[0]).integers(0, 2**64, len(numbers), dtype=np.uint64)
    digests, first = np.unique(digests, return_index=True)
    left = np.sort(first)
    row = np.empty(len(numbers), np.int64)
    row[left] = np.arange(len(left))
    texts = [f"a made up text of number {i} which is not long" for i in left.tolist()]
    return Made(pa.table({"number": left + 1, "text": texts}), digests, row[first], Counter(texts=len(numbers)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rows", type=int, required=True)
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as temp:
        parts = Parts(Path(temp) / "parts")
        parts.begin({})
        print("| step | CPU seconds | peak MB |\n| --- | ---: | ---: |")

        def said(step: str, begun: float) -> float:
            print(f"| {step} | {time.process_time() - begun:.1f} | {memory_mb()['peak']:.0f} |", flush=True)
            return time.process_time()

        begun = said("begin", time.process_time())
        batches = (range(start, min(start + PART, rows)) for start in range(0, rows, PART))
        count = parts.fill(lambda: made, batches, alone, lambda n: None)
        begun = said("write the parts", begun)
        kept = parts.sift(count, rows // 2)
        begun = said("drop repeats, and draw", begun)
        write(Path(temp) / "rows.parquet", {}, [], False, unlabeled._columns(parts, kept))
        said("join the parts", begun)


if __name__ == "__main__":
    main()
