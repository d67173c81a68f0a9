"""What a file says of a row's label, as the number, or the row of numbers, in Rows."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np

from kd_keras.common.errors import did_you_mean
from kd_keras.common.files import PathLike, tail
from kd_keras.tasks.cells import as_text, has_cell, read_cell
from kd_keras.tasks.records import Columns, Task
from kd_keras.tasks.tables import BadRows

_ON, _OFF = ("1", "1.0", "true"), ("0", "0.0", "false")


def reader_for(task: Task, base: int | None = None) -> LabelReader:
    """What reads the labels of ``task``; ``base``: official files write them as numbers from here on."""
    kind = LabelSetReader if task.is_multilabel else LabelReader
    return kind(task.kind, task.labels, base)


class LabelReader:
    """Turns a file's label into the number in Rows, and says what it expected.

    A name in other letters (SICK's "ENTAILMENT") is understood where it can mean one label only.
    """

    def __init__(self, kind: str, labels: tuple[str, ...], base: int | None):
        self.kind, self.labels = kind, labels
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
        return value if math.isfinite(value) else None

    def of_row(self, path: PathLike, line: int, values: dict[str, Any], columns: Columns, bad: BadRows) -> Any:
        """The row's label; None, and ``bad`` is told, where it cannot be used or has no gold label."""
        gold = read_cell(path, line, values, columns.label, bad)
        if gold is None:
            return None
        if gold in columns.no_gold:
            bad.leave_out(str(path))
            return None
        value = self.read(gold)
        if value is None:
            self._report(path, line, columns.label, gold, bad)
        return value

    def _report(self, path: PathLike, line: int, column: str, found: str, bad: BadRows) -> None:
        hint = did_you_mean(found, self.labels)
        said = repr(tail(found)) if found else "nothing"
        where = f"{path}, line {line}, column {column!r}"
        bad.report(f"{where}: expected {self.expected}; found {said}" + (f".{hint}" if hint else ""))


class LabelSetReader(LabelReader):
    """Of several labels a text: int32[labels] of 0 and 1. An empty cell, or list, is a text without any label."""

    def of_row(self, path: PathLike, line: int, values: dict[str, Any], columns: Columns, bad: BadRows) -> Any:
        if columns.labels:
            return self._of_columns(path, line, values, columns, bad)
        names = names_in(path, line, values, columns, bad)
        if names is None:
            return None
        found = np.zeros(len(self.labels), np.int32)
        for name in names:
            value = self.read(name)
            if value is None:
                self._report(path, line, columns.label, name, bad)
                return None
            found[value] = 1
        return found

    def _of_columns(self, path: PathLike, line: int, values: dict[str, Any], columns: Columns, bad: BadRows) -> Any:
        found = np.zeros(len(columns.labels), np.int32)
        for n, column in enumerate(columns.labels):
            if not has_cell(path, line, values, column, bad):
                return None
            text = str(values[column]).strip().lower()  # of JSON also true and false
            if text not in _ON + _OFF:
                said = tail(repr(values[column])) if text else "nothing"
                bad.report(f"{path}, line {line}, column {column!r}: expected 0 or 1; found {said}")
                return None
            found[n] = text in _ON
        return found


def names_in(path: PathLike, line: int, values: dict[str, Any], columns: Columns, bad: BadRows) -> list[str] | None:
    """The names in the label cell of a row; None, and ``bad`` is told, where the cell cannot be read."""
    column = columns.label
    if not has_cell(path, line, values, column, bad):
        return None
    cell = values[column]
    if cell is None:
        return []
    parts = cell if isinstance(cell, list) else [cell]
    names = [as_text(part) for part in parts]
    if any(name is None for name in names):
        bad.report(f"{path}, line {line}, column {column!r}: expected a list of labels, found {tail(repr(cell))}")
        return None
    if not isinstance(cell, list):
        names = [name.strip() for name in names[0].split(columns.separator)]
    return [name for name in names if name]
