"""CSV, TSV and JSONL as rows of named values, with errors that name file and line."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from kd_keras.common.errors import UserError, did_you_mean
from kd_keras.common.files import PathLike, tail, utf8_lines

Record = tuple[int, int, dict[str, Any]]  # row number from 0, line number from 1, values by column

# One text may be longer than the csv module's default of 131,072 characters.
csv.field_size_limit(1 << 27)

SKIP_HINT = " (--on_bad_row=skip leaves such rows out)"
_FORMATS = {"csv": "csv", "tsv": "tsv", "jsonl": "jsonl", "ndjson": "jsonl"}


@dataclass
class BadRows:
    """What happens to a row that cannot be read: the run stops, or the row is counted and listed.

    Rows that the data set itself gives no gold label are no errors: they are left out, and counted by file.
    """

    policy: str = "stop"
    hint: str = ""
    count: int = 0
    first: list[str] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.policy not in ("stop", "skip"):
            raise UserError(f"--on_bad_row={self.policy}: expected one of stop, skip")

    def report(self, message: str) -> None:
        if self.policy == "stop":
            raise UserError(message + self.hint)
        self.count += 1
        if len(self.first) < 5:
            self.first.append(message)

    def leave_out(self, where: str) -> None:
        """Counts a row of ``where`` that has no gold label."""
        self.left_out[where] = self.left_out.get(where, 0) + 1

    def notes(self) -> list[str]:
        notes = [f"{where}: {_rows(n)} left out: no gold label" for where, n in self.left_out.items()]
        if self.count:
            more = " | …" if self.count > len(self.first) else ""
            notes.append(f"{_rows(self.count)} skipped: " + " | ".join(self.first) + more)
        return notes


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count:,} rows"


def table_format(path: PathLike) -> str | None:
    """ "csv", "tsv" or "jsonl" by the file's name (``.gz`` and ``.bz2`` put aside), else None.

    UserError for .json, which would be read as plain text, braces and all.
    """
    name = str(path).lower().removesuffix(".gz").removesuffix(".bz2")
    if name.endswith(".json"):
        raise UserError(f"{path}: .json is not read; write one object a line and call it .jsonl")
    return next((form for ending, form in _FORMATS.items() if name.endswith("." + ending)), None)


def _tsv(path: PathLike) -> Iterator[tuple[int, list[str]]]:
    # GLUE's quotes are part of the text: nothing but tabs is special.
    for line, text in enumerate(utf8_lines(path), 1):
        yield line, text.rstrip("\r\n").split("\t")


def _csv(path: PathLike) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(utf8_lines(path), strict=True)  # strict: an unclosed quote is an error
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as e:
            if "unexpected end" in str(e):
                raise UserError(
                    f"{path}, line {line}: a quote is opened and never closed (the file ends inside it)"
                ) from None
            raise UserError(f"{path}, line {line}: not CSV ({e}; a quote inside a field is doubled)") from None
        yield line, cells


def _trimmed(cells: Iterator[tuple[int, list[str]]]) -> Iterator[tuple[int, list[str]]]:
    """Leaves out blank lines at the end of the file; those inside it are the caller's business."""
    blank = []
    for line, row in cells:
        if not any(c.strip() for c in row) and len(row) < 2:
            blank.append((line, row or [""]))
            continue
        yield from blank
        blank.clear()
        yield line, row


def open_table(
    path: PathLike,
    bad: BadRows,
    headerless: tuple[str, ...] | None = None,
    is_header: Callable[[list[str]], bool] = lambda names: True,
    form: str | None = None,
) -> tuple[list[str], Iterator[Record]]:
    """A table's column names, and its rows.

    Args:
      path: .csv, .tsv or .jsonl, plain or packed. Blank lines at its end are no rows.
      bad: told of rows with too few or too many fields, and of JSONL lines that are no objects.
      headerless: names of the columns where the first line is no header.
      is_header: tells by the first line's fields; asked only where ``headerless`` is given.
      form: "csv", "tsv" or "jsonl"; default: as the name says.

    Raises:
      UserError: the file cannot be read, is empty, has a header only, or a name twice.
    """
    form = form or table_format(path)
    if form is None:
        raise UserError(f"{path}: expected a name that ends in .tsv, .csv or .jsonl (or these and .gz, .bz2)")
    if form == "jsonl":
        return _jsonl(path, bad)
    cells = _trimmed(_csv(path) if form == "csv" else _tsv(path))
    first = next(cells, None)
    if first is None:
        raise UserError(f"{path}: the file is empty")
    if headerless is not None and not is_header([c.strip() for c in first[1]]):
        names = list(headerless)
        return names, _checked(path, names, first, cells, bad)
    names = [c.strip() for c in first[1]]
    twice = next((n for n in names if names.count(n) > 1), None)
    if twice is not None:
        raise UserError(f"{path}, line 1: two columns are called {twice!r}")
    second = next(cells, None)
    if second is None:
        raise UserError(f"{path}: a header ({tail(', '.join(names))}) and no rows")
    return names, _checked(path, names, second, cells, bad)


def _checked(path: PathLike, names: list[str], first: Any, rest: Iterator, bad: BadRows) -> Iterator[Record]:
    number = 0
    item = first
    while item is not None:
        line, cells = item
        if len(cells) == len(names):
            yield number, line, dict(zip(names, cells, strict=True))
        else:
            found = "an empty line" if cells == [""] else f"{len(cells)} in {tail(' | '.join(cells))!r}"
            short = names[len(cells) :] if cells != [""] else []
            lacks = f": nothing for column {', '.join(map(repr, short))}" if short else ""
            bad.report(f"{path}, line {line}: expected {len(names)} fields ({', '.join(names)}), found {found}{lacks}")
        number += 1
        item = next(rest, None)


def _jsonl(path: PathLike, bad: BadRows) -> tuple[list[str], Iterator[Record]]:
    def parsed() -> Iterator[Record]:
        blanks: list[int] = []
        number = 0
        for line, text in enumerate(utf8_lines(path), 1):
            if not text.strip():
                blanks.append(line)
                continue
            for blank in blanks:
                bad.report(f"{path}, line {blank}: expected a JSON object, found an empty line")
                number += 1
            blanks.clear()
            try:
                value = json.loads(text)
            except json.JSONDecodeError as e:
                bad.report(f"{path}, line {line}, position {e.colno}: not JSON ({e.msg})")
            except (ValueError, RecursionError) as e:  # numbers of thousands of digits, brackets thousands deep
                bad.report(f"{path}, line {line}: JSON that cannot be read ({e})")
            else:
                if isinstance(value, dict):
                    yield number, line, value
                else:
                    bad.report(f"{path}, line {line}: expected a JSON object, found {tail(text.strip(), 30)!r}")
            number += 1

    rows = parsed()
    first = next(rows, None)
    if first is None:
        raise UserError(f"{path}: " + ("no line is a JSON object" if bad.count else "the file is empty"))

    def all_rows() -> Iterator[Record]:
        yield first
        yield from rows

    return list(first[2]), all_rows()


def missing_column(path: PathLike, name: str, names: list[str], flag: str = "") -> UserError:
    """The error for a column that a file lacks; ``flag`` names the flag that chooses another."""
    other = f" {flag} names another." if flag else ""
    # JSONL has no header: what its first row has is taken for the columns.
    its = "its first row's keys" if table_format(path) == "jsonl" else "its columns"
    return UserError(
        f"{path}: no column {name!r}; {its} are: {tail(', '.join(names), 200)}.{did_you_mean(name, names)}{other}"
    )
