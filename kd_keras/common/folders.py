"""A folder on this machine or in an object store, as far as a store of signals needs one.

An object store takes whole objects and renames none. So a file is made whole in memory before it is sent: readers see
all of it or none, as they do with a rename.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import IO, Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from kd_keras.common import files
from kd_keras.common.errors import UserError
from kd_keras.common.places import cache_dir, check_output_dir, here_or_away, is_address
from kd_keras.common.progress import progress
from kd_keras.common.reading import PathLike

# What pyarrow opens by itself, with what it is told beyond the address: one put for a small object, and seconds until
# an endpoint that never answers is given up, which would be 15 minutes. Other addresses are fsspec's.
_TOLD = {
    "s3": {"allow_delayed_open": "true"}, "gs": {"retry_limit_seconds": "60"}, "gcs": {"retry_limit_seconds": "60"},
    "abfs": {}, "abfss": {}, "hdfs": {}, "viewfs": {},
}  # fmt: skip
_FETCHED_AT_ONCE = 8
# What an error has in it → what it means, and what to do.
_MEANS = {
    r"NO_SUCH_BUCKET|bucket does not exist|Bucket '.*' not found": "there is no such bucket; make it, or give another "
    "address",
    r"ACCESS_DENIED|INVALID_ACCESS_KEY|INVALID_CLIENT_TOKEN|SIGNATURE_DOES_NOT_MATCH|EXPIRED|UNAUTH|PERMISSION_DENIED"
    r"|[Cc]redential|OAuth2|AccessDenied|Forbidden": "not allowed; the usual environment gives credentials "
    "(AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, GOOGLE_APPLICATION_CREDENTIALS, …)",
    r"NETWORK_CONNECTION|resolve host|UNAVAILABLE|[Tt]imed? ?out|connect": "cannot be reached; look at the network "
    "and AWS_ENDPOINT_URL; what was finished is kept, and the same command goes on",
}  # fmt: skip


def folder_at(place: PathLike | Folder, what: str) -> Folder:
    """The folder at a path or address, called ``what`` in errors.

    >>> folder_at("signals", "--signals") / "train"
    Folder('signals/train')

    Raises:
      UserError: an address that no library here can open.
    """
    if isinstance(place, Folder):
        return place
    name = here_or_away(place, what)
    return Away(name) if is_address(name) else Folder(name)


class Folder:
    """A folder on this machine, or on a disk that it has mounted.

    Attributes:
      path: where it is.
    """

    is_here = True

    def __init__(self, path: PathLike, called: str | None = None):
        self.path, self._called = Path(path), called

    def __str__(self) -> str:
        return self._called or str(self.path)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __truediv__(self, name: str) -> Folder:
        return Folder(self.path / name)

    def address(self) -> str:
        """By which another process finds it."""
        return str(self.path.resolve())

    def exists(self) -> bool:
        return self.path.exists()

    def names(self) -> set[str]:
        """Of what lies in it; nothing where it is not there. UserError where its bucket is not there."""
        return {p.name for p in self.path.iterdir()} if self.path.is_dir() else set()

    def has(self, name: str) -> bool:
        return (self.path / name).is_file()

    def check_writable(self, what: str) -> None:
        """Before long work: UserError where nothing can be written here. ``what``: the flag."""
        check_output_dir(self.path, what)

    def open(self, name: str) -> Any:
        """A file for pyarrow. Raises OSError where it is not there."""
        import pyarrow as pa

        return pa.OSFile(str(self.path / name))

    @contextlib.contextmanager
    def writing(self, name: str) -> Iterator[IO[bytes]]:
        """An open file whose content is at ``name`` in the end: readers see all of it or none."""
        # An open file, as pyarrow would take a name with ":" for an address.
        with files.atomic_path(self.path / name) as temp, open(temp, "wb") as file:
            yield file

    def read_json(self, name: str) -> Any:
        return files.read_json(self.path / name)

    def write_json(self, name: str, value: Any) -> None:
        files.write_json(self.path / name, value)

    def sha256(self, name: str) -> str | None:
        """None where it is not there."""
        return files.sha256_file(self.path / name) if self.has(name) else None

    def here(self, hashes: Mapping[str, str], others: Sequence[str] = ()) -> Folder:
        """These files on this machine: this folder itself.

        Args:
          hashes: name → SHA-256.
          others: names whose SHA-256 is not known.
        """
        return self

    def tidy(self) -> None:
        """Removes what killed processes were writing."""
        files.remove_left_behind(self.path)


class Away(Folder):
    """A folder of an object store: the objects whose names begin with its address and "/"."""

    is_here = False

    def __init__(self, address: str):
        self._address = address
        parts = urlsplit(address)
        self._called = urlunsplit((parts.scheme, parts.netloc, parts.path, "", ""))
        with self._errors():
            self._files, path = _opened(address)
        self._path = path.rstrip("/")

    def __truediv__(self, name: str) -> Folder:
        parts = urlsplit(self._address)
        return Away(urlunsplit(parts._replace(path=f"{parts.path}/{name}")))

    def address(self) -> str:
        return self._address

    def exists(self) -> bool:
        with self._errors():
            return bool(self._files.get_file_info(self._path).type)

    def names(self) -> set[str]:
        from pyarrow.fs import FileSelector

        try:
            with self._errors():
                return {found.base_name for found in self._files.get_file_info(FileSelector(self._path))}
        except FileNotFoundError:
            return set()

    def has(self, name: str) -> bool:
        with self._errors(name):
            return self._files.get_file_info(self._of(name)).is_file

    def check_writable(self, what: str) -> None:
        """Puts an empty object and takes it away again."""
        probe = "writable"
        with self._errors(called=f"{what}={self}"):
            self._put(probe, b"")
        with contextlib.suppress(OSError):  # who may write need not be one who may delete
            self._files.delete_file(self._of(probe))

    def open(self, name: str) -> Any:
        import pyarrow as pa

        return pa.BufferReader(self._get(name))

    @contextlib.contextmanager
    def writing(self, name: str) -> Iterator[IO[bytes]]:
        import pyarrow as pa

        sink = pa.BufferOutputStream()
        yield sink
        with self._errors(name):
            self._put(name, sink.getvalue())

    def read_json(self, name: str) -> Any:
        try:
            return json.loads(self._get(name).to_pybytes())
        except ValueError as e:
            raise UserError(f"{self}/{name}: not JSON ({e})") from None

    def write_json(self, name: str, value: Any) -> None:
        with self.writing(name) as file:
            file.write(files.json_text(value).encode())

    def sha256(self, name: str) -> str | None:
        try:
            return hashlib.sha256(self._get(name)).hexdigest()
        except FileNotFoundError:
            return None

    def here(self, hashes: Mapping[str, str], others: Sequence[str] = ()) -> Folder:
        """A copy in the cache, of the same name in errors. What is there with its SHA-256 is not fetched again; what
        has another SHA-256 now is copied as it is."""
        copy = Folder(cache_dir() / f"away-{files.hash_of(str(self), dict(hashes))}", str(self))

        def fetch(name: str) -> None:
            if name in hashes and copy.sha256(name) == hashes[name]:
                return
            with contextlib.suppress(FileNotFoundError):
                content = self._get(name)
                with copy.writing(name) as file:
                    file.write(content)

        pool = ThreadPoolExecutor(_FETCHED_AT_ONCE)
        try:
            with progress(len(hashes) + len(others), f"fetching {self}", "files") as bar:
                for _ in pool.map(fetch, [*hashes, *others]):
                    bar.update()
        finally:
            pool.shutdown(cancel_futures=True)
        return copy

    def tidy(self) -> None:
        """A killed process leaves nothing of an object."""

    def _of(self, name: str) -> str:
        return f"{self._path}/{name}"

    def _get(self, name: str) -> Any:
        """A buffer of the whole object. Raises FileNotFoundError where there is none."""
        with self._errors(name), self._files.open_input_stream(self._of(name)) as stream:
            return stream.read_buffer()

    def _put(self, name: str, content: Any) -> None:
        with self._files.open_output_stream(self._of(name)) as stream:
            stream.write(content)

    @contextlib.contextmanager
    def _errors(self, name: str = "", called: str = "") -> Iterator[None]:
        """Turns what the libraries say into one line of a UserError; FileNotFoundError stays what it is."""
        try:
            yield
        except FileNotFoundError:
            raise
        except (OSError, ValueError, ImportError) as e:
            raise UserError(f"{called or self}{name and f'/{name}'}: {_meaning(e)}") from None


def _meaning(e: Exception) -> str:
    """What an error means and what to do, with its own words in short."""
    said = " ".join(str(e).split())
    aws = re.search(r"AWS Error \w+", said)
    detail = aws[0] if aws else files.tail(said, 100)
    for pattern, means in _MEANS.items():
        if re.search(pattern, said):
            return f"{means} ({detail})"
    return detail if aws is None else files.tail(said[aws.start() :], 100)


@cache
def _opened(address: str) -> tuple[Any, str]:
    """pyarrow's file system of an address, and the path in it."""
    from pyarrow.fs import FileSystem

    parts = urlsplit(address)
    if parts.scheme not in _TOLD:
        return FileSystem.from_uri(f"fsspec+{address}")
    told = _TOLD[parts.scheme] | dict(parse_qsl(parts.query))
    return FileSystem.from_uri(urlunsplit(parts._replace(query=urlencode(told))))
