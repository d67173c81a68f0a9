"""Times a student's update with Keras' Adam and with the one-pass Adam, in turns in one process (milliseconds).

    python benchmarks/optimizer_step.py [--vocab=14000] [--embedding_size=300] [--batch_size=128] [--tokens=26]

The text is random ids, because an update's time depends only on sizes.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time

from kd_keras.common import cli


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    for name, default in (
        ("vocab", 14000),
        ("embedding_size", 300),
        ("batch_size", 128),
        ("tokens", 26),
        ("rounds", 8),
    ):
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    cli.quiet()
    cli.import_tensorflow()
    import keras
    import numpy as np
    import tensorflow as tf

    from kd_keras.distill.distiller import Distiller
    from kd_keras.distill.optimizers import FusedAdam
    from kd_keras.students.bilstm import build_student
    from kd_keras.students.settings import StudentSettings

    draw = np.random.default_rng(0)
    matrix = draw.normal(size=(args.vocab, args.embedding_size)).astype(np.float32)
    settings = StudentSettings(embedding_size=args.embedding_size)
    x = {"ids": tf.constant(draw.integers(1, args.vocab, (args.batch_size, args.tokens)), tf.int32)}
    y = {"teacher_logits": tf.constant(draw.normal(size=(args.batch_size, 2)), tf.float32)}
    updates = {}
    for name, cls in (("keras.optimizers.Adam", keras.optimizers.Adam), ("FusedAdam", FusedAdam)):
        distiller = Distiller(build_student(settings, matrix, 2, 1), alpha=0.0)
        distiller.compile(optimizer=cls(1e-3, global_clipnorm=1.0, use_ema=True, ema_momentum=0.998))
        distiller.optimizer.build(distiller.student.trainable_variables)
        updates[name] = tf.function(lambda d=distiller: d.train_step((x, y)))
        updates[name]()
    times: dict[str, list[float]] = {name: [] for name in updates}
    for _ in range(args.rounds):
        for name, update in updates.items():
            started = time.perf_counter()
            for _ in range(5):
                result = update()
            float(result["loss"])
            times[name].append(1000 * (time.perf_counter() - started) / 5)
    print(f"python {' '.join(sys.argv)}")
    print(
        f"| an update of {args.batch_size} rows, {args.tokens} tokens, "
        f"vocabulary {args.vocab:,} × {args.embedding_size} | ms | min–max |"
    )
    print("| --- | ---: | ---: |")
    for name, each in times.items():
        print(f"| {name} | {statistics.median(each):.0f} | {min(each):.0f}–{max(each):.0f} |")
    ratios = [a / b for a, b in zip(*times.values(), strict=True)]
    print(f"| ratio, round by round | {statistics.median(ratios):.2f} | {min(ratios):.2f}–{max(ratios):.2f} |")


if __name__ == "__main__":
    main()
