"""Times several models side by side. Each has its own process, and they take turns on the same texts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import kd_keras
from kd_keras.common.errors import UserError
from kd_keras.common.files import tail
from kd_keras.common.progress import progress
from kd_keras.common.seeds import rng
from kd_keras.common.stopping import held

# In each turn, this many texts are answered before the clock starts: another model has used the caches meanwhile.
WARM_UP = 5
# A process loads its model this many times, and the median counts. Memory is read after the first time.
_LOADS = 5

Inputs = Mapping[str, Sequence[Sequence[int]]]


class Worker:
    """A fresh process (``timing.worker``) that holds one model. Use it as a context manager.

    Args:
      kind: "tflite", "bert_tflite", "keras" or "saved_model".
      threads: for one answer.
    """

    def __init__(self, kind: str, threads: int):
        self.kind, self.threads = kind, threads
        self._notes = tempfile.TemporaryFile()  # noqa: SIM115  closed in __exit__
        paths = [str(Path(kd_keras.__file__).parents[1]), os.environ.get("PYTHONPATH")]
        with held():
            self._process = subprocess.Popen(
                [sys.executable, "-c", "from kd_keras.timing.worker import main; main()"],
                env=os.environ | {"PYTHONPATH": os.pathsep.join(p for p in paths if p)},
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._notes, encoding="utf-8",
            )  # fmt: skip

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()
        self._notes.close()

    def load(self, path: Path) -> dict[str, float]:
        """{"ms", "before"}: see ``worker``."""
        return self._ask(do="load", kind=self.kind, path=str(path), threads=self.threads)

    def run(self, inputs: Inputs, warm_up: int = WARM_UP, batch: int = 1) -> np.ndarray:
        """float[texts]: milliseconds of each text (or ``batch`` of them), after ``warm_up`` texts were answered."""
        lists = {name: [np.asarray(t).tolist() for t in texts] for name, texts in inputs.items()}
        return np.array(self._ask(do="run", inputs=lists, warm_up=warm_up, batch=batch)["ms"])

    def memory(self) -> dict[str, float]:
        """{"now", "peak"} in MB."""
        return self._ask(do="memory")

    def _ask(self, **ask: Any) -> dict:
        try:
            self._process.stdin.write(json.dumps(ask) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except OSError:
            line = ""
        if not line:
            self._notes.seek(0)
            last = self._notes.read().decode(errors="replace").strip().splitlines()[-1:] or ["no message"]
            what = Path(ask["path"]).name if "path" in ask else ask["do"]
            raise UserError(f"the process that timed {self.kind} {what} ended: {tail(last[0], 200)}")
        said = json.loads(line)
        if "error" in said:
            raise UserError(said["error"])
        return said


def percentiles(ms: np.ndarray) -> dict[str, float]:
    """p50, p90 and p99 (interpolated), mean and smallest, in the unit of ``ms``."""
    p50, p90, p99, mean, low = (float(v) for v in (*np.percentile(ms, (50, 90, 99)), np.mean(ms), np.min(ms)))
    return {"p50": p50, "p90": p90, "p99": p99, "mean": mean, "min": low, "calls": len(ms)}


def take_turns(
    workers: Mapping[str, Worker], inputs: Mapping[str, Inputs], rounds: int, what: str, batch: int = 1
) -> dict[str, list]:
    """Name → float[texts or batches of a round] milliseconds, for each round.

    In each round every worker answers the same slice of the texts, in a new random order. So other work on the machine
    affects all of them alike.

    Args:
      workers: name → a worker with its model loaded.
      inputs: name → its texts. Text i is the same text for all.
      rounds: number of slices.
      what: the progress bar's title.
      batch: texts a call.
    """
    counts = {len(next(iter(i.values()))) for i in inputs.values()}
    if len(counts) != 1 or min(counts) < rounds:
        raise ValueError(f"{rounds} rounds of {counts} texts")
    names, took = list(workers), {name: [] for name in workers}
    with progress(rounds * len(names), what, "turns") as bar:
        for turn in range(rounds):
            for i in rng(0, "turns", turn).permutation(len(names)):
                name = names[i]
                mine = {n: texts[turn::rounds] for n, texts in inputs[name].items()}
                took[name].append(workers[name].run(mine, batch=batch))
                bar.update()
    return took


def ratio(slower: Sequence[np.ndarray], faster: Sequence[np.ndarray]) -> dict[str, float]:
    """How many times faster, by p50 of each round: {"median", "min", "max", "rounds"}."""
    each = [float(np.median(s) / np.median(f)) for s, f in zip(slower, faster, strict=True)]
    return {"median": float(np.median(each)), "min": min(each), "max": max(each), "rounds": len(each)}


def load_and_memory(kind: str, path: Path, inputs: Inputs) -> dict[str, float]:
    """Measures one model in a fresh process with one thread.

    Returns:
      load_ms: median of some loads, with the file in the system's cache.
      first_ms: time of the first text.
      text_ms: median time of all texts.
      peak_mb: largest resident memory of the process over all texts, with interpreter, libraries and mapped pages of
        the file.
      model_mb: the part of it that loading and using the model added to the libraries.
    """
    with Worker(kind, 1) as worker:
        loads = [worker.load(path)]
        first = worker.run({n: t[:1] for n, t in inputs.items()}, warm_up=0)
        every = worker.run(inputs)
        peak = worker.memory()["peak"]
        loads += [worker.load(path) for _ in range(_LOADS - 1)]
    return {
        "load_ms": float(np.median([one["ms"] for one in loads])),
        "first_ms": float(first[0]),
        "text_ms": float(np.median(every)),
        "peak_mb": peak,
        "model_mb": max(0.0, peak - loads[0]["before"]),
    }
