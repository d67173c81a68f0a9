"""Runs train with its defaults on custom files of several sizes, beside linear models, and prints one table.

    python benchmarks/own_data.py --file=trec=trec.tsv --file=cr=cr.tsv --sizes=300,1000,10000 --output_dir=DIR

A fifth of each file (300 to 2,000 rows) is the test set, which only the tables see. The sizes are drawn from the rest,
and a smaller one is part of a larger. What follows `--` goes to train. Finished runs are found again.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from kd_keras.common.markdown import markdown_table
from kd_keras.common.seeds import rng
from kd_keras.tasks import Columns, Rows, custom, load
from kd_keras.tasks.carve import normalised
from kd_keras.tasks.file_settings import FileSettings

HEAD = ["data", "rows", "classes", "metric", "linear", "linear probe", "teacher", "no distillation", "distilled",
        "kept", "standard error", "minutes"]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--file", action="append", required=True, help="NAME=FILE, a labeled .csv, .tsv or .jsonl")
    parser.add_argument("--text_column", default="text")
    parser.add_argument("--label_column", default="label")
    parser.add_argument("--encoding", default="auto", help="of the labeled files, such as cp1252")
    parser.add_argument("--unlabeled", action="append", default=[], help="NAME=FILE, more text of that file's domain")
    parser.add_argument("--sizes", default="300,1000,10000")
    parser.add_argument("--output_dir", type=Path, required=True)
    own, more = (sys.argv[1:], []) if "--" not in sys.argv else (
        sys.argv[1 : sys.argv.index("--")], sys.argv[sys.argv.index("--") + 1 :],
    )  # fmt: skip
    args = parser.parse_args(own)
    print("python benchmarks/own_data.py " + " ".join(sys.argv[1:]), flush=True)
    unlabeled = dict(u.split("=", 1) for u in args.unlabeled)
    lines = []
    for name, path in (f.split("=", 1) for f in args.file):
        rest, test, labels = parts(path, Columns((args.text_column,), label=args.label_column), args.encoding)
        for size in (int(s) for s in args.sizes.split(",")):
            folder = args.output_dir / name / str(size)
            write(folder / "train.csv", rest.take(np.arange(min(size, len(rest)))), labels)
            write(folder / "test.csv", test, labels)
            command = [sys.executable, "-m", "kd_keras.train", "--task=custom", f"--train_file={folder / 'train.csv'}",
                       f"--test_file={folder / 'test.csv'}", f"--output_dir={folder / 'run'}", *more]  # fmt: skip
            if name in unlabeled:
                command.append(f"--unlabeled_files={unlabeled[name]}")
            took = run(command, folder)
            lines.append(line(name, folder, took, len(test)))
            print(f"{name} {size}: done", flush=True)
            if size >= len(rest):
                break
    print(markdown_table(HEAD, lines))


def parts(path: str, columns: Columns, encoding: str) -> tuple[Rows, Rows, tuple[str, ...]]:
    """The rows in random order, the test rows, and the labels. Each text appears once."""
    task = custom(path, columns=columns, files=FileSettings(encoding=encoding))
    data = load(task, on_bad_row="skip")
    both = (data.train, data.dev)
    texts, labels = [t for r in both for t in r.text], np.concatenate([r.label for r in both])
    order, seen, kept = rng(0, "own data").permutation(len(texts)), set(), []
    for i in order.tolist():
        if (key := normalised(texts[i])) not in seen:
            seen.add(key)
            kept.append(i)
    rows = Rows([f"row-{i}" for i in kept], [texts[i] for i in kept], None, labels[kept])
    count = min(2000, max(300, len(rows) // 5))
    return rows.take(np.arange(count, len(rows))), rows.take(np.arange(count)), task.labels


def write(path: Path, rows: Rows, labels: tuple[str, ...]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="", encoding="utf-8") as f:
        out = csv.writer(f)
        out.writerow(["text", "label"])
        out.writerows([t, labels[n]] for t, n in zip(rows.text, rows.label.tolist(), strict=True))


def run(command: list[str], folder: Path) -> float | None:
    """The minutes of the run. None if it was already finished, or was stopped."""
    if (folder / "run" / "metrics.json").is_file():
        return None
    start = time.monotonic()
    with open(folder / "log", "a", encoding="utf-8") as log:
        code = subprocess.run(command, stdout=log, stderr=log, cwd=folder).returncode
    return (time.monotonic() - start) / 60 if code == 0 else None


def line(name: str, folder: Path, took: float | None, tested: int) -> list[str]:
    """A line of test scores by the metric that chose the student."""
    path = folder / "run" / "metrics.json"
    if not path.is_file():
        return [name, "", "", "", *[""] * 6, "", f"stopped: {folder / 'log'}"]
    found = json.loads(path.read_text())
    task = json.loads((folder / "run" / "task.json").read_text())
    metric, kept = task["metric"], "student" if found["kept"]["kind"] == "distilled" else "baseline"

    def cell(part: dict | None) -> str:
        return "" if part is None else f"{100 * part['test'][metric]:.2f}"

    scores = [found["references"].get("linear"), found["references"].get("probe"), found["teacher"], found["baseline"],
              found["student"], found[kept]]  # fmt: skip
    share = found[kept]["test"]["accuracy"]
    error = 100 * (share * (1 - share) / tested) ** 0.5
    minutes = f"{took:.1f}" if took else f"({sum(found['seconds'].values()) / 60:.1f})"
    rows = found["rows"]["train"] + found["rows"]["dev"]
    return [name, f"{rows:,}", str(len(task["labels"])), metric, *map(cell, scores), f"{error:.2f}", minutes]


if __name__ == "__main__":
    main()
