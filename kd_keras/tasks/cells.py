"""A cell of a table as text or as a label."""

from __future__ import annotations

import math
import re
from typing import Any

from kd_keras.common.files import PathLike, tail
from kd_keras.tasks.label_names import label_fault
from kd_keras.tasks.tables import REPEATED, BadRows

# JSON's escapes can leave half a character (an emoji cut in two), which UTF-8 cannot hold.
_HALF = re.compile("[\ud800-\udfff]")


def as_text(value: Any, label: bool = False) -> str | None:
    """A cell as text; None where a JSON value is neither text nor a number, nor true or false as a ``label``."""
    if isinstance(value, str):
        return _HALF.sub("\ufffd", value)
    if isinstance(value, bool):
        return str(value).lower() if label else None
    return str(value) if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)) else None


def read_cell(path: PathLike, line: int, values: dict[str, Any], name: str, bad: BadRows) -> str | None:
    """The text of column ``name``, stripped; None, and ``bad`` is told, where there is none."""
    text = _cell(path, line, values, name, bad)
    return text if text is None else text.strip()


def read_label(path: PathLike, line: int, values: dict[str, Any], name: str, bad: BadRows) -> str | None:
    """The label in column ``name`` as the file writes it; None, and ``bad`` is told, where it cannot be one."""
    text = _cell(path, line, values, name, bad, label=True)
    if text is not None and (fault := label_fault(text.strip())):
        bad.report(f"{path}, line {line}, column {name!r}: the label {tail(text.strip())!r} {fault}")
        return None
    return text


def _cell(
    path: PathLike, line: int, values: dict[str, Any], name: str, bad: BadRows, label: bool = False
) -> str | None:
    if name not in values:  # only in JSONL: each line has its own keys
        keys = tail(" ".join(", ".join(values).split()), 100)
        bad.report(f"{path}, line {line}: no key {name!r}; the keys are: {keys}")
        return None
    if values[name] is REPEATED:
        bad.report(f"{path}, line {line}: the key {name!r} is there twice")
        return None
    text = as_text(values[name], label)
    if text is None:
        bad.report(f"{path}, line {line}, column {name!r}: expected text, found {tail(repr(values[name]))}")
    return text
