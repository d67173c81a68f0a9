"""Processes that this one starts. Ctrl-C does not reach them, and none outlives this one."""

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
    """Ends this process when ``parent``, which started it, ends or is killed."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


class Pool(ProcessPoolExecutor):
    """Fresh processes, which are killed if the ``with`` block raises.

    They are spawned, as a fork of a process with TensorFlow's threads hangs.

    Args:
      count: at most this many processes.
      begin: is called once in each process, with ``arguments``.
    """

    def __init__(self, count: int, begin: Callable[..., None], arguments: tuple = ()):
        self._others = set(multiprocessing.active_children())
        super().__init__(count, multiprocessing.get_context("spawn"), _begin, (os.getpid(), begin, arguments))

    def submit(self, *args: Any, **kwargs: Any) -> Future:
        with held():  # starts the processes one by one
            return super().submit(*args, **kwargs)

    def __exit__(self, kind: type[BaseException] | None, *error: Any) -> None:
        if kind is not None:
            for process in set(multiprocessing.active_children()) - self._others:
                process.kill()
        self.shutdown(cancel_futures=True)


def _begin(parent: int, begin: Callable[..., None], arguments: tuple) -> None:
    end_with(parent)
    begin(*arguments)
