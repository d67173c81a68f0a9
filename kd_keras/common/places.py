"""Where a path leads, and whether it can be written."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from kd_keras.common.errors import UserError
from kd_keras.common.reading import PathLike

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def local(path: PathLike, what: str) -> str:
    """``path`` with ``~`` or ``~user`` expanded. A shell does not do that behind a flag's "=".

    Raises:
      UserError: ``path`` is no possible name of a local file. The error calls it ``what`` ("--input").
    """
    name = os.fspath(path)
    if is_address(name):
        raise UserError(f"{what}={name}: is an address; expected the path of a local file")
    if "\0" in name:
        raise UserError(f"{what}={name.partition(chr(0))[0]}…: has a NUL character, which no file's name can have")
    check_utf8(name, what)
    # An existing name that begins with ~ is taken as it is. But "~/" is always home, even if a folder "~" exists.
    if name.startswith("~") and (name[1:2] in ("", os.sep) or not os.path.lexists(name)):
        user = name.split(os.sep)[0]
        if os.path.expanduser(user) == user:
            raise UserError(f"{what}={name}: there is no user {user[1:]!r}; if a file has that name, write ./{name}")
        name = os.path.expanduser(name)
    try:
        os.stat(name)
    except OSError as e:
        if e.errno == errno.ELOOP:
            raise UserError(f"{what}={name}: is a link that leads back to itself") from None
        if e.errno in (errno.ENAMETOOLONG, errno.EACCES):
            raise UserError(f"{what}={name}: {e.strerror.lower()}") from None
    return name


def here_or_away(place: PathLike, what: str) -> str:
    """As :func:`local`, but also accepts an address in an object store ("s3://bucket/folder").

    Raises:
      UserError: as :func:`local`; or the address has a password or no bucket, or is a file of another machine.
    """
    name = os.fspath(place)
    if not is_address(name):
        return local(name, what)
    check_utf8(name, what)
    parts = urlsplit(name)
    if ":" in parts.netloc.rpartition("@")[0]:
        raise UserError(f"{what}={parts.scheme}://…: has a password in it; give it in the environment instead")
    if parts.scheme != "file":
        if not parts.netloc:
            raise UserError(f"{what}={name}: names no bucket; expected {parts.scheme}://BUCKET/PREFIX")
        return name.rstrip("/")
    if parts.netloc not in ("", "localhost"):
        raise UserError(f"{what}={name}: names a file of {parts.netloc}; expected file:///FOLDER")
    return local(unquote(parts.path), what)


def is_address(place: PathLike) -> bool:
    """Whether this is an address ("s3://bucket/folder"), not a path."""
    return bool(_URI.match(os.fspath(place)))


def cache_dir() -> Path:
    """Where files that can be made again are kept: ``KD_KERAS_CACHE``, or a folder in the user's cache."""
    if said := os.environ.get("KD_KERAS_CACHE"):
        return Path(said).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kd_keras"


def check_utf8(text: str, what: str) -> None:
    """Raises UserError if ``text``, an argument as Python read it, has bytes that are not UTF-8."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as e:
        code = ord(text[e.start])
        found = f"byte 0x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"character U+{code:04X}"
        shown = text.encode("utf-8", "backslashreplace").decode()
        if (encoding := sys.getfilesystemencoding()) != "utf-8":
            raise UserError(f"{what}={shown}: this Python reads arguments as {encoding}; set PYTHONUTF8=1") from None
        raise UserError(
            f"{what}={shown}: not UTF-8 ({found} at position {e.start + 1}); expected UTF-8, in names of files too"
        ) from None


def linked(path: PathLike) -> Path:
    """The target of a link, or ``path`` itself. It need not exist."""
    return Path(os.path.realpath(path)) if os.path.islink(path) else Path(path)


@contextlib.contextmanager
def without_pattern(folder: Path) -> Iterator[Path]:
    """``folder``, or a link to it if its path has brackets or other pattern characters.

    TensorFlow reads the path of a checkpoint, or of a SavedModel's variables, as a pattern.
    """
    if not re.search(r"[][*?\\]", str(folder)):
        yield folder
        return
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        link = Path(place) / "link"
        link.symlink_to(folder.resolve())
        yield link


def descriptor(path: PathLike) -> int | None:
    """The open file of this process that ``path`` names (/dev/stdout, /dev/fd/63, a link to one); None for other
    paths."""
    name = os.fspath(path)
    for _ in range(8):
        folder, last = os.path.split(name)
        if last.isdecimal() and os.path.realpath(folder) in (f"/proc/{os.getpid()}/fd", "/dev/fd"):
            return int(last)
        if not os.path.islink(name):
            return None
        name = os.path.join(folder, os.readlink(name))
    return None


def check_output(path: PathLike, what: str, inputs: Mapping[str, PathLike | None]) -> None:
    """Checks before long work that a file can be written to ``path``.

    Args:
      what: the flag that names ``path``.
      inputs: flag → a file that is read, or None. None of these may be overwritten.

    Raises:
      UserError: it cannot be written, or it is one of ``inputs``.
    """
    if descriptor(path) is not None:
        return
    final = linked(path)
    if final.is_dir() or os.fspath(path).endswith(os.sep):
        raise UserError(f"{what}={path}: is a folder, expected a file")
    if not final.exists():
        _try_folder(path, what, final.parent)
        return
    for flag, read in inputs.items():
        if read and final.is_file() and os.path.exists(read) and os.path.samefile(final, read):
            raise UserError(f"{what}={path}: is the file that {flag} reads; choose another name")
    if not os.access(final, os.W_OK):
        raise UserError(f"{what}={path}: cannot be written (permission denied)")


def check_output_dir(path: PathLike, what: str = "--output_dir") -> None:
    """Raises UserError, before long work, if ``path`` is no folder that can be made or written to."""
    final = linked(path)
    if final.exists() and not final.is_dir():
        raise UserError(f"{what}={path}: is a file, expected a folder")
    _try_folder(path, what, final)


def _try_folder(path: PathLike, what: str, folder: Path) -> None:
    """Makes a file without a name in ``folder``, or in its nearest parent that exists."""
    while not os.path.lexists(folder):
        folder = folder.parent
    if not folder.is_dir():
        raise UserError(f"{what}={path}: {folder} is not a folder")
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as e:
        raise UserError(
            f"{what}={path}: nothing can be written in {folder} ({(e.strerror or str(e)).lower()})"
        ) from None
