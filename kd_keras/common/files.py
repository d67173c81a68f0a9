"""Checks files before they are read, and writes them whole or not at all. Errors say what to do."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import importlib.util
import json
import os
import shutil
import socket
import stat
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kd_keras.common import places
from kd_keras.common.disk import disk_errors
from kd_keras.common.errors import UserError
from kd_keras.common.reading import PathLike, is_stream, open_raw, utf8_lines

# Processes of two machines may have one number and write in one folder.
_HOST = f"{zlib.crc32(socket.gethostname().encode()):08x}"
# POSIX: no terminal takes over the process. Windows: line ends stay as they are.
_BYTES_ONLY = getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)
# Temporary files that are being written.
_unfinished: set[Path] = set()
# Whether this process discards what it writes, because another one writes the same.
_read_only = False


def read_only(on: bool) -> None:
    """Sets whether this process discards what it writes."""
    global _read_only
    _read_only = on


@contextlib.contextmanager
def _thrown_away(path: PathLike, folder: bool) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as place:
        temp = Path(place) / Path(path).name
        temp.mkdir() if folder else temp.touch()
        yield temp


def require_file(path: PathLike, what: str) -> Path:
    """``path`` as a Path. Raises UserError that names ``what`` ("--train_file") if it is no readable file or pipe."""
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
    """Folders of an installed package; none if it is not installed. The package is not imported."""
    spec = importlib.util.find_spec(package)
    return [Path(folder) for folder in (spec.submodule_search_locations or [])] if spec else []


@contextlib.contextmanager
def atomic_path(path: PathLike) -> Iterator[Path]:
    """Gives a temporary path, which becomes ``path`` at the end. Readers see the whole file or none.

    The file lies beside ``path`` and is renamed onto it, or onto the target of a link. The mode and owner of the
    replaced file stay. A device, a pipe, or a file in a folder of another user cannot be replaced; it is written into.
    """
    if _read_only:
        with _thrown_away(path, folder=False) as temp:
            yield temp
        return
    final, stream = places.linked(path), places.descriptor(path)
    with disk_errors(path):
        with disk_errors(path, whatever=True):
            there = None
            if stream is None:
                with contextlib.suppress(FileNotFoundError):
                    there = os.stat(path)
            if there and stat.S_ISDIR(there.st_mode):
                raise IsADirectoryError(errno.EISDIR, "it is a folder, expected a file")
            into = stream is not None or (there is not None and not _renames(there, final.parent))
            temp = _empty(final, there, into)
        _unfinished.add(temp)
        try:
            yield temp
            if into:
                _pour(temp, final, stream)
                return
            with open(temp, "rb+") as f:
                os.fsync(f.fileno())
            if there:
                _keep(there, temp)
            try:
                os.replace(temp, final)
            except OSError as e:
                if e.errno != errno.EBUSY or not there:  # a mounted file, as in containers
                    raise
                _pour(temp, final, None)
        finally:
            temp.unlink(missing_ok=True)
            _unfinished.discard(temp)


def _renames(there: os.stat_result, folder: Path) -> bool:
    """Whether the file at ``there``, in ``folder``, can be replaced by one with the same owner and mode."""
    ours = not hasattr(os, "geteuid") or os.geteuid() in (0, there.st_uid)  # Windows has no user numbers
    return stat.S_ISREG(there.st_mode) and ours and os.access(folder, os.W_OK | os.X_OK)


def _empty(final: Path, there: os.stat_result | None, away: bool) -> Path:
    """A temporary path beside ``final``, or in the folder of temporary files if ``away``. Other users cannot read it.

    It has the extension of ``final``, by which some writers choose the format.
    """
    suffix = final.suffix if len(final.suffix) < 20 else ""
    if away:
        made, name = tempfile.mkstemp(suffix=suffix)
        os.close(made)
        return Path(name)
    final.parent.mkdir(parents=True, exist_ok=True)
    temp = _beside(final, f"tmp{suffix}")
    temp.unlink(missing_ok=True)  # from a killed process with our number
    os.close(os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if there else 0o666))
    return temp


def _beside(final: Path, part: str) -> Path:
    name = os.fsdecode(os.fsencode(final.name)[:200])  # names have at most 255 bytes
    return final.with_name(f".{name}.{_HOST}-{os.getpid()}.{part}")


def _keep(there: os.stat_result, temp: Path) -> None:
    """Gives ``temp`` the owner and mode of the file that it replaces."""
    made = temp.stat()
    if made.st_nlink > 1:  # a hard link: the file keeps its own owner and mode
        return
    if (made.st_uid, made.st_gid) != (there.st_uid, there.st_gid):
        _give(temp, there)
    os.chmod(temp, stat.S_IMODE(there.st_mode))


def _give(temp: Path, there: os.stat_result) -> None:
    """Gives ``temp`` the owner and group of the file at ``there``, as far as this is allowed."""
    with contextlib.suppress(PermissionError, AttributeError):  # for a group that we are not in, and on Windows
        os.chown(temp, there.st_uid, there.st_gid)


def _pour(temp: Path, final: Path, stream: int | None) -> None:
    """Writes the content of ``temp`` into ``final``, or into an open file of this process."""
    into = os.open(final, os.O_WRONLY | os.O_TRUNC | _BYTES_ONLY) if stream is None else os.dup(stream)
    with open(into, "wb") as f, open(temp, "rb") as source:
        shutil.copyfileobj(source, f)


@contextlib.contextmanager
def atomic_dir(path: PathLike) -> Iterator[Path]:
    """Like :func:`atomic_path` for a folder. It replaces a folder of that name, or the target of a link."""
    if _read_only:
        with _thrown_away(path, folder=True) as temp:
            yield temp
        return
    final = places.linked(path)
    temp, old = (_beside(final, part) for part in ("tmp", "old"))
    with disk_errors(path):
        shutil.rmtree(temp, ignore_errors=True)
        with disk_errors(path, whatever=True):
            if final.exists() and not final.is_dir():
                raise NotADirectoryError(errno.ENOTDIR, "it is a file, expected a folder")
            temp.mkdir(parents=True)
        _unfinished.add(temp)
        try:
            yield temp
            _unfinished.discard(temp)  # keeps it whole: between the two renames there is no other copy
            if final.exists():  # a folder cannot be renamed onto a full one: the old one is renamed first
                there = final.stat()
                _give(temp, there)
                os.chmod(temp, stat.S_IMODE(there.st_mode))
                os.replace(final, old)
            os.replace(temp, final)
            shutil.rmtree(old, ignore_errors=True)
        finally:
            shutil.rmtree(temp, ignore_errors=True)
            _unfinished.discard(temp)


def remove_unfinished() -> None:
    """Removes the temporary files of a process that ends now."""
    for temp in list(_unfinished):
        shutil.rmtree(temp, ignore_errors=True) if temp.is_dir() else temp.unlink(missing_ok=True)


def remove_left_behind(folder: Path) -> None:
    """Removes the temporary files that killed processes of this machine left in ``folder``.

    It does nothing on Windows, where ``os.kill`` would end the process that it asks about.
    """
    if os.name == "nt":
        return
    for temp in folder.glob(f".*.{_HOST}-*.tmp*"):
        number = temp.name.rpartition(f".{_HOST}-")[2].partition(".")[0]
        try:
            os.kill(int(number), 0)
        except (ProcessLookupError, ValueError):
            temp.unlink(missing_ok=True)
        except PermissionError:  # a running process of another user
            pass


def write_text(path: PathLike, text: str) -> None:
    with atomic_path(path) as temp:
        temp.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: PathLike, value: Any) -> None:
    write_text(path, json_text(value))


def json_text(value: Any) -> str:
    """What :func:`write_json` writes."""
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def read_json(path: PathLike) -> Any:
    """Parsed JSON. Raises UserError that names line and column if the file is not JSON."""
    try:
        return json.loads("".join(utf8_lines(path)))
    except json.JSONDecodeError as e:
        raise UserError(f"{path}, line {e.lineno}, column {e.colno}: not JSON ({e.msg})") from None


def link_or_copy(source: PathLike, target: PathLike) -> None:
    """Links a file under a second name, or copies it if the file system has no links."""
    with atomic_path(target) as temp:
        temp.unlink()
        try:
            os.link(source, temp)
        except OSError:
            shutil.copyfile(source, temp)


def tail(text: str, limit: int = 60) -> str:
    """A short quotation of ``text`` for an error message."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def hash_of(*parts: Any, length: int = 16) -> str:
    """Hex digest of JSON-able parts: equal settings give equal digests on every machine."""
    blob = json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
    return hashlib.sha256(blob).hexdigest()[:length]


def hash_of_columns(*columns: Any, length: int = 16) -> str:
    """:func:`hash_of` for long sequences (or None). They are sliced and read piece by piece."""
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
    """Each leaf where two JSON-able values differ, as "name: X there, Y here"."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        keys = [*wanted, *(k for k in found if k not in wanted)]
        return [d for k in keys for d in differences(found.get(k), wanted.get(k), f"{name}.{k}" if name else k)]
    return [] if found == wanted else [f"{name}: {found} there, {wanted} here"]


def refuse_other(folder: PathLike, what: str, found: dict, wanted: dict) -> None:
    """Raises UserError if ``folder`` holds a ``what`` with settings ``found`` that differ from ``wanted``."""
    if said := differences(found, wanted):
        raise UserError(
            f"--output_dir={folder}: holds a {what} with other settings ({'; '.join(said[:4])}); choose another "
            "folder, or delete this one"
        )


def sha256_file(path: PathLike) -> str:
    with open_raw(path) as f:
        return hashlib.file_digest(f, "sha256").hexdigest()
