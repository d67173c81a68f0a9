"""Reads ``.npz`` files of arrays and the key that they were made from. It uses no pickle, and reports damage in one
line."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from kd_keras.common.errors import UserError


@contextmanager
def open_npz(path: Path, what: str = "damaged", then: str = "") -> Iterator[np.lib.npyio.NpzFile]:
    """Gives the arrays of ``path`` by name, inside ``with``.

    Args:
      what: the error's words if the file is damaged.
      then: what to do about it.

    Raises:
      UserError: the file is damaged: it holds no arrays, or the block finds an array missing or wrong.
    """
    try:
        with np.load(path, allow_pickle=False) as saved:
            yield saved
    except (KeyError, ValueError, OSError, EOFError, zipfile.BadZipFile) as e:
        raise UserError(f"{path}: {what} ({e}){then}") from None
