"""Commands that run beside a test, and the processes that they start."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def started(*words: object, cwd: Path | None = None, **variables: str) -> subprocess.Popen:
    """Python with ``words``, which imports this checkout."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    return subprocess.Popen(
        [sys.executable, *map(str, words)], env=environment | variables, cwd=cwd, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def below(process: subprocess.Popen, *words: str) -> list[int]:
    """The processes that this one and those below it started, if their command line has all ``words``."""
    found, frontier = [], [process.pid]
    while frontier:
        parent = str(frontier.pop())
        listed = subprocess.run(["ps", "-o", "pid=,args=", "--ppid", parent], capture_output=True, text=True)
        for line in listed.stdout.splitlines():
            number, _, said = line.strip().partition(" ")
            frontier.append(int(number))
            if all(word in said for word in words):
                found.append(int(number))
    return found
