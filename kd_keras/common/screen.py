"""Prints text for people. On a terminal, long lines are folded between words. Files and pipes get them unchanged."""

from __future__ import annotations

import os
import textwrap
from typing import Any

from kd_keras.common.markdown import markdown_table, width

# The width of a terminal that does not tell it.
_COLUMNS = 80


def columns(stream: Any) -> int | None:
    """Columns of the terminal that ``stream`` writes to; None if it is no terminal."""
    try:
        if not stream.isatty():
            return None
        return os.get_terminal_size(stream.fileno()).columns or _COLUMNS
    except (OSError, ValueError, AttributeError):
        return None


def show(text: str, stream: Any) -> None:
    """Prints ``text`` so that it fits a terminal (:func:`fitted`)."""
    room = columns(stream)
    print(text if room is None else fitted(text, room), file=stream, flush=True)


def fitted(text: str, room: int) -> str:
    """``text`` in ``room`` columns. Lines are folded between words, and a wide Markdown table becomes several.

    A line that begins with a space stays unchanged, as it is a command to copy or has its own columns.

    Example:
      >>> print(fitted("teacher: it reads 128 tokens", 20))
      teacher: it reads
        128 tokens
    """
    out: list[str] = []
    table: list[str] = []
    for line in [*text.split("\n"), None]:
        if line is not None and line.startswith("|"):
            table.append(line)
            continue
        if table:
            out += _tables(table, room)
            table = []
        if line is not None:
            out += _folded(line, room)
    return "\n".join(out)


def _folded(line: str, room: int) -> list[str]:
    if width(line) <= room or line.startswith(" "):
        return [line]
    fold = {"subsequent_indent": "  ", "break_long_words": False, "break_on_hyphens": False}
    return textwrap.wrap(line, room, **fold)  # type: ignore[arg-type]


def _tables(lines: list[str], room: int) -> list[str]:
    """The table, or several tables of as many columns as fit. Each has the first column; rows without a cell are left
    out."""
    if width(lines[0]) <= room:
        return lines
    head, _, *rows = ([cell.strip() for cell in line.strip().strip("|").split(" | ")] for line in lines)
    wide = [max(width(row[n]) for row in [head, *rows]) + 3 for n in range(len(head))]
    parts: list[list[int]] = [[]]
    for n in range(1, len(head)):
        if parts[-1] and 1 + wide[0] + sum(wide[p] for p in parts[-1]) + wide[n] > room:
            parts.append([])
        parts[-1].append(n)
    out: list[str] = []
    for part in parts:
        some = [[row[0], *(row[n] for n in part)] for row in rows if any(row[n] for n in part)]
        out += [*([""] if out else []), *markdown_table([head[0], *(head[n] for n in part)], some).split("\n")]
    return out
