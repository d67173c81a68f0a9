"""The flags that say how a user's files are written. All commands that read such files share them."""

from __future__ import annotations

from dataclasses import dataclass, fields

from kd_keras.common.config import Checked, setting
from kd_keras.common.encodings import check_encoding
from kd_keras.common.errors import UserError

DELIMITERS = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|", "space": " "}


def named(delimiter: str | None) -> str | None:
    """``delimiter``, with a tab or a space by name: a flagfile's lines lose white space at their ends."""
    return {"\t": "tab", " ": "space"}.get(delimiter, delimiter) if delimiter else delimiter


@dataclass(frozen=True, kw_only=True)  # otherwise the fields of subclasses would move
class FileSettings(Checked):
    """How a user's files are written.

    >>> FileSettings(encoding="cp1252", delimiter="tab").separator("csv")
    '\\t'
    """

    group = "data"
    encoding: str = setting(
        "auto",
        "names the encoding of your files, such as cp1252; auto: UTF-8, or what a byte-order mark says.",
        late=True,
    )
    delimiter: str | None = setting(
        None,
        "separates the fields of your tables: one character, or tab; if not given, a comma in .csv and a tab in .tsv.",
        late=True,
    )
    quoting: str = setting(
        "auto",
        'says what quotes are in your tables: minimal ("…" is one field, "" inside it one quote), none '
        "(quotes are text), or auto (minimal in .csv; in .tsv what the file looks like).",
        choices=("auto", "minimal", "none"),
        late=True,
    )
    format: str = setting(
        "auto",
        "names the format of your files; auto: what the name ends in; for a pipe, what its first line "
        "looks like. conll is for taggings: a word and its tag in each line, a blank line behind each "
        "sentence.",
        choices=("auto", "csv", "tsv", "jsonl", "text", "conll"),
        late=True,
    )
    word_column: int | None = setting(
        None,
        "number of the column of the words in taggings, from 1 on; if not given, the first, and in .conllu the second.",
        low=1,
        late=True,
    )
    tag_column: int | None = setting(
        None, "number of the column of the tags in taggings; if not given, the last.", low=1, late=True
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_encoding(self.encoding)
        object.__setattr__(self, "delimiter", named(self.delimiter))
        one = "," if self.delimiter is None else DELIMITERS.get(self.delimiter, self.delimiter)
        if len(one) != 1 or one in '"\r\n\0':
            raise UserError(
                f"--delimiter={self.delimiter!r}: expected one character (no quote or line end), or one of "
                f"{', '.join(DELIMITERS)}"
            )

    def separator(self, form: str) -> str:
        """The character between the fields of a table of this format ("csv" or "tsv")."""
        if self.delimiter:
            return DELIMITERS.get(self.delimiter, self.delimiter)
        return "\t" if form == "tsv" else ","

    def file_settings(self) -> FileSettings:
        """Only these settings, if they are part of others."""
        return FileSettings(**{f.name: getattr(self, f.name) for f in fields(FileSettings)})


OFFICIAL = FileSettings(quoting="none")  # GLUE's quotes belong to the text
AS_NAMED = FileSettings()
