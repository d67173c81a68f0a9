"""Reads CSV, TSV and JSONL as rows of named values. Errors name file and line."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from kd_keras.common.errors import UserError, did_you_mean
from kd_keras.common.files import PathLike, tail
from kd_keras.common.reading import text_lines
from kd_keras.tasks.dialect import format_of, quoted, suggested_delimiter, table_format
from kd_keras.tasks.file_settings import AS_NAMED, FileSettings

Record = tuple[int, int, dict[str, Any]]  # row number from 0, line number from 1, values by column

# A text may be longer than the csv module's default limit of 131,072 characters.
csv.field_size_limit(1 << 27)

SKIP_HINT = " (--on_bad_row=skip leaves such rows out)"
REPEATED = object()  # marks a value whose key occurs twice in a JSON object


@dataclass
class BadRows:
    """Handles rows that cannot be read: the run stops, or the row is counted and listed.

    Rows without a gold label in the data set are no errors. They are left out, and counted by file.
    """

    policy: str = "stop"
    hint: str = ""
    count: int = 0
    first: list[str] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.policy not in ("stop", "skip"):
            raise UserError(f"--on_bad_row={self.policy}: expected one of stop, skip")

    @property
    def shows(self) -> bool:
        """Whether the next bad row is told, and not only counted."""
        return self.policy == "stop" or len(self.first) < 5

    def report(self, message: str) -> None:
        if self.policy == "stop":
            raise UserError(message + self.hint)
        self.count += 1
        if len(self.first) < 5:
            self.first.append(message)

    def leave_out(self, where: str) -> None:
        """Counts a row of ``where`` that has no gold label."""
        self.left_out[where] = self.left_out.get(where, 0) + 1

    def remark(self, text: str) -> None:
        """Adds a note on a file for the report."""
        if text and text not in self.remarks:
            self.remarks.append(text)

    def notes(self) -> list[str]:
        notes = self.remarks + [
            f"{where}: {rows_in_words(n)} left out: no gold label" for where, n in self.left_out.items()
        ]
        if self.count:
            more = " | …" if self.count > len(self.first) else ""
            notes.append(f"{rows_in_words(self.count)} skipped: " + " | ".join(self.first) + more)
        return notes


# In place of a row of which BadRows has been told.
_TOLD = ["it cannot be read"] * 2


def rows_in_words(count: int) -> str:
    """For messages: "1 row", "1,234 rows"."""
    return "1 row" if count == 1 else f"{count:,} rows"


def _split(lines: Iterator[str], separator: str) -> Iterator[tuple[int, list[str]]]:
    for line, text in enumerate(lines, 1):
        yield line, text.rstrip("\r\n").split(separator)


def _unquoted(path: PathLike, lines: Iterator[str], separator: str, bad: BadRows) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(lines, delimiter=separator, strict=True)  # strict: an unclosed quote is an error
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as e:
            if "unexpected end" in str(e):
                raise UserError(
                    f"{path}, line {line}: a quote is opened and never closed (the file ends inside it); "
                    "--quoting=none reads quotes as text"
                ) from None
            said = f"{path}, line {line}: not CSV ({e}; a quote inside a field is doubled)"
            said += "; --quoting=none reads quotes as text"
            if line == 1:  # it may be the header
                raise UserError(said) from None
            bad.report(said)
            cells = _TOLD  # the reader goes on with the next line
        yield line, cells


def _trimmed(cells: Iterator[tuple[int, list[str]]]) -> Iterator[tuple[int, list[str]]]:
    """Drops blank lines at the end of the file. The caller handles blank lines inside it."""
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
    how: FileSettings = AS_NAMED,
) -> tuple[list[str], Iterator[Record]]:
    """A table's column names, and its rows.

    Args:
      path: .csv, .tsv or .jsonl, plain or packed, or a pipe. Blank lines at its end are no rows.
      bad: is told of rows with too few or too many fields, and of JSONL lines that are no objects.
      headerless: names of the columns if the first line is no header.
      is_header: decides by the first line's fields; it is called only if ``headerless`` is given.
      form: "csv", "tsv" or "jsonl"; by default as ``how`` or the name says.
      how: encoding, delimiter and quoting.

    Raises:
      UserError: the file cannot be read, is empty, or has a header only.
    """
    form = form or format_of(path, how)
    if form is None:
        raise UserError(
            f"{path}: expected a name that ends in .tsv, .csv or .jsonl (perhaps with .gz, .bz2 or .xz), or "
            f"--format=csv, tsv or jsonl; files of tagged words need --tagging"
        )
    if form == "conll":
        raise UserError("--format=conll: this format needs --tagging; expected csv, tsv or jsonl")
    if form == "jsonl":
        return _jsonl(path, bad, how)
    enclose, said = quoted(path, how, form)
    bad.remark(said)
    lines, separator = text_lines(path, how.encoding, header=headerless is None), how.separator(form)
    cells = _trimmed(_unquoted(path, lines, separator, bad) if enclose else _split(lines, separator))
    first = next(cells, None)
    if first is None:
        raise UserError(f"{path}: the file is empty")
    if headerless is not None and not is_header([c.strip() for c in first[1]]):
        names = list(headerless)
        return names, _checked(path, names, first, cells, bad)
    names = [c.strip() for c in first[1]]
    second = next(cells, None)
    if second is None:
        raise UserError(f"{path}: has a header ({tail(_listed(names))}) but no rows")
    return names, _checked(path, names, second, cells, bad)


def _checked(path: PathLike, names: list[str], first: Any, rest: Iterator, bad: BadRows) -> Iterator[Record]:
    number = 0
    item = first
    while item is not None:
        line, cells = item
        if cells is _TOLD:
            pass
        elif len(cells) == len(names):
            yield number, line, dict(zip(names, cells, strict=True))
        else:
            found = "an empty line" if cells == [""] else f"{len(cells)} in {tail(' | '.join(cells))!r}"
            short = names[len(cells) :] if cells != [""] else []
            lacks = f": no value for column {', '.join(map(repr, short))}" if short else ""
            bad.report(f"{path}, line {line}: expected {len(names)} fields ({_listed(names)}), found {found}{lacks}")
        number += 1
        item = next(rest, None)


def json_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """For ``json.loads``: the value of a key that occurs twice is REPEATED."""
    made = dict(pairs)
    if len(made) < len(pairs):
        count = Counter(name for name, _ in pairs)
        made |= {name: REPEATED for name, n in count.items() if n > 1}
    return made


def _jsonl(path: PathLike, bad: BadRows, how: FileSettings) -> tuple[list[str], Iterator[Record]]:
    def parsed() -> Iterator[Record]:
        blanks: list[int] = []
        number = 0
        for line, text in enumerate(text_lines(path, how.encoding), 1):
            if not text.strip():
                blanks.append(line)
                continue
            for blank in blanks:
                bad.report(f"{path}, line {blank}: expected a JSON object, found an empty line")
                number += 1
            blanks.clear()
            try:
                value = json.loads(text, object_pairs_hook=json_object)
            except json.JSONDecodeError as e:
                bad.report(f"{path}, line {line}, position {e.colno}: not JSON ({e.msg})")
            except (ValueError, RecursionError) as e:  # numbers with thousands of digits, or brackets thousands deep
                bad.report(f"{path}, line {line}: the JSON cannot be read ({e})")
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


def _listed(names: list[str]) -> str:
    return ", ".join(" ".join(name.split()) for name in names)


def check_column(path: PathLike, name: str, names: list[str], flag: str = "") -> None:
    """Raises UserError if a file lacks a needed column or has it twice. ``flag`` chooses another column."""
    if name not in names:
        raise missing_column(path, name, names, flag)
    if (count := names.count(name)) > 1:
        many = "two" if count == 2 else count
        other = f", or choose another by {flag}" if flag else ""
        raise UserError(f"{path}, line 1: {many} columns are called {name!r}; rename one{other}")


def missing_column(path: PathLike, name: str, names: list[str], flag: str = "") -> UserError:
    """The error for a missing column. ``flag`` chooses another column."""
    other = f" {flag} names another." if flag else ""
    # JSONL has no header, so the keys of its first row count as the columns.
    is_json = table_format(path) == "jsonl"
    its = "its first row's keys" if is_json else "its columns"
    delimiter = "" if is_json else suggested_delimiter(names, name)
    return UserError(
        f"{path}: no column {name!r}; {its} are: {tail(_listed(names), 200)}."
        f"{delimiter or did_you_mean(name, [_listed([n]) for n in names]) + other}"
    )
