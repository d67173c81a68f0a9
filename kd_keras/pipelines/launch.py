"""Starts the other workers of a command that trains in several processes, on this machine or on a cluster."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Protocol

from kd_keras.common import stopping, team
from kd_keras.common.errors import UserError
from kd_keras.common.processes import end_with
from kd_keras.common.progress import say
from kd_keras.common.stopping import held
from kd_keras.pipelines.call import PARENT, Call, free_ports, how_it_ended
from kd_keras.pipelines.posts import posts
from kd_keras.pipelines.settings import ClusterSettings

# Seconds: between two looks at the others; then this process may still say itself that one of them is gone.
_LOOK, _GRACE = 1.0, 5.0


class Others(Protocol):
    """The workers beside this one.

    Attributes:
      places: "HOST:PORT" of every worker, this one's first.
    """

    places: Sequence[str]

    def start(self, configs: Sequence[dict]) -> None:
        """Starts each of them with its TF_CONFIG."""

    def failed(self) -> str:
        """How one of them ended, if it did not end well."""


@contextlib.contextmanager
def workers(count: int, cluster: ClusterSettings, folder: Path) -> Iterator[None]:
    """Inside, this process is one of ``count`` that train together, or one of those of TF_CONFIG.

    The others run this very command, here or on the cluster, end with this one, and say nothing but why they ended.

    Args:
      folder: what the command writes into.

    Raises:
      UserError: another worker ended. If TensorFlow does not tell that in time, this process ends with the same line.
    """
    if parent := os.environ.get(PARENT):
        end_with(int(parent))
    if count == 1 or team.told()[1] > 1:
        with team.gone():
            team.join()
            yield
        return
    with posts(count, cluster, folder) if cluster.wanted else _here(count) as others, _watched(others):
        configs = [{"cluster": {"worker": others.places}, "task": {"type": "worker", "index": n}} for n in range(count)]
        others.start(configs[1:])
        os.environ[team.TF_CONFIG] = json.dumps(configs[0])
        try:
            with team.gone():
                team.join()
                yield
        except UserError as e:
            if str(e) != team.GONE:
                raise
            raise UserError(_gone(_how(others))) from None


@contextlib.contextmanager
def _here(count: int) -> Iterator[Others]:
    with contextlib.ExitStack() as stack:
        others = _Here([stack.enter_context(tempfile.TemporaryFile("w+")) for _ in range(count - 1)])
        stack.callback(others.end)
        say(f"{count} workers on this machine train together")
        yield others


class _Here:
    """Processes of this machine."""

    def __init__(self, logs: Sequence[IO[str]]):
        self.logs = logs
        self.places = [f"127.0.0.1:{port}" for port in free_ports(len(logs) + 1)]
        self.started: list[subprocess.Popen] = []

    def start(self, configs: Sequence[dict]) -> None:
        for config, log in zip(configs, self.logs, strict=True):
            with held():
                self.started.append(Call.of_this().start(config, log))

    def failed(self) -> str:
        said = (how_it_ended(*each) for each in zip(self.started, self.logs, strict=False))
        return next(filter(None, said), "")

    def end(self) -> None:
        for process in self.started:
            process.kill()
            process.wait()


@contextlib.contextmanager
def _watched(others: Others) -> Iterator[None]:
    """Ends this process if one of the others is gone: TensorFlow may wait for it for minutes."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(_LOOK):
            if said := others.failed():
                if not over.wait(_GRACE):
                    stopping.end(_gone(said))
                return

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(_GRACE)


def _how(others: Others) -> str:
    """How one of them ended, which may be known a moment after TensorFlow knows that it is gone."""
    end = time.monotonic() + _GRACE
    while not (said := others.failed()) and time.monotonic() < end:
        time.sleep(0.1)
    return said


def _gone(how: str) -> str:
    return f"{team.GONE} ({how})" if how else team.GONE
