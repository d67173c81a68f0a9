"""Files of words and tags in columns, with a blank line after each sentence, as in CoNLL's shared tasks.

Tabs or spaces separate the columns, whichever more lines have. The number of columns tells a comment ("# id = 7") from
a row whose word is "#". A line of -DOCSTART- separates documents and is no sentence. If the first column only counts
the words of a sentence, as in CoNLL-U and GermEval, the words are in the second. CoNLL-U's lines for several words
("3-4") or none ("3.1") are no words. Of several columns with tags of the same types the first has the tags.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise

from kd_keras.common.errors import UserError
from kd_keras.common.files import PathLike, atomic_path, tail
from kd_keras.common.reading import PACKED, text_lines
from kd_keras.tasks.file_settings import AS_NAMED, FileSettings
from kd_keras.tasks.rows import Rows, words_of
from kd_keras.tasks.schemes import parse
from kd_keras.tasks.sentences import Sentence, in_one_piece
from kd_keras.tasks.tables import BadRows

_COMMENT = re.compile(r"#+(\s|$)")
_DOCUMENT = "-DOCSTART-"
_CONLLU, _CONLLU_WIDTH = ".conllu", 10
_NO_WORD = re.compile(r"\d+[-.]\d+")
_LOOKED_AT = 2000
_SHOWN = {None: "a space", "\t": "a tab"}
COUNTED = "the first column counts the words of each sentence, so the words are in the second (--word_column=1: no)"
ENDINGS = (".conll", _CONLLU, ".bio", ".iob", ".iob2", ".bioes", ".bilou")


@dataclass(frozen=True)
class Layout:
    """The layout of a file's lines.

    Attributes:
      separator: between columns; None: spaces.
      width: the number of columns.
      word, tag: their columns, from 0. tag is None if there are no tags or none are asked for.
      mark: the column whose content tells a row from a comment: the tags', even if none are asked for.
      conllu: whether the file is CoNLL-U.
      counted: whether the first column was found to count the words, so that the second has them.
      layered: whether the column after the tags was found to have tags of the same types.
    """

    separator: str | None
    width: int
    word: int
    tag: int | None
    mark: int | None = None
    conllu: bool = False
    counted: bool = False
    layered: bool = False

    @property
    def notes(self) -> list[str]:
        """What was found without being asked for."""
        if not self.layered or self.tag is None:
            return [COUNTED] * self.counted
        tag = self.tag + 1
        after = f"column {tag + 1} has tags of the same types, so the tags are read from column {tag}"
        return [COUNTED] * self.counted + [f"{after} (--tag_column={self.width}: the last)"]

    def fields(self, line: str) -> list[str]:
        return _cut(line, self.separator)

    def is_comment(self, line: str, fields: Sequence[str], first: bool) -> bool:
        """Whether a line is a comment. ``first``: no word of its sentence comes before it."""
        if not _COMMENT.match(line):
            return self.conllu and line.startswith("#")
        if len(fields) != self.width:
            return True
        # Spaces cut a comment too, so it may have as many columns as a row.
        return first and self.separator is None and self.mark is not None and parse(fields[self.mark].strip()) is None

    def is_no_word(self, fields: Sequence[str]) -> bool:
        return self.conllu and bool(_NO_WORD.fullmatch(fields[0]))


def _cut(line: str, separator: str | None) -> list[str]:
    line = line.rstrip("\r\n")
    return line.split(separator) if separator else [f for f in line.split(" ") if f]


def ends(path: PathLike, endings: tuple[str, ...]) -> bool:
    """Whether a name has one of these endings, apart from .gz and other packing."""
    name = str(path).lower()
    for packed in PACKED:
        name = name.removesuffix(packed)
    return name.endswith(endings)


def _is_row(line: str) -> bool:
    return bool(line.strip()) and not _COMMENT.match(line) and not line.startswith(_DOCUMENT)


def _separator(rows: Sequence[str], how: FileSettings) -> str | None:
    if how.delimiter:
        return None if how.delimiter == "space" else how.separator("tsv")
    tabs = sum("\t" in row for row in rows)
    spaces = sum(" " in row and "\t" not in row for row in rows)
    return "\t" if tabs and tabs >= spaces else None


def layout(path: PathLike, how: FileSettings = AS_NAMED, tags: bool = True) -> Layout:
    """The layout of a file, from its first lines.

    Args:
      tags: whether tags are asked for. If not, a file of one column has words.

    Raises:
      UserError: the file is empty, or lacks a column.
    """
    head = list(islice(text_lines(path, how.encoding), _LOOKED_AT))
    lines = [li for li in head if li.strip()]
    if not lines:
        raise UserError(f"{path}: the file is empty")
    rows = list(filter(_is_row, lines)) or lines
    separator = _separator(rows, how)
    width = Counter(len(_cut(li, separator)) for li in rows).most_common(1)[0][0]
    counted = how.word_column is None and width > 1 and _is_counted(head, separator)
    conllu = ends(path, (_CONLLU,)) and (width == _CONLLU_WIDTH or counted)
    word = _place(path, "--word_column", how.word_column, width, int(conllu or counted))
    first = _first_tags([_cut(row, separator) for row in rows], width, word)
    tag = _place(path, "--tag_column", how.tag_column, width, first)
    if tag == word and (tags or how.tag_column is not None):
        is_one = f"no tags but the words in column {word + 1}"
        if width == 1:
            is_one = f"1 column, {tail(rows[0].strip())!r}"
        raise UserError(
            f"{path}: expected a word and its tag in each line, with a tab or a space between; found {is_one}"
            " (--word_column and --tag_column say where they are)"
        )
    told = tags or (tag != word and all(parse(f[tag].strip()) for f in (_cut(r, separator) for r in rows) if f[tag:]))
    layered = how.tag_column is None and first < width - 1
    return Layout(separator, width, word, tag if tags else None, tag if told else None, conllu, counted, layered)


def _first_tags(rows: Sequence[Sequence[str]], width: int, word: int) -> int:
    """The last column, or the first of several at the end with tags of the same types: outer entities stand before
    nested ones (GermEval), and gold tags before a model's."""
    at = width - 1
    while at - 1 > word and not _types(rows, at).isdisjoint(_types(rows, at - 1)):
        at -= 1
    return at


