"""``.npy`` files that are written piece by piece, without the whole array in memory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

import numpy as np

_BLOCK = 1 << 20


class NpyWriter:
    """A ``.npy`` file that grows at its end, of which memory holds no more than what was added last.

    Use it in a ``with`` statement, whose end writes how much there is.

    Args:
      path: written anew.
      dtype: of the values.
      width: of an item; None: items are single values.
    """

    def __init__(self, path: Path, dtype: np.dtype, width: int | None):
        self._dtype, self._width, self._count = np.dtype(dtype), width, 0
        self._file = open(path, "wb")  # noqa: SIM115, closed by __exit__
        self._header()

    def __enter__(self) -> NpyWriter:
        return self

    def __exit__(self, *error: object) -> None:
        with self._file:
            self._file.seek(0)
            self._header()

    def _header(self) -> None:
        # NumPy leaves room in it for a number that grows.
        shape = (self._count,) if self._width is None else (self._count, self._width)
        about = {"descr": np.lib.format.dtype_to_descr(self._dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._file, about)

    def add(self, values: np.ndarray) -> int:
        """Appends items and returns where they begin; ValueError where they are of another dtype or width."""
        shape = () if self._width is None else (self._width,)
        if values.dtype != self._dtype or values.shape[1:] != shape:
            raise ValueError(f"expected {self._dtype} items of shape {shape}, found {values.dtype} {values.shape[1:]}")
        self._file.write(np.ascontiguousarray(values).data)
        self._count += len(values)
        return self._count - len(values)


def put_rows(path: Path, where: np.ndarray, values: np.ndarray, rows: int) -> None:
    """Writes [n, width] ``values`` at rows ``where`` of the array [rows, width] in the ``.npy`` file ``path``.

    The file is made where there is none, or an empty one, and has its room from then on: OSError if the disk is full.
    It is mapped for this call alone: mapped pages count as the process's memory.
    """
    if path.exists() and path.stat().st_size:
        array = np.load(path, mmap_mode="r+")
    else:
        array = np.lib.format.open_memmap(path, "w+", values.dtype, (rows, *values.shape[1:]))
        with open(path, "rb+") as file:
            _reserve(file, array.offset, path.stat().st_size)
    array[where] = values


def _reserve(file: BinaryIO, start: int, size: int) -> None:
    """Takes room on the disk for a file: a mapped page that finds none would kill the process.

    macOS and Windows have no posix_fallocate; there zeros are written from ``start`` on.
    """
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)
        return
    file.seek(start)
    for place in range(start, size, _BLOCK):
        file.write(bytes(min(_BLOCK, size - place)))
