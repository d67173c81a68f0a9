"""Measures the peak memory of labeling few and many made-up rows on disk: in the planning process, and in a worker.

    python benchmarks/labelling_memory.py --rows=100000,1000000
    python benchmarks/labelling_memory.py --rows=1000000,10000000 --stub

Each number of rows gets two fresh processes. One reads the text, plans the shards and hands them out, as label does
with --cluster. The other labels and writes them, as a worker does. The teacher is a tiny random BERT, so a million
rows take minutes. A real teacher adds the same to all. --stub labels nothing (each text gets zeros), for more rows.
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
    """Writes texts of 2 to 12 words. One in twenty repeats an earlier one."""
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


def tiny():
    from kd_keras.teachers.bert import Teacher

    vocab = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    size = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    return Teacher.random(vocab, 2, 16, 1, max_position_embeddings=64, **size)


def nothing(teacher, texts, settings, texts_b=None, report=None):
    made = {"logits": np.zeros((len(texts), teacher.num_labels), np.float32)}
    return made if settings.hidden == "none" else made | {"hidden": np.zeros((len(texts), 16), np.float16)}


def work(pipe, folder: Path, settings, stub: bool) -> None:
    """Makes the shards that arrive, until None arrives. Reports its memory after the first ones and at the end."""
    cli.quiet()
    cli.import_tensorflow()
    from kd_keras.teachers import labelling
    from kd_keras.teachers.signals import SignalStore

    teacher, store, after = tiny(), SignalStore(folder), []
    if stub:
        labelling.label_shard = nothing
    while (shard := pipe.recv()) is not None:
        labelling.make_shard(teacher, store, shard, settings)
        after.append(memory_mb()["peak"])
        pipe.send(len(shard.texts))
    pipe.send((after[min(9, len(after) - 1)], memory_mb()["peak"]))


def label(path: Path, hidden: str, stub: bool, answers) -> None:
    cli.quiet()
    cli.import_tensorflow()
    from kd_keras.augment.transfer import load
    from kd_keras.teachers import labelling
    from kd_keras.teachers.settings import LabelSettings
    from kd_keras.teachers.signals import SignalStore

    teacher, settings, folder = tiny(), LabelSettings(hidden=hidden), path.with_suffix("")
    found = {}

    def crew(teacher, store, missing, settings, report) -> None:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=work, args=(theirs, folder, settings, stub))
        process.start()
        for number, shard in enumerate(missing):
            if not number:
                found["planned"] = memory_mb()["peak"]
            ours.send(shard)
            report(ours.recv())
        ours.send(None)
        found["worker"] = ours.recv()
        process.join()

    teacher.crew = crew
    rows, before = load(path, None, np.zeros(0, np.int32)).rows, memory_mb()["peak"]
    started = time.perf_counter()
    labelling.make(teacher, rows, SignalStore(folder), settings, "made up", "rows")
    took, made = time.perf_counter() - started, memory_mb()["peak"]
    labelling.label(teacher, rows, folder, settings, "made up", "rows")
    answers.put((took, before, found["planned"], made, memory_mb()["peak"], *found["worker"]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rows", default="100000,1000000", help="numbers of rows (default: %(default)s)")
    parser.add_argument("--hidden", default="none", choices=("none", "cls", "mean"), help="as in label")
    parser.add_argument("--stub", action="store_true", help="label nothing: each text gets zeros")
    args = parser.parse_args()
    print(f"python {' '.join(sys.argv)}")
    print(
        "| rows | s | MB before | with the plan | all made | signals read | worker, 10 shards | worker, all |\n"
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        flush=True,
    )
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        for count in map(int, args.rows.split(",")):
            path = Path(folder) / f"{count}.parquet"
            write_rows(path, count)
            answers = context.Queue()
            process = context.Process(target=label, args=(path, args.hidden, args.stub, answers))
            process.start()
            process.join()
            if process.exitcode:
                sys.exit(f"{count:,} rows: ended with exit code {process.exitcode}")
            seconds, *peaks = answers.get()
            print(f"| {count:,} | {seconds:.0f} | {' | '.join(f'{peak:,.0f}' for peak in peaks)} |", flush=True)


if __name__ == "__main__":
    main()
