"""Workers on Ray: each holds what is costly to open, takes jobs, and is replaced when it dies.

A job is done wholly or not at all, and doing it twice does no harm: that is all that is asked of it. So a worker, its
machine or the whole cluster may be killed at any time.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import chain
from typing import Any, Protocol

from kd_keras.common.errors import UserError
from kd_keras.common.files import tail
from kd_keras.common.machine import cpus
from kd_keras.common.progress import say
from kd_keras.common.stopping import held
from kd_keras.pipelines.settings import ClusterSettings

# Jobs that a worker has, if they are short.
_AHEAD = 2
# Workers that may die of one job, before it is taken for the cause.
_DEATHS = 3
# Of Ray's own memory for what is sent; texts of a few shards need little.
_STORE_BYTES = 200_000_000
# Seconds: without a worker until that is said; between two looks at the cluster.
WAITING, _LOOK = 30.0, 5.0


class Worker(Protocol):
    """What works: made anew in a process of its own."""

    def open(self) -> None:
        """Opens what is costly."""

    def do(self, job: Any) -> Any:
        """One job."""


@cache
def _token() -> str:
    """The token of every Ray that this process starts: Ray reads it once, and a second one could not be reached."""
    return secrets.token_hex(32)


@contextlib.contextmanager
def connected(settings: ClusterSettings) -> Iterator[Any]:
    """Ray, connected to the cluster of ``settings``; one that is started here ends with the ``with`` block.

    What is started here listens on this machine alone, asks for a token that nobody else knows, has no dashboard and
    tells nobody of its use.

    Raises:
      UserError: no such cluster, or another token.
    """
    settings.check()
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    address, how = settings.address, {"log_to_driver": False, "logging_level": "error", "configure_logging": True}
    if address is None:
        # Without this Ray takes another address of the machine for 127.0.0.1, and listens on all of them.
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ["RAY_AUTH_TOKEN"] = _token()
        how |= {"address": "local", "include_dashboard": False, "object_store_memory": _STORE_BYTES}
        # As many workers as are asked for, be there as many CPUs or not.
        count = settings.cluster_workers * settings.worker_cpus or cpus()
        how |= {"_node_ip_address": "127.0.0.1", "num_cpus": count}
    else:
        how |= {"address": address}
    import ray

    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    with held():  # a Ctrl-C is for this process, which ends the others
        try:
            ray.init(**how)
        except Exception as e:  # no other is raised if Ray does not start in time
            raise UserError(f"--cluster={settings.cluster}: cannot be reached ({tail(str(e).strip())})") from None
    for number, handler in handlers.items():  # Ray takes them
        signal.signal(number, handler)
    try:
        yield ray
    finally:
        ray.shutdown()


def work(
    settings: ClusterSettings,
    worker: type[Worker],
    order: Any,
    jobs: Iterable[Any],
    ahead: int = _AHEAD,
    most: int | None = None,
) -> Iterator[Any]:
    """What ``worker(order).do(job)`` gives for each job, as they are done.

    Args:
      jobs: are asked for as workers get free, so memory holds a few; each has a ``number``, and says ``what`` it is.
      ahead: jobs that a worker has at a time: with two, the next one is there when one is done.
      most: workers that there are jobs for, if that is known.

    Raises:
      UserError: a worker's own; a job of which every worker dies; a cluster that is gone.
    """
    left = iter(jobs)
    if (first := next(left, None)) is None:  # nobody is needed
        return
    jobs = chain([first], left)
    with connected(settings) as ray:
        crew = _Crew(ray, settings, worker, order, ahead, most)
        try:
            yield from crew.work(jobs)
        except (ray.exceptions.RayError, ConnectionError, RuntimeError, TimeoutError) as e:
            if isinstance(e, ray.exceptions.RayTaskError):  # a fault of ours, in a worker
                raise
            raise UserError(
                f"--cluster={settings.cluster}: the cluster is gone ({tail(str(e).strip())}); what was finished is "
                "kept, and the same command goes on"
            ) from None


def head_of(ray: Any, settings: ClusterSettings) -> str:
    """HOST:PORT of the cluster's head; nothing for a client, of ray://…, whose own connection says when it is lost."""
    client = (settings.address or "").startswith("ray://")
    return "" if client else ray.get_runtime_context().gcs_address


