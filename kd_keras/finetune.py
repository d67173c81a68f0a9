"""Fine-tunes a teacher and nothing else.

python -m kd_keras.finetune --output_dir=DIR [--task=NAME] [--teacher=NAME]

train takes the teacher by --teacher=DIR. A killed command continues where it
was.
"""

from __future__ import annotations

import shlex
from pathlib import Path

from absl import flags

from kd_keras.common import cli, files, packages
from kd_keras.common.config import define_flags, define_own, from_flags, set_flags
from kd_keras.common.devices import DeviceSettings, tell
from kd_keras.common.errors import UserError
from kd_keras.common.places import check_output_dir
from kd_keras.common.team import is_chief
from kd_keras.pipelines.settings import ClusterSettings, TeamSettings
from kd_keras.tasks import TaskSettings, load_data, resolve
from kd_keras.teachers.checkpoints import MANIFEST, find_checkpoint
from kd_keras.teachers.schedule import for_data
from kd_keras.teachers.settings import TeacherSettings
from kd_keras.text.truncation import check_truncation

define_flags(TaskSettings)
define_flags(TeacherSettings)
define_flags(TeamSettings)
define_flags(ClusterSettings)
define_flags(DeviceSettings)
define_own("output_dir", None, "writes the fine-tuned teacher into this folder.", "output", Path)


def main(argv: list[str]) -> None:
    cli.no_arguments(argv)
    tasks, settings = from_flags(TaskSettings), from_flags(TeacherSettings)
    cli.required(output_dir="where the fine-tuned teacher goes")
    packages.require("finetune", "teacher")
    folder = Path(flags.FLAGS.output_dir)
    if folder.exists() and not (folder / MANIFEST).is_file() and (folder.is_file() or any(folder.iterdir())):
        raise UserError(f"--output_dir={folder}: exists, but holds no teacher of finetune; choose another folder")
    check_output_dir(folder)
    together = from_flags(TeamSettings)
    cluster = from_flags(ClusterSettings)
    together.check(cluster=cluster)
    if cluster.wanted and together.workers == 1:
        raise UserError(f"--cluster={cluster.cluster}: give --workers=N too, the processes that fine-tune together")
    from_flags(DeviceSettings).take(together.on_cpus)
    settings.check_machine()
    if settings.teacher_seeds > 1:
        raise UserError(
            f"--teacher_seeds={settings.teacher_seeds}: finetune makes one teacher; run it for each --teacher_seed, "
            "or give the flag to train"
        )
    if settings.teacher_rounds == 2:
        raise UserError("--teacher_rounds=2: finetune labels no text to learn from; give the flag to train")
    task, checkpoint = resolve(tasks), find_checkpoint(settings.teacher)
    check_truncation("teacher_truncation", settings.teacher_truncation, task.name, task.is_pair)
    data = load_data(tasks, task)
    if not checkpoint.fine_tuned_for(task.name, data.fingerprint):
        checkpoint.check_length(settings.teacher_max_length or task.max_length)
        checkpoint.check_start(for_data(settings, checkpoint, data), task.num_outputs, task.is_tagging)

    cli.import_tensorflow()
    tell()
    from kd_keras.pipelines.launch import workers
    from kd_keras.teachers.finetune import fine_tune, teacher_key

    if (folder / MANIFEST).is_file():
        there = files.read_json(folder / MANIFEST).get("key") or {}
        here = teacher_key(checkpoint, data, settings)
        if checkpoint.fine_tuned_for(task.name, data.fingerprint):  # it is not trained again
            here = checkpoint.manifest()["key"]
        files.refuse_other(folder, "teacher", there, here)
    with workers(together.workers, cluster, folder):
        fine_tune(checkpoint, data, settings, folder)
    if not is_chief():
        return
    manifest = files.read_json(folder / MANIFEST)
    metric, best = next(iter(manifest["dev"].items()))
    print(f"teacher in {folder}: dev {metric} {100 * best:.2f}, {manifest['seconds']:.0f} s")
    again = [*set_flags(TaskSettings), shlex.quote(f"--teacher={folder}")]
    print(f"use it: python -m kd_keras.train {' '.join(again)}")


if __name__ == "__main__":
    cli.run(main)
