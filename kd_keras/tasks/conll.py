"""Columns of words and tags, a blank line behind each sentence, in the manner of CoNLL's shared tasks.

Columns are parted by tabs where the file has any, else by spaces. How many a file has tells a comment ("# id = 7") from
a row whose word is "#". A line of -DOCSTART- parts documents: it is no sentence.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from kd_keras.common.errors import UserError
from kd_keras.common.files import PathLike, atomic_path, tail
from kd_keras.common.reading import text_lines
from kd_keras.tasks.file_settings import AS_NAMED, FileSettings
from kd_keras.tasks.rows import Rows, words_of
from kd_keras.tasks.schemes import parse
from kd_keras.tasks.sentences import Sentence, in_one_piece
from kd_keras.tasks.tables import BadRows

_COMMENT = re.compile(r"#+(\s|$)")
_DOCUMENT = "-DOCSTART-"
_LOOKED_AT = 2000
_SHOWN = {None: "a space", "\t": "a tab"}


@dataclass(frozen=True)
class Layout:
    """What the lines of a file are like.

    Attributes:
      separator: between columns; None: spaces.
      width: how many columns.
      word, tag: their places from 0; tag is None where there are no tags.
      clear: whether the last column has tags and nothing else: then the file is no plain text.
    """

    separator: str | None
    width: int
    word: int
    tag: int | None
    clear: bool

    def fields(self, line: str) -> list[str]:
        line = line.rstrip("\r\n")
        return line.split(self.separator) if self.separator else [f for f in line.split(" ") if f]

    def is_comment(self, line: str, fields: Sequence[str]) -> bool:
        if not _COMMENT.match(line):
            return False
        return len(fields) != self.width or (self.tag is not None and parse(fields[self.tag].strip()) is None)


def layout(path: PathLike, how: FileSettings = AS_NAMED, tags: bool = True) -> Layout:
    """What the first lines of a file say of all of them.

    Args:
      tags: whether there must be any; without, a file of one column is one of words.

    Raises:
      UserError: the file is empty, or has no such column.
    """
    lines = [li for li in islice(text_lines(path, how.encoding), _LOOKED_AT) if li.strip()]
    if not lines:
        raise UserError(f"{path}: the file is empty")
    rows = [li for li in lines if not _COMMENT.match(li) and not li.startswith(_DOCUMENT)] or lines
    separator = None if how.delimiter == "space" else how.separator("tsv")
    if how.delimiter is None and not any("\t" in li for li in rows):
        separator = None
    plain = Layout(separator, 0, 0, None, False)
    cut = [plain.fields(li) for li in rows]
    width, count = Counter(map(len, cut)).most_common(1)[0]
    word = _place(path, "--word_column", how.word_column, width, 0)
    tag: int | None = _place(path, "--tag_column", how.tag_column, width, width - 1)
    if tag == word:
        if tags or how.tag_column is not None:
            is_one = f"no tags but the words in column {word + 1}"
            if width == 1:
                is_one = f"1 column, {tail(rows[0].strip())!r}"
            raise UserError(
                f"{path}: expected a word and its tag in each line, with a tab or a space between; found {is_one}"
                " (--word_column and --tag_column say where they are)"
            )
        tag = None
    clear = width > 1 and count == len(rows) and tag is not None and all(parse(f[tag].strip()) for f in cut)
    return Layout(separator, width, word, tag, clear)


def _place(path: PathLike, flag: str, asked: int | None, width: int, default: int) -> int:
    if asked is None:
        return default
    if asked > width:
        many = "column" if width == 1 else "columns"
        raise UserError(f"{path}: {flag}={asked}, but its lines have {width} {many}; expected 1 to {width}")
    return asked - 1


def sentences(path: PathLike, found: Layout, how: FileSettings, bad: BadRows) -> Iterator[Sentence]:
    """The sentences of a file; ``bad`` is told of those with a line that has more or fewer columns than the others.

    Blank lines, any number of them and of white space, and document boundaries end a sentence; so does the file.
    """
    words: list[str] = []
    tags: list[str] = []
    places: list[int] = []
    number, fault = 0, ""

    def made() -> Iterator[Sentence]:
        if fault:
            bad.report(fault)
        elif words:
            yield Sentence(number, words, tags if found.tag is not None else None, places)

    for line, text in enumerate(text_lines(path, how.encoding), 1):
        if not text.strip():
            fields = []
        else:
            fields = found.fields(text)
            if found.is_comment(text, fields):
                continue
        if not fields or fields[0] == _DOCUMENT:
            yield from made()
            number += bool(words or fault)
            words, tags, places, fault = [], [], [], ""
        elif len(fields) == found.width:
            words.append(fields[found.word].strip(" "))
            if found.tag is not None:
                tags.append(fields[found.tag].strip())
            places.append(line)
        else:
            between = _SHOWN.get(found.separator, repr(found.separator))
            fault = fault or (
                f"{path}, line {line}: expected {found.width} columns, as the other lines have, with {between} between;"
                f" found {len(fields)} in {tail(text.strip())!r}"
            )
    yield from made()


def conll_lines(rows: Rows, tags: Iterable[Sequence[str]]) -> Iterator[str]:
    """Lines with their ends: a word, a tab and its tag, and a blank line behind each row.

    Args:
      rows: of a tagging.
      tags: names of the tags, one a word. Raises ValueError where there are more or fewer.
    """
    for text, row in zip(rows.text, tags, strict=True):
        for word, tag in zip(words_of(text), row, strict=True):
            yield f"{in_one_piece(word)}\t{tag}\n"
        yield "\n"


def write_conll(path: PathLike, rows: Rows, tags: Iterable[Sequence[str]]) -> None:
    """Writes :func:`conll_lines`; the file is there whole or not at all."""
    with atomic_path(path) as temp, open(temp, "w", encoding="utf-8", newline="\n") as f:
        f.writelines(conll_lines(rows, tags))
