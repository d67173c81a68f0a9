"""Exports a student as SavedModel and TFLite files, each compared.

python -m kd_keras.export --model_dir=RUN
python -m kd_keras.export --model_dir=RUN --formats=tflite_int8
python -m kd_keras.export --model_dir=RUN --arm=baseline-seed1

Each file is compared with Keras on the run's dev split, and is removed if it
differs by more than its tolerance.

RUN/saved_model/ has the signatures "text" (strings → labels, scores, logits)
and "ids" (ids → logits); a tagger has "ids" alone. RUN/tflite/ has a .tflite
file for each format, with labels.txt, vocab.txt and metadata.json. The
unrolled files hold labels, vocabulary and tokenizer inside, as MediaPipe needs
them. The folder may be copied: python -m kd_keras.predict --model=FILE.tflite
"text" works from it. With --arm both folders are in RUN/arms/ARM.
"""

from __future__ import annotations

import sys
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags

from kd_keras.common import cli, packages
from kd_keras.common.config import define_flags, define_own, from_flags
from kd_keras.common.devices import hide_gpus
from kd_keras.common.errors import UserError
from kd_keras.common.files import require_file
from kd_keras.common.progress import say
from kd_keras.common.screen import show
from kd_keras.deploy.settings import ExportSettings

if TYPE_CHECKING:
    from kd_keras.runs.finished import FinishedRun

FLAGS = flags.FLAGS
define_flags(ExportSettings)
define_own("model_dir", None, "run folder of train.", "model", Path)


def main(argv: list[str]) -> None:
    cli.no_arguments(argv)
    hide_gpus()
    settings = from_flags(ExportSettings)
    cli.required(model_dir="a run folder of train")
    packages.require("export", "export")
    settings.chosen()
    for name in ("calibration_file", "check_file"):
        if FLAGS[name].value:
            require_file(FLAGS[name].value, f"--{name}")

    from kd_keras.deploy.texts import export_texts
    from kd_keras.runs.finished import FinishedRun

    run = FinishedRun.open(FLAGS.model_dir, settings.arm)
    texts = export_texts(run, settings)
    cli.import_tensorflow()
    from kd_keras.deploy.agreement import table
    from kd_keras.deploy.exporter import export

    done = export(run, settings, texts)
    if done.files:
        show(table(done.files, run.task.metric), sys.stdout)
        say(_for_an_app(done.files, run))
    if done.failures:
        raise UserError("; ".join(done.failures))


def _for_an_app(made: Collection[str], run: FinishedRun) -> str:
    """Says which of the files go into an app."""
    from kd_keras.formats import mediapipe
    from kd_keras.formats.format import EXPORTS

    names = {Path(file).name for file in made}  # the files of another arm begin with its folder
    beside = "vocab.txt and labels.txt" if run.task.labels else "vocab.txt"
    ways = [f"loop_dynamic.tflite with {beside} (docs/android.md)"] if "loop_dynamic.tflite" in names else []
    if "dynamic.tflite" in names and not mediapipe.why_not(run.task, run.tokenizer, EXPORTS["tflite_dynamic"]):
        ways.append("dynamic.tflite alone, with MediaPipe (docs/mediapipe.md)")
    return f"for an app: {', or '.join(ways)}" if ways else "for an app: see docs/android.md"


if __name__ == "__main__":
    cli.run(main)
