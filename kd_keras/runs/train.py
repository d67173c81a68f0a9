"""Trains the students of a run, one after another or side by side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kd_keras.common.machine import cpus
from kd_keras.common.team import current
from kd_keras.distill.loop import DevSet
from kd_keras.runs import auto
from kd_keras.runs.inputs import Inputs
from kd_keras.runs.job import Run
from kd_keras.runs.on_cluster import train_on_cluster
from kd_keras.runs.parallel import train_side_by_side
from kd_keras.runs.plans import Plan, word_targets_of
from kd_keras.runs.students import Arm, Todo, Trainer
from kd_keras.tasks.scale import standard
from kd_keras.text.batches import steps_per_epoch


def train_arms(run: Run, inputs: Inputs, plans: Sequence[Plan]) -> list[Arm]:
    """The students of ``plans`` at every seed. Finished ones are found again.

    ``epochs`` over the largest set gives the number of updates of all, unless ``patience`` ends one before. All are
    scored on dev equally often, but each stage of a recipe has at least one score.
    """
    job, signals = run.job, inputs.signals["dev"]
    if job.task.is_tagging:
        y = word_targets_of(inputs, "dev", job.data.dev.label)
    else:
        y = {"label": standard(job.task, job.data.dev.label), "teacher_logits": standard(job.task, signals.logits)}
        if signals.hidden is not None:
            y["teacher_hidden"] = np.asarray(signals.hidden)
    dev = DevSet(inputs.ids["dev"], job.data.dev.label, job.task.metrics, y, inputs.windows.get("dev"))
    largest = max(len(p.data) for p in plans)
    train = auto.training(job.train, largest)
    updates = max(1, round(steps_per_epoch(largest, train.batch_size) * train.epochs))
    rounds = max(1, round(train.epochs * train.evals_per_epoch))
    todo = [Todo(p, seed, updates, rounds) for seed in job.job.every_seed() for p in plans]
    trainer = Trainer(run, inputs, dev, train)
    if current() is None and (job.cluster.wanted or job.job.parallel_students > 1):
        _beforehand(trainer, todo)
    arms = []
    for each in todo:
        with run.timings.step(f"student ({each.what})"):
            arms.append(trainer.arm(each))
    return arms


def _beforehand(trainer: Trainer, todo: Sequence[Todo]) -> None:
    """Trains in other processes what is not trained yet, or another command's, so that this one finds it."""
    missing, job = [t for t in todo if trainer.found(t) is None], trainer.job
    if len(missing) < 2:
        return  # one alone is faster with every CPU
    if job.cluster.wanted:
        train_on_cluster(trainer, missing)
    elif (workers := min(job.job.parallel_students, cpus(), len(missing))) > 1:
        train_side_by_side(trainer, missing, workers)
