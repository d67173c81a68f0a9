"""Parts that several processes of this machine make."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import chain, islice

from kd_keras.augment.parts import Job, Maker, Parts, alone
from kd_keras.common.errors import UserError
from kd_keras.common.processes import Pool

# Parts that this process makes alone: they take less time than other processes to begin.
_FEW = 4


@dataclass(frozen=True)
class Processes:
    """A :data:`Crew`: so many processes of this machine, or this one for a few parts."""

    count: int

    def __call__(self, opens: Callable[[], Maker], parts: Parts, jobs: Iterator[Job]) -> Iterator[int]:
        first = [] if self.count == 1 else list(islice(jobs, _FEW))
        if len(first) < _FEW:
            yield from alone(opens, parts, chain(first, jobs))
            return
        try:
            with Pool(self.count, _begin, (opens, parts)) as pool:
                asked: deque = deque()
                for job in chain(first, jobs):  # memory holds a few
                    asked.append(pool.submit(_do, job))
                    if len(asked) > 2 * self.count:
                        yield asked.popleft().result()
                for job in asked:
                    yield job.result()
        except BrokenProcessPool:
            raise UserError(
                f"--augment_workers={self.count}: a process was killed, as happens where memory runs out; fewer need "
                "less, and the same command goes on"
            ) from None


_STATE: dict = {}


def _begin(opens: Callable[[], Maker], parts: Parts) -> None:
    _STATE["maker"], _STATE["parts"] = opens(), parts


def _do(job: Job) -> int:
    _STATE["parts"].make(_STATE["maker"], job)
    return len(job.items)
