"""Keeps what takes long to make, under a key of all it depends on. A later run finds it here or in another run's
folder.

teacher = find_or_make("teacher", folder, read=lambda place: load(place, key), make=train, known=siblings)
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from kd_keras.common import files
from kd_keras.common.claims import claimed
from kd_keras.common.errors import UserError
from kd_keras.common.progress import say
from kd_keras.common.team import current, is_chief

T = TypeVar("T")


def find(
    what: str,
    path: Path,
    read: Callable[[Path], T | None],
    known: Iterable[Path] = (),
    parts: Iterable[str] = ("*",),
    aloud: bool = True,
    alone: bool = False,
) -> T | None:
    """The artifact at ``path``, linked from a known place if it is missing there. None if no place has it.

    In a team the chief looks, and the others read what it found.

    Args:
      what: name of the artifact on the screen: "teacher", "signals (dev)".
      path: a file or a folder.
      read: returns the artifact at a place. It returns None if the artifact is another one or incomplete, and raises
        UserError if it is damaged. Damage at ``path`` is reported, and the artifact counts as missing. Damage elsewhere
        is ignored.
      known: places in other runs.
      parts: patterns of the files that belong to the artifact, if it is a folder.
      aloud: whether to print a line if it is found at ``path``.
      alone: whether this process looks by itself, even in a team.
    """
    if not alone and (team := current()) is not None:
        found = find(what, path, read, known, parts, aloud, alone=True) if team.chief else None
        there = bool(team.of_chief([found is not None])[0])
        return read(path) if there and not team.chief else found
    try:
        found = read(path) if path.exists() else None
    except UserError as e:
        say(f"{what}: {e}; it will be made again")
        found = None
    if found is not None:
        if aloud:
            say(f"{what}: found in {path}")
        return found
    for place in known:
        if place != path and _reads(read, place):
            _link(place, path, parts)
            say(f"{what}: made before, taken from {place}")
            return read(path)
    return None


def find_or_make(
    what: str,
    path: Path,
    read: Callable[[Path], T | None],
    make: Callable[[], object],
    known: Iterable[Path] = (),
    parts: Iterable[str] = ("*",),
    aloud: bool = True,
) -> T:
    """Finds it as :func:`find` does, or makes it. ``make()`` writes to ``path`` and may resume what a killed run left
    there. In a team the chief makes it. If another command makes it, this one waits for that."""
    found = find(what, path, read, known, parts, aloud)
    if found is None:
        if is_chief():
            with one_at_a_time(what, path):
                if not _reads(read, path):
                    make()
        if (team := current()) is not None:
            team.wait()
        found = read(path)
    if found is None:
        raise AssertionError(f"{what}: {path} was made, but does not match its key; this is a bug")
    return found


@contextlib.contextmanager
def one_at_a_time(what: str, path: Path) -> Iterator[None]:
    """Inside, no other command makes the artifact at ``path``: first look whether one has. A team's chief asks."""
    with claimed(claim_of(path), what) if is_chief() else contextlib.nullcontext():
        yield


def claim_of(path: Path) -> Path:
    """Whoever makes the artifact at ``path`` holds this claim."""
    return path.with_name(f"{path.name}.claim")


def _reads(read: Callable[[Path], T | None], place: Path) -> bool:
    try:
        return place.exists() and read(place) is not None
    except UserError:
        return False


def _link(place: Path, path: Path, parts: Iterable[str]) -> None:
    if place.is_file():
        files.link_or_copy(place, path)
        return
    with files.atomic_dir(path) as temp:  # replaces another artifact, or an incomplete one
        for pattern in parts:
            for file in sorted(place.glob(pattern)):
                if file.is_file():
                    files.link_or_copy(file, temp / file.name)
