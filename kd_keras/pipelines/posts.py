"""Workers of a team on Ray's machines: one of them is this process, and Ray places the others.

On its machine each has a post, an actor that finds a port, calls the command and tells how it ended.
"""

from __future__ import annotations

import contextlib
import socket
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import kd_keras
from kd_keras.common.errors import UserError
from kd_keras.common.files import tail
from kd_keras.common.progress import say
from kd_keras.pipelines.begin import check_version, unseen
from kd_keras.pipelines.call import Call, free_ports, how_it_ended
from kd_keras.pipelines.crew import WAITING, check_head, connected, head_of
from kd_keras.pipelines.settings import ClusterSettings


class Post:
    """Where a worker runs."""

    def place(self, version: str, folder: str, here: str) -> str:
        """HOST:PORT of the worker.

        Raises:
          UserError: another version; a folder that this machine does not see.
        """
        import ray

        check_version(version)
        for each in (folder, here):
            if not Path(each).is_dir():
                raise unseen(each)
        return _place(ray.get_runtime_context().gcs_address)

    def run(self, call: Call, config: dict, cpus: int) -> str:
        """Calls the command, and waits for its end; how it ended, if it did not end well."""
        threads = {"TF_NUM_INTRAOP_THREADS": str(cpus), "TF_NUM_INTEROP_THREADS": str(cpus)}
        with tempfile.TemporaryFile("w+") as log:
            process = call.start(config, log, CUDA_VISIBLE_DEVICES="-1", **threads)
            process.wait()
            return how_it_ended(process, log)


def _place(head: str) -> str:
    """HOST:PORT of this machine, by the address of its way to the cluster's head."""
    host, _, port = head.rpartition(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way:  # nothing is sent
        way.connect((host, int(port)))
        mine = way.getsockname()[0]
    return f"{mine}:{free_ports(1, mine)[0]}"


@contextlib.contextmanager
def posts(count: int, cluster: ClusterSettings, folder: Path) -> Iterator[_Posts]:
    """``count`` workers, of which this process is one and the others are the cluster's.

    Args:
      folder: what the command writes into; made, if it is not there.

    Raises:
      UserError: a cluster that cannot be reached, or has too few CPUs; a machine that does not see the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with connected(replace(cluster, cluster_workers=count - 1)) as ray:
        made = _Posts(ray, cluster, count - 1, str(folder.resolve()))
        hosts = ", ".join(sorted({place.rpartition(":")[0] for place in made.places[1:]}))
        say(f"{count} workers train together: this process, and {count - 1} of --cluster={cluster.cluster} ({hosts})")
        yield made


class _Posts:
    def __init__(self, ray: Any, cluster: ClusterSettings, count: int, folder: str):
        self.ray, self.cluster, self.call, self.ends = ray, cluster, Call.of_this(), []
        self.head = head_of(ray, cluster)
        there = int(ray.cluster_resources().get("CPU", 0))
        if (needed := count * cluster.worker_cpus) > there:
            raise UserError(
                f"--workers={count + 1} with --worker_cpus={cluster.worker_cpus}: needs {needed} CPUs of the cluster, "
                f"which has {there}"
            )
        actor = ray.remote(num_cpus=cluster.worker_cpus, max_restarts=0, scheduling_strategy="SPREAD")(Post)
        self.posts = [actor.remote() for _ in range(count)]
        found = [post.place.remote(kd_keras.__version__, folder, self.call.folder) for post in self.posts]
        self.places = [_place(self.head or cluster.address.removeprefix("ray://")), *self._got(found)]

    def _got(self, promises: list) -> list:
        """What they give, which takes as long as other work has the CPUs."""
        asked, left = time.monotonic(), promises
        while left:
            _, left = self.ray.wait(left, num_returns=len(left), timeout=1.0)  # Ctrl-C is answered between two of these
            if left and asked and time.monotonic() - asked > WAITING:
                say(f"waiting for {len(left)} times {self.cluster.worker_cpus} free CPUs of the cluster")
                asked = None
        try:
            return self.ray.get(promises)
        except self.ray.exceptions.RayError as e:
            if isinstance(cause := getattr(e, "cause", None), UserError):
                raise cause from None
            raise UserError(f"--cluster={self.cluster.cluster}: a worker did not start ({tail(str(e).strip())})") from e

    def start(self, configs: Sequence[dict]) -> None:
        self.ends = [
            post.run.remote(self.call, config, self.cluster.worker_cpus)
            for post, config in zip(self.posts, configs, strict=True)
        ]

    def failed(self) -> str:
        if not self.ends:
            return ""
        try:
            check_head(self.head)
            done, _ = self.ray.wait(self.ends, num_returns=len(self.ends), timeout=0)
            return next(filter(None, self.ray.get(done)), "")
        except (self.ray.exceptions.RayError, ConnectionError) as e:
            return f"--cluster={self.cluster.cluster}: {tail(str(e).strip(), 200)}"