def check_head(head: str) -> None:
    """ConnectionError if the cluster's head is gone: a minute later Ray itself would end this process."""
    if not head:
        return
    host, _, port = head.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=_LOOK).close()
    except OSError as e:
        raise ConnectionError(f"{head}: {e.strerror or e}") from None


class _Crew:
    def __init__(
        self, ray: Any, settings: ClusterSettings, worker: type[Worker], order: Any, ahead: int, most: int | None
    ):
        self.ray, self.settings, self.ahead = ray, settings, ahead
        self.make = ray.remote(num_cpus=settings.worker_cpus, max_restarts=0, max_concurrency=1)(worker)
        self.order = ray.put(order)
        there = int(ray.cluster_resources().get("CPU", 0))
        count = settings.cluster_workers or there // settings.worker_cpus
        if not count or count * settings.worker_cpus > there:
            raise UserError(
                f"--cluster_workers={settings.cluster_workers} with --worker_cpus={settings.worker_cpus}: the cluster "
                f"has {there} CPUs"
            )
        self.jobs_of: dict[Any, int] = {}  # a worker that has opened → jobs that it has
        self.busy: dict[Any, tuple[Any, Any]] = {}  # a promise → its worker, and its job (None: it opens)
        self.deaths: Counter[int] = Counter()
        self.head = head_of(ray, settings)
        for _ in range(min(count, most or count)):
            self._hire()

    def _hire(self) -> None:
        worker = self.make.remote(self.order)
        self.busy[worker.open.remote()] = (worker, None)

    def work(self, jobs: Iterable[Any]) -> Iterator[Any]:
        left, again, asked, looked = iter(jobs), deque(), 0.0, time.monotonic()
        while True:
            if time.monotonic() - looked > _LOOK:
                check_head(self.head)
                looked = time.monotonic()
            for worker in [w for w, n in self.jobs_of.items() for _ in range(self.ahead - n)]:
                job = again.popleft() if again else next(left, None)
                if job is None:
                    break
                self.jobs_of[worker] += 1
                self.busy[worker.do.remote(job)] = (worker, job)
            if self.jobs_of and not any(job is not None for _, job in self.busy.values()):
                return
            done, _ = self.ray.wait(list(self.busy), timeout=1.0)  # Ctrl-C is answered between two of these
            asked = 0.0 if self.jobs_of else asked + 1.0
            if asked == WAITING:
                say(f"waiting for {self.settings.worker_cpus} free CPUs of the cluster")
            for promise in done:
                worker, job = self.busy.pop(promise)
                try:
                    result = self.ray.get(promise)
                except self.ray.exceptions.RayActorError:
                    self._lost(worker, job, again)
                except self.ray.exceptions.RayTaskError as e:
                    if isinstance(e.cause, UserError):
                        raise e.cause from None
                    raise
                else:
                    if job is None:
                        self.jobs_of[worker] = 0
                    else:
                        self.jobs_of[worker] -= 1
                        yield result

    def _lost(self, worker: Any, job: Any, again: deque) -> None:
        """A worker died while it had, or waited with, this job; another comes in its place."""
        number = -1 if job is None else job.number
        self.deaths[number] += 1
        if self.deaths[number] > _DEATHS * self.ahead:
            what = "before they had begun" if job is None else f"over {job.what}"
            raise UserError(
                f"--cluster={self.settings.cluster}: {self.deaths[number]} workers died {what}, as happens where "
                "memory runs out; --cluster_workers says how many there are, and the same command goes on"
            )
        if job is not None:
            again.append(job)
        if worker in self.jobs_of or job is None:
            self.jobs_of.pop(worker, None)
            say("a worker died; another takes its place")
            self._hire()
