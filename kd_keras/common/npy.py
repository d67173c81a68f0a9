"""Writes ``.npy`` files piece by piece, without the whole array in memory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

import numpy as np

_BLOCK = 1 << 20


class NpyWriter:
    """A ``.npy`` file that grows at its end. Memory holds only what was added last.

    Use it in a ``with`` statement; its end writes the number of items.

    Args:
      path: the file; an old one is overwritten.
      dtype: the values' dtype.
      width: values in an item; None if an item is a single value.
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
        # NumPy reserves room in it for a larger number.
        shape = (self._count,) if self._width is None else (self._count, self._width)
        about = {"descr": np.lib.format.dtype_to_descr(self._dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._file, about)

    def add(self, values: np.ndarray) -> int:
        """Appends items and returns where they begin. Raises ValueError if their dtype or width differs."""
        shape = () if self._width is None else (self._width,)
        if values.dtype != self._dtype or values.shape[1:] != shape:
            raise ValueError(f"expected {self._dtype} items of shape {shape}, found {values.dtype} {values.shape[1:]}")
        self._file.write(np.ascontiguousarray(values).data)
        self._count += len(values)
        return self._count - len(values)


def put_rows(path: Path, where: np.ndarray, values: np.ndarray, rows: int) -> None:
    """Writes [n, width] ``values`` at rows ``where`` of the array [rows, width] in the ``.npy`` file ``path``.

    A missing or empty file is made, at its full size: OSError if the disk is full. The file is mapped only during this
    call, as mapped pages count as memory of the process.
    """
    if path.exists() and path.stat().st_size:
        array = np.load(path, mmap_mode="r+")
    else:
        array = np.lib.format.open_memmap(path, "w+", values.dtype, (rows, *values.shape[1:]))
        with open(path, "rb+") as file:
            _reserve(file, array.offset, path.stat().st_size)
    array[where] = values


def _reserve(file: BinaryIO, start: int, size: int) -> None:
    """Reserves room on the disk for a file. Without it, a full disk would kill the process at a mapped page.

    macOS and Windows have no posix_fallocate, so zeros are written from ``start`` on.
    """
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)
        return
    file.seek(start)
    for place in range(start, size, _BLOCK):
        file.write(bytes(min(_BLOCK, size - place)))
