"""The students of a run trained on a cluster, each by one worker, which sees the run folder at the same path.

A worker writes what a process of this machine would write. So the run finds the student in its folder, whoever
trained it, and a worker that takes the place of a dead one goes on from its checkpoint.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import kd_keras
from kd_keras.common.devices import hide_gpus
from kd_keras.common.progress import progress, say
from kd_keras.pipelines.begin import begin, check_version, unseen
from kd_keras.pipelines.crew import work
from kd_keras.runs.students import Todo, Trainer


@dataclass(frozen=True)
class Order:
    """What a worker is told, once.

    Attributes:
      version: of this package.
      trainer: what all students have in common.
      missing: the students that are to be trained.
      folder: of the run, as every machine sees it.
      here: the folder from which the paths of settings go.
      cpus: of a worker.
    """

    version: str
    trainer: Trainer
    missing: Sequence[Todo]
    folder: str
    here: str
    cpus: int


@dataclass(frozen=True)
class Job:
    """One student: its place in ``Order.missing``, and what it is called."""

    number: int
    what: str


class Learner:
    """A worker."""

    def __init__(self, order: Order):
        self.order = order

    def open(self) -> None:
        order = self.order
        check_version(order.version)
        if not Path(order.folder).is_dir():
            raise unseen(order.folder)
        if Path(order.here).is_dir():
            os.chdir(order.here)
        hide_gpus()
        begin(order.cpus)

    def do(self, job: Job) -> tuple[int, tuple[int, float, float] | None]:
        """Trains a student; its number, and what :meth:`Trainer.trained` says."""
        return job.number, self.order.trainer.trained(self.order.missing[job.number])


def train_on_cluster(trainer: Trainer, missing: Sequence[Todo]) -> None:
    """Trains the students on the workers of ``--cluster``; not those that another command trains.

    Raises:
      UserError: a student's own; a worker that does not see the run folder; a student of which every worker dies; a
        cluster that is gone.
    """
    cluster, folder = trainer.job.cluster, trainer.run.layout.root.resolve()
    cpus = cluster.worker_cpus
    say(f"{len(missing)} students on --cluster={cluster.cluster}, with {cpus} CPU{'s' * (cpus > 1)} each")
    order = Order(kd_keras.__version__, trainer, missing, str(folder), os.getcwd(), cpus)
    jobs = [Job(number, todo.what) for number, todo in enumerate(missing)]
    bar = progress(len(jobs), "students on the cluster", "students")
    with trainer.run.timings.step("students, on a cluster"), bar:
        for number, done in work(cluster, Learner, order, jobs, ahead=1, most=len(jobs)):
            trainer.note(missing[number], done)
            bar.update(1)
