"""Reads a cell of a table as text or as a label."""

from __future__ import annotations

import json
import math
from typing import Any

from kd_keras.common.files import PathLike, tail
from kd_keras.tasks.columns import Columns
from kd_keras.tasks.label_names import HALF, label_fault
from kd_keras.tasks.tables import REPEATED, BadRows


def as_text(value: Any, label: bool = False) -> str | None:
    """A cell as text. None if a JSON value is neither text nor a number; a ``label`` may also be true or false."""
    if isinstance(value, str):
        return HALF.sub("\ufffd", value)
    if isinstance(value, bool):
        return str(value).lower() if label else None
    return str(value) if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)) else None


def read_cell(path: PathLike, line: int, values: dict[str, Any], name: str, bad: BadRows) -> str | None:
    """The text of column ``name``, stripped. If there is none, ``bad`` is told and the result is None."""
    text = _cell(path, line, values, name, bad)
    return text if text is None else text.strip()


def read_label(path: PathLike, line: int, values: dict[str, Any], name: str, bad: BadRows) -> str | None:
    """The label in column ``name`` as the file writes it. If it cannot be a label, ``bad`` is told and the result is
    None."""
    text = _cell(path, line, values, name, bad, label=True)
    return None if text is None or _faulty(path, line, name, text, bad) else text


def read_labels(path: PathLike, line: int, values: dict[str, Any], columns: Columns, bad: BadRows) -> list[str] | None:
    """The labels in the label cell as the file writes them: a JSON list, or names with a separator between.

    If the cell cannot be read, ``bad`` is told and the result is None. An empty cell, null and an empty list have no
    labels.
    """
    name = columns.label
    if not _there(path, line, values, name, bad):
        return None
    cell = values[name]
    if isinstance(cell, str) and cell.lstrip().startswith("["):  # a table has no lists of its own
        try:
            cell = json.loads(cell)
        except (ValueError, RecursionError):
            bad.report(
                f'{path}, line {line}, column {name!r}: expected a JSON list, such as ["a", "b"], or names with '
                f"{columns.separator or ','!r} between; found {tail(repr(cell))}"
            )
            return None
    parts = cell if isinstance(cell, list) else [] if cell is None else [cell]
    written = [as_text(part, label=True) for part in parts]
    if any(part is None for part in written):
        bad.report(f"{path}, line {line}, column {name!r}: expected a list of labels, found {tail(repr(cell))}")
        return None
    if not isinstance(cell, list):
        written = [part for text in written for part in text.split(columns.separator or ",")]
    written = [part for part in written if part.strip()]
    return None if any(_faulty(path, line, name, part, bad) for part in written) else written


def _faulty(path: PathLike, line: int, column: str, label: str, bad: BadRows) -> bool:
    fault = label_fault(label.strip())
    if fault:
        bad.report(f"{path}, line {line}, column {column!r}: the label {tail(label.strip())!r} {fault}")
    return bool(fault)


def _there(path: PathLike, line: int, values: dict[str, Any], name: str, bad: BadRows) -> bool:
    if name not in values:  # only JSONL has this case: each line has its own keys
        keys = tail(" ".join(", ".join(values).split()), 100)
        bad.report(f"{path}, line {line}: no key {name!r}; the keys are: {keys}")
        return False
    if values[name] is REPEATED:
        bad.report(f"{path}, line {line}: the key {name!r} occurs twice; expected each key once")
        return False
    return True


def _cell(
    path: PathLike, line: int, values: dict[str, Any], name: str, bad: BadRows, label: bool = False
) -> str | None:
    if not _there(path, line, values, name, bad):
        return None
    text = as_text(values[name], label)
    if text is None:
        bad.report(f"{path}, line {line}, column {name!r}: expected text, found {tail(repr(values[name]))}")
    return text
