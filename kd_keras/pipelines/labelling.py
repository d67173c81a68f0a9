"""Labeling on a cluster: shards by numbers, the teacher opened once in each worker.

The shard is what :func:`kd_keras.teachers.labelling.make_shard` makes anywhere else, so the files are the same,
whoever made which. Whoever asked writes the manifest first and the completion marker last.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import kd_keras
from kd_keras.common.errors import UserError
from kd_keras.pipelines.begin import begin, check_version, unseen
from kd_keras.pipelines.crew import work
from kd_keras.pipelines.settings import ClusterSettings
from kd_keras.teachers.distinct import ShardText
from kd_keras.teachers.labelling import make_shard
from kd_keras.teachers.settings import LabelSettings
from kd_keras.teachers.signal_columns import difference
from kd_keras.teachers.signals import SignalStore, shard_name


@dataclass(frozen=True)
class Order:
    """What a worker is told, once.

    Attributes:
      version: of this package.
      opens: opens the teacher; its arguments are names of files that every machine sees.
      told_in: what the teacher tells its states in: ``projection`` or ``reduction``, or nothing.
      settings: how it labels.
      folder: of the store, or its address.
      manifest: of the store.
      cpus: of a worker.
    """

    version: str
    opens: Callable[[], Any]
    told_in: dict[str, Any]
    settings: LabelSettings
    folder: str
    manifest: dict
    cpus: int


class Labeller:
    """A worker."""

    def __init__(self, order: Order):
        self.order, self.teacher = order, None

    def open(self) -> None:
        host, order = socket.gethostname(), self.order
        check_version(order.version)
        store = SignalStore(order.folder)
        if not (found := store.manifest()):
            raise unseen(store.place)
        begin(order.cpus)
        try:
            self.teacher = order.opens()
        except UserError as e:
            raise UserError(f"{host}: {e}") from None
        for name, value in order.told_in.items():
            setattr(self.teacher, name, value)
        mine = order.manifest | {"teacher": self.teacher.fingerprint()}
        if said := difference(mine, order.manifest) or difference(found, order.manifest):
            raise UserError(f"{host}: {said}")

    def do(self, job: ShardText) -> int:
        """Makes a shard that is not there; how many texts it has."""
        store = SignalStore(self.order.folder)
        if store.place.has(shard_name(job.number)):  # of another command that labels the same
            store.check_shard(job.number, job.hashes)
        else:
            make_shard(self.teacher, store, job, self.order.settings)
        return len(job.texts)


def on_cluster(cluster: ClusterSettings, opens: Callable[[], Any]) -> Callable[..., None] | None:
    """What a teacher's ``crew`` is; None where this process labels itself.

    Args:
      opens: a function of a module, or a partial of one, that opens the same teacher in another process.
    """
    if not cluster.wanted:
        return None

    def make(
        teacher: Any, store: SignalStore, missing: Iterator[ShardText], settings: LabelSettings, report: Callable
    ) -> None:
        told_in = {k: v for k in ("projection", "reduction") if (v := vars(teacher).get(k)) is not None}
        order = Order(
            kd_keras.__version__, opens, told_in, settings, store.place.address(),
            store.manifest(), cluster.worker_cpus,
        )  # fmt: skip
        for texts in work(cluster, Labeller, order, missing):
            report(texts)

    return make
