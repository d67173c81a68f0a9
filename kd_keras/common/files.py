"""Files: what is asked for is there, and what is written appears whole, with errors a user can act on."""

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

# Processes of several machines may write beside one place, and have one number.
_HOST = f"{zlib.crc32(socket.gethostname().encode()):08x}"
# No terminal that takes the process over (POSIX), no line ends that are changed (Windows).
_BYTES_ONLY = getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)
# What is being written beside its place.
_unfinished: set[Path] = set()
# Whether what this process writes is thrown away: another one, which does the same, writes it.
_read_only = False


def read_only(on: bool) -> None:
    """From now on nothing that is written here stays, or things are as usual again."""
    global _read_only
    _read_only = on


@contextlib.contextmanager
def _thrown_away(path: PathLike, folder: bool) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as place:
        temp = Path(place) / Path(path).name
        temp.mkdir() if folder else temp.touch()
        yield temp


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
def atomic_path(path: PathLike) -> Iterator[Path]:
    """A temporary path, whose content is at ``path`` in the end: readers see all of it or none.

    It lies beside ``path`` and is renamed onto it, or onto what a link leads to; mode and owner of the file that it
    replaces stay. What cannot be replaced (a device, a pipe, a file in a folder that is not ours) is written into.
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
                if e.errno != errno.EBUSY or not there:  # a file that is mounted, as containers do
                    raise
                _pour(temp, final, None)
        finally:
            temp.unlink(missing_ok=True)
            _unfinished.discard(temp)


def _renames(there: os.stat_result, folder: Path) -> bool:
    """Whether what is ``there``, in ``folder``, can be replaced by another file that is like it."""
    ours = not hasattr(os, "geteuid") or os.geteuid() in (0, there.st_uid)  # Windows knows no users by number
    return stat.S_ISREG(there.st_mode) and ours and os.access(folder, os.W_OK | os.X_OK)


def _empty(final: Path, there: os.stat_result | None, away: bool) -> Path:
    """A temporary file beside ``final``, or ``away``, where such files are. Nobody else reads what will be private.

    It ends as ``final`` does: by that some writers know what to write.
    """
    suffix = final.suffix if len(final.suffix) < 20 else ""
    if away:
        made, name = tempfile.mkstemp(suffix=suffix)
        os.close(made)
        return Path(name)
    final.parent.mkdir(parents=True, exist_ok=True)
    temp = _beside(final, f"tmp{suffix}")
    temp.unlink(missing_ok=True)  # of a killed process that had our number
    os.close(os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if there else 0o666))
    return temp


def _beside(final: Path, part: str) -> Path:
    name = os.fsdecode(os.fsencode(final.name)[:200])  # names end at 255 bytes
    return final.with_name(f".{name}.{_HOST}-{os.getpid()}.{part}")


def _keep(there: os.stat_result, temp: Path) -> None:
    """Gives ``temp`` the owner and the mode of what it replaces."""
    made = temp.stat()
    if made.st_nlink > 1:  # a second name for a file that has its own
        return
    if (made.st_uid, made.st_gid) != (there.st_uid, there.st_gid):
        _give(temp, there)
    os.chmod(temp, stat.S_IMODE(there.st_mode))


def _give(temp: Path, there: os.stat_result) -> None:
    """The owner and the group of what is ``there``, as far as this is allowed."""
    with contextlib.suppress(PermissionError, AttributeError):  # a group that we are not in; Windows
        os.chown(temp, there.st_uid, there.st_gid)


def _pour(temp: Path, final: Path, stream: int | None) -> None:
    """Writes the content of ``temp`` into what is at ``final``, or into an open file of this process."""
    into = os.open(final, os.O_WRONLY | os.O_TRUNC | _BYTES_ONLY) if stream is None else os.dup(stream)
    with open(into, "wb") as f, open(temp, "rb") as source:
        shutil.copyfileobj(source, f)


@contextlib.contextmanager
def atomic_dir(path: PathLike) -> Iterator[Path]:
    """Like :func:`atomic_path` for a folder; an older folder of that name, or that a link leads to, is replaced."""
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
            _unfinished.discard(temp)  # whole: between the two renames it is all there is
            if final.exists():  # a folder cannot be renamed onto a full one: the old one steps aside first
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
    """For a process that ends now, without coming back to what it is writing."""
    for temp in list(_unfinished):
        shutil.rmtree(temp, ignore_errors=True) if temp.is_dir() else temp.unlink(missing_ok=True)


def remove_left_behind(folder: Path) -> None:
    """Removes what killed processes of this machine were writing in ``folder``.

    Not on Windows, where asking for a process by ``os.kill`` would end it.
    """
    if os.name == "nt":
        return
    for temp in folder.glob(f".*.{_HOST}-*.tmp*"):
        number = temp.name.rpartition(f".{_HOST}-")[2].partition(".")[0]
        try:
            os.kill(int(number), 0)
        except (ProcessLookupError, ValueError):
            temp.unlink(missing_ok=True)
        except PermissionError:  # somebody else's, and alive
            pass


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
        temp.unlink()
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
