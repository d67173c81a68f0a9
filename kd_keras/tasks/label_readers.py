"""Turns a file's label into the number, or the row of numbers, in Rows."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from kd_keras.common.errors import did_you_mean
from kd_keras.common.files import PathLike, tail
from kd_keras.tasks.cells import read_label, read_labels
from kd_keras.tasks.columns import Columns
from kd_keras.tasks.records import Task
from kd_keras.tasks.tables import BadRows

_LARGEST = float(np.finfo(np.float32).max)
_ON, _OFF = ("1", "1.0", "true"), ("0", "0.0", "false")
_NOTHING = (None, ())


def reader_for(task: Task, base: int | None = None) -> LabelReader:
    """The reader for the labels of ``task``. ``base``: official files write them as numbers from this one on."""
    kind = LabelSetReader if task.is_multilabel else LabelReader
    return kind(task.kind, task.labels, base)


class LabelReader:
    """Turns a file's label into the number in Rows, or says what it expected.

    A name in other case (SICK's "ENTAILMENT") is understood if only one label matches.

    Attributes:
      seen: rows of each label as the file writes it. The caller counts them.
    """

    def __init__(self, kind: str, labels: tuple[str, ...], base: int | None):
        self.kind, self.labels = kind, labels
        self.seen: Counter[str] = Counter()
        self._index: dict[str, int] = {}
        if base is not None:
            self._index = {str(i + base): i for i in range(len(labels))}
        self._index |= {name: i for i, name in enumerate(labels)}
        count = Counter(name.casefold() for name in labels)
        self._folded = {name.casefold(): i for i, name in enumerate(labels) if count[name.casefold()] == 1}
        shown = ", ".join(labels[:20]) + (", …" if len(labels) > 20 else "")
        numbers = f"{base} to {base + len(labels) - 1}, or " if base is not None else ""
        self.expected = "a number" if kind == "regression" else f"one of {numbers}{shown}"

    @property
    def dtype(self) -> type:
        return np.float32 if self.kind == "regression" else np.int32

    def read(self, text: str) -> int | float | None:
        if self.kind != "regression":
            return self._index.get(text, self._folded.get(text.casefold()))
        try:
            value = float(text)
        except ValueError:
            return None
        return value if abs(value) <= _LARGEST else None

    def of_row(
        self, path: PathLike, line: int, values: dict[str, Any], columns: Columns, bad: BadRows
    ) -> tuple[Any, tuple[str, ...]]:
        """The row's label, and what the file writes. If it is unusable or no gold label, ``bad`` is told and the result
        is None."""
        written = read_label(path, line, values, columns.label, bad)
        if written is None:
            return _NOTHING
        gold = written.strip()
        if gold in columns.no_gold:
            bad.leave_out(str(path))
            return _NOTHING
        return self._checked(path, line, columns.label, gold, bad), (written,)

    def _checked(self, path: PathLike, line: int, column: str, name: str, bad: BadRows) -> int | float | None:
        value = self.read(name)
        if value is None:
            found = repr(tail(name)) if name else "nothing"
            hint = did_you_mean(name, self.labels) if bad.shows else ""  # it takes milliseconds
            where = f"{path}, line {line}, column {column!r}"
            bad.report(f"{where}: expected {self.expected}; found {found}" + (f".{hint}" if hint else ""))
        return value


class LabelSetReader(LabelReader):
    """Reads several labels a text: int32[labels] of 0 and 1. An empty cell or list means no label."""

    def of_row(self, path, line, values, columns, bad):
        found = np.zeros(len(self.labels), np.int32)
        if columns.labels:
            return (found, ()) if self._marks(found, path, line, values, columns, bad) else _NOTHING
        written = read_labels(path, line, values, columns, bad)
        if written is None:
            return _NOTHING
        for name in written:
            value = self._checked(path, line, columns.label, name.strip(), bad)
            if value is None:
                return _NOTHING
            found[value] = 1
        return found, tuple(written)

    def _marks(
        self, found: np.ndarray, path: PathLike, line: int, values: dict[str, Any], columns: Columns, bad: BadRows
    ) -> bool:
        for n, column in enumerate(columns.labels):
            written = read_label(path, line, values, column, bad)
            if written is None:
                return False
            mark = written.strip().lower()
            if mark not in _ON + _OFF:
                said = repr(tail(written)) if mark else "nothing"
                bad.report(f"{path}, line {line}, column {column!r}: expected 0 or 1; found {said}")
                return False
            found[n] = mark in _ON
        return True
