"""Runs of a few hundred weights, as the commands make them."""

from __future__ import annotations

from kd_keras.distill.settings import RecipeSettings, TrainSettings
from kd_keras.runs.check import check
from kd_keras.runs.job import Job
from kd_keras.runs.settings import JobSettings
from kd_keras.students.settings import StudentSettings
from kd_keras.teachers.settings import LabelSettings, TeacherSettings

STUDENT = StudentSettings(tokenizer="words", embeddings="random", embedding_size=8, hidden_size=6, dense_size=8)


def job_of(data, folder, given=None, teacher=TeacherSettings(), recipe=RecipeSettings(recipe="soft"), **more) -> Job:  # noqa: B008
    job = JobSettings(
        output_dir=str(folder), teacher_signals=given, baseline=False, allow_weak_teacher=True, **more.pop("job", {})
    )
    label, test = more.pop("label", LabelSettings()), more.pop("test", None)
    return Job(data, test, teacher, label, STUDENT, TrainSettings(epochs=1, batch_size=16), job, recipe, **more)


def distilled(job: Job) -> dict:
    """Trained eagerly: the models have a few hundred weights, and tracing would take most of the time."""
    import tensorflow as tf

    from kd_keras.runs.run import distil

    tf.config.run_functions_eagerly(True)
    try:
        return distil(check(job))
    finally:
        tf.config.run_functions_eagerly(False)
