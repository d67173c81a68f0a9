"""Reads files of tagged words into Rows: columns or JSON lines, from any scheme to IOB2."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from kd_keras.common.errors import UserError
from kd_keras.common.files import PathLike, tail
from kd_keras.common.ragged import Ragged
from kd_keras.tasks.columns import Columns
from kd_keras.tasks.conll import layout, sentences
from kd_keras.tasks.file_settings import AS_NAMED, FileSettings
from kd_keras.tasks.label_names import label_fault
from kd_keras.tasks.records import iob2
from kd_keras.tasks.rows import Rows
from kd_keras.tasks.schemes import OUTSIDE, Scheme, Tag, begins, parse, recognise, written
from kd_keras.tasks.sentences import Sentence, all_whole, are_prefixed, in_one_piece, prefix_notes, unprefixed
from kd_keras.tasks.spans import answer_keys, json_sentences, source_keys
from kd_keras.tasks.tables import BadRows
from kd_keras.tasks.tagging_forms import form_of


@dataclass(frozen=True)
class TaggedFile:
    """How a file of tagged words is read.

    Attributes:
      columns: the keys of JSON lines, if they are not the usual ones.
      types: entity types in the order of the labels; None: those of the file, sorted.
      files: encoding, format and columns.
      begin_strays: in IOB2, whether a stray I- (with no entity before it) begins an entity, as in conlleval. Otherwise
        it is an error.
    """

    columns: Columns = field(default_factory=Columns)
    types: tuple[str, ...] | None = None
    files: FileSettings = AS_NAMED
    begin_strays: bool = False


@dataclass
class Found:
    """The content of a file with gold tags.

    Attributes:
      rows: rows with tags. A row's group is its language if nearly all words began with one ("en:Paris").
      types: the entity types.
      scheme: the scheme of the tags.
      strays: number of stray I- tags, which now begin an entity.
      spaced: number of words that had white space inside or were empty; it is no-break space now.
      found: what was found of the file's columns without being asked for.
    """

    rows: Rows
    types: tuple[str, ...]
    scheme: str
    strays: int = 0
    spaced: int = 0
    found: Sequence[str] = ()

    def notes(self) -> list[str]:
        said = [f"tags are {self.scheme}" + ("" if self.scheme == "IOB2" else ", kept as IOB2")]
        if self.scheme == "none":
            said = ["no entity"]
        if self.strays:
            said.append(f"{self.strays:,} I- without an entity before them begin one")
        return [*said, *self.found, *prefix_notes(self.rows.group or ()), *spaced_notes(self.spaced)]


def spaced_notes(count: int) -> list[str]:
    many = "1 word" if count == 1 else f"{count:,} words"
    return [f"{many} with white space inside, or empty: no-break spaces (U+00A0) replace it"] if count else []


def read_tagged(path: PathLike, how: TaggedFile, bad: BadRows, prefix: str) -> Found:
    """The sentences of a file with gold tags.

    Args:
      bad: is told of every sentence that cannot be used: missing columns, impossible tags, unknown types.
      prefix: ids are ``prefix-0``, ``prefix-1``, …; a skipped sentence keeps its number.

    Raises:
      UserError: the file cannot be read, or no sentence can be used.
    """
    labels: tuple[str, ...] = iob2(how.types or ())
    notes: list[str] = []
    if form_of(path, how.files, gold=True) == "jsonl":
        keys = source_keys(how.columns), answer_keys(how.columns)
        found = list(json_sentences(path, *keys, labels if how.types else (), how.files, bad))
    else:
        laid = layout(path, how.files)
        found, notes = list(sentences(path, laid, how.files, bad)), laid.notes
    if are_prefixed(found):
        found = [s for s in found if unprefixed(path, s, bad)]
    kept, parsed = _parsed(path, found, bad)
    scheme = recognise(parsed)
    kept, parsed, strays = _possible(path, kept, parsed, scheme, how, bad)
    types = how.types
    if types is None:
        there = {tag[1] for tags in parsed for tag in tags} - {""}
        types = tuple(sorted(name for name in there if not label_fault(name)))
    kept, parsed = _known(path, kept, parsed, types, bad)
    if not kept:
        why = bad.first[:1] or (["no sentence has gold tags"] if bad.left_out else [])
        raise UserError(": ".join([f"{path}: no sentence can be used", *why]))
    codes = _Codes(types)
    tags = [codes[pair] for row in parsed for pair in zip((OUTSIDE, *row), row, strict=False)]
    lengths = np.fromiter(map(len, parsed), np.int64, len(parsed))
    rows, spaced = rows_of(kept, prefix, Ragged.cut(np.asarray(tags, np.int32), lengths))
    return Found(rows, types, scheme.name, strays, spaced, notes)


class _Codes(dict):
    """The number in Rows of a tag, which depends on the tag before it."""

    def __init__(self, types: Sequence[str]):
        super().__init__()
        self._first = {name: 2 * n + 1 for n, name in enumerate(types)}

    def __missing__(self, pair: tuple[Tag, Tag]) -> int:
        before, tag = pair
        self[pair] = 0 if tag == OUTSIDE else self._first[tag[1]] + (not begins(before, tag))
        return self[pair]


def _parsed(path: PathLike, found: list[Sentence], bad: BadRows) -> tuple[list[Sentence], list[list[Tag]]]:
    """The sentences whose tags can be parsed, and their tags."""
    kept, parsed = [], []
    for s in found:
        if not s.words:
            bad.report(f"{path}, {s.places}: expected words, found none")
            continue
        tags = [parse(tag) for tag in s.tags or ()]
        if None in tags:
            n = tags.index(None)
            bad.report(
                f"{path}, {s.place(n)}: expected O, or a tag such as B-PER and I-PER; found "
                f"{tail(repr(s.tags[n])) if s.tags[n] else 'nothing'}"
            )
            continue
        kept.append(s)
        parsed.append(tags)
    return kept, parsed


def _possible(
    path: PathLike, kept: list[Sentence], parsed: list[list[Tag]], scheme: Scheme, how: TaggedFile, bad: BadRows
) -> tuple[list[Sentence], list[list[Tag]], int]:
    """The sentences whose tags the scheme allows, and the number of their stray tags."""
    if not scheme.wrong:
        return kept, parsed, 0
    strays = 0
    if how.begin_strays and scheme.name == "IOB2":
        stray = {pair for pair in scheme.wrong if pair[1][0] == "I"}
        strays = sum(p in stray for tags in parsed for p in zip((OUTSIDE, *tags), tags, strict=False))
        scheme = replace(scheme, wrong={p: said for p, said in scheme.wrong.items() if p not in stray})
    good = []
    for s, tags in zip(kept, parsed, strict=True):
        if fault := scheme.fault(tags):
            bad.report(f"{path}, {s.place(fault[0])}: {fault[1]}")
        else:
            good.append((s, tags))
    return [s for s, _ in good], [tags for _, tags in good], strays


def _known(
    path: PathLike, kept: list[Sentence], parsed: list[list[Tag]], types: tuple[str, ...], bad: BadRows
) -> tuple[list[Sentence], list[list[Tag]]]:
    """The sentences whose entities are all of ``types``, with names that labels.txt can hold."""
    fault = {name: why for name in {t[1] for tags in parsed for t in tags} if (why := _type_fault(name, types))}
    if not fault:
        return kept, parsed
    good = []
    for s, tags in zip(kept, parsed, strict=True):
        n = next((n for n, tag in enumerate(tags) if tag[1] in fault), None)
        if n is None:
            good.append((s, tags))
        else:
            bad.report(f"{path}, {s.place(n)}: the tag {tail(written(tags[n]))!r} {fault[tags[n][1]]}")
    return [s for s, _ in good], [tags for _, tags in good]


def _type_fault(name: str, types: tuple[str, ...]) -> str | None:
    if why := label_fault(name):
        return why
    if not name or name in types:
        return None
    return f"is of an unknown type; expected one of {tail(', '.join(types), 100)}"


def rows_of(kept: list[Sentence], prefix: str, label: Ragged) -> tuple[Rows, int]:
    """Rows of the sentences, and the number of words with white space."""
    text, spaced = [], 0
    for s in kept:
        whole = s.words if all_whole(s.words) else [in_one_piece(w) for w in s.words]
        spaced += sum(a != b for a, b in zip(s.words, whole, strict=True)) if whole is not s.words else 0
        text.append(" ".join(whole))
    languages = [s.language for s in kept] if any(s.language for s in kept) else None
    return Rows([f"{prefix}-{s.number}" for s in kept], text, None, label, languages), spaced


def entity_counts(label: Ragged, types: int) -> np.ndarray:
    """int64[types]: the number of entities of each type."""
    tags = label.flat()
    return np.bincount((tags[tags % 2 == 1] - 1) // 2, minlength=types).astype(np.int64)


def rows_said(found: Found, bad: BadRows, path: PathLike) -> Rows:
    """The rows of a file. Notes on the file go to ``bad``."""
    for note in found.notes():
        bad.remark(f"{path}: {note}")
    return found.rows
