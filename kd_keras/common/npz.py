"""``.npz`` files of arrays beside the key of what they were made from: read without pickle, damage told in one line."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from kd_keras.common.errors import UserError


@contextmanager
def open_npz(path: Path, what: str = "damaged", then: str = "") -> Iterator[np.lib.npyio.NpzFile]:
    """The arrays of ``path`` by name, inside of ``with``.

    Args:
      what: is wrong with the file, should it be.
      then: what to do about it.

    Raises:
      UserError: damaged: no file of arrays, or one that lacks an array, or holds another, than the block reads.
    """
    try:
        with np.load(path, allow_pickle=False) as saved:
            yield saved
    except (KeyError, ValueError, OSError, EOFError, zipfile.BadZipFile) as e:
        raise UserError(f"{path}: {what} ({e}){then}") from None
