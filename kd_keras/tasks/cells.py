"""A cell of a table as text."""

from __future__ import annotations

import re
from typing import Any

from kd_keras.common.files import PathLike, tail
from kd_keras.tasks.tables import BadRows

# JSON's escapes can leave half a character (an emoji cut in two), which UTF-8 cannot hold.
_HALF = re.compile("[\ud800-\udfff]")


def as_text(value: Any) -> str | None:
    """A cell as text; None where a JSON value is neither text nor a number."""
    if isinstance(value, str):
        return _HALF.sub("\ufffd", value).strip()
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    return None


def read_cell(path: PathLike, line: int, values: dict[str, Any], name: str, bad: BadRows) -> str | None:
    """The text of column ``name``; None, and ``bad`` is told, where there is none."""
    if not has_cell(path, line, values, name, bad):
        return None
    text = as_text(values[name])
    if text is None:
        bad.report(f"{path}, line {line}, column {name!r}: expected text, found {tail(repr(values[name]))}")
    return text


def has_cell(path: PathLike, line: int, values: dict[str, Any], name: str, bad: BadRows) -> bool:
    """Whether the row has column ``name``; ``bad`` is told where it has not."""
    if name not in values:  # only in JSONL: each line has its own keys
        bad.report(f"{path}, line {line}: no key {name!r}; the keys are: {tail(', '.join(values), 100)}")
    return name in values
