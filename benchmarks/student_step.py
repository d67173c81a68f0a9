r"""Milliseconds of a student's whole update, beside PyTorch's and beside its matrix products alone, in turns.

    python benchmarks/student_step.py [--vocab=9000] [--embedding_size=128] [--hidden_size=128] [--tokens=13,26] \
        [--threads=2] [--by_cpu] [--peers_python=DIR/bin/python]

`--peers_python` names the Python of an environment that has PyTorch (pip install torch). An update is forward,
backward, clipping and Adam, without averaged weights. "its products" multiplies the same matrices and does nothing
else, so no update in float32 can be faster. Text is random ids: the cost depends on sizes alone. `--by_cpu
--threads=1` counts CPU time, which other work on the machine hardly moves.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from kd_keras.common import cli
from kd_keras.common.markdown import markdown_table

PEER = Path(__file__).with_name("student_step_torch.py")
UPDATES = 5  # in a turn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    for name, default in (
        ("vocab", 9000),
        ("embedding_size", 128),
        ("hidden_size", 128),
        ("batch_size", 128),
        ("rounds", 10),
        ("threads", 2),
    ):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--tokens", default="13,26", help="of the shortest and of the longest text")
    parser.add_argument("--by_cpu", action="store_true", help="CPU time instead of time on the clock")
    parser.add_argument("--peers_python", help="Python of an environment that has PyTorch")
    args = parser.parse_args()
    cli.quiet()
    cli.import_tensorflow()
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(args.threads)
    tf.config.threading.set_inter_op_parallelism_threads(args.threads)
    turns = {"this student": ours(args), "its products": products(args)}
    if args.peers_python:
        turns |= {f"nn.LSTM, {how}": torch(args, how) for how in ("packed", "padded")}
    times: dict[str, list[float]] = {name: [] for name in turns}
    for _ in range(args.rounds):
        for name, turn in turns.items():
            times[name].append(turn())
    print(f"python {' '.join(sys.argv)}")
    base = times["this student"]
    print(
        markdown_table(
            ["an update", "ms", "min–max", "× this student's time, round by round"],
            [
                [name, f"{statistics.median(each):.1f}", f"{min(each):.1f}–{max(each):.1f}", _ratio(each, base)]
                for name, each in times.items()
            ],
        )
    )


def _ratio(each: list[float], base: list[float]) -> str:
    ratios = [a / b for a, b in zip(each, base, strict=True)]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})"


def batch(args: argparse.Namespace) -> np.ndarray:
    """int32[rows, time]: texts of the lengths that ``--tokens`` spans, padded with 0."""
    shortest, longest = (int(n) for n in args.tokens.split(","))
    draw = np.random.default_rng(0)
    lengths = np.linspace(shortest, longest, args.batch_size).astype(int)
    ids = draw.integers(1, args.vocab, (args.batch_size, longest)).astype(np.int32)
    return np.where(np.arange(longest) < lengths[:, None], ids, 0)


def timed(update: Callable[[], object], wait: Callable[[object], object], by_cpu: bool) -> Callable[[], float]:
    """A function that gives the milliseconds of an update, the mean of a turn."""
    clock = time.process_time if by_cpu else time.perf_counter
    wait(update())  # traces

    def turn() -> float:
        started = clock()
        for _ in range(UPDATES):
            result = update()
        wait(result)
        return 1000 * (clock() - started) / UPDATES

    return turn


def ours(args: argparse.Namespace) -> Callable[[], float]:
    import tensorflow as tf

    from kd_keras.distill.distiller import Distiller
    from kd_keras.distill.optimizers import FusedAdam
    from kd_keras.students.bilstm import build_student
    from kd_keras.students.settings import StudentSettings

    draw = np.random.default_rng(1)
    matrix = draw.normal(size=(args.vocab, args.embedding_size)).astype(np.float32)
    none = dict.fromkeys(("embedding_dropout", "word_dropout", "dropout"), 0.0)  # as the peers
    settings = StudentSettings(embedding_size=args.embedding_size, hidden_size=args.hidden_size, **none)
    x = {"ids": tf.constant(batch(args))}
    y = {"teacher_logits": tf.constant(draw.normal(size=(args.batch_size, 2)), tf.float32)}
    distiller = Distiller(build_student(settings, matrix, 2, 1), alpha=0.0)
    distiller.compile(optimizer=FusedAdam(1e-3, global_clipnorm=1.0))
    distiller.optimizer.build(distiller.student.trainable_variables)
    update = tf.function(lambda: distiller.train_step((x, y)))
    return timed(update, lambda result: float(result["loss"]), args.by_cpu)


def products(args: argparse.Namespace) -> Callable[[], float]:
    """Of both directions: input and recurrent products, forward, and for the gradients of data and of weights."""
    import tensorflow as tf

    rows, time_, e, h = args.batch_size, batch(args).shape[1], args.embedding_size, args.hidden_size
    x, z = tf.random.normal((rows * time_, e)), tf.random.normal((rows * time_, 4 * h))
    states, kernel = tf.random.normal((rows * time_, h)), tf.random.normal((e, 4 * h))
    state, step, recurrent = tf.random.normal((rows, h)), tf.random.normal((rows, 4 * h)), tf.random.normal((h, 4 * h))

    def first(a: tf.Tensor) -> tf.Tensor:
        return tf.reshape(a, [-1])[0]

    def all_of_them() -> tf.Tensor:
        total = tf.constant(0.0)
        for _ in range(2):
            with tf.control_dependencies([total]):
                total += first(x @ kernel) + first(tf.matmul(z, kernel, transpose_b=True))
                total += first(tf.matmul(x, z, transpose_a=True)) + first(tf.matmul(states, z, transpose_a=True))
            for _ in tf.range(time_):  # one after the other, as each step waits for the last
                with tf.control_dependencies([total]):
                    total += first(state @ recurrent) + first(tf.matmul(step, recurrent, transpose_b=True))
        return total

    return timed(tf.function(all_of_them), float, args.by_cpu)


def torch(args: argparse.Namespace, how: str) -> Callable[[], float]:
    """PyTorch in a process of its own, which works when it is told to."""
    shortest, longest = args.tokens.split(",")
    sizes = [args.vocab, args.embedding_size, args.hidden_size, args.batch_size, int(shortest), int(longest), UPDATES,
             args.threads, int(args.by_cpu)]  # fmt: skip
    peer = subprocess.Popen(
        [args.peers_python, str(PEER), how, *map(str, sizes)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )

    def turn() -> float:
        peer.stdin.write("go\n")
        peer.stdin.flush()
        return float(peer.stdout.readline())

    turn()
    return turn


if __name__ == "__main__":
    main()
