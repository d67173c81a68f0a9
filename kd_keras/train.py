"""The whole job: from text to a distilled BiLSTM and its report.

python -m kd_keras.train [--task=NAME] [--data_dir=DIR] [--teacher=NAME] [--output_dir=DIR] [--flagfile=FILE]
"""

from __future__ import annotations

from dataclasses import replace

from absl import flags

from kd_keras.augment.settings import AugmentSettings, UnlabeledSettings
from kd_keras.common import cli
from kd_keras.common.config import AUTO, define_bool, define_flags, flags_text, from_flags
from kd_keras.distill.settings import JobSettings, TrainSettings
from kd_keras.runs.auto import decided
from kd_keras.students.settings import StudentSettings
from kd_keras.tasks import TaskSettings, load_data, load_test, resolve
from kd_keras.teachers.checkpoints import find_checkpoint
from kd_keras.teachers.settings import LabelSettings, TeacherSettings

_SETTINGS = (
    TaskSettings, TeacherSettings, LabelSettings, StudentSettings, TrainSettings, JobSettings, AugmentSettings,
    UnlabeledSettings,
)  # fmt: skip
for _cls in _SETTINGS:
    define_flags(_cls)
define_bool("print_recipe", "print the ordered stages of --recipe and end.")


def main(argv: list[str]) -> None:
    cli.no_arguments(argv)
    tasks = from_flags(TaskSettings)
    teacher, label, student, train, settings, augment, unlabeled = (from_flags(c) for c in _SETTINGS[1:])
    task = resolve(tasks)
    settings = decided(settings, task)
    checkpoint = find_checkpoint(teacher.teacher)
    if settings.needs_hidden and label.hidden == "none":  # what the teacher's own classifier reads
        pooling = checkpoint.pooling if teacher.teacher_pooling == AUTO else teacher.teacher_pooling
        label = replace(label, hidden=pooling)
    if flags.FLAGS.print_recipe:
        cli.import_tensorflow()
        from kd_keras.distill.recipes import recipe

        width = checkpoint.config["hidden_size"]
        print("\n".join(f"{n}. {step}" for n, step in enumerate(recipe(settings, task.is_regression, width), 1)))
        return

    from kd_keras.runs.job import Job, check

    data = load_data(tasks, task)
    test = load_test(task, tasks.data_dir, tasks.on_bad_row)
    said = flags_text(flags.FLAGS, _SETTINGS)
    more = {"data_dir": tasks.data_dir, "flags_text": said, "on_bad_row": tasks.on_bad_row}
    job = Job(data, test, teacher, label, student, train, settings, augment, unlabeled, **more)
    check(job)  # before TensorFlow is imported, which takes seconds

    cli.import_tensorflow()
    from kd_keras.runs.job import run

    metrics = run(job)
    folder = job.folder()
    print(f"\n{metrics['table']}\n\n{metrics.get('verdict', '')}\nreport: {folder / 'report.md'}")
    if settings.ablate == "none":
        second = ' --text_b="…"' if task.is_pair else ""
        print(f'try it: python -m kd_keras.predict --model_dir={folder} "…"{second}')


if __name__ == "__main__":
    cli.run(main)
