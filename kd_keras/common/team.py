"""Processes that train one model together: each reads a part of every batch, and all make the same update.

A worker's weights are its own. What they share is sums: of gradients, and of what a mean is over. So the update is
that of one process with the whole batch, gradient clipping and uneven batches included. One worker, the chief, makes
what is made once (labels, transfer text) and writes every file; the others wait, and then read what it wrote.
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
_team: Team | None = None


class Team:
    """The workers of a run, of which this process is one.

    Attributes:
      rank: of this process; the chief has 0.
      count: of all.
    """

    def __init__(self, rank: int, count: int, strategy: Any):
        self.rank, self.count, self._strategy = rank, count, strategy

    @property
    def chief(self) -> bool:
        return self.rank == 0

    def sums(self, tensors: Sequence[Any]) -> list[Any]:
        """Each tensor's sum over all workers, which call this at the same place; in a graph or out of it."""
        import tensorflow as tf

        def reduce(*parts: tf.Tensor) -> list[tf.Tensor]:
            context = tf.distribute.get_replica_context()
            # An identity, as what comes from without has no device here.
            return context.all_reduce(tf.distribute.ReduceOp.SUM, [tf.identity(part) for part in parts])

        return list(self._strategy.run(reduce, args=tuple(tf.convert_to_tensor(t) for t in tensors)))

    def sum(self, tensor: Any) -> Any:
        """:meth:`sums` of one."""
        return self.sums([tensor])[0]

    def of_chief(self, values: Sequence[float] | None) -> list[float]:
        """The chief's numbers, which the others do not know: they give None, or as many of anything.

        All decide by the same ones: a last bit that another processor rounds otherwise would part them for good.
        """
        import numpy as np
        import tensorflow as tf

        size = int(self.sum(tf.constant(len(values) if self.chief else 0)).numpy())
        mine = np.asarray(values, np.float64) if self.chief else np.zeros(size)
        return self.sum(tf.constant(mine)).numpy().tolist()

    def wait(self) -> None:
        """Until all are here."""
        self.of_chief([0.0])


def current() -> Team | None:
    """The team that this process is in; None where it trains alone."""
    return _team


def is_chief() -> bool:
    """Whether this process makes and writes what is made once."""
    return _team is None or _team.chief


def told() -> tuple[int, int]:
    """(rank, count) as TF_CONFIG in the environment has it; (0, 1) without one.

    Raises:
      UserError: it says something else than workers.
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
    """Meets the other workers of TF_CONFIG, if there is one; before any other use of TensorFlow."""
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
    """Turns what TensorFlow says of a worker that is gone into a UserError."""
    import tensorflow as tf

    errors = tf.errors
    try:
        yield
    except (errors.UnavailableError, errors.AbortedError, errors.InternalError, errors.DeadlineExceededError) as e:
        said = str(e.message if hasattr(e, "message") else e)
        if "ollective" not in said and "/job:worker" not in said:
            raise
        raise UserError(
            "--workers: another worker is gone; what was finished is kept, and the same command on all of them goes on"
        ) from None
