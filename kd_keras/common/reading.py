"""Reads bytes and lines of any file or pipe, packed or plain, in any encoding. Errors say what to do.

The first bytes of a file tell its compression, not its name. A pipe is read once and kept until the process ends. So it
can be read again, like a file.
"""

from __future__ import annotations

import bz2
import codecs
import contextlib
import gzip
import io
import lzma
import os
import re
import stat
import sys
import tempfile
import zlib
from collections.abc import Iterator
from typing import Any

from kd_keras.common.encodings import encoding_of, not_decoded, wide
from kd_keras.common.errors import UserError

PathLike = str | os.PathLike[str]

# Standard input's name in errors, and the path that stands for it.
STDIN = "standard input"
PACKED = (".gz", ".bz2", ".xz")

_OPEN = {
    re.compile(rb"\x1f\x8b\x08"): gzip.open,
    re.compile(rb"BZh[1-9](1AY&SY|\x17rE8P\x90)"): bz2.open,
    re.compile(rb"\xfd7zXZ\x00"): lzma.open,
}
_NO_TEXT = {
    b"PK\x03\x04": "a zip archive (an .xlsx sheet is one too); unpack it, or save the sheet as CSV",
    b"\x28\xb5\x2f\xfd": "packed by zstd; unpack it first: zstd -d FILE",
    b"\x04\x22\x4d\x18": "packed by lz4; unpack it first: lz4 -d FILE",
    b"\x1f\x9d": "packed by compress; unpack it first: uncompress FILE",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive; unpack it first",
    b"Rar!\x1a\x07": "a rar archive; unpack it first",
    b"\xd0\xcf\x11\xe0": "an old Office document; save the sheet as CSV",
    b"PAR1": "a Parquet file; save it as CSV or JSONL",
    b"%PDF-": "a PDF document; extract its text first",
}
# The first bytes of a Git LFS pointer.
_LFS = b"version https://git-lfs.github.com/spec/"
_FAILURES = (EOFError, zlib.error, lzma.LZMAError, OSError)

_kept: dict[Any, Any] = {}  # stream → a temporary file of its bytes


def is_stream(path: PathLike) -> bool:
    """Whether ``path`` is standard input, a pipe or a terminal, which cannot be read twice."""
    if path is STDIN:
        return True
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return False
    mode = found.st_mode
    if stat.S_ISCHR(mode):  # some other devices never end
        return found.st_rdev == os.stat(os.devnull).st_rdev or _is_terminal(path)
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def _is_terminal(path: PathLike) -> bool:
    try:
        with open(path, "rb", buffering=0) as f:
            return f.isatty()
    except OSError:
        return False


class _Again(io.RawIOBase):
    """A second reader of an open file, from its start and with its own position."""

    def __init__(self, file: Any):
        self._file, self._at = file, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if hasattr(os, "pread"):
            data = os.pread(self._file.fileno(), len(buffer), self._at)
        else:  # Windows: this moves the file's own position, which nothing else uses
            self._file.seek(self._at)
            data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def open_raw(path: PathLike) -> io.BufferedIOBase:
    """The bytes of a file, still packed. A stream gives the bytes that were kept at its first opening."""
    if not is_stream(path):
        return open(path, "rb")
    owner = sys.stdin.buffer if path is STDIN else None
    which = owner or (os.stat(path).st_dev, os.stat(path).st_ino)  # /dev/fd/63 may be another pipe later
    if which not in _kept:
        file = tempfile.TemporaryFile()  # noqa: SIM115, it stays open; without a name, so that even a kill leaves nothing behind
        with contextlib.nullcontext(owner) if owner else open(path, "rb") as f:
            while data := f.read(1 << 20):
                file.write(data)
        file.flush()
        _kept[which] = file
    return io.BufferedReader(_Again(_kept[which]))


def refuse_lfs_pointer(path: PathLike) -> None:
    """Raises UserError if a file is a Git LFS pointer to a file that was not fetched."""
    if os.path.isfile(path):
        with open(path, "rb") as f:
            _no_pointer(path, f.read(len(_LFS)))


def _no_pointer(path: PathLike, head: bytes) -> None:
    if head.startswith(_LFS):
        raise UserError(f"{path}: is a Git LFS pointer, not the file itself; get it: git lfs pull")


