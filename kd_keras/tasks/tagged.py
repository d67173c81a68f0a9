"""Stand-in until branch g1's file is here: reads columns and JSON lines of tokens, tags in IOB2."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import numpy as np

from kd_keras.common.errors import UserError
from kd_keras.common.ragged import Ragged
from kd_keras.common.reading import text_lines
from kd_keras.tasks.columns import Columns
from kd_keras.tasks.file_settings import AS_NAMED, FileSettings
from kd_keras.tasks.records import iob2
from kd_keras.tasks.rows import Rows, no_tags
from kd_keras.tasks.tables import BadRows


@dataclass(frozen=True)
class TaggedFile:
    columns: Columns = field(default_factory=Columns)
    types: tuple[str, ...] | None = None
    files: FileSettings = AS_NAMED


@dataclass
class Found:
    rows: Rows


def read_words(path, how: TaggedFile, bad: BadRows, prefix: str = "row") -> Found:
    """Rows of words without tags."""
    rows = _sentences(path, how)
    return Found(_rows(rows, prefix, no_tags(len(rows))))


def read_tagged(path, how: TaggedFile, bad: BadRows, prefix: str) -> Found:
    """Rows of words with tags."""
    labels, rows = iob2(how.types or ()), _sentences(path, how)
    for row in rows:
        for _, tag, line in row:
            if tag not in labels:
                raise UserError(
                    f"{path}, line {line}: the tag {tag!r} is of no known type; expected one of {', '.join(how.types)}"
                )
    tags = np.array([labels.index(tag) for row in rows for _, tag, _ in row], np.int32)
    return Found(_rows(rows, prefix, Ragged.cut(tags, np.array([len(row) for row in rows], np.int64))))


def _sentences(path, how: TaggedFile) -> list[list[tuple[str, str, int]]]:
    out: list[list[tuple[str, str, int]]] = [[]]
    for number, line in enumerate(text_lines(path, how.files.encoding), 1):
        if line.startswith("{"):
            record = json.loads(line)
            tags = record.get("tags") or ["O"] * len(record["tokens"])
            out[-1:] = [[(w, t, number) for w, t in zip(record["tokens"], tags, strict=True)], []]
        elif not line.strip() or line.startswith("-DOCSTART-"):
            out += [[]] if out[-1] else []
        elif not line.startswith("# "):
            fields = line.split()
            out[-1].append((fields[0], fields[-1], number))
    return out if out[-1] else out[:-1]


def _rows(rows: list, prefix: str, label: Ragged) -> Rows:
    text = [" ".join(word for word, _, _ in row) for row in rows]
    return Rows([f"{prefix}-{n}" for n in range(len(rows))], text, None, label)
