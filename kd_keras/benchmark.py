"""Times a student in every exported format beside its teacher.

python -m kd_keras.benchmark --model_dir=RUN
python -m kd_keras.benchmark --model_dir=RUN --formats=tflite_int8

The teacher is converted the same way. The command measures size, dev score,
load time, memory, and latency at batch 1 on real text (p50, p90, p99). It
prints a table and the lines that time the best file on a phone.
RUN/benchmark/ gets benchmark.json, a plot, and benchmark.md with the lines of
every file. Models take turns, so ratios hold on a busy machine; for
milliseconds, let it run alone.
"""

from __future__ import annotations

import shlex
import sys
import time
from pathlib import Path

from absl import flags

from kd_keras.common import cli, packages
from kd_keras.common.config import define_flags, define_own, from_flags
from kd_keras.common.devices import hide_gpus
from kd_keras.common.progress import say
from kd_keras.common.screen import show
from kd_keras.timing.settings import BenchmarkSettings

FLAGS = flags.FLAGS
define_flags(BenchmarkSettings)
define_own("model_dir", None, "run folder of train that was exported.", "model", Path)


def main(argv: list[str]) -> None:
    cli.no_arguments(argv)
    hide_gpus()
    settings = from_flags(BenchmarkSettings)
    cli.required(model_dir="a run folder of train that export was called on")
    packages.require("benchmark", "export")
    if settings.teacher_formats != "none":
        packages.require(f"--teacher_formats={settings.teacher_formats}", "teacher")

    from kd_keras.timing import measure

    plan = measure.check(FLAGS.model_dir, settings)
    packages.say_left_out("plot", "plots", "matplotlib")
    names = ", ".join([f.name for f in plan.formats] + [f"teacher_{p}" for p in settings.teacher_list()])
    say(f"measuring {names} on {len(plan.rows):,} rows ({plan.source})")
    began = time.monotonic()
    cli.import_tensorflow()
    from kd_keras.timing import report as pages
    from kd_keras.timing.duration import in_words

    report = measure.run(plan)
    folder = plan.layout.benchmark
    pages.write(report, folder, shlex.join(["python", "-m", "kd_keras.benchmark", *sys.argv[1:]]))
    show(pages.screen(report), sys.stdout)
    took = in_words(time.monotonic() - began)
    say(f"\nthe whole report, and the lines that time each file on a phone: {folder / pages.PAGE}; it took {took}")


if __name__ == "__main__":
    cli.run(main)
