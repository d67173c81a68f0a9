"""Times a teacher's update: tf_keras and transformers against this package, in turns in one process (milliseconds).

    python benchmarks/finetune_step.py [--teacher=minilm-l6] [--batch_size=32] [--tokens=32] [--threads=2]

The text is random ids, because an update's time depends only on sizes. bfloat16 is timed if the processor has it.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import sys
import time
from contextlib import nullcontext

from kd_keras.common import cli


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--teacher", default="minilm-l6")
    for name, default in (("batch_size", 32), ("tokens", 32), ("rounds", 8), ("threads", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    cli.quiet()
    cli.import_tensorflow()
    import numpy as np
    import tensorflow as tf
    import tf_keras

    from kd_keras.common.machine import has_bfloat16
    from kd_keras.teachers.bert import Teacher
    from kd_keras.teachers.checkpoints import find_checkpoint
    from kd_keras.teachers.heads import set_dropout
    from kd_keras.teachers.lean import lean
    from kd_keras.teachers.optimizer import FusedAdamW

    tf.config.threading.set_intra_op_parallelism_threads(args.threads)
    draw = np.random.default_rng(0)
    shape = (args.batch_size, args.tokens)
    updates = {}
    float32, bfloat16 = (functools.partial(lean, cls_only=True, precision=p) for p in ("float32", "bfloat16"))
    ways = [
        ("tf_keras.optimizers.AdamW", tf_keras.optimizers.AdamW, nullcontext, True),
        ("FusedAdamW", FusedAdamW, nullcontext, True),
        ("FusedAdamW, lean", FusedAdamW, float32, True),
        ("FusedAdamW, lean, no dropout", FusedAdamW, float32, False),
    ]
    if has_bfloat16():
        ways += [
            ("FusedAdamW, lean, bfloat16", FusedAdamW, bfloat16, True),
            ("FusedAdamW, lean, bfloat16, no dropout", FusedAdamW, bfloat16, False),
        ]
    for name, cls, around, dropout in ways:
        teacher = Teacher.load(find_checkpoint(args.teacher), 2, args.tokens, 1)
        if not dropout:
            set_dropout(teacher.bert, 0.0)
        ids = tf.constant(draw.integers(1000, len(teacher.tokenizer), shape), tf.int32)
        x = {"input_ids": ids, "attention_mask": tf.ones_like(ids), "token_type_ids": tf.zeros_like(ids)}
        y = tf.constant(draw.integers(0, 2, args.batch_size), tf.int32)
        optimizer = cls(5e-5, weight_decay=0.01, global_clipnorm=1.0, epsilon=1e-6, jit_compile=False)
        optimizer.exclude_from_weight_decay(var_names=["bias", "LayerNorm"])
        variables = teacher.bert.trainable_variables
        optimizer.build(variables)

        def update(bert=teacher.bert, optimizer=optimizer, variables=variables, x=x, y=y, around=around):
            with tf.GradientTape() as tape, around(bert):
                logits = bert(x, training=True).logits
                loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits))
            optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
            return loss

        updates[name] = tf.function(update)
        updates[name]()
    times: dict[str, list[float]] = {name: [] for name in updates}
    for _ in range(args.rounds):
        for name, update in updates.items():
            started = time.perf_counter()
            for _ in range(3):
                loss = update()
            float(loss)
            times[name].append(1000 * (time.perf_counter() - started) / 3)
    print(f"python {' '.join(sys.argv)}")
    print(f"| an update of {args.batch_size} rows, {args.tokens} tokens, {args.teacher} | ms | min–max |")
    print("| --- | ---: | ---: |")
    first = next(iter(times.values()))
    for name, each in times.items():
        print(f"| {name} | {statistics.median(each):.0f} | {min(each):.0f}–{max(each):.0f} |")
    for name, each in [*times.items()][1:]:
        ratios = [a / b for a, b in zip(first, each, strict=True)]
        spread = f"{min(ratios):.2f}–{max(ratios):.2f}"
        print(f"| {name}: times as fast as the first, round by round | {statistics.median(ratios):.2f} | {spread} |")


if __name__ == "__main__":
    main()
