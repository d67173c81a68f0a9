"""Reads files for a tagging task without their tags: columns, JSON lines, tables, or text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from kd_keras.common.errors import UserError
from kd_keras.common.files import PathLike
from kd_keras.common.reading import text_lines
from kd_keras.tasks.cells import as_text
from kd_keras.tasks.conll import layout, sentences
from kd_keras.tasks.rows import Rows, no_tags
from kd_keras.tasks.sentences import Sentence, are_prefixed, prefix_notes, unprefixed
from kd_keras.tasks.spans import TEXTS, json_sentences, source_keys
from kd_keras.tasks.tables import BadRows, check_column, open_table
from kd_keras.tasks.tagged import TaggedFile, rows_of, spaced_notes
from kd_keras.tasks.tagging_forms import form_of
from kd_keras.text.words import split_words


@dataclass(frozen=True)
class Untagged:
    """The content of a file.

    Attributes:
      rows: rows of words, without tags.
      texts: the texts that were split into words, as the file has them; None for a row that the file has as words.
      places: the places of the words in their texts, as (start, end); None for such a row.
      notes: notes on the file.
    """

    rows: Rows
    texts: list[str | None]
    places: list[list[tuple[int, int]] | None]
    notes: list[str]


def read_words(path: PathLike, how: TaggedFile, bad: BadRows, column: str | None = None) -> Untagged:
    """The sentences of a file, with ids "row-0", "row-1", …

    Args:
      column: the text column that a flag names; None: the task's, or a usual one.
      bad: is told of every sentence that cannot be used.

    Raises:
      UserError: the file cannot be read, or has no such column.
    """
    what = {"columns": "columns of words and tags, which have no names", "text": "plain text, which has no columns"}
    if column and (form := _form(path, how, column)) in what:
        raise UserError(f"--text_column={column}: {path} is {what[form]}")
    found = list(untagged(path, how, bad, column))
    rows, spaced = rows_of(found, "row", no_tags(len(found)))
    notes = prefix_notes(s.language for s in found) + spaced_notes(spaced)
    return Untagged(rows, [s.text for s in found], [None if s.text is None else s.spans or [] for s in found], notes)


def untagged(
    path: PathLike, how: TaggedFile, bad: BadRows, column: str | None = None, flag: str = "--text_column"
) -> Iterator[Sentence]:
    """The sentences of a file, in order. It takes the arguments of :func:`read_words`.

    Each JSON line has a text or a list of words. A line of plain text, or a cell, is a sentence; an empty one has no
    words. ``flag`` names the column, for errors.
    """
    form = _form(path, how, column)
    if form == "text":
        for number, line in enumerate(text_lines(path, how.files.encoding)):
            yield _of_text(number, line.rstrip("\r\n"), f"line {number + 1}")
    elif form in ("csv", "tsv"):
        yield from _table(path, form, how, bad, column, flag)
    else:
        keys = (column,) if column else source_keys(how.columns, others=True)
        prefixed = _prefixed(path, form, keys, how)
        for s in _words(path, form, keys, how, bad):
            kept = unprefixed(path, s, bad) if prefixed and s.words and s.text is None else s
            if kept is not None:
                yield kept


def _form(path: PathLike, how: TaggedFile, column: str | None) -> str:
    return form_of(path, how.files, (column,) if column else (*how.columns.text, *TEXTS))


def _of_text(number: int, text: str, place: str) -> Sentence:
    spans = split_words(text)
    return Sentence(number, [text[a:b] for a, b in spans], None, place, text, spans)


def _words(path: PathLike, form: str, keys: tuple[str, ...], how: TaggedFile, bad: BadRows) -> Iterator[Sentence]:
    if form == "jsonl":
        return json_sentences(path, keys, (), (), how.files, bad)
    return sentences(path, layout(path, how.files, tags=False), how.files, bad)


def _prefixed(path: PathLike, form: str, keys: tuple[str, ...], how: TaggedFile) -> bool:
    try:
        return are_prefixed(s for s in _words(path, form, keys, how, BadRows("skip")) if s.text is None)
    except UserError:
        return False  # the second reading reports it with its line


def _table(
    path: PathLike, form: str, how: TaggedFile, bad: BadRows, column: str | None, flag: str
) -> Iterator[Sentence]:
    names, records = open_table(path, bad, form=form, how=how.files)
    name = column or next((n for n in (*how.columns.text, *TEXTS) if n in names), how.columns.text[0])
    check_column(path, name, names, flag)
    for number, line, values in records:
        yield _of_text(number, as_text(values[name]) or "", f"line {line}")
