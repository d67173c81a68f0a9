"""Makes a student for every task, from plain text alone.

python -m kd_keras.pretrain --unlabeled_files=TEXT[,TEXT] [--tasks=sst2,stsb]

The student learns the teacher's vector of any sentence, and goes into a run
folder. From it, python -m kd_keras.embed gives vectors, export makes files for
a phone, and python -m kd_keras.train --student_from=RUN starts a student of
any task.
"""

from __future__ import annotations

import sys

from absl import flags

from kd_keras.augment.settings import UnlabeledSettings
from kd_keras.common import cli, packages
from kd_keras.common.config import define_flags, define_own, flags_text, from_flags
from kd_keras.common.devices import DeviceSettings, tell
from kd_keras.common.screen import show
from kd_keras.pipelines.settings import ClusterSettings
from kd_keras.runs.universal_settings import UniversalLabels, UniversalSettings, UniversalShape, UniversalTraining
from kd_keras.tasks import FileSettings
from kd_keras.teachers.checkpoints import find_checkpoint
from kd_keras.teachers.settings import TargetSettings

_SETTINGS = (UniversalSettings, UniversalLabels, TargetSettings, UniversalShape, UniversalTraining, UnlabeledSettings)
for _cls in (*_SETTINGS, FileSettings, ClusterSettings, DeviceSettings):
    define_flags(_cls)
define_own(
    "on_bad_row",
    "stop",
    "what to do with a row that cannot be used: stop, or skip and list it.",
    "data",
    main=False,
)


def main(argv: list[str]) -> None:
    cli.no_arguments(argv)
    settings = [from_flags(c) for c in _SETTINGS]
    how, cluster = from_flags(FileSettings), from_flags(ClusterSettings)
    packages.require("pretrain", "teacher")
    from_flags(DeviceSettings).take(cluster.on_cpus)

    from kd_keras.runs.universal_job import UniversalJob, check

    find_checkpoint(flags.FLAGS.teacher)
    said = flags_text(flags.FLAGS, (*_SETTINGS, FileSettings))
    run = check(UniversalJob(*settings, said, flags.FLAGS.on_bad_row, how, cluster))

    cli.import_tensorflow()
    tell()
    from kd_keras.runs.universal import pretrain
    from kd_keras.runs.universal_report import write_report

    metrics = write_report(run, pretrain(run))
    show(f"\n{metrics['screen']}\n\nreport: {run.layout.report}", sys.stdout)


if __name__ == "__main__":
    cli.run(main)
