"""Processes that train one model together. Each reads a part of every batch, and all make the same update.

Each worker has its own copy of the weights. Workers share sums: of gradients, and of the terms of means. So the update
equals that of one process with the whole batch, also with gradient clipping and uneven batches. One worker, the chief,
makes labels and transfer text and writes every file. The others wait and read them.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Sequence
from typing import Any

from kd_keras.common import files
from kd_keras.common.errors import UserError

TF_CONFIG = "TF_CONFIG"
GONE = "--workers: another worker is gone; finished work is kept, so run the same command on all workers again"
_team: Team | None = None


class Team:
    """The workers of a run. This process is one of them.

    Attributes:
      rank: this process's number; the chief has 0.
      count: the number of workers.
    """

    def __init__(self, rank: int, count: int, strategy: Any):
        self.rank, self.count, self._strategy = rank, count, strategy

    @property
    def chief(self) -> bool:
        return self.rank == 0

    def sums(self, tensors: Sequence[Any]) -> list[Any]:
        """Each tensor's sum over all workers, in a graph or eagerly. All workers must call it at the same place."""
        import tensorflow as tf

        def reduce(*parts: tf.Tensor) -> list[tf.Tensor]:
            context = tf.distribute.get_replica_context()
            # An identity, as a tensor from outside has no device here.
            return context.all_reduce(tf.distribute.ReduceOp.SUM, [tf.identity(part) for part in parts])

        return list(self._strategy.run(reduce, args=tuple(tf.convert_to_tensor(t) for t in tensors)))

    def sum(self, tensor: Any) -> Any:
        """:meth:`sums` of one tensor."""
        return self.sums([tensor])[0]

    def of_chief(self, values: Sequence[float] | None) -> list[float]:
        """The chief's numbers. The others pass None, or as many numbers of any value.

        All workers decide by the same numbers: if one rounds a last bit differently, they would diverge.
        """
        import numpy as np
        import tensorflow as tf

        size = int(self.sum(tf.constant(len(values) if self.chief else 0)).numpy())
        mine = np.asarray(values, np.float64) if self.chief else np.zeros(size)
        return self.sum(tf.constant(mine)).numpy().tolist()

    def wait(self) -> None:
        """Waits for all workers."""
        self.of_chief([0.0])


def current() -> Team | None:
    """The team of this process; None if it trains alone."""
    return _team


def is_chief() -> bool:
    """Whether this process makes and writes what is made only once."""
    return _team is None or _team.chief


def told() -> tuple[int, int]:
    """(rank, count) from TF_CONFIG in the environment; (0, 1) without it.

    Raises:
      UserError: TF_CONFIG does not describe workers.
    """
    said = os.environ.get(TF_CONFIG)
    if not said:
        return 0, 1
    try:
        config = json.loads(said)
        workers, task = config["cluster"]["worker"], config["task"]
        rank = int(task["index"])
        if task["type"] != "worker" or set(config["cluster"]) != {"worker"} or not 0 <= rank < len(workers):
            raise ValueError
    except (ValueError, KeyError, TypeError):
        raise UserError(
            f"{TF_CONFIG}={files.tail(said)}: expected "
            '{"cluster": {"worker": ["HOST:PORT", …]}, "task": {"type": "worker", "index": N}}'
        ) from None
    return rank, len(workers)


def join() -> Team | None:
    """Joins the other workers of TF_CONFIG, if it is set. Call it before any other use of TensorFlow."""
    global _team
    rank, count = told()
    if count == 1 or _team is not None:
        return _team
    import tensorflow as tf

    ring = tf.distribute.experimental.CommunicationImplementation.RING
    options = tf.distribute.experimental.CommunicationOptions(implementation=ring)
    with gone():
        _team = Team(rank, count, tf.distribute.MultiWorkerMirroredStrategy(communication_options=options))
    files.read_only(not _team.chief)
    return _team


@contextlib.contextmanager
def gone() -> Iterator[None]:
    """Turns TensorFlow's error about a lost worker into a UserError."""
    import tensorflow as tf

    errors = tf.errors
    try:
        yield
    except (errors.UnavailableError, errors.AbortedError, errors.InternalError, errors.DeadlineExceededError) as e:
        said = str(e.message if hasattr(e, "message") else e)
        if "ollective" not in said and "/job:worker" not in said:
            raise
        raise UserError(GONE) from None
