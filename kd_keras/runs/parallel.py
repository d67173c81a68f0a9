"""Students side by side, each in a process of its own with its share of the CPUs.

One small student keeps few CPUs busy: its matrices are small and its words come one after the other. Whatever a
process trains is written to the student's folder, where the run finds it as it finds what an earlier run trained; so
a kill costs what it costs elsewhere, and the same command goes on.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING, Any

from kd_keras.common import progress
from kd_keras.common.errors import UserError
from kd_keras.common.machine import cpus
from kd_keras.common.processes import Pool
from kd_keras.pipelines.begin import begin

# A process imports this module before it runs _begin, which must be the first to import TensorFlow.
if TYPE_CHECKING:
    from kd_keras.runs.students import Todo, Trainer

_job: tuple[Trainer, Sequence[Todo]] | None = None


def train_side_by_side(trainer: Trainer, missing: Sequence[Todo], workers: int) -> None:
    """Trains the students, ``workers`` at a time; not those that another command trains.

    Raises:
      UserError: a student's own, or a process was killed (out of memory, most likely).
    """
    context = multiprocessing.get_context("spawn")  # as Pool's
    given = context.Queue()
    given.cancel_join_thread()  # a process that dies before it reads must not keep this one
    for line in range(workers):
        given.put((line, trainer, missing))
    share = max(1, cpus() // workers)
    progress.say(f"{len(missing)} students, {workers} at a time with {share} CPU{'s' * (share > 1)} each")
    start = (given, progress.lock(context), share)
    with trainer.run.timings.step(f"students, {workers} at a time"), Pool(workers, _begin, start) as pool:
        futures = {pool.submit(_train, n): t for n, t in enumerate(missing)}
        try:
            for future in as_completed(futures):
                trainer.note(futures[future], future.result())
        except BrokenProcessPool:
            raise UserError(
                f"--parallel_students={workers}: the process of a student was killed, as happens where memory runs "
                "out; fewer at a time need less, and the same command goes on"
            ) from None


def _begin(given: Any, lock: Any, share: int) -> None:
    """In each process, once."""
    global _job
    begin(share)
    line, *_job = given.get()  # not an argument: what it holds would import TensorFlow before the lines above
    progress.share(lock, line)


def _train(number: int) -> tuple[int, float, float] | None:
    trainer, missing = _job
    return trainer.trained(missing[number])