def open_bytes(path: PathLike) -> io.BufferedIOBase:
    """Opens a file for reading, and unpacks gzip, bzip2 and xz on the fly."""
    with open_raw(path) as f:
        head = f.read(len(_LFS))
    _no_pointer(path, head)
    how = next((opener for mark, opener in _OPEN.items() if mark.match(head)), None)
    return how(open_raw(path), "rb") if how else open_raw(path)


def _first_bytes(path: PathLike, count: int) -> bytes:
    with open_bytes(path) as f:
        head = f.read(count)
    for mark, what in _NO_TEXT.items():
        if head.startswith(mark):
            raise UserError(f"{path}: is not text but {what}")
    return head


def says_encoding(path: PathLike) -> bool:
    """Whether a file's bytes tell its encoding: a byte-order mark, or characters beyond ASCII that are UTF-8.

    False if the file cannot be read.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        with open_bytes(path) as f:
            if encoding_of(f.read(4))[1]:
                return True
        with open_bytes(path) as f:
            while data := f.read(1 << 20):
                if not decoder.decode(data).isascii():
                    return True
    except (UnicodeDecodeError, UserError, *_FAILURES):
        pass
    return False


def utf8_lines(path: PathLike) -> Iterator[str]:
    """Lines of a UTF-8 file with their line ends, only ``\\n`` and ``\\r\\n`` counting as such.

    A byte-order mark is dropped. Raises UserError that names line and byte if the text is not UTF-8.
    """
    try:
        with open_bytes(path) as f:
            for number, raw in enumerate(f, 1):
                if number == 1 and raw.startswith(codecs.BOM_UTF8):
                    raw = raw[3:]
                try:
                    yield raw.decode("utf-8")
                except UnicodeDecodeError as e:
                    raise not_utf8(path, number, e) from None
    except _FAILURES as e:
        raise UserError(f"{path}: cannot be read ({e})") from None


def not_utf8(where: object, line: int, e: UnicodeDecodeError) -> UserError:
    """The error for a line that must be UTF-8 but is not; ``e`` comes from this line alone."""
    return UserError(
        f"{where}, line {line}: not UTF-8 (byte 0x{e.object[e.start]:02x} at position {e.start + 1}); "
        "convert it, for example with: iconv -f LATIN1 -t UTF-8"
    )


def text_lines(path: PathLike, encoding: str = "auto", header: bool = False) -> Iterator[str]:
    r"""Lines of a text file with their line ends.

    Lines end with ``\n`` or ``\r\n``; or with a lone ``\r``, as on old Macs, if the file has no ``\n``.

    Args:
      encoding: "auto" is UTF-8. A byte-order mark overrides it.
      header: the first line is a table's header. If it ends with ``\r``, a later ``\n`` is inside a field.

    Raises:
      UserError: the file cannot be read, is no text, or is not in the encoding. The error names line and position.
    """
    try:
        head = _first_bytes(path, 1 << 16)
        codec, mark = encoding_of(head, encoding)
        end = _line_end(path, codec, header)
        number = 0
        try:
            for number, line in enumerate(_decoded(path, codec, mark, end), 1):
                if "\0" in line:
                    raise not_decoded(path, number, line.index("\0"), head, codec)
                yield line
        except UnicodeError as e:
            position = e.start if isinstance(e, UnicodeDecodeError) and not wide(codec) else None
            said = head if position is None else e.object[: 1 << 16] + b"\n" + head
            raise not_decoded(path, number + 1, position, said, codec, e) from None
    except _FAILURES as e:
        raise UserError(f"{path}: cannot be read ({e})") from None


def _line_end(path: PathLike, codec: str, header: bool) -> str:
    with io.TextIOWrapper(open_bytes(path), codec, "replace", newline="") as lines:
        if next(lines, "\n").endswith("\n"):
            return "\n"
        return "\r" if header or not any(line.endswith("\n") for line in lines) else "\n"


def _decoded(path: PathLike, codec: str, mark: bytes, end: str) -> Iterator[str]:
    if wide(codec) or end == "\r":
        with open_bytes(path) as f:
            f.read(len(mark))
            yield from io.TextIOWrapper(f, codec, newline=end)
        return
    with open_bytes(path) as f:  # line by line, so that an error can name its place
        f.read(len(mark))
        for raw in f:
            yield raw.decode(codec)
