"""Ctrl-C and SIGTERM: a command stops within a second or two, whatever it is doing.

Python handles a signal in the main thread, between two instructions; one call into TensorFlow may take ten seconds. So
the main thread gets a second to unwind. Then another thread ends the process. This is safe at any time: files are
written beside their place and renamed, and half-written ones are removed.
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

_MESSAGE = "\nstopped; finished work is kept, and the same command goes on\n"
_GRACE = 1.0

# The signal that came, whether the main thread was told, and whether it must not be told yet.
_came: int | None = None
_told = False
_held = False
# The screen (descriptor 2 is redirected at times), and whether the message was printed.
_screen: int | None = None
_said = False


def listen() -> None:
    """From now on a signal raises KeyboardInterrupt once. If the command goes on, the process is ended."""
    global _screen
    if _screen is not None:
        return
    _screen = os.dup(2)
    read, write = os.pipe()
    if hasattr(os, "set_blocking"):  # Windows has it from Python 3.12 on, and does not need it for signals
        os.set_blocking(write, False)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) != signal.SIG_IGN:  # signals that nohup or others ignore stay ignored
            signal.signal(number, _interrupt)
    threading.Thread(target=_watch, args=(read,), daemon=True).start()


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Starts processes that never get a Ctrl-C, which a terminal sends to all. None is left half started.

    This process ends the others. A signal that comes inside the block is handled at its end.
    """
    global _held
    masks = hasattr(signal, "pthread_sigmask")  # on Windows the processes get a Ctrl-C too
    if masks:
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # a process inherits it from its parent
    _held = True
    try:
        yield
    finally:
        _held = False
        if masks:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        _tell()


def asked() -> bool:
    """Whether a signal came. Errors after that are only its consequences."""
    return _came is not None


def leave() -> NoReturn:
    """Ends the process at once, as TensorFlow's own exit takes seconds. The exit code is 128 + the signal's number."""
    global _said
    _clean_up()
    if not _said:
        _said = True
        _show(_MESSAGE)
    os._exit(128 + (_came or signal.SIGINT))


def end(said: str) -> NoReturn:
    """Ends the process at once with a UserError's line and exit code, from a thread: the main one cannot."""
    _clean_up()
    _show(f"\nerror: {said}\n")
    os._exit(2)


def _clean_up() -> None:
    """Ends the processes that this one started, and removes half-written files."""
    for process in multiprocessing.active_children():
        process.kill()
    with contextlib.suppress(Exception):  # or Python's resource tracker warns of semaphores that were not released
        multiprocessing.util._run_finalizers(0)
    files.remove_unfinished()


def _show(text: str) -> None:
    os.write(2 if _screen is None else _screen, text.encode())


def _interrupt(number: int, frame: Any) -> None:
    global _came
    _came = _came or number
    _tell()


def _tell() -> None:
    global _told
    # Only once, as a second signal must not stop the unwinding. The mask alone is not enough: another thread may get
    # it.
    if _came and not _told and not _held:
        _told = True
        raise KeyboardInterrupt


def _watch(read: int) -> None:
    """Reads a byte for each signal, even while the main thread is busy."""
    global _came
    while True:
        number = os.read(read, 1)[0]
        if number in (signal.SIGINT, signal.SIGTERM):
            time.sleep(_GRACE)
            _came = _came or number
            leave()
