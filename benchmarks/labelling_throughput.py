"""Measures one teacher's labeling in rows a second, in three ways: A, B and C.

    python benchmarks/labelling_throughput.py --rows=2000
    python benchmarks/labelling_throughput.py --data_dir=DIR/SST-2 --teacher=saved_models/sst2/RUN/teacher

A works as `label` does, B has batches of 32 × 64, C is A with a plain forward pass. All run in turns in this process,
on the same ids, weights and threads: A B C A B C … The time includes planning and padding the batches, the forward
pass, and logits to NumPy. Tokenizing is timed separately.
"""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from kd_keras import tasks
from kd_keras.common import files
from kd_keras.common.cli import import_tensorflow, quiet
from kd_keras.common.errors import UserError
from kd_keras.common.progress import say
from kd_keras.teachers.settings import LabelSettings

ROOT = Path(__file__).resolve().parents[1]
_WARM_UP_BATCHES = 8
WAYS = "ABC"


def flags() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    add = parser.add_argument
    add("--data_dir", help="folder with SST-2's train.tsv and dev.tsv; without it rotten_tomatoes, from packages")
    add("--rows", type=int, default=2000, help="the first rows of train; 0 takes all (default: %(default)s)")
    add("--teacher", default="minilm-l6", help="packaged teacher, folder or hub name (default: %(default)s)")
    add("--length", type=int, default=64, help="pieces to which B pads and both cut (default: %(default)s)")
    add("--batch_size", type=int, default=32, help="rows in a batch of B (default: %(default)s)")
    usual = LabelSettings()
    said = "(default: %(default)s, as in label)"
    add("--batch_tokens", type=int, default=usual.label_batch_tokens, help=f"tokens in a batch of A {said}")
    add("--shard_rows", type=int, default=usual.shard_rows, help=f"texts that A sorts by length together {said}")
    add("--rounds", type=int, default=5, help="timed rounds of each (default: %(default)s)")
    add("--threads", type=int, default=0, help="TensorFlow's threads in an operation; 0 is its own choice")
    add("--json", metavar="FILE", help="also write the figures here")
    given = parser.parse_args()
    low = {"rows": 0, "length": 3, "batch_size": 1, "batch_tokens": 16, "shard_rows": 1, "rounds": 1, "threads": 0}
    for name, least in low.items():
        if getattr(given, name) < least:
            parser.error(f"--{name}={getattr(given, name)}: expected at least {least}")
    if given.json and not Path(given.json).resolve().parent.is_dir():
        parser.error(f"--json={given.json}: no such folder")
    return given


def padded_batch(encoded, rows: np.ndarray, length: int) -> dict[str, np.ndarray]:
    """B's batch: like ``Encoded.batch``, but always int32[rows, length]."""
    ids = encoded.ids.padded(rows, length)
    mask = (ids != 0).astype(np.int32)
    types = (np.arange(length) >= encoded.first[rows][:, None]).astype(np.int32) * mask
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}


def seconds(what: Callable[[], object]) -> float:
    started = time.perf_counter()
    what()
    return time.perf_counter() - started