def _types(rows: Sequence[Sequence[str]], column: int) -> set[str]:
    """The types of the tags in a column. Empty if some of it is no tag."""
    tags = [parse(fields[column].strip()) for fields in rows if len(fields) > column]
    return set() if None in tags else {name for _, name in tags} - {""}


def _is_counted(lines: Sequence[str], separator: str | None) -> bool:
    """Whether the first column of every row is its number in the sentence, from 1 on."""
    at = most = 0
    for line in lines:
        if _is_row(line):
            first = _cut(line, separator)[0].strip()
            at += not _NO_WORD.fullmatch(first)
            if first != str(at) and not _NO_WORD.fullmatch(first):
                return False
            most = max(most, at)
        elif not _COMMENT.match(line):
            at = 0
    return most > 1


def looks_tagged(path: PathLike, how: FileSettings) -> bool:
    """Whether a file is columns and not text, if its name does not say so.

    Every line has the same number of columns and a tag in the last one, some the tag O. There are also tabs, or
    sentences of several lines.
    """
    lines = [li if _is_row(li) else "" for li in islice(text_lines(path, how.encoding), _LOOKED_AT)]
    rows = list(filter(None, lines))
    separator = _separator(rows, how)
    cut = [_cut(li, separator) for li in rows]
    widths, last = set(map(len, cut)), [f[-1].strip() for f in cut if f]
    if len(widths) != 1 or max(widths) < 2 or "O" not in last or not all(map(parse, last)):
        return False
    return separator is not None or any(a and b for a, b in pairwise(lines))


def _place(path: PathLike, flag: str, asked: int | None, width: int, default: int) -> int:
    if asked is None:
        return default
    if asked > width:
        many = "column" if width == 1 else "columns"
        raise UserError(f"{path}: {flag}={asked}, but its lines have {width} {many}; expected 1 to {width}")
    return asked - 1


def sentences(path: PathLike, found: Layout, how: FileSettings, bad: BadRows) -> Iterator[Sentence]:
    """The sentences of a file. ``bad`` is told of a sentence if one of its lines has more or fewer columns than the
    others.

    A sentence ends at blank lines (with or without white space), at a document boundary, and at the end of the file.
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
        fields = found.fields(text) if text.strip() else []
        if fields and (found.is_comment(text, fields, not (words or fault)) or found.is_no_word(fields)):
            continue
        if not fields or text.startswith(_DOCUMENT):
            yield from made()
            number += bool(words or fault)
            words, tags, places, fault = [], [], [], ""
        elif len(fields) == found.width:
            words.append(fields[found.word].strip(" "))
            if found.tag is not None:
                tags.append(sys.intern(fields[found.tag].strip()))
            places.append(line)
        else:
            between = _SHOWN.get(found.separator, repr(found.separator))
            fault = fault or (
                f"{path}, line {line}: expected {found.width} columns with {between} between, as in the other lines; "
                f"found {len(fields)} in {tail(text.strip())!r}"
            )
    yield from made()


def conll_lines(rows: Rows, tags: Iterable[Sequence[str]]) -> Iterator[str]:
    """Lines with their ends: a word, a tab and its tag in each, and a blank line after each row.

    Args:
      rows: of a tagging task.
      tags: names of the tags, one for each word. Raises ValueError if there are more or fewer.
    """
    for text, row in zip(rows.text, tags, strict=True):
        for word, tag in zip(words_of(text), row, strict=True):
            yield f"{in_one_piece(word)}\t{tag}\n"
        yield "\n"


def write_conll(path: PathLike, rows: Rows, tags: Iterable[Sequence[str]]) -> None:
    """Writes :func:`conll_lines`. The file appears whole or not at all."""
    with atomic_path(path) as temp, open(temp, "w", encoding="utf-8", newline="\n") as f:
        f.writelines(conll_lines(rows, tags))
