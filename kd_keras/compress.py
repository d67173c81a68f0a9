"""Prunes or clusters a trained student; writes a new run folder.

python -m kd_keras.compress --model_dir=RUN --output_dir=RUN2 --sparsity=0.5
python -m kd_keras.compress --model_dir=RUN --output_dir=RUN3 --method=cluster

The student continues to follow the signals in RUN. Every command takes the new
folder. It saves bytes only when packed: in a download, or in an .apk that packs
its assets. The files keep their size, and TensorFlow Lite computes with zeros
as with other numbers, so expect no speed. A command that was stopped begins
again from the start.
"""

from __future__ import annotations

import sys
from pathlib import Path

from absl import flags

from kd_keras.common import cli, packages
from kd_keras.common.config import define_flags, define_own, from_flags
from kd_keras.common.devices import hide_gpus
from kd_keras.common.screen import show
from kd_keras.compression.settings import CompressSettings

FLAGS = flags.FLAGS
define_flags(CompressSettings)
define_own("model_dir", None, "run folder of train, with its signals.", "model", Path)
define_own("output_dir", None, "run folder to write; it must not exist, or be empty.", "output", Path)


def main(argv: list[str]) -> None:
    cli.no_arguments(argv)
    hide_gpus()
    settings = from_flags(CompressSettings)
    cli.required(model_dir="a run folder of train", output_dir="the run folder to write")
    packages.require("compress", "compress")

    from kd_keras.compression import compressor
    from kd_keras.compression.report import table, verdict
    from kd_keras.runs.next_steps import for_screen, with_student

    plan = compressor.check(FLAGS.model_dir, FLAGS.output_dir, settings)
    cli.import_tensorflow()
    results, steps = compressor.run(plan), with_student(FLAGS.output_dir, plan.run.task)
    show(f"{verdict(results)}\n\n{for_screen(steps)}\n", sys.stdout)
    print(table(results), flush=True)  # the table has its own columns
    show(f"\nreport: {plan.out.report}", sys.stdout)


if __name__ == "__main__":
    cli.run(main)
