"""Processes beside this one: a Ctrl-C does not reach them, and none outlives this one."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Any

from kd_keras.common.stopping import held


def end_with(parent: int) -> None:
    """For a process that ``parent`` started: it ends when that one does, be it killed."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


class Pool(ProcessPoolExecutor):
    """Fresh processes, which are killed where the ``with`` block ends by an exception.

    "spawn", as a fork of a process with TensorFlow's threads hangs.

    Args:
      count: most processes.
      begin: called in each of them once, with ``arguments``.
    """

    def __init__(self, count: int, begin: Callable[..., None], arguments: tuple = ()):
        self._others = set(multiprocessing.active_children())
        super().__init__(count, multiprocessing.get_context("spawn"), _begin, (os.getpid(), begin, arguments))

    def submit(self, *args: Any, **kwargs: Any) -> Future:
        with held():  # processes are started here, one by one
            return super().submit(*args, **kwargs)

    def __exit__(self, kind: type[BaseException] | None, *error: Any) -> None:
        if kind is not None:
            for process in set(multiprocessing.active_children()) - self._others:
                process.kill()
        self.shutdown(cancel_futures=True)


def _begin(parent: int, begin: Callable[..., None], arguments: tuple) -> None:
    end_with(parent)
    begin(*arguments)
