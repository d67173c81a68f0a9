"""One command at a time makes a thing: it holds a lock, which the system takes back when the process ends."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from kd_keras.common import files
from kd_keras.common.progress import say


@contextlib.contextmanager
def claimed(path: Path, what: str, wait: bool = True) -> Iterator[bool]:
    """Inside, no other process that asks for the same claim makes the thing. First look whether one has made it.

    Machines that share a folder hear of each other's claims if its file system has locks, as NFS 4 has.

    Args:
      path: of the claim, an empty file. It goes when the block ends.
      what: is made, for people.
      wait: until nobody else makes it.

    Yields:
      Whether the claim is ours: always, unless ``wait`` is False.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(path)
    with files.disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            if wait:
                say(f"{what}: another command makes it (its claim is {path}); waiting for that")
                lock.acquire()
    try:
        yield lock.is_locked
    finally:
        if lock.is_locked:
            with contextlib.suppress(OSError):  # on Windows an open file stays
                path.unlink(missing_ok=True)
        lock.release()
