"""Measures a student in every exported format beside its teacher converted the same way.

python -m kd_keras.benchmark --model_dir=RUN
python -m kd_keras.benchmark --model_dir=RUN --formats=tflite_dynamic,tflite_loop_dynamic --lengths=32 --threads=1

Size, dev score, load time, memory, and latency at batch 1 on real text (p50, p90, p99): a table on the screen;
benchmark.md, benchmark.json and a plot in RUN/benchmark/; and the lines that time each file on a phone. Models take
turns, so that ratios hold on a busy machine too; for milliseconds, let it run alone.
"""

from __future__ import annotations

import shlex
import sys

from absl import flags

from kd_keras.common import cli
from kd_keras.common.config import define_flags, define_path, from_flags
from kd_keras.common.devices import hide_gpus
from kd_keras.common.progress import say
from kd_keras.timing.settings import BenchmarkSettings

FLAGS = flags.FLAGS
define_flags(BenchmarkSettings)
define_path("model_dir", None, "run folder of train, exported.")


def main(argv: list[str]) -> None:
    cli.no_arguments(argv)
    hide_gpus()
    settings = from_flags(BenchmarkSettings)
    cli.required(model_dir="a run folder of train that export was called on")

    from kd_keras.timing import measure

    plan = measure.check(FLAGS.model_dir, settings)
    measure.announce(plan)
    cli.import_tensorflow()
    from kd_keras.timing import report as pages

    report = measure.run(plan)
    folder = plan.layout.benchmark
    pages.write(report, folder, shlex.join(["python", "-m", "kd_keras.benchmark", *sys.argv[1:]]))
    print(pages.summary(report), flush=True)
    print(f"\n{pages.speedups(report)}\n\n{pages.phone_lines(report)}", flush=True)
    for said in (pages.warnings(report), pages.noise(report)):
        if said:
            say(f"\n{said}")
    say(f"\nall of it: {folder / pages.PAGE}")


if __name__ == "__main__":
    cli.run(main)
