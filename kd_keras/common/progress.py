"""Progress for anything over a few seconds: what, how far, how fast, time left (tqdm)."""

from __future__ import annotations

import sys
from typing import Any

from tqdm import tqdm

# The line of this process's bars, where several processes share a terminal.
_line: int | None = None


def lock(context: Any) -> Any:
    """A lock for the bars of this process and of those that :func:`share` gets it in."""
    made = context.RLock()
    tqdm.set_lock(made)
    return made


def share(lock: Any, line: int) -> None:
    """The bars of this process are drawn on ``line`` from now on."""
    global _line
    tqdm.set_lock(lock)
    _line = line


class _Lines:
    """A log file's view of tqdm: one line an update instead of carriage returns."""

    def __init__(self, stream: Any):
        self._stream = stream
        self._last = ""

    def write(self, text: str) -> None:
        line = text.strip("\r\n \x1b[A")
        if line and line != self._last:
            self._last = line
            self._stream.write(line + "\n")

    def flush(self) -> None:
        self._stream.flush()


def progress(total: int | None, what: str, unit: str = "examples", initial: int = 0, **kwargs: Any) -> tqdm:
    """A progress bar on standard error: a live bar on a terminal, a line every 10 s in a log.

    Args:
      total: how many ``unit`` there are; None where nobody knows.
      what: what is being done, in a word or two.
      initial: how many were done by an earlier run.
    """
    live = sys.stderr.isatty()
    return tqdm(
        total=total,
        desc=what,
        unit=f" {unit}",
        initial=initial,
        file=sys.stderr if live else _Lines(sys.stderr),
        mininterval=0.2 if live else 10.0,
        maxinterval=1.0 if live else 10.0,
        smoothing=0.1,
        dynamic_ncols=live,
        # In a log the line is as long as it needs to be: a cut one would hide the dev score at its end.
        ncols=None,
        leave=_line is None or not live,
        position=_line if live else None,
        **kwargs,
    )


def say(text: str) -> None:
    """A line for the person who watches; standard output stays free for results."""
    print(text, file=sys.stderr, flush=True)


def say_above(text: str) -> None:
    """:func:`say` while other processes draw bars: these come again below it."""
    with tqdm.get_lock():
        say(f"\r\x1b[J{text}" if sys.stderr.isatty() else text)
