"""Reads --flagfile=FILE as UTF-8 in any locale, with errors that name the line. absl does neither."""

from __future__ import annotations

import codecs
import os
from collections.abc import Iterator, Sequence

from kd_keras.common.errors import UserError
from kd_keras.common.places import local
from kd_keras.common.reading import not_utf8

_FLAG = ("--flagfile", "-flagfile")


def expanded(words: Sequence[str], inside: tuple[str, ...] = ()) -> list[str]:
    """``words``, with each --flagfile replaced by its lines. A flagfile may name others.

    Args:
      words: arguments of a command, or lines of a flagfile.
      inside: the flagfiles that these words come from, the innermost last.

    Raises:
      UserError: a file cannot be read, is not UTF-8, or includes itself.
    """
    found: list[str] = []
    rest = iter(words)
    for word in rest:
        if word == "--":
            return [*found, word, *rest]
        name, equals, value = word.partition("=")
        if name not in _FLAG:
            found.append(word)
            continue
        path = value.strip() if equals else next(rest, "")
        if not path:
            raise UserError("--flagfile=FILE is needed: a file with a flag a line")
        path = local(path, "--flagfile")
        real = os.path.realpath(path)
        if real in inside:
            raise UserError(f"--flagfile={path}: includes itself ({' → '.join([*inside, real])}); remove that line")
        found += expanded(list(_lines(path)), (*inside, real))
    return found


def _lines(path: str) -> Iterator[str]:
    """The lines of a flagfile, stripped, without comments (# and //) and blank lines."""
    try:
        with open(path, "rb") as f:
            raw = f.read()
    except OSError as e:
        raise UserError(f"--flagfile={path}: cannot be read ({(e.strerror or str(e)).lower()})") from None
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise UserError(f"--flagfile={path}: is UTF-16, expected UTF-8; convert it with: iconv -f UTF-16 -t UTF-8")
    for number, line in enumerate(raw.removeprefix(codecs.BOM_UTF8).split(b"\n"), 1):
        try:
            text = line.decode("utf-8").strip()
        except UnicodeDecodeError as e:
            raise not_utf8(f"--flagfile={path}", number, e) from None
        if "\0" in text:
            raise UserError(f"--flagfile={path}, line {number}: has a NUL character; expected UTF-8 text")
        if text and not text.startswith(("#", "//")):
            yield text