def measure(given: argparse.Namespace) -> dict:
    task = tasks.get("sst2" if given.data_dir else "rotten_tomatoes")
    data = tasks.load(task, given.data_dir)
    rows = data.train.take(range(min(given.rows or len(data.train), len(data.train))))
    import_tensorflow()
    import tensorflow as tf

    from kd_keras.teachers import labelling
    from kd_keras.teachers.bert import Teacher
    from kd_keras.teachers.checkpoints import find_checkpoint

    if given.threads:
        tf.config.threading.set_intra_op_parallelism_threads(given.threads)
    teacher = Teacher.load(find_checkpoint(given.teacher), len(task.labels), given.length)

    teacher.encode(rows.take(range(min(100, len(rows)))))  # warm-up
    tokenizing = seconds(lambda: teacher.encode(rows))
    # A sees each distinct text once; B sees every row.
    texts: dict[str, int] = {}
    group = np.array([texts.setdefault(text, len(texts)) for text in rows.text])
    first = np.unique(group, return_index=True)[1]
    encoded = {"A": teacher.encode(rows.take(first)), "B": teacher.encode(rows)}
    encoded["C"] = encoded["A"]
    answers = {n: np.zeros((len(e), len(task.labels)), np.float32) for n, e in encoded.items()}
    cells = dict.fromkeys(WAYS, 0)
    as_it_is = tf.function(lambda batch: teacher.model(batch, training=False), reduce_retracing=True)

    def plan(name: str) -> list[np.ndarray]:
        if name != "B":
            lengths, size = encoded["A"].ids.lengths, given.shard_rows
            shards = ((start, lengths[start : start + size]) for start in range(0, len(lengths), size))
            return [start + batch for start, part in shards for batch in labelling.plan(part, given.batch_tokens)]
        return [np.arange(s, min(s + given.batch_size, len(rows))) for s in range(0, len(rows), given.batch_size)]

    def run(name: str, every: int = 1) -> None:
        cells[name] = 0
        for at in plan(name)[::every]:
            x = encoded[name].batch(at) if name != "B" else padded_batch(encoded["B"], at, given.length)
            cells[name] += x["input_ids"].size
            if name == "C":
                out = as_it_is({k: tf.constant(v) for k, v in x.items()})
            else:
                out = teacher.predict_batch(x, cls_only=True)
            answers[name][at] = out["logits"].numpy()

    for name in WAYS:
        run(name, every=max(1, len(plan(name)) // _WARM_UP_BATCHES))
    times: dict[str, list[float]] = {name: [] for name in WAYS}
    for n in range(given.rounds):
        for name in WAYS:
            times[name].append(seconds(lambda name=name: run(name)))
        say(f"round {n + 1} of {given.rounds}: " + ", ".join(f"{name} {t[-1]:.2f} s" for name, t in times.items()))

    every = {"A": answers["A"][group], "B": answers["B"], "C": answers["C"][group]}
    a, others = every["A"], (every["B"], every["C"])
    rates = {n: sorted(len(rows) / t for t in ts) for n, ts in times.items()}
    ratios = {other: sorted(slow / fast for fast, slow in zip(times["A"], times[other], strict=True)) for other in "BC"}
    return {
        "command": command(),
        "data": f"{task.name} train, {data.source}",
        "rows": len(rows),
        "distinct_texts": len(first),
        "teacher": teacher.name,
        "length": given.length,
        "mean_pieces": float(encoded["B"].ids.lengths.mean()),
        "cut_rows": int((encoded["B"].ids.lengths >= given.length).sum()),
        "batches": {n: len(plan(n)) for n in WAYS},
        "padding": {n: 1 - float(encoded[n].ids.lengths.sum()) / cells[n] for n in WAYS},
        "seconds": times,
        "rows_per_second": {n: {"median": statistics.median(r), "min": r[0], "max": r[-1]} for n, r in rates.items()},
        "ratio": {n: {"median": statistics.median(r), "min": r[0], "max": r[-1]} for n, r in ratios.items()},
        "tokenizing_rows_per_second": len(rows) / tokenizing,
        "logit_deviation": float(a.std()),
        "max_logit_difference": float(max(np.abs(a - b).max() for b in others)),
        "argmax_agreement": float(min((a.argmax(-1) == b.argmax(-1)).mean() for b in others)),
        "cpus": os.cpu_count(),
        "intra_op_threads": tf.config.threading.get_intra_op_parallelism_threads(),
        "load_average": os.getloadavg()[0],
        "machine": platform.machine(),
        "tensorflow": tf.__version__,
    }


def command() -> str:
    script = Path(sys.argv[0]).resolve()
    name = script.relative_to(ROOT) if script.is_relative_to(ROOT) else script
    return shlex.join(["python", str(name), *sys.argv[1:]])


def show(r: dict, given: argparse.Namespace) -> None:
    names = {
        "A": f"A  distinct, sorted, {given.batch_tokens} tokens",
        "B": f"B  file order, {given.batch_size} × {r['length']}",
        "C": "C  A's batches, plain forward",
    }
    repeats = r["rows"] - r["distinct_texts"]
    print(f"$ {r['command']}")
    print(f"teacher {r['teacher']}; {r['data']}")
    print(
        f"{r['rows']:,} rows, {repeats:,} of them repeats; {r['mean_pieces']:.1f} pieces a row, {r['cut_rows']:,} rows "
        f"of {r['length']} pieces or cut to them"
    )
    threads = r["intra_op_threads"] or "default"
    print(f"{r['cpus']} CPUs, threads: {threads}, load average {r['load_average']:.1f}, TensorFlow {r['tensorflow']}")
    print(f"\n{f'medians of {given.rounds} rounds':32}{'rows/s':>8}{'min–max':>16}{'batches':>9}{'padding':>9}")
    for n, name in names.items():
        rate = r["rows_per_second"][n]
        spread = f"{rate['min']:.1f}–{rate['max']:.1f}"
        print(f"{name:32}{rate['median']:8.1f}{spread:>16}{r['batches'][n]:9,}{r['padding'][n]:9.1%}")
    for other, ratio in r["ratio"].items():
        spread = f"{ratio['min']:.2f}–{ratio['max']:.2f}"
        print(f"{f'A ÷ {other}, round by round':32}{ratio['median']:8.2f}{spread:>16}")
    print(f"{'tokenizing, not in the above':32}{r['tokenizing_rows_per_second']:8,.0f}")
    print(
        f"\nlargest logit difference {r['max_logit_difference']:.1e} (standard deviation of the logits "
        f"{r['logit_deviation']:.2g}), same label on {r['argmax_agreement']:.2%} of rows"
    )
    if repeats:
        plain = r["ratio"]["B"]["median"] * r["distinct_texts"] / r["rows"]
        print(f"without the gain from repeats: A ÷ B about {plain:.2f}")


def reported(measure: Callable[[], dict], show: Callable[[dict], None], json_file: str | None) -> int:
    """Measures, shows the figures and writes them; the exit code."""
    quiet()
    try:
        figures = measure()
    except UserError as e:
        print(f"error: {e}", file=sys.stderr)
        return 2
    show(figures)
    if json_file:
        files.write_json(Path(json_file), figures)
    return 0


def main() -> int:
    given = flags()
    return reported(lambda: measure(given), lambda figures: show(figures, given), given.json)


if __name__ == "__main__":
    sys.exit(main())
