"""Progress bars (tqdm) for work of more than a few seconds: what, how far, how fast, time left."""

from __future__ import annotations

import sys
import time
from typing import Any

from tqdm import tqdm

from kd_keras.common.screen import show

# Seconds between two lines of a log.
SECONDS = 10.0
# The line of this process's bars, if several processes share a terminal.
_line: int | None = None


def lock(context: Any) -> Any:
    """A lock for the bars of this process, and of processes that call :func:`share` with it."""
    made = context.RLock()
    tqdm.set_lock(made)
    return made


def share(lock: Any, line: int) -> None:
    """Draws the bars of this process on ``line`` from now on."""
    global _line
    tqdm.set_lock(lock)
    _line = line


class _Bar(tqdm):
    """The bar's line: what, how far, for how long, how fast, and the last values."""

    @staticmethod
    def format_meter(**bar: Any) -> str:
        """tqdm calls it. Parts that do not fit the terminal are left out whole."""
        done, total, elapsed, unit, room = (bar[key] for key in ("n", "total", "elapsed", "unit", "ncols"))
        rate = bar["rate"] or ((done - bar["initial"]) / elapsed if elapsed else 0)
        count = f"{done:,} of {total:,}{unit}" if total else f"{done:,}{unit}"
        took = tqdm.format_interval(elapsed)
        if total and rate and done < total:
            took += f", {tqdm.format_interval((total - done) / rate)} left"
        speed = f"{rate:,.1f}{unit}/s" if rate >= 1 else f"{60 * rate:.1f}{unit}/min"
        score, _, rest = (bar["postfix"] or "").partition(", ")
        parts = [f"{100 * done // total}%" if total else "", count, took, speed if elapsed >= 1 else "", score, rest]
        for least in (3, 5, 1, 2):
            if room is None or len(_joined(bar["prefix"], parts)) <= room:
                break
            parts[least] = ""
        return _joined(bar["prefix"], parts)[:room]


def _joined(what: str, parts: list[str]) -> str:
    return f"{what.removesuffix(': ')}: " + ", ".join(part for part in parts if part)


class _Lines:
    """A bar in a log file: its first line, its last, and one each 10 s between them, fewer after hours."""

    def __init__(self, stream: Any):
        self._stream = stream
        self._line = ""
        self._begun = self._next = time.monotonic()

    def write(self, text: str) -> None:
        line, now = text.strip("\r\n \x1b[A"), time.monotonic()
        self._line = line or self._line
        if self._line and (now >= self._next or text == "\n"):  # tqdm writes it at a bar's end
            self._stream.write(self._line + "\n")
            self._line, self._next = "", now + max(SECONDS, (now - self._begun) / 20)

    def flush(self) -> None:
        self._stream.flush()


def progress(total: int | None, what: str, unit: str = "examples", initial: int = 0, **kwargs: Any) -> tqdm:
    """A progress bar on standard error: one live line on a terminal, or some lines in a log.

    Args:
      total: the number of ``unit``; None if it is unknown.
      what: the work, in a word or two.
      initial: the number that an earlier run did.
    """
    live = sys.stderr.isatty()
    # A bar inside another one disappears at its end. So do bars if several processes draw them.
    leave = None if _line is None else False
    return _Bar(
        total=total,
        desc=what,
        unit=f" {unit}",
        initial=initial,
        file=sys.stderr if live else _Lines(sys.stderr),
        mininterval=0.2 if live else SECONDS,
        maxinterval=1.0 if live else SECONDS,
        smoothing=0.1,
        dynamic_ncols=live,
        ncols=None,
        leave=leave if live else True,
        position=_line if live else 0,
        **kwargs,
    )


def say(text: str) -> None:
    """Prints a line for people on standard error. Standard output stays free for results."""
    show(text, sys.stderr)


def say_above(text: str) -> None:
    """:func:`say` while other processes draw bars, which are drawn again below the line."""
    with tqdm.get_lock():
        say(f"\r\x1b[J{text}" if sys.stderr.isatty() else text)
