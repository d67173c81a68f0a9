"""On which machines the long work is done, as flags. Imports no Ray."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from kd_keras.common import packages, team
from kd_keras.common.config import Checked, setting
from kd_keras.common.errors import UserError

NONE, RAY = "none", "ray"
_ADDRESS = re.compile(r"ray://[^\s/]+|[^\s/:]+:\d+")


@dataclass(frozen=True)
class TeamSettings(Checked):
    """Who trains."""

    group = "machines"
    workers: int = setting(
        1,
        "processes that train one teacher, or one student, together: each takes a part of every batch, "
        "and the updates are those of one. They are started on this machine; with --cluster, this process is "
        "the first, and the cluster's machines have the others, each with --worker_cpus. Without Ray, start the "
        "command on each machine, with TF_CONFIG and one shared --output_dir.",
        low=1,
        high=1024,
        late=True,
    )

    @property
    def on_cpus(self) -> str | None:
        """The flag by which processes that are started work on CPUs, if it is given."""
        return f"--workers={self.workers}" if self.workers > 1 and team.told()[1] == 1 else None

    def check(self, parallel_students: int = 1, cluster: ClusterSettings | None = None) -> None:
        """UserError if TF_CONFIG or the cluster says otherwise, or students would be trained side by side too."""
        _, told = team.told()
        if told > 1 and self.workers not in (1, told):
            raise UserError(f"--workers={self.workers}: {team.TF_CONFIG} names {told}; leave the flag out")
        if max(told, self.workers) > 1 and parallel_students > 1:
            raise UserError(
                f"--parallel_students={parallel_students}: several workers train one student after another; leave "
                "--parallel_students out, or --workers (and TF_CONFIG)"
            )
        if self.workers == 1 or cluster is None:
            return
        cluster.check()
        if cluster.wanted and cluster.cluster_workers:
            raise UserError(
                f"--cluster_workers={cluster.cluster_workers}: --workers={self.workers} says how many processes there "
                "are; leave one of the two out"
            )


@dataclass(frozen=True)
class ClusterSettings(Checked):
    """Where shards are made and students trained. It changes no result, beyond the effect of the number of threads."""

    group = "machines"
    cluster: str = setting(
        NONE,
        "who labels, augments, reads unlabeled text, and trains the students of a run: none (this machine), ray (a "
        "Ray started here for the time of the command, or that of RAY_ADDRESS), or ray://HOST:10001 (one that is "
        "there). "
        "Several students are trained at a time, each by one process; one alone is trained here. With --workers=N the "
        "cluster starts these workers and does nothing else. Needs pip install kd_keras[ray].",
        late=True,
    )
    cluster_workers: int = setting(
        0,
        "processes that do this work, each with a teacher, a part of the text or a student of its own; 0: as many as "
        "the CPUs make.",
        low=0,
        high=10_000,
        late=True,
    )
    worker_cpus: int = setting(1, "CPUs of each of these processes.", low=1, high=1024, late=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.cluster not in (NONE, RAY) and not _ADDRESS.fullmatch(self.cluster):
            raise UserError(
                f"--cluster={self.cluster}: expected none, ray, or the address of a cluster (ray://HOST:10001)"
            )

    @property
    def wanted(self) -> bool:
        return self.cluster != NONE

    @property
    def on_cpus(self) -> str | None:
        """The flag by which processes work on CPUs, if it is given."""
        return f"--cluster={self.cluster}" if self.wanted else None

    @property
    def address(self) -> str | None:
        """The address of an existing cluster. None: one is started."""
        return os.environ.get("RAY_ADDRESS") if self.cluster == RAY else self.cluster

    def check(self) -> None:
        """UserError if Ray is needed but not installed. Comes before anything is read."""
        if self.wanted:
            packages.require(f"--cluster={self.cluster}", "ray", "ray")
