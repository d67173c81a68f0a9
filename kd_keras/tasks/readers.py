"""Reads files into Rows: labeled tables of any task, and plain text for prediction.

White space at the ends of a text is removed. No row is dropped silently; see :class:`BadRows`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from kd_keras.common.columns import StringsOnDisk
from kd_keras.common.errors import UserError
from kd_keras.common.files import PathLike, require_file, tail
from kd_keras.common.progress import say
from kd_keras.common.reading import STDIN, text_lines
from kd_keras.tasks.cells import read_cell
from kd_keras.tasks.columns import Columns
from kd_keras.tasks.conll import ENDINGS, ends
from kd_keras.tasks.dialect import format_of
from kd_keras.tasks.file_settings import AS_NAMED, FileSettings
from kd_keras.tasks.label_readers import LabelReader, reader_for
from kd_keras.tasks.records import Task
from kd_keras.tasks.rows import Rows, no_labels
from kd_keras.tasks.spans import TEXTS
from kd_keras.tasks.tables import BadRows, check_column, open_table
from kd_keras.tasks.tagged import TaggedFile, read_tagged, rows_said
from kd_keras.tasks.tagging_forms import columns_note
from kd_keras.tasks.untagged import Untagged, read_words

# Tried if the task's own column is missing.
TEXT_COLUMNS = ("text", "sentence")
PAIR_COLUMNS = (("text", "text_b"), ("sentence1", "sentence2"))


@dataclass(frozen=True)
class Reading:
    """The layout of a table.

    Attributes:
      empty_text: whether a row may have no text (prediction), or is bad then (training).
      header: False for the official file without a header; None decides by the first line.
      clean: is applied to each text.
      flags: whether an error about a column names the flag that chooses another.
      form: the format, if the file's name does not say it.
      files: encoding, delimiter and quoting.
      strings: makes the columns of ids and texts: list, or another class with ``append``.
    """

    empty_text: bool = False
    header: bool | None = None
    clean: Callable[[str], str] | None = None
    flags: bool = False
    form: str | None = None
    files: FileSettings = AS_NAMED
    strings: type = list


def read_table(
    path: PathLike,
    columns: Columns,
    labels: LabelReader | None,
    bad: BadRows,
    prefix: str,
    how: Reading = Reading(),
) -> Rows:
    """Rows of a .csv, .tsv or .jsonl file.

    Args:
      path: the file, plain or packed.
      columns: the columns of text and label.
      labels: reads the label. None: labels are not read and are -1.
      bad: is told of every row that cannot be used.
      prefix: ids are ``prefix-0``, ``prefix-1``, …; a skipped row keeps its number.
      how: the layout of this file.
    """
    texts = list(columns.text) + ([columns.text_b] if columns.text_b else [])
    wanted = texts + (list(columns.gold()) if labels is not None else [])
    is_header = (lambda names: False) if how.header is False else (lambda names: set(wanted) <= set(names))
    names, records = open_table(path, bad, columns.headerless, is_header, how.form, how.files)
    if how.empty_text and names == list(columns.headerless or ()):
        bad.remark(
            f"{path}: line 1 names no text column, so it is read as a text, in the order {', '.join(names)}; "
            "--text_column names a column of your own"
        )
    # Each JSON line has its own keys; the first may be one of those to skip.
    loose = bad.policy == "skip" and (how.form or format_of(path, how.files)) == "jsonl"
    for name in () if loose else wanted:
        flag = "--text_column" if name in columns.text else "--label_column"
        if name == columns.text_b:
            flag = "--text_b_column"
        elif name in columns.labels:
            flag = "--label_columns"
        check_column(path, name, names, flag if how.flags else "")
    ids, text, text_b = how.strings(), how.strings(), how.strings()
    label = []
    for number, line, values in records:
        cells = []
        for name in texts:
            cell = read_cell(path, line, values, name, bad)
            if cell is None:
                break
            cells.append(cell)
        if len(cells) < len(texts):
            continue
        value, written = (-1, ()) if labels is None else labels.of_row(path, line, values, columns, bad)
        if value is None:
            continue
        b = cells.pop() if columns.text_b else ""
        a = " ".join(c for c in cells if c)
        a, b = (how.clean(a).strip(), how.clean(b).strip()) if how.clean else (a, b)
        if not how.empty_text and (not a or (columns.text_b and not b)):
            name = columns.text_b if a else " + ".join(columns.text)
            bad.report(f"{path}, line {line}, column {name!r}: expected text, found nothing")
            continue
        if labels is not None:
            labels.seen.update(written)
            label.append(value)
        ids.append(f"{prefix}-{number}")
        text.append(a)
        if columns.text_b:
            text_b.append(b)
    if not ids:
        why = bad.first[:1] or (["no row has a gold label"] if bad.left_out else [])
        raise UserError(": ".join([f"{path}: no row can be used", *why]))
    array = no_labels(np.zeros(0, np.int32), len(ids)) if labels is None else np.asarray(label, labels.dtype)
    return Rows(ids, text, text_b if columns.text_b else None, array)


def read_labelled(
    path: PathLike,
    task: Task,
    on_bad_row: str = "stop",
    flag: str = "--data_file",
    files: FileSettings = AS_NAMED,
) -> Rows:
    """Rows with gold labels of a file with the task's columns, for ``evaluate``.

    The task's official file without a header works too. If the task's text column is missing, columns called "text" or
    "sentence" are read (of a pair: "text" and "text_b", or "sentence1" and "sentence2"). A row may have no text, as a
    model must answer it. Skipped rows are reported on standard error. A tagging task reads columns, or JSON lines with
    tags or spans.

    Args:
      flag: the flag that named the file, for errors.
      files: encoding, delimiter, quoting and format.
    """
    require_file(path, flag)
    bad = BadRows(on_bad_row)
    if task.is_tagging:
        # PAN-X's own files have stray I- tags.
        how = TaggedFile(task.columns, task.types, files, begin_strays=task.name == "panx")
        rows = rows_said(read_tagged(path, how, bad, "row"), bad, path)
        for note in filter(None, (columns_note(path, files, gold=True), *bad.notes())):
            say(note)
        return rows
    columns = _with_aliases(path, task.columns, files)
    how = Reading(empty_text=True, files=files, clean=task.clean)
    rows = read_table(path, columns, reader_for(task, columns.label_base), bad, "row", how)
    for note in bad.notes():
        say(note)
    return rows


def _with_aliases(path: PathLike, columns: Columns, how: FileSettings) -> Columns:
    """``columns``. If the file lacks the text column but has an alias, the alias replaces it."""
    bad, gold = BadRows("skip"), set(columns.gold())
    names, _ = open_table(path, bad, columns.headerless, lambda first: gold <= set(first), how=how)
    return found_in(names, columns)


def found_in(names: list[str], columns: Columns) -> Columns:
    """``columns``. If ``names`` lacks one of their texts, the aliases that it has replace them."""
    texts = (*columns.text, columns.text_b) if columns.text_b else columns.text
    if all(t in names for t in texts):
        return columns
    if columns.text_b:
        a, b = next(((a, b) for a, b in PAIR_COLUMNS if a in names and b in names), (None, None))
        return replace(columns, text=(a,), text_b=b) if a else columns
    other = next((t for t in TEXT_COLUMNS if t in names), None)
    return replace(columns, text=(other,)) if other else columns


def read_texts(
    path: str,
    text_column: str | None = None,
    text_b_column: str | None = None,
    task: Task | None = None,
    flag: str = "--input",
    on_disk: bool = False,
    files: FileSettings = AS_NAMED,
) -> Rows:
    """Text without labels, for ``predict`` and ``label``.

    Args:
      path: a .tsv, .csv or .jsonl file, read by column. Any other file is plain text with one text a line; a blank line
        is an empty text. "-" is standard input. The first line of a pipe decides: a JSON object, a header with a text
        column, or plain text. Packed files are unpacked.
      text_column: by default the task's, or "text" or "sentence" (of a pair: "text" and "text_b", or "sentence1" and
        "sentence2"), whichever the file has.
      text_b_column: the same for the second text of a pair.
      task: for a pair task, a line of plain text has both texts with a tab between. For a tagging task, files of
        columns are read too, and plain text is split into words; see :func:`kd_keras.tasks.untagged.read_words`.
      flag: the flag that named the file, for errors.
      on_disk: keeps the text in a temporary file instead of in memory.
      files: encoding, delimiter, quoting and format.

    Returns:
      Rows without gold labels, of the kind of ``task``, with ids "row-0", "row-1", …
    """
    if task is not None and task.is_tagging:
        return read_untagged(path, task, text_column, flag, files).rows
    if path == "-":
        path = STDIN
    else:
        require_file(path, flag)
    if ends(path, ENDINGS) and files.format == "auto":
        raise UserError(f"{flag}={path}: has columns of words for a tagger; --format=text reads each line as a text")
    own, clean = (task.columns, task.clean) if task else (Columns(), None)
    pair = bool(text_b_column or own.text_b)
    known = () if text_column else (*own.text, *TEXT_COLUMNS, *(a for a, _ in PAIR_COLUMNS))
    form, strings = format_of(path, files, known), StringsOnDisk if on_disk else list
    if form is None:
        rows = _plain(path, pair, text_column, strings, files.encoding, clean)
    else:
        bad, columns = BadRows(), text_columns(path, text_column, text_b_column, own, replace(files, format=form))
        how = Reading(empty_text=True, clean=clean, flags=True, form=form, files=files, strings=strings)
        rows = read_table(path, columns, None, bad, "row", how)
        for note in bad.notes():
            say(note)
    return rows if task is None else replace(rows, label=task.no_labels(len(rows)))


def read_untagged(
    path: str, task: Task, text_column: str | None = None, flag: str = "--input", files: FileSettings = AS_NAMED
) -> Untagged:
    """The rows of a file for a tagging task. It takes the arguments of :func:`read_texts` and prints the notes."""
    if path == "-":
        path = STDIN
    else:
        require_file(path, flag)
    bad = BadRows()
    found = read_words(path, TaggedFile(task.columns, task.types, files), bad, text_column)
    read_as = columns_note(path, files, (text_column,) if text_column else (*task.columns.text, *TEXTS))
    for note in filter(None, (read_as, *bad.notes(), *(f"{path}: {note}" for note in found.notes))):
        say(note)
    return found


def text_columns(
    path: PathLike, text_column: str | None, text_b_column: str | None, own: Columns, how: FileSettings
) -> Columns:
    """The columns to predict from: those that are named, or the task's, or aliases that the file has."""
    if text_column:
        return Columns((text_column,), text_b_column or own.text_b, own.label)
    names = open_table(path, BadRows("skip"), own.headerless, lambda n: _is_header(n, own), how=how)[0]
    if text_b_column is None:
        return found_in(names, own)
    return replace(found_in(names, replace(own, text_b=None)), text_b=text_b_column)


def _is_header(names: list[str], columns: Columns) -> bool:
    return set(columns.text) <= set(names) or any(t in names for t in TEXT_COLUMNS)


def _plain(
    path: str, pair: bool, text_column: str | None, kind: type, encoding: str, clean: Callable[[str], str] | None
) -> Rows:
    """``kind`` is as :class:`Reading`'s ``strings``."""
    if text_column:
        raise UserError(f"--text_column={text_column}: {path} is plain text, which has no columns")
    ids, text, text_b = kind(), kind(), kind()
    for number, line in enumerate(text_lines(path, encoding)):
        line = clean(line.rstrip("\r\n")) if clean else line.rstrip("\r\n")
        if pair:
            if line.count("\t") != 1:
                raise UserError(
                    f"{path}, line {number + 1}: expected two texts with a tab between, found {tail(line)!r}"
                )
            line, other = line.split("\t")
            text_b.append(other.strip())
        ids.append(f"row-{number}")
        text.append(line.strip())
    return Rows(ids, text, text_b if pair else None, no_labels(np.zeros(0, np.int32), len(ids)))
