"""Transfer text on a cluster: parts by numbers, each made as :mod:`kd_keras.augment.parts` makes it anywhere.

Whoever asks reads the files, and sends each part's documents. So a packed file, which is one stream, is no other case.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, islice

import kd_keras
from kd_keras.augment.parts import Crew, Job, Maker, Parts, alone
from kd_keras.augment.processes import Processes
from kd_keras.pipelines.begin import check_version, unseen
from kd_keras.pipelines.crew import work
from kd_keras.pipelines.settings import ClusterSettings

# Parts that are made here: they take less time than a cluster to begin.
_FEW = 8


@dataclass(frozen=True)
class Order:
    """What a worker is told, once.

    Attributes:
      version: of this package.
      opens: makes what makes a part.
      folder: of the parts.
      key: of the parts.
    """

    version: str
    opens: Callable[[], Maker]
    folder: str
    key: dict


class TextMaker:
    """A worker."""

    def __init__(self, order: Order):
        self.order, self.parts, self.maker = order, Parts(order.folder), None

    def open(self) -> None:
        order = self.order
        check_version(order.version)
        if self.parts.key() != order.key:
            raise unseen(order.folder)
        self.maker = order.opens()

    def do(self, job: Job) -> int:
        """Makes a part; how many items it is made of."""
        self.parts.make(self.maker, job)
        return len(job.items)


def text_crew(cluster: ClusterSettings, processes: int = 1) -> Crew:
    """Who makes the parts of transfer text: ``cluster``, or without one so many processes of this machine."""
    return _Crew(cluster) if cluster.wanted else Processes(processes)


@dataclass(frozen=True)
class _Crew:
    cluster: ClusterSettings

    def __call__(self, opens: Callable[[], Maker], parts: Parts, jobs: Iterator[Job]) -> Iterator[int]:
        first = list(islice(jobs, _FEW))
        if len(first) < _FEW:
            yield from alone(opens, parts, iter(first))
            return
        order = Order(kd_keras.__version__, opens, str(parts.folder.resolve()), parts.key())
        yield from work(self.cluster, TextMaker, order, chain(first, jobs))
