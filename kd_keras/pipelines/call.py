"""This very command, called again as a worker of a team: by itself, or by a process on another machine."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO

from kd_keras.common import team
from kd_keras.common.files import tail

# Who called a worker, by which it knows when to end.
PARENT = "KD_KERAS_PARENT"


@dataclass(frozen=True)
class Call:
    """A command as it was called.

    Attributes:
      words: what follows the name of the Python.
      folder: from which paths go.
      environment: variables that it is to have.
    """

    words: Sequence[str]
    folder: str
    environment: Mapping[str, str]

    @classmethod
    def of_this(cls) -> Call:
        """Of this process's command, with the variables that are this package's own."""
        spec = getattr(sys.modules["__main__"], "__spec__", None)
        # Of "-m package.verb", sys.argv has the file's name.
        words = [*(["-m", spec.name] if spec else [sys.argv[0]]), *sys.argv[1:]]
        own = {k: v for k, v in os.environ.items() if k.startswith("KD_KERAS_")}
        return cls(words, os.getcwd(), own)

    def start(self, config: Mapping, log: IO[str], **more: str) -> subprocess.Popen:
        """Calls it as the worker of this TF_CONFIG; it ends with this process. ``more`` are variables too."""
        environment = os.environ | self.environment | more
        environment |= {team.TF_CONFIG: json.dumps(config), PARENT: str(os.getpid())}
        return subprocess.Popen(
            [sys.executable, *self.words],
            env=environment,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )


def how_it_ended(process: subprocess.Popen, log: IO[str]) -> str:
    """A worker's exit code, and what it said last; nothing if it runs or has ended well."""
    if not process.poll():
        return ""
    log.seek(0)
    lines = [line for line in log.read().splitlines() if line.strip()]
    return f"a worker ended with {process.returncode}: {tail(lines[-1], 200) if lines else 'without a word'}"


def free_ports(count: int, host: str = "127.0.0.1") -> list[int]:
    """Ports of this machine that nobody listened on a moment ago."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((host, 0))
        return [each.getsockname()[1] for each in sockets]
