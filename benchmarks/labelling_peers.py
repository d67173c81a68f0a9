"""Labeling beside PyTorch and ONNX Runtime, which have an environment of their own:

    python -m venv peers
    peers/bin/pip install torch transformers onnxruntime onnx onnxscript
    python benchmarks/labelling_peers.py --peers_python=peers/bin/python --data_dir=DIR/SST-2 --teacher=RUN/teacher

All have the same weights, ids, batches and threads. They take turns, one in this process, the others in theirs, so
what else the machine does slows all alike: trust the ratios. Timed: the forward pass, logits to NumPy.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from labelling_throughput import reported

from kd_keras import tasks
from kd_keras.common import files, machine
from kd_keras.common.cli import import_tensorflow
from kd_keras.common.errors import UserError
from kd_keras.common.progress import say
from kd_keras.teachers.settings import BFLOAT16, FLOAT32, INT8, LabelSettings

_PEER = Path(__file__).with_name("labelling_peer.py")
_WARM_UP_BATCHES = 6
_OURS = "kd_keras "


def flags() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    add = parser.add_argument
    add("--peers_python", required=True, help="Python of the peers' environment")
    add("--data_dir", help="folder with SST-2's train.tsv and dev.tsv; without it rotten_tomatoes, from packages")
    add("--rows", type=int, default=2500, help="the first rows of train (default: %(default)s)")
    add("--teacher", default="minilm-l6", help="packaged teacher, or folder of a BERT (default: %(default)s)")
    add("--length", type=int, default=64, help="pieces to which all cut (default: %(default)s)")
    tokens = LabelSettings().label_batch_tokens
    add("--batch_tokens", type=int, default=tokens, help="tokens in a sorted batch (default: %(default)s, as in label)")
    add("--rounds", type=int, default=5, help="timed rounds of each (default: %(default)s)")
    add("--threads", type=int, default=os.cpu_count(), help="threads of each (default: %(default)s)")
    add("--by_cpu", action="store_true", help="CPU time of one thread, which other work hardly moves")
    add("--ways", help="only these, separated by commas; all if not given")
    add("--json", metavar="FILE", help="also write the figures here")
    given = parser.parse_args()
    if given.by_cpu and given.threads != 1:
        parser.error("--by_cpu: give --threads=1 too, as threads that wait for others count as work")
    return given


class Peer:
    """The process of ``labelling_peer.py``."""

    def __init__(self, python: str, folder: Path, threads: int, by_cpu: bool):
        command = [python, "-W", "ignore", str(_PEER), str(folder), str(threads)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._folder, self._by_cpu, self.about = folder, by_cpu, self._answer()

    def _answer(self) -> dict:
        line = self._process.stdout.readline()
        while line and not line.startswith("{"):
            line = self._process.stdout.readline()
        if not line:
            raise UserError(f"{_PEER.name} ended: {' '.join(self._process.args)}")
        return json.loads(line)

    def run(self, way: str, every: int) -> tuple[float, np.ndarray]:
        print(json.dumps({"way": way, "every": every}), file=self._process.stdin, flush=True)
        return self._answer()["seconds"][self._by_cpu], np.load(self._folder / "said.npy")

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait()


def hand_over(teacher, encoded, batches: dict[str, list[np.ndarray]], folder: Path) -> None:
    """Writes the encoder as PyTorch names it, the classifier, and the ids of all batches."""
    from safetensors.numpy import save_file

    from kd_keras.teachers.heads import linear_of
    from kd_keras.teachers.weight_files import canonical

    arrays = {}
    for variable in teacher.bert.weights:
        name, transposed = canonical(variable.name)
        own = name.split(".", 1)[1]
        if own.startswith("bert."):
            value = variable.numpy()
            arrays[own.removeprefix("bert.")] = np.ascontiguousarray(value.T if transposed else value)
    save_file(arrays, folder / "model.safetensors", {"format": "pt"})
    config = teacher.bert.config.to_dict() | {"architectures": ["BertModel"]}
    files.write_json(folder / "config.json", config)
    linear = linear_of(teacher.bert)
    np.savez(folder / "head.npz", kernel=linear.kernel, bias=linear.bias, pooling=teacher.pooling)
    for name, some in batches.items():
        made = {f"{k}_{i}": a for i, rows in enumerate(some) for k, a in encoded.batch(rows).items()}
        np.savez(folder / f"{name}.npz", **made)


def measure(given: argparse.Namespace) -> dict:
    task = tasks.get("sst2" if given.data_dir else "rotten_tomatoes")
    data = tasks.load(task, given.data_dir)
    rows = data.train.take(range(min(given.rows, len(data.train))))
    import_tensorflow()
    import tensorflow as tf

    from kd_keras.teachers.bert import Teacher
    from kd_keras.teachers.checkpoints import find_checkpoint
    from kd_keras.teachers.encoded import plan

    tf.config.threading.set_intra_op_parallelism_threads(given.threads)
    teacher = Teacher.load(find_checkpoint(given.teacher), len(task.labels), given.length)
    encoded = teacher.encode(rows)
    batches = {
        "sorted": plan(encoded.ids.lengths, given.batch_tokens),
        "file": [np.arange(s, min(s + 32, len(rows))) for s in range(0, len(rows), 32)],
    }
    precisions = [FLOAT32, *([BFLOAT16] if machine.has_bfloat16() else []), INT8]
    own = {_OURS + p: p for p in precisions}

    def run_own(name: str, every: int) -> tuple[float, np.ndarray]:
        asked = teacher if own[name] == FLOAT32 else teacher.lowered(own[name])
        start = time.perf_counter(), time.process_time()
        said = [asked.predict_batch(encoded.batch(b), True)["logits"].numpy() for b in batches["sorted"][::every]]
        taken = time.perf_counter() - start[0], time.process_time() - start[1]
        return taken[given.by_cpu], np.concatenate(said)

    times: dict[str, list[float]] = {}
    answers: dict[str, np.ndarray] = {}
    with tempfile.TemporaryDirectory() as name:
        hand_over(teacher, encoded, batches, Path(name))
        peer = Peer(given.peers_python, Path(name), given.threads, given.by_cpu)
        every = [*own, *peer.about["ways"]]
        ways = given.ways.split(",") if given.ways else every
        if unknown := set(ways) - set(every):
            raise UserError(f"--ways={given.ways}: unknown {', '.join(unknown)}; expected some of {', '.join(every)}")
        for number in range(-1, given.rounds):
            for way in ways:
                skip = max(1, len(batches["sorted"]) // _WARM_UP_BATCHES) if number < 0 else 1
                seconds, said = run_own(way, skip) if way in own else peer.run(way, skip)
                if number >= 0:
                    times.setdefault(way, []).append(seconds)
                    order = np.concatenate(batches["file" if way.endswith("order") else "sorted"])
                    answers[way] = np.empty_like(said)
                    answers[way][order] = said
            say(f"round {number + 1}: " + ", ".join(f"{w} {t[-1]:.2f} s" for w, t in times.items()))
        peer.close()
    first = ways[0]
    return {
        "rows": len(rows),
        "cpus": os.cpu_count(),
        "threads": given.threads,
        "by_cpu": given.by_cpu,
        "load_average": os.getloadavg()[0],
        "versions": {k: v for k, v in peer.about.items() if k != "ways"} | {"tensorflow": tf.__version__},
        "ways": {
            way: {
                "rows_per_second": statistics.median(len(rows) / t for t in taken),
                "ratio": statistics.median(a / b for a, b in zip(times[first], taken, strict=True)),
                "ratios": [a / b for a, b in zip(times[first], taken, strict=True)],
                "same_label": float(np.mean(answers[way].argmax(-1) == answers[first].argmax(-1))),
                "logit_difference": float(np.abs(answers[way] - answers[first]).mean()),
            }
            for way, taken in times.items()
        },
    }


def show(figures: dict) -> None:
    print(
        f"{figures['rows']:,} rows, {figures['cpus']} CPUs, {figures['threads']} threads, "
        f"{'CPU' if figures['by_cpu'] else 'wall'} seconds, "
        f"load average {figures['load_average']:.1f}, {figures['versions']}"
    )
    print(f"{'medians':20}{'rows/s':>8}{'× the first':>12}{'min–max':>13}{'same label':>12}{'logits differ by':>18}")
    for way, r in figures["ways"].items():
        spread = f"{min(r['ratios']):.2f}–{max(r['ratios']):.2f}"
        print(
            f"{way:20}{r['rows_per_second']:8.0f}{r['ratio']:12.2f}{spread:>13}{r['same_label']:12.2%}"
            f"{r['logit_difference']:18.5f}"
        )


def main() -> int:
    given = flags()
    return reported(lambda: measure(given), show, given.json)


if __name__ == "__main__":
    sys.exit(main())
