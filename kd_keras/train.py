"""The whole job: from text to a distilled BiLSTM and its report.

python -m kd_keras.train [--task=NAME] [--data_dir=DIR] [--teacher=NAME]
python -m kd_keras.train --task=custom --train_file=FILE.csv
python -m kd_keras.train --flagfile=FILE [--output_dir=DIR]
"""

from __future__ import annotations

import sys
from dataclasses import replace

from absl import flags

from kd_keras.augment.settings import AugmentSettings, UnlabeledSettings
from kd_keras.common import cli, packages
from kd_keras.common.config import AUTO, define_flags, define_own, flags_text, from_flags
from kd_keras.common.devices import DeviceSettings, tell
from kd_keras.common.screen import show
from kd_keras.distill.settings import RecipeSettings, TrainSettings
from kd_keras.pipelines.settings import ClusterSettings, TeamSettings
from kd_keras.runs.settings import JobSettings
from kd_keras.students.settings import StudentSettings, WarmSettings
from kd_keras.tasks import Task, TaskSettings, load_data, load_test, resolve
from kd_keras.tasks.overlaps import in_train
from kd_keras.teachers.checkpoints import find_checkpoint
from kd_keras.teachers.settings import LabelSettings, TeacherSettings

_SETTINGS = (
    TaskSettings,
    TeacherSettings,
    LabelSettings,
    StudentSettings,
    TrainSettings,
    JobSettings,
    RecipeSettings,
    AugmentSettings,
    UnlabeledSettings,
    WarmSettings,
    ClusterSettings,
)
for _cls in (*_SETTINGS, TeamSettings, DeviceSettings):
    define_flags(_cls)
define_own("print_recipe", False, "prints the ordered stages of --recipe and ends.", "training", bool, main=False)


def main(argv: list[str]) -> None:
    cli.no_arguments(argv)
    tasks = from_flags(TaskSettings)
    *settings, warm, cluster = (from_flags(c) for c in _SETTINGS[1:])
    task = resolve(tasks)
    if flags.FLAGS.teacher_signals is None:
        packages.require(f"--teacher={flags.FLAGS.teacher}", "teacher")
    packages.require("train", "train")
    if flags.FLAGS.print_recipe:
        print_recipe(
            task, from_flags(TeacherSettings), from_flags(RecipeSettings), from_flags(JobSettings).ablate, warm
        )
        return

    from kd_keras.runs.check import check
    from kd_keras.runs.job import Job

    together = from_flags(TeamSettings)
    together.check(flags.FLAGS.parallel_students, cluster)
    from_flags(DeviceSettings).take(together.on_cpus or cluster.on_cpus)
    if not flags.FLAGS.teacher_signals:
        find_checkpoint(flags.FLAGS.teacher)  # an unknown teacher is refused before data are read
    data = load_data(tasks, task)
    notes: list[str] = []
    test = load_test(task, tasks.data_dir, tasks.on_bad_row, notes)
    if test is not None and task.name == "custom":
        notes += in_train(data.train, test, "test")
    data = replace(data, notes=[*data.notes, *notes])
    said = flags_text(flags.FLAGS, _SETTINGS)
    job = Job(
        data,
        test,
        *settings,
        data_dir=tasks.data_dir,
        flags_text=said,
        on_bad_row=tasks.on_bad_row,
        files=tasks.file_settings(),
        warm=warm,
        cluster=cluster if together.workers == 1 else ClusterSettings(),
    )
    run = check(job)  # comes first, because importing TensorFlow takes seconds

    cli.import_tensorflow()
    tell()
    from kd_keras.pipelines.launch import workers
    from kd_keras.runs.run import distil

    with workers(together.workers, cluster, run.layout.root):
        metrics = distil(run)
    if not metrics:  # another process writes the results
        return
    show(f"\n{metrics['screen']}\n\nreport: {run.layout.report}", sys.stdout)


def print_recipe(
    task: Task, teacher: TeacherSettings, settings: RecipeSettings, ablate: str, warm: WarmSettings
) -> None:
    """Prints the stages in their order, as far as the task alone decides them."""
    cli.import_tensorflow()
    from kd_keras.distill.recipes import recipe, steadied, warmed
    from kd_keras.runs.auto import decided

    width = find_checkpoint(teacher.teacher).width
    if task.is_tagging:
        width = min(width, from_flags(LabelSettings).hidden_width)
    kind = {"multilabel": task.is_multilabel, "tagging": task.is_tagging}
    given = from_flags(JobSettings).teacher_signals is not None
    steps = warmed(
        recipe(decided(settings, task, ablate, given), task.is_regression, width, **kind), warm, task.is_tagging
    )
    if from_flags(TrainSettings).epochs == AUTO and not task.is_tagging:
        steps = steadied(steps)
    print("\n".join(f"{n}. {step}" for n, step in enumerate(steps, 1)))


if __name__ == "__main__":
    cli.run(main)
