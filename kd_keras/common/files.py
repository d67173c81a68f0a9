"""Files: what is asked for is there, and what is written appears whole, with errors a user can act on."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import importlib.util
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kd_keras.common.errors import UserError
from kd_keras.common.reading import PathLike, is_stream, open_raw, utf8_lines
from kd_keras.common.reading import open_bytes as open_bytes

# What is being written beside its place.
_unfinished: set[Path] = set()


def require_file(path: PathLike, what: str) -> Path:
    """``path`` as a Path, or UserError naming ``what`` ("--train_file") where it is no readable file and no pipe."""
    p = Path(path)
    if p.is_dir():
        raise UserError(f"{what}: {p} is a folder, expected a file")
    if p.is_char_device() or p.is_block_device():
        if not is_stream(p):
            raise UserError(f"{what}: {p} is a device, expected a file or a pipe")
    elif not (p.is_file() or is_stream(p)):
        raise UserError(f"{what}: no such file: {p}")
    return p


def package_folders(package: str) -> list[Path]:
    """Folders of an installed package, none where it is not installed. It is found, never imported."""
    spec = importlib.util.find_spec(package)
    return [Path(folder) for folder in (spec.submodule_search_locations or [])] if spec else []


@contextlib.contextmanager
def disk_errors(path: PathLike) -> Iterator[None]:
    """Turns "disk full", "not allowed" and their like into a UserError naming ``path``."""
    try:
        yield
    except OSError as e:
        if e.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise UserError(
                f"{path}: the disk is full ({e.strerror}); make room and run the same command: it resumes"
            ) from e
        if e.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
            raise UserError(f"{path}: cannot be written ({e.strerror})") from e
        raise


@contextlib.contextmanager
def atomic_path(path: PathLike) -> Iterator[Path]:
    """A temporary path beside ``path``, renamed onto it at the end: readers see all of it or none."""
    final = Path(path)
    temp = final.with_name(f".{final.name}.{os.getpid()}.tmp{final.suffix}")
    with disk_errors(final):
        final.parent.mkdir(parents=True, exist_ok=True)
        _unfinished.add(temp)
        try:
            yield temp
            with open(temp, "rb+") as f:
                os.fsync(f.fileno())
            os.replace(temp, final)
        finally:
            temp.unlink(missing_ok=True)
            _unfinished.discard(temp)


@contextlib.contextmanager
def atomic_dir(path: PathLike) -> Iterator[Path]:
    """Like :func:`atomic_path` for a folder; an older folder of that name is replaced."""
    final = Path(path)
    temp, old = (final.with_name(f".{final.name}.{os.getpid()}.{part}") for part in ("tmp", "old"))
    with disk_errors(final):
        shutil.rmtree(temp, ignore_errors=True)
        temp.mkdir(parents=True)
        _unfinished.add(temp)
        try:
            yield temp
            _unfinished.discard(temp)  # whole: between the two renames it is all there is
            if final.exists():  # a folder cannot be renamed onto a full one: the old one steps aside first
                os.replace(final, old)
            os.replace(temp, final)
            shutil.rmtree(old, ignore_errors=True)
        finally:
            shutil.rmtree(temp, ignore_errors=True)
            _unfinished.discard(temp)


def remove_unfinished() -> None:
    """For a process that ends now, without coming back to what it is writing."""
    for temp in list(_unfinished):
        shutil.rmtree(temp, ignore_errors=True) if temp.is_dir() else temp.unlink(missing_ok=True)


def write_text(path: PathLike, text: str) -> None:
    with atomic_path(path) as temp:
        temp.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: PathLike, value: Any) -> None:
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: PathLike) -> Any:
    """Parsed JSON; UserError naming line and column where it is none."""
    try:
        return json.loads("".join(utf8_lines(path)))
    except json.JSONDecodeError as e:
        raise UserError(f"{path}, line {e.lineno}, column {e.colno}: not JSON ({e.msg})") from None


def link_or_copy(source: PathLike, target: PathLike) -> None:
    """The same file under a second name; a copy where the file system cannot link."""
    with atomic_path(target) as temp:
        try:
            os.link(source, temp)
        except OSError:
            shutil.copyfile(source, temp)


def tail(text: str, limit: int = 60) -> str:
    """A short quotation of ``text`` for an error message."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def hash_of(*parts: Any, length: int = 16) -> str:
    """Hex digest of JSON-able parts: the same for the same settings, on every machine."""
    blob = json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
    return hashlib.sha256(blob).hexdigest()[:length]


def hash_of_columns(*columns: Any, length: int = 16) -> str:
    """:func:`hash_of` of long sequences (or None) that can be sliced, read piece by piece."""
    digest = hashlib.sha256()
    for n, column in enumerate(columns):
        digest.update(b"," if n else b"[")
        if column is None:
            digest.update(b"null")
            continue
        digest.update(b"[")
        for start in range(0, len(column), 10_000):
            part = column[start : start + 10_000]
            part = part.tolist() if hasattr(part, "tolist") else list(part)
            blob = json.dumps(part, ensure_ascii=False, separators=(",", ":"))[1:-1]
            digest.update(f"{',' if start else ''}{blob}".encode())
        digest.update(b"]")
    digest.update(b"]")
    return digest.hexdigest()[:length]


def differences(found: Any, wanted: Any, name: str = "") -> list[str]:
    """Each leaf in which two JSON-able values differ, as "name: X there, Y here"."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        keys = [*wanted, *(k for k in found if k not in wanted)]
        return [d for k in keys for d in differences(found.get(k), wanted.get(k), f"{name}.{k}" if name else k)]
    return [] if found == wanted else [f"{name}: {found} there, {wanted} here"]


def refuse_other(folder: PathLike, what: str, found: dict, wanted: dict) -> None:
    """UserError where ``folder`` holds a ``what`` of settings ``found``, which are not those ``wanted``."""
    if said := differences(found, wanted):
        raise UserError(
            f"--output_dir={folder}: holds a {what} with other settings ({'; '.join(said[:4])}); choose another "
            "folder, or delete this one"
        )


def sha256_file(path: PathLike) -> str:
    with open_raw(path) as f:
        return hashlib.file_digest(f, "sha256").hexdigest()
