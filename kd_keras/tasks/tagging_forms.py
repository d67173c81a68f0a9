"""The form of a tagging task's file: columns, JSON lines, a table, or text."""

from __future__ import annotations

from collections.abc import Collection

from kd_keras.common.errors import UserError
from kd_keras.common.files import PathLike
from kd_keras.tasks.conll import ENDINGS, ends, layout, looks_tagged
from kd_keras.tasks.dialect import format_of
from kd_keras.tasks.file_settings import FileSettings


def form_of(path: PathLike, how: FileSettings, known: Collection[str] = (), gold: bool = False) -> str:
    """ "columns", "jsonl", "csv", "tsv" or "text": by --format, or the name, or the content.

    Args:
      known: names of text columns. A pipe with one of them is a table.
      gold: whether tags are needed. Text and tables have none, so a file that is not JSON must then be columns.

    Raises:
      UserError: the file cannot be read, or files of this --format have no tags.
    """
    if gold and how.format in ("csv", "text"):
        raise UserError(f"{path}: --format={how.format} has no tags of words; expected conll or jsonl")
    if how.format in ("conll", "text"):
        return {"conll": "columns"}.get(how.format, how.format)
    form = format_of(path, how, known)
    if form == "jsonl":
        return form
    if gold or ends(path, ENDINGS) or how.word_column is not None or how.tag_column is not None:
        return "columns"
    return "columns" if form != "csv" and looks_tagged(path, how) else form or "text"


def columns_note(path: PathLike, how: FileSettings, known: Collection[str] = (), gold: bool = False) -> str:
    """How a file of columns is read if its name does not say so, and the flags that read it otherwise; else "".

    The arguments are those of :func:`form_of`.
    """
    told = how.format != "auto" or ends(path, (*ENDINGS, ".tsv"))
    if (told and gold) or form_of(path, how, known, gold) != "columns":  # with gold tags, Found says what is counted
        return ""
    found = layout(path, how, tags=gold)
    if told:
        return f"{path}: {'; '.join(found.notes)}" if found.notes else ""
    between = {None: "spaces", "\t": "tabs"}.get(found.separator, repr(found.separator))
    places = f"the word is in column {found.word + 1}" + (f", the tag in column {found.tag + 1}" if gold else "")
    flags = "--word_column and --tag_column name others" if gold else "--format=text reads it as plain text"
    return f"{path}: read as columns, {found.width} in a line with {between} between; {places} ({flags})"
