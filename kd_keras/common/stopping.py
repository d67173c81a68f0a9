"""Ctrl-C and SIGTERM: a command stops within a second or two, whatever it is doing.

Python tells the main thread of a signal between two of its own instructions, and a single call into TensorFlow may
take ten seconds. So the main thread gets a second to unwind; after that the process ends from another thread. It may
at any time: files are written beside their place and renamed, and what is half written is removed.
"""

from __future__ import annotations

import contextlib
import multiprocessing.util
import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any, NoReturn

from kd_keras.common import files

_MESSAGE = "\nstopped; what was finished is kept, and the same command goes on\n"
_GRACE = 1.0

# The signal that came, whether the main thread was told, and whether it must not be told now.
_came: int | None = None
_told = False
_held = False
# The screen (descriptor 2 is led elsewhere at times), and whether the message is out.
_screen: int | None = None
_said = False


def listen() -> None:
    """From now on a signal raises KeyboardInterrupt once, and ends the process if that does not."""
    global _screen
    if _screen is not None:
        return
    _screen = os.dup(2)
    read, write = os.pipe()
    if hasattr(os, "set_blocking"):  # Windows: from Python 3.12 on, and signals do not ask for it
        os.set_blocking(write, False)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup and its like keep what they asked for
            signal.signal(number, _interrupt)
    threading.Thread(target=_watch, args=(read,), daemon=True).start()


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Starts processes: they never see a Ctrl-C, which a terminal sends to all, and none is left half started here.

    This one ends the others; a signal that comes meanwhile is answered at the end.
    """
    global _held
    masks = hasattr(signal, "pthread_sigmask")  # on Windows the processes hear a Ctrl-C too
    if masks:
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # which a process takes over from its parent
    _held = True
    try:
        yield
    finally:
        _held = False
        if masks:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        _tell()


def asked() -> bool:
    """Whether a signal came: an error after that is only what a library made of it."""
    return _came is not None


def leave() -> NoReturn:
    """Ends the process at once: TensorFlow's own end takes seconds. Its exit code is 128 + the signal's number."""
    global _said
    for process in multiprocessing.active_children():
        process.kill()
    with contextlib.suppress(Exception):  # or Python's resource tracker warns of semaphores that nobody gave back
        multiprocessing.util._run_finalizers(0)
    files.remove_unfinished()
    if not _said:
        _said = True
        os.write(2 if _screen is None else _screen, _MESSAGE.encode())
    os._exit(128 + (_came or signal.SIGINT))


def _interrupt(number: int, frame: Any) -> None:
    global _came
    _came = _came or number
    _tell()


def _tell() -> None:
    global _told
    # Once: a second one must not stop the unwinding. The mask alone holds nothing, as another thread may be sent it.
    if _came and not _told and not _held:
        _told = True
        raise KeyboardInterrupt


def _watch(read: int) -> None:
    """Gets a byte for each signal, whatever the main thread is doing."""
    global _came
    while True:
        number = os.read(read, 1)[0]
        if number in (signal.SIGINT, signal.SIGTERM):
            time.sleep(_GRACE)
            _came = _came or number
            leave()
