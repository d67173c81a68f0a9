"""The form of a tagging task's file: columns, JSON lines, a table, or text."""

from __future__ import annotations

from collections.abc import Collection

from kd_keras.common.errors import UserError
from kd_keras.common.files import PathLike
from kd_keras.tasks.conll import ENDINGS, ends, looks_tagged
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
