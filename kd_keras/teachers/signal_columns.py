"""Columns of a signal store: arrays to Arrow and back, in the order of a split's rows.

A row column has the same number of values for each text (logits, a sentence vector). A token column has a variable
number (logits or states of each word). Both are float32 or float16.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from kd_keras.common import files
from kd_keras.common.columns import MappedArray
from kd_keras.common.npy import NpyWriter, put_rows
from kd_keras.common.ragged import Ragged

LOGITS = "logits"
ROW, TOKEN = KINDS = ("row", "token")
DTYPES = ("float32", "float16")


@dataclass(frozen=True)
class Column:
    """How one column of signals is kept.

    >>> Column("token", "float16").encode(Ragged.of([np.ones(2), np.zeros(0)])).to_pylist()
    [[1.0, 1.0], []]

    Attributes:
      kind: "row" for float[texts, width], or "token" for :class:`Ragged` of [items] or [items, width].
      dtype: "float32" or "float16".

    Raises:
      ValueError: the kind or the dtype is unknown.
    """

    kind: str
    dtype: str

    def __post_init__(self) -> None:
        if self.kind not in KINDS or self.dtype not in DTYPES:
            raise ValueError(f"a column of {self.kind!r}, {self.dtype!r}: expected one of {KINDS} and of {DTYPES}")

    def encode(self, values: np.ndarray | Ragged) -> pa.Array:
        """A fixed-size list, or a list, for each text. Raises ValueError if ``values`` are not of this kind."""
        if isinstance(values, Ragged) != (self.kind == TOKEN):
            raise ValueError(f"a {self.kind} column of {type(values).__name__}")
        if isinstance(values, Ragged):
            flat = values.flat()
            offsets = pa.array(np.concatenate([[0], np.cumsum(values.lengths)]), pa.int32())
            return pa.ListArray.from_arrays(offsets, self._numbers(flat) if flat.ndim == 1 else self._vectors(flat))
        return self._vectors(values)

    def decode(self, column: pa.ChunkedArray) -> np.ndarray | Ragged:
        """The values that :meth:`encode` got, in ``dtype``. Raises ValueError if the column holds something else."""
        array = column.combine_chunks()
        is_kind = pa.types.is_fixed_size_list if self.kind == ROW else pa.types.is_list
        inner = array.type.value_type if is_kind(array.type) else None
        vectors = self.kind == TOKEN and inner is not None and pa.types.is_fixed_size_list(inner)
        if (inner.value_type if vectors else inner) != self._type or array.null_count:
            raise ValueError(f"expected a {self.kind} column of {self.dtype} without gaps, found {column.type}")
        if self.kind == ROW:
            return _matrix(array)
        items = array.flatten()
        numbers = _matrix(items) if vectors else items.to_numpy(zero_copy_only=False)
        return Ragged.cut(numbers, array.value_lengths().to_numpy(zero_copy_only=False).astype(np.int64))

    @property
    def _type(self) -> pa.DataType:
        return pa.from_numpy_dtype(self.dtype)

    def _numbers(self, values: np.ndarray) -> pa.Array:
        return pa.array(values.reshape(-1).astype(self.dtype, copy=False), self._type)

    def _vectors(self, values: np.ndarray) -> pa.Array:
        if values.ndim != 2:
            raise ValueError(f"a {self.kind} column of shape {values.shape}")
        return pa.FixedSizeListArray.from_arrays(self._numbers(values), values.shape[1])


@dataclass(frozen=True)
class Signals:
    """Signals of a split, in the order of its rows.

    Attributes:
      logits: float32[rows, labels]; of a tagging ragged rows of [words, labels], on disk; None of a teacher that gives
        vectors alone.
      hidden: float16[rows, width] (the teacher's sentence vector), or ragged rows of [words, width], which stay on
        disk, or None.
      manifest: what made them.
      more: the store's other columns by name, on disk: [rows, width], or ragged rows of what it has of each token.
    """

    logits: np.ndarray | Ragged | None
    hidden: MappedArray | Ragged | None
    manifest: dict
    more: Mapping[str, MappedArray | Ragged] = field(default_factory=dict)


def _matrix(array: pa.FixedSizeListArray) -> np.ndarray:
    return array.flatten().to_numpy(zero_copy_only=False).reshape(-1, array.type.list_size)


def to_json(columns: Mapping[str, Column]) -> dict[str, dict[str, str]]:
    """The columns as a manifest has them."""
    return {name: asdict(column) for name, column in columns.items()}


def from_json(value: Any) -> dict[str, Column]:
    """The columns of a manifest. Raises ValueError or TypeError if it has something else."""
    return {name: Column(**column) for name, column in dict(value).items()}


def decoded_hashes(column: pa.ChunkedArray) -> np.ndarray:
    """uint64[texts] of 16 hex digits each. Raises ValueError or TypeError if the column holds something else."""
    digits = "".join(column.to_pylist())
    if len(digits) != 16 * len(column):
        raise ValueError(digits)
    return np.frombuffer(bytes.fromhex(digits), ">u8", len(column)).astype(np.uint64)


def difference(found: dict, wanted: dict) -> str:
    """In words, what differs between two manifests; '' where nothing does."""
    said = files.differences(found, wanted)
    if not said:
        return ""
    teacher = found.get("teacher") != wanted.get("teacher")
    return f"signals from another {'teacher' if teacher else 'text or setting'} ({'; '.join(said)})"


class InMemory:
    """A row column for the rows of a split: float[rows, width]."""

    def __init__(self, rows: int):
        self._rows, self._values = rows, np.zeros((rows, 0), np.float32)

    def put(self, where: np.ndarray, values: np.ndarray, which: np.ndarray) -> None:
        """Stores ``values[which]`` for the rows ``where``."""
        if not self._values.shape[1]:
            self._values = np.zeros((self._rows, values.shape[1]), values.dtype)
        self._values[where] = values[which]

    def done(self) -> np.ndarray:
        return self._values


class OnDisk:
    """A column of either kind for the rows of a split, in the file ``path``. It exists once ``stack`` is closed.

    A row column has the order of the rows. A token column has the order of the store, with each text once.
    """

    def __init__(self, path: Path, rows: int, stack: ExitStack):
        self._path, self._temp, self._stack = path, stack.enter_context(files.atomic_path(path)), stack
        self._writer: NpyWriter | None = None
        self._starts, self._lengths = np.zeros((2, rows), np.int64)

    def put(self, where: np.ndarray, values: np.ndarray | Ragged, which: np.ndarray) -> None:
        """Stores ``values[which]`` for the rows ``where``."""
        if not isinstance(values, Ragged):
            put_rows(self._temp, where, values[which], len(self._starts))
            return
        if self._writer is None:
            width = values.values.shape[1] if values.values.ndim == 2 else None
            self._writer = self._stack.enter_context(NpyWriter(self._temp, values.dtype, width))
        start = self._writer.add(values.values)
        self._starts[where] = start + values.starts[which]
        self._lengths[where] = values.lengths[which]

    def done(self) -> MappedArray | Ragged:
        """The column, once the file is at its place."""
        values = MappedArray(self._path)
        return values if self._writer is None else Ragged(values, self._starts, self._lengths)


class NoSignal(Exception):
    """``row`` has none: its number."""

    def __init__(self, row: int):
        super().__init__(row)
        self.row = row


def in_order(
    parts: Iterable[tuple[np.ndarray, Mapping[str, np.ndarray | Ragged]]],
    hashes: np.ndarray,
    columns: Mapping[str, Column],
    path: Callable[[str], Path],
) -> dict[str, Any]:
    """The values of each column for rows with ``hashes``, in their order. Memory holds the logits of a row.

    Args:
      parts: hashes of some texts, uint64[texts], and their values in each column.
      hashes: uint64[rows].
      path: the file of a column that stays on disk.

    Raises:
      NoSignal: no part has the text of a row. Then no file is left.
    """
    find, there = Places(hashes), np.zeros(len(hashes), bool)
    with ExitStack() as stack:
        made: dict[str, Any] = {
            name: InMemory(len(hashes)) if (name, c.kind) == (LOGITS, ROW) else OnDisk(path(name), len(hashes), stack)
            for name, c in columns.items()
        }
        for some, values in parts:
            where, which = find(some)
            there[where] = True
            for name, column in made.items():
                column.put(where, values[name], which)
        if not there.all():
            raise NoSignal(int(np.argmin(there)))
    return {name: column.done() for name, column in made.items()}


class Places:
    """Finds rows by the hashes of their texts, with 8 bytes a row."""

    def __init__(self, hashes: np.ndarray):
        self._hashes, self._order = hashes, np.argsort(hashes, kind="stable")

    def __call__(self, hashes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The rows with one of ``hashes``, and the index of that hash for each."""
        first, end = (np.searchsorted(self._hashes, hashes, s, sorter=self._order) for s in ("left", "right"))
        which = np.repeat(np.arange(len(hashes)), end - first)
        begin = np.cumsum(end - first) - (end - first)
        return self._order[np.arange(len(which)) - begin[which] + first[which]], which
