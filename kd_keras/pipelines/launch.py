"""Starts the other workers of a run that trains on several processes of this machine."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator

from kd_keras.common import team
from kd_keras.common.errors import UserError
from kd_keras.common.files import tail
from kd_keras.common.processes import end_with
from kd_keras.common.progress import say
from kd_keras.common.stopping import held

# Who starts a worker, by which it knows when to end.
PARENT = "KD_KERAS_PARENT"


@contextlib.contextmanager
def workers(count: int) -> Iterator[None]:
    """Inside, this process is one of ``count`` that train together, or one of those of TF_CONFIG.

    The others run this very command, end with this one, and say nothing but why they ended.

    Raises:
      UserError: another worker ended.
    """
    if parent := os.environ.get(PARENT):
        end_with(int(parent))
    if count == 1 or team.told()[1] > 1:
        with team.gone():
            team.join()
            yield
        return
    places = [f"127.0.0.1:{port}" for port in free_ports(count)]
    configs = [{"cluster": {"worker": places}, "task": {"type": "worker", "index": n}} for n in range(count)]
    with contextlib.ExitStack() as stack:
        logs = [stack.enter_context(tempfile.TemporaryFile("w+")) for _ in configs[1:]]
        started = [_start(config, log) for config, log in zip(configs[1:], logs, strict=True)]
        stack.callback(_end, started)
        os.environ[team.TF_CONFIG] = json.dumps(configs[0])
        say(f"{count} workers on this machine train together")
        try:
            with team.gone():
                team.join()
                yield
        except UserError as e:
            raise UserError(f"{e}{_last_words(started, logs)}") from None


def free_ports(count: int) -> list[int]:
    """Ports of this machine that nobody listened on a moment ago."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _start(config: dict, log) -> subprocess.Popen:
    """This very command as another worker."""
    environment = os.environ | {team.TF_CONFIG: json.dumps(config), PARENT: str(os.getpid())}
    # Of "-m package.verb", sys.argv has the file's name.
    command = [sys.executable, *_how_it_was_called(), *sys.argv[1:]]
    with held():
        return subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def _how_it_was_called() -> list[str]:
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return ["-m", spec.name] if spec else [sys.argv[0]]


def _end(started: list[subprocess.Popen]) -> None:
    for process in started:
        process.kill()
        process.wait()


def _last_words(started: list[subprocess.Popen], logs: list) -> str:
    """What the first worker that ended said last."""
    for process, log in zip(started, logs, strict=True):
        if process.poll():
            log.seek(0)
            lines = [line for line in log.read().splitlines() if line.strip()]
            return f" (a worker ended with {process.returncode}: {tail(lines[-1], 200) if lines else 'without a word'})"
    return ""
