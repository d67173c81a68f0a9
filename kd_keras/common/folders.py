"""A folder on this machine or in an object store: the operations that a store of signals needs.

An object store takes whole objects and cannot rename. So a file is finished in memory and then sent. As with a rename,
readers see the whole file or none.
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

# The schemes that pyarrow opens, and options that are added to the address. S3: one request writes a small object.
# GCS: a request is given up after a minute instead of 15. fsspec opens all other schemes.
_OPTIONS = {
    "s3": {"allow_delayed_open": "true"}, "gs": {"retry_limit_seconds": "60"}, "gcs": {"retry_limit_seconds": "60"},
    "abfs": {}, "abfss": {}, "hdfs": {}, "viewfs": {},
}  # fmt: skip
_FETCHED_AT_ONCE = 8
# A pattern in a library's error → what is wrong and what to do.
_MEANS = {
    r"NO_SUCH_BUCKET|bucket does not exist|Bucket '.*' not found": "there is no such bucket; make it, or give another "
    "address",
    r"ACCESS_DENIED|INVALID_ACCESS_KEY|INVALID_CLIENT_TOKEN|SIGNATURE_DOES_NOT_MATCH|EXPIRED|UNAUTH|PERMISSION_DENIED"
    r"|[Cc]redential|OAuth2|AccessDenied|Forbidden": "not allowed; the usual environment gives credentials "
    "(AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, GOOGLE_APPLICATION_CREDENTIALS, …)",
    r"Protocol not known": "no installed library opens such an address; expected s3://, gs://, or another scheme of "
    "fsspec with its package",
    r"NETWORK_CONNECTION|resolve host|UNAVAILABLE|[Tt]imed? ?out|connect": "cannot be reached; look at the network "
    "and AWS_ENDPOINT_URL; what was finished is kept, and the same command goes on",
}  # fmt: skip


def folder_at(place: PathLike | Folder, what: str) -> Folder:
    """The folder at a path or address. Errors call it ``what``.

    >>> folder_at("signals", "--signals") / "train"
    Folder('signals/train')

    Raises:
      UserError: no installed library can open the address.
    """
    if isinstance(place, Folder):
        return place
    name = here_or_away(place, what)
    return Away(name) if is_address(name) else Folder(name)


class Folder:
    """A folder on this machine's disks, mounted ones included.

    Attributes:
      path: of the folder.
      is_here: whether the files are on this machine.
    """

    is_here = True

    def __init__(self, path: PathLike, called: str | None = None):
        """``called``: the name in errors; the path if not given."""
        self.path, self._called = Path(path), called

    def __str__(self) -> str:
        return self._called or str(self.path)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __truediv__(self, name: str) -> Folder:
        return Folder(self.path / name)

    def address(self) -> str:
        """Another process opens the folder by this."""
        return str(self.path.resolve())

    def exists(self) -> bool:
        return self.path.exists()

    def names(self) -> set[str]:
        """Names of the files and folders in it; none if it does not exist. Raises UserError if it has no bucket."""
        return {p.name for p in self.path.iterdir()} if self.path.is_dir() else set()

    def has(self, name: str) -> bool:
        return (self.path / name).is_file()

    def check_writable(self, what: str) -> None:
        """Raises UserError if nothing can be written here. Called before long work; ``what`` is the flag."""
        check_output_dir(self.path, what)

    def open(self, name: str) -> Any:
        """A file for pyarrow. Raises OSError if it does not exist."""
        import pyarrow as pa

        return pa.OSFile(str(self.path / name))

    @contextlib.contextmanager
    def writing(self, name: str) -> Iterator[IO[bytes]]:
        """An open file. Its content appears at ``name`` when the block ends without an error."""
        # pyarrow gets an open file, because it takes a name with ":" for an address.
        with files.atomic_path(self.path / name) as temp, open(temp, "wb") as file:
            yield file

    def read_json(self, name: str) -> Any:
        return files.read_json(self.path / name)

    def write_json(self, name: str, value: Any) -> None:
        files.write_json(self.path / name, value)

    def sha256(self, name: str) -> str | None:
        """Hex digest of a file; None if it does not exist."""
        return files.sha256_file(self.path / name) if self.has(name) else None

    def here(self, hashes: Mapping[str, str], others: Sequence[str] = ()) -> Folder:
        """A folder on this machine that has these files: this folder itself.

        Args:
          hashes: name → SHA-256.
          others: names of more files, whose SHA-256 is not known.
        """
        return self

    def tidy(self) -> None:
        """Removes the unfinished files of killed processes."""
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
        """Writes an empty object and deletes it."""
        probe = "writable"
        with self._errors(called=f"{what}={self}"):
            self._put(probe, b"")
        with contextlib.suppress(OSError):  # some may write but not delete
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
        """A copy in the cache. Errors name the object store. A file that already has its SHA-256 is not fetched again.

        The copy is not verified: an object with another SHA-256 is copied too. A file that does not exist is left out.
        """
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
        """Does nothing: a killed process leaves no part of an object."""

    def _of(self, name: str) -> str:
        return f"{self._path}/{name}"

    def _get(self, name: str) -> Any:
        """A buffer of the whole object. Raises FileNotFoundError if it does not exist."""
        with self._errors(name), self._files.open_input_stream(self._of(name)) as stream:
            return stream.read_buffer()

    def _put(self, name: str, content: Any) -> None:
        with self._files.open_output_stream(self._of(name)) as stream:
            stream.write(content)

    @contextlib.contextmanager
    def _errors(self, name: str = "", called: str = "") -> Iterator[None]:
        """Turns the libraries' errors into a UserError of one line, except FileNotFoundError."""
        try:
            yield
        except FileNotFoundError:
            raise
        except (OSError, ValueError, ImportError) as e:
            raise UserError(f"{called or self}{name and f'/{name}'}: {_meaning(e)}") from None


def _meaning(e: Exception) -> str:
    """What is wrong and what to do, with a short quotation of the error."""
    said = " ".join(str(e).split())
    aws = re.search(r"AWS Error \w+", said)
    detail = aws[0] if aws else files.tail(said, 100)
    for pattern, means in _MEANS.items():
        if re.search(pattern, said):
            return f"{means} ({detail})"
    return detail if aws is None else files.tail(said[aws.start() :], 100)


@cache
def _opened(address: str) -> tuple[Any, str]:
    """pyarrow's file system for an address, and the path in it."""
    from pyarrow.fs import FileSystem

    parts = urlsplit(address)
    if parts.scheme not in _OPTIONS:
        return FileSystem.from_uri(f"fsspec+{address}")
    told = _OPTIONS[parts.scheme] | dict(parse_qsl(parts.query))
    return FileSystem.from_uri(urlunsplit(parts._replace(query=urlencode(told))))
