"""Finds out how a table is written: its format if the name does not say it, its delimiter, and the meaning of
quotes."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection
from functools import cache

from kd_keras.common.errors import UserError
from kd_keras.common.progress import say
from kd_keras.common.reading import PACKED, PathLike, is_stream, text_lines
from kd_keras.tasks.file_settings import AS_NAMED, FileSettings

_FORMATS = {"csv": "csv", "tsv": "tsv", "jsonl": "jsonl", "ndjson": "jsonl"}
_SEPARATORS = {",": ",", "\t": "tab", ";": "';'", "|": "'|'"}
# A longer quoted field is a bare quote and the text after it.
_LONGEST_FIELD = 1 << 24


def table_format(path: PathLike, how: FileSettings = AS_NAMED) -> str | None:
    """ "csv", "tsv" or "jsonl" (or "conll") by ``how`` or the name (without .gz, .bz2 and .xz), else None.

    Raises UserError for .json, which would be read as plain text.
    """
    if how.format != "auto":
        return None if how.format == "text" else how.format
    name = str(path).lower()
    for ending in PACKED:
        name = name.removesuffix(ending)
    if name.endswith(".json"):
        raise UserError(
            f"{path}: .json cannot be read; write one object a line and name the file .jsonl (if it has one a line "
            f"already, add --format=jsonl)"
        )
    return next((form for ending, form in _FORMATS.items() if name.endswith("." + ending)), None)


def format_of(path: PathLike, how: FileSettings, columns: Collection[str] = ()) -> str | None:
    """:func:`table_format`; a pipe has no name, so its first line decides. None is plain text.

    Args:
      columns: a line with one of these fields is a header. If none are given, the pipe is always a table.
    """
    form = table_format(path, how)
    if form is not None or how.format == "text" or not is_stream(path):
        return form
    first = next((line for line in text_lines(path, how.encoding) if line.strip()), "")
    if first.lstrip().startswith("{") and _is_object(first):
        return "jsonl"
    if not columns:
        return "tsv" if "\t" in first else "csv"
    for form, separator in (("tsv", "\t"), ("csv", how.separator("csv"))):
        fields = [field.strip().strip('"') for field in first.split(separator)]
        if len(fields) > 1 and not set(columns).isdisjoint(fields):
            return form
    if first.strip().strip('"') in columns:
        say(f"{path}: its first line is the name of a column, so it is read as a table; --format=text reads it as text")
        return "csv"
    return None


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def suggested_delimiter(names: Collection[str], wanted: str) -> str:
    """' The header looks …' if another delimiter gives a column called ``wanted``, or several columns; else ''."""
    for separator, shown in _SEPARATORS.items():
        fields = [field.strip().strip('"') for name in names for field in name.split(separator)]
        if len(fields) > len(names) and (wanted in fields or len(names) == 1):
            return f" The header seems to have {_NAMES[separator]} between its fields: add --delimiter={shown}."
    return ""


_NAMES = {",": "a comma", "\t": "a tab", ";": "a semicolon", "|": "a vertical bar"}


def quoted(path: PathLike, how: FileSettings, form: str) -> tuple[bool, str]:
    """Whether quotes enclose fields in a table, and a note about it for the report, if one is needed.

    With "auto" the whole TSV is read. A program that writes quotes (pandas, Excel) encloses every field with a quote in
    it. So a field with a quote that is not enclosed means that quotes are text. If all are enclosed, one of these
    decides: a doubled quote, a tab or line break inside, a column that is enclosed everywhere, or commas inside all
    enclosed fields and no others.
    """
    if how.quoting != "auto" or form == "csv":
        return how.quoting != "none", ""
    seen = _Quotes(how.separator(form))
    for number, line in enumerate(text_lines(path, how.encoding, header=True), 1):
        if not seen.add(line, number):
            break
    if not seen.any:
        return False, ""
    answer, why = seen.decide()
    said = "quotes enclose fields" if answer else "quotes are part of the text"
    return answer, f"{path}: {said} ({why}); --quoting={'none' if answer else 'minimal'} reads them the other way"


class _Quotes:
    """Collects, line by line, how a table uses quotes."""

    def __init__(self, separator: str):
        self._separator, self._field = separator, _field(separator)
        self.any = False
        self._open: list[str] = []  # lines of a row whose last field is still open
        self._size = 0
        self._bare: int | None = None  # the line of a quote that encloses nothing
        self._at = 1
        self._widths: Counter[int] = Counter()  # of rows that end by quotes, and by line ends
        self._plain: Counter[int] = Counter()
        self._evidence: Counter[str] = Counter()
        self._columns: dict[int, Counter[str]] = {}

    def add(self, line: str, number: int) -> bool:
        """Adds a line, and returns whether more lines are needed."""
        self.any = self.any or '"' in line
        self._plain[line.count(self._separator) + 1] += 1
        if not self._open:
            self._at = number
        self._open.append(line)
        self._size += len(line)
        odd = line.count('"') % 2 == 1
        if odd == (len(self._open) == 1):  # a field is open after this line
            return self._size < _LONGEST_FIELD
        row = "".join(self._open).rstrip("\r\n")
        self._open, self._size = [], 0
        return self._row(row)

    def _row(self, row: str) -> bool:
        at, fields = 0, 0
        while True:
            found = self._field.match(row, at)
            if found is None:
                self._bare = self._at
                return False
            self._cell(fields, found[1], found[2] if self._widths else "")  # a header is often bare
            fields += 1
            at = found.end()
            if not found[3]:
                break
        self._widths[fields] += 1
        return True

    def _cell(self, column: int, inside: str | None, bare: str | None) -> None:
        about = self._columns.setdefault(column, Counter())
        if inside is None:
            about["bare"] += bool(bare)
            about["bare comma"] += "," in (bare or "")
            return
        about["quoted"] += 1
        about["quoted comma"] += "," in inside
        self._evidence["doubled"] += '""' in inside
        self._evidence["inside"] += self._separator in inside or "\n" in inside or "\r" in inside

    def decide(self) -> tuple[bool, str]:
        if self._open and self._bare is None:
            self._bare = self._at
        if self._bare is not None:
            return False, f"line {self._bare} has a quote that encloses no field"
        if self._evidence["inside"]:
            width = self._widths.most_common(1)[0][0]
            if self._widths.total() - self._widths[width] < self._plain.total() - self._plain[width]:
                return True, "some quoted fields have the delimiter or a line break"
            if width > 1:
                return False, "every line has all fields if quotes are text"
        if self._evidence["doubled"]:
            return True, "quotes inside fields are doubled"
        enclosed = [about for about in self._columns.values() if about["quoted"]]
        if any(not about["bare"] for about in enclosed):
            return True, "a whole column is in quotes"
        if all(a["quoted comma"] == a["quoted"] and not a["bare comma"] for a in enclosed):
            return True, "fields with commas have them, as Excel writes it"
        return False, "fields with and without them look alike"


@cache
def _field(separator: str) -> re.Pattern[str]:
    """A pattern for the field at a place: (text inside quotes, text without quotes, the delimiter or nothing at the
    end)."""
    s = re.escape(separator)
    return re.compile(rf'(?:"([^"]*+(?:""[^"]*+)*+)"|([^"{s}]*))({s}|\Z)')
