"""Measures rows a second and peak memory of each step for unlabeled text. Each step has its own process.

    python benchmarks/transfer_pipeline.py --files=a.txt.gz,b.txt.gz [--rows=1000000] [--teacher=DIR] [--kill]
    python benchmarks/transfer_pipeline.py --made_up=10000000 --steps=1 [--cluster=ray --cluster_workers=2]

Files have one document a line. The rows are read and split. Repeats, and overlaps with the packaged rotten_tomatoes,
are dropped. The rest is written, joined with signals, tokenized and batched. The teacher labels --label_rows of them;
the hours for all are extrapolated. The other steps use made-up signals, because their time does not depend on values.
With --kill each step runs once more, is killed half way and started again. It must then make the same files, byte by
byte.

--made_up writes so many lines of made-up words, one in 20 a repeat, and reads them. --steps runs the first steps only.
With --cluster the first step works on Ray, and the peak memory of its largest worker is printed too.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import multiprocessing
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from kd_keras.common import cli, files
from kd_keras.common.machine import memory_mb


def read(folder: Path, args: argparse.Namespace) -> int:
    from kd_keras.augment.settings import UnlabeledSettings
    from kd_keras.augment.unlabeled import UnlabeledText, unlabeled
    from kd_keras.pipelines.settings import ClusterSettings
    from kd_keras.pipelines.text import text_crew
    from kd_keras.tasks import get, load, load_test

    task = get("rotten_tomatoes")
    data, test = load(task), load_test(task)
    settings = UnlabeledSettings(unlabeled_files=args.files, max_unlabeled=args.rows)
    cluster = ClusterSettings(cluster=args.cluster, cluster_workers=args.cluster_workers)
    text, path = UnlabeledText(task, settings), folder / "rows.parquet"
    with _watched_workers():
        return len(unlabeled(text, [data.train], [data.dev, test], path, crew=text_crew(cluster)))


@contextlib.contextmanager
def _watched_workers():
    """Says how much memory the largest worker had."""
    over, peak = threading.Event(), [0]

    def watch() -> None:
        while not over.wait(0.3):
            for place in Path("/proc").glob("[0-9]*"):
                with contextlib.suppress(OSError, IndexError):
                    if (place / "cmdline").read_bytes().startswith(b"ray::TextMaker"):
                        found = (place / "status").read_text().split("VmHWM:")[1].split()[0]
                        peak[0] = max(peak[0], int(found) * 1024)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
    if peak[0]:
        print(f"largest worker: {peak[0] / 1e6:,.0f} MB", flush=True)


def _made_up(path: Path, count: int) -> None:
    draw = np.random.default_rng(1)
    words = np.array(["".join(map(chr, draw.integers(97, 123, size))) for size in draw.integers(2, 10, 30_000)])
    with open(path, "w") as file:
        for start in range(0, count, 10_000):
            lengths = draw.integers(6, 25, 10_000)
            every = words[(30_000 * draw.random(lengths.sum()) ** 3).astype(np.int64)]
            lines = [" ".join(some) for some in np.split(every, np.cumsum(lengths)[:-1])]
            lines[::20] = lines[1::20]
            file.write("\n".join(lines[: count - start]) + "\n")


def label(folder: Path, args: argparse.Namespace) -> int:
    from kd_keras.teachers import labelling
    from kd_keras.teachers.bert import Teacher
    from kd_keras.teachers.checkpoints import find_checkpoint
    from kd_keras.teachers.settings import LabelSettings

    cli.import_tensorflow()
    rows = _rows(folder)
    # Spread over all rows: the first ones may all be of one file.
    rows = rows.take(np.linspace(0, len(rows) - 1, min(args.label_rows, len(rows))).astype(np.int64))
    teacher = Teacher.load(find_checkpoint(args.teacher), 2, 128, 1)
    labelling.label(teacher, rows, folder / "some", LabelSettings(), "sst2", "some rows")
    return len(rows)


def write_signals(folder: Path, args: argparse.Namespace) -> int:
    from kd_keras.teachers import labelling, signal_columns
    from kd_keras.teachers.settings import LabelSettings
    from kd_keras.teachers.signals import SignalStore

    rows, store = _rows(folder), SignalStore(folder / "signals")
    hashes, size = rows.text_hashes(), 4096
    columns = labelling.columns(LabelSettings(hidden="cls"))
    store.begin({"teacher": "made up", "columns": signal_columns.to_json(columns)})
    for n, start in enumerate(range(0, len(rows), size)):
        part = slice(start, start + size)
        count = len(rows.ids[part])
        logits, hidden = np.ones((count, 2), np.float32), np.ones((count, 384), np.float16)
        store.write_shard(n, rows.ids[part], hashes[part], {"logits": logits, "hidden": hidden})
    store.finish(n + 1)
    return len(rows)


def join_signals(folder: Path, args: argparse.Namespace) -> int:
    from kd_keras.teachers.signals import SignalStore

    signals = SignalStore(folder / "signals").read(_rows(folder))
    np.save(folder / "logits.npy", signals.logits)
    return len(signals.logits)


def tokenize_and_batch(folder: Path, args: argparse.Namespace) -> int:
    """Makes a vocabulary of the rows, their ids, and one epoch of batches of 128, which are thrown away."""
    from kd_keras.common.columns import JoinedArray, MappedArray
    from kd_keras.students.inputs import student_ids
    from kd_keras.teachers.checkpoints import find_checkpoint
    from kd_keras.teachers.signals import SignalStore
    from kd_keras.text.batches import steps_per_epoch, training_batches
    from kd_keras.text.tokenizers import WordPiece, cut_wordpiece, read_vocab

    cli.import_tensorflow()
    rows, whole = _rows(folder), WordPiece(read_vocab(find_checkpoint("minilm-l6").vocab), 128)
    ids = student_ids(cut_wordpiece(whole, rows.text, 64), rows)
    hidden = MappedArray(SignalStore(folder / "signals").hidden)  # the step before put it in order
    y = {"teacher_logits": np.ones((len(rows), 2), np.float32), "teacher_hidden": JoinedArray([hidden])}
    seen = hashlib.sha256()
    for x, _ in training_batches(ids, y, 128, 1).take(steps_per_epoch(len(rows), 128)):
        seen.update(x["ids"].numpy())
    (folder / "batches.sha256").write_text(seen.hexdigest())
    return len(rows)


def _rows(folder: Path):
    from kd_keras.augment.transfer import load

    return load(folder / "rows.parquet", None, np.dtype(np.int32)).rows


STEPS: dict[str, Callable] = {
    "read, split, drop repeats, write": read,
    "label with the teacher": label,
    "write signals": write_signals,
    "join signals": join_signals,
    "vocabulary, ids, an epoch of batches": tokenize_and_batch,
}


def _measured(name: str, folder: Path, args: argparse.Namespace, answers) -> None:
    cli.quiet()
    started = time.perf_counter()
    rows = STEPS[name](folder, args)
    answers.put((rows, time.perf_counter() - started, memory_mb()["peak"]))


def _made(folder: Path) -> dict[Path, str]:
    """All files, with digests of their bytes. A kill may leave half of one under a name that begins with a dot."""
    found = sorted(p for p in folder.rglob("*") if p.is_file() and not p.name.startswith("."))
    return {p: files.sha256_file(p) for p in found}


def _start(name: str, folder: Path, args: argparse.Namespace):
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    process = context.Process(target=_measured, args=(name, folder, args, answers))
    process.start()
    return process, answers


def _finish(name: str, process, answers) -> tuple[int, float, float]:
    process.join()
    if process.exitcode:
        sys.exit(f"{name}: ended with exit code {process.exitcode}")
    return answers.get()


def _killed(name: str, folder: Path, args: argparse.Namespace, made: set, after: dict, end: float, took: float) -> str:
    """Kills the step half way and starts it again. It must make the same files. Returns how long that took.

    Args:
      made: the files that it makes.
      after: all files that exist when it is done.
      end: seconds after the start of its process; ``took`` of them are the step's own.
    """
    if not made:
        sys.exit(f"{name}: made no file, so a kill shows nothing")
    for left in (1 / 2, 2 / 3, 5 / 6):  # the step may be faster than the first time
        for path in made:
            path.unlink(missing_ok=True)
        process, _ = _start(name, folder, args)
        process.join(end - took * left)
        if process.exitcode is None:
            break
    else:
        sys.exit(f"{name}: ended before it was killed (exit code {process.exitcode})")
    process.kill()
    process.join()
    seconds = _finish(name, *_start(name, folder, args))[1]
    if _made(folder) != after:
        sys.exit(f"{name}: killed and started again, it made other files")
    return f" {seconds:.0f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--files")
    parser.add_argument("--made_up", type=int)
    parser.add_argument("--steps", type=int, default=len(STEPS))
    parser.add_argument("--cluster", default="none")
    parser.add_argument("--cluster_workers", type=int, default=0)
    parser.add_argument("--rows", type=int, default=None)
    parser.add_argument("--teacher", default="minilm-l6")
    parser.add_argument("--label_rows", type=int, default=20_000)
    parser.add_argument("--kill", action="store_true")
    args = parser.parse_args()
    if bool(args.files) == bool(args.made_up):
        parser.error("give --files or --made_up")
    print(f"python {' '.join(sys.argv)}")
    print(f"| step | rows | s | rows/s | peak MB |{' s after a kill |' if args.kill else ''}")
    print(f"| --- | ---: | ---: | ---: | ---: |{' ---: |' if args.kill else ''}", flush=True)
    with tempfile.TemporaryDirectory() as temp:
        folder = Path(temp)
        if args.made_up:
            args.files = f"{temp}/made-up.txt"
            _made_up(Path(args.files), args.made_up)
        for name in list(STEPS)[: args.steps]:
            before = _made(folder)
            started = time.perf_counter()
            rows, seconds, peak = _finish(name, *_start(name, folder, args))
            end = time.perf_counter() - started
            again = ""
            if args.kill:
                after = _made(folder)
                again = _killed(name, folder, args, set(after) - set(before), after, end, seconds)
            print(f"| {name} | {rows:,} | {seconds:.0f} | {rows / seconds:,.0f} | {peak:,.0f} |{again}", flush=True)


if __name__ == "__main__":
    main()
