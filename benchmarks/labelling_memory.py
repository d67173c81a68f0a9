"""Peak memory of labelling few and many made-up rows, whose text lies on disk, each in a process of its own.

    python benchmarks/labelling_memory.py --rows=100000,1000000

The teacher is a tiny random BERT, so that a million rows take minutes; a real one adds the same to both.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from kd_keras.common import cli
from kd_keras.common.machine import memory_mb

WORDS = tuple(f"w{n}" for n in range(400))


def write_rows(path: Path, count: int) -> None:
    """Texts of 2 to 12 words, one in twenty a repeat of an earlier one."""
    from kd_keras.augment import transfer

    draw = np.random.default_rng(count)

    def parts():
        for start in range(0, count, transfer.ROW_GROUP):
            size = min(transfer.ROW_GROUP, count - start)
            words, lengths = draw.integers(0, len(WORDS), (size, 12)), draw.integers(2, 13, size)
            text = [" ".join(WORDS[w] for w in row[:n]) for row, n in zip(words.tolist(), lengths, strict=True)]
            for n in draw.integers(1, size, size // 20):
                text[n] = text[n - 1]
            ids = [f"made-up-{n}" for n in range(start, start + size)]
            yield {"id": ids, "text": text, "text_b": [None] * size, "source": [-1] * size, "rule": ["none"] * size}

    transfer.write(path, {}, [], False, parts())


def label(path: Path, hidden: str, answers) -> None:
    cli.quiet()
    cli.import_tensorflow()
    from kd_keras.augment.transfer import load
    from kd_keras.teachers import labelling
    from kd_keras.teachers.bert import Teacher
    from kd_keras.teachers.settings import LabelSettings

    vocab = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    size = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    teacher = Teacher.random(vocab, 2, 16, 1, max_position_embeddings=64, **size)
    rows, before = load(path, None, np.dtype(np.int32)).rows, memory_mb()["peak"]
    started = time.perf_counter()
    labelling.label(teacher, rows, path.with_suffix(""), LabelSettings(hidden=hidden), "made up", "rows")
    answers.put((time.perf_counter() - started, before, memory_mb()["peak"]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rows", default="100000,1000000", help="numbers of rows (default: %(default)s)")
    parser.add_argument("--hidden", default="none", choices=("none", "cls", "mean"), help="as in label")
    args = parser.parse_args()
    print(f"python {' '.join(sys.argv)}")
    print(
        "| rows | s | peak MB before | peak MB | against the first |\n| ---: | ---: | ---: | ---: | ---: |", flush=True
    )
    least, context = None, multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        for count in map(int, args.rows.split(",")):
            path = Path(folder) / f"{count}.parquet"
            write_rows(path, count)
            answers = context.Queue()
            process = context.Process(target=label, args=(path, args.hidden, answers))
            process.start()
            process.join()
            if process.exitcode:
                sys.exit(f"{count:,} rows: ended with exit code {process.exitcode}")
            seconds, before, peak = answers.get()
            least = least or peak
            print(f"| {count:,} | {seconds:.0f} | {before:,.0f} | {peak:,.0f} | {peak / least - 1:+.1%} |", flush=True)


if __name__ == "__main__":
    main()
