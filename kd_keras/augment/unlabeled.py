"""Unlabelled text as transfer rows: split into sentences, repeats and what dev and test hold removed, cut to a cap.

Mukherjee & Hassan Awadallah 2019, "Distilling BERT into Simple Neural Networks with Unlabeled Transfer Data".
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from glob import glob
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from kd_keras.augment.settings import UnlabeledSettings
from kd_keras.augment.transfer import ROW_GROUP, Transfer, find_or_make, write
from kd_keras.common import files
from kd_keras.common.columns import DigestSet, batched
from kd_keras.common.errors import UserError
from kd_keras.common.progress import progress
from kd_keras.tasks import Rows, Task
from kd_keras.tasks.carve import normalised
from kd_keras.tasks.tables import BadRows, missing_column, open_table, table_format
from kd_keras.tasks.unlabeled import task_documents

# Texts with so many words in a row in common overlap (Brown et al. 2020, appendix C).
RUN_OF_WORDS = 13
_WORD = re.compile(r"\w+")
_DOCUMENTS = 500  # read at a time
_READING = "reading unlabelled text"
_FOUND = pa.schema({"number": pa.int64(), "text": pa.string()})

# A sentence ends with . ! ? and closing marks before a space and no small letter; "Mr." and "J." do not end one.
_END = re.compile(r"(?<=[.!?])[\"'”’)\]]*\s+(?=[^a-z\s])")
_NO_END = re.compile(r"(?:\b(?:mr|mrs|ms|dr|st|vs|jr|sr|prof|etc|e\.g|i\.e|[a-z]))\.$", re.IGNORECASE)


def sentences(document: str) -> Iterator[str]:
    """The sentences of one document, stripped, none empty."""
    start = 0
    for end in _END.finditer(document):
        if not _NO_END.search(document, max(start, end.start() - 8), end.start()):
            yield document[start : end.end()].strip()
            start = end.end()
    if rest := document[start:].strip():
        yield rest


def unlabeled_files(settings: UnlabeledSettings) -> list[Path]:
    """The files that ``--unlabeled_files`` names; UserError where there is none by a name."""
    found = []
    for name in (n.strip() for n in (settings.unlabeled_files or "").split(",")):
        if name:
            paths = sorted(glob(name)) or [name]
            found += [files.require_file(p, "--unlabeled_files") for p in paths]
    return found


def documents(task: Task, data_dir: str | None, settings: UnlabeledSettings) -> tuple[list[str], Iterator[str]]:
    """What the text is, in words, and its documents."""
    about: list[str] = []
    parts: list[Iterable[str]] = []
    if settings.unlabeled == "task":
        source, own = task_documents(task, data_dir)
        about.append(source)
        parts.append(own)
    for path in unlabeled_files(settings):
        about.append(str(path))
        parts.append(_read(path, settings.unlabeled_column))
    return about, (d for part in parts for d in part)


def _read(path: Path, column: str) -> Iterator[str]:
    if table_format(path) is None:
        yield from (line.strip() for line in files.utf8_lines(path))
        return
    names, records = open_table(path, BadRows("stop"))
    if column not in names:
        raise missing_column(path, column, names, "--unlabeled_column")
    yield from (str(values[column]).strip() for _, _, values in records)


def check_unlabeled(task: Task, data_dir: str | None, settings: UnlabeledSettings) -> None:
    """Raises the UserError that :func:`read_unlabeled` would raise for missing files or text; reads nothing whole."""
    if settings.wanted and task.is_pair:
        raise UserError(f"--unlabeled…: task {task.name} reads pairs; unlabelled text is for single-sentence tasks")
    _, found = documents(task, data_dir, settings)
    if settings.wanted and next(found, None) is None:
        raise UserError(f"--unlabeled_files={settings.unlabeled_files}: hold no text")


def read_unlabeled(
    task: Task,
    data_dir: str | None,
    settings: UnlabeledSettings,
    known: Iterable[Rows],
    held_out: Iterable[Rows],
    path: Path,
    key: dict | None = None,
) -> None:
    """Writes a transfer set of unlabelled text, which memory never holds: 16 bytes a text are what grows.

    Args:
      known: rows whose texts must not come again, those of train for example. Texts that are equal but for case,
        punctuation and space count as the same.
      held_out: dev and test, from which nothing may learn: texts that share 13 words in a row with one of
        theirs do not come either.
      path: of the file that :func:`kd_keras.augment.transfer.load` reads.
      key: what makes it, kept in the file.

    Raises:
      UserError: no text is left.
    """
    about, found = documents(task, data_dir, settings)
    known, held_out = list(known), list(held_out)
    texts = _Texts(settings, known, held_out)
    # Without a name, so that even a kill leaves nothing behind.
    with files.disk_errors(path), _beside(path) as temp:
        with pq.ParquetWriter(temp, _FOUND, compression="zstd") as writer, progress(None, _READING, "documents") as bar:
            parts = []
            for some in batched(found, _DOCUMENTS):
                parts.append(pa.table(texts.new(some), schema=_FOUND))
                bar.update(len(some))
                if sum(map(len, parts)) >= ROW_GROUP:
                    writer.write_table(pa.concat_tables(parts))
                    parts = []
            writer.write_table(pa.concat_tables([*parts, _FOUND.empty_table()]))
        ranks, counts = np.concatenate([*texts.ranks, np.zeros(0, np.uint64)]), texts.counts
        if not len(ranks):
            raise UserError(
                f"unlabelled text ({', '.join(about)}): none of {counts['texts']:,} is left; {counts['length']:,} have "
                f"fewer than --min_words={settings.min_words} or more than --max_words={settings.max_words} words, "
                f"{counts['repeats']:,} are repeats, {counts['overlaps']:,} overlap with dev or test"
            )
        # A cap keeps the rows of lowest hash: a fair draw, in which a smaller one is part of a larger.
        count = min(len(ranks), settings.max_unlabeled or len(ranks))
        keep = ranks <= np.partition(ranks, count - 1)[count - 1]
        notes = [
            f"unlabelled text: {', '.join(about)}: {counts['texts']:,} "
            f"{'sentences' if settings.split_sentences else 'documents'}; left out: {counts['length']:,} shorter than "
            f"{settings.min_words} or longer than {settings.max_words} words, {counts['repeats']:,} repeats of each "
            f"other or of train, dev or test, {counts['overlaps']:,} with {RUN_OF_WORDS} words in a row of dev or "
            f"test; {count:,} of the {len(ranks):,} that are left are used"
        ]
        write(path, key or {}, notes, False, _kept(temp, keep))


def _beside(path: Path) -> IO[bytes]:
    path.parent.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryFile(dir=path.parent)


def _kept(found: IO[bytes], keep: np.ndarray) -> Iterator[dict]:
    """The rows of a transfer set, of those in the file ``found`` that ``keep`` marks."""
    start, parts = 0, []
    with pq.ParquetFile(found) as file:
        for group in range(file.num_row_groups):
            part = file.read_row_group(group)
            parts.append(part.filter(pa.array(keep[start : start + len(part)])))
            start += len(part)
            if sum(map(len, parts)) >= ROW_GROUP or group + 1 == file.num_row_groups:
                chosen, parts = pa.concat_tables(parts), []
                yield {
                    "id": [f"unlabeled-{n}" for n in chosen["number"].to_pylist()],
                    "text": chosen["text"],
                    "text_b": pa.nulls(len(chosen), pa.string()),
                    "source": np.full(len(chosen), -1, np.int64),
                    "rule": ["unlabeled"] * len(chosen),
                }


class _Texts:
    """Tells which texts are new.

    Attributes:
      counts: "texts" that were seen, and those of them left out: "length", "repeats", "overlaps".
      ranks: uint64 arrays, a number drawn for each new text.
    """

    def __init__(self, settings: UnlabeledSettings, known: Sequence[Rows], held_out: Sequence[Rows]):
        self.settings = settings
        self.counts: Counter[str] = Counter()
        self.ranks: list[np.ndarray] = []
        self._seen = DigestSet()
        for rows in (*known, *held_out):
            for some in batched(rows.text, 10_000):
                self._seen.add(_digests(some))
        self._runs = {run for rows in held_out for text in rows.text for run in _runs(text)}
        self._seed = np.uint64(settings.unlabeled_seed * 0x9E3779B97F4A7C15 & (2**64 - 1))

    def new(self, documents: Sequence[str]) -> dict[str, list]:
        """{"number", "text"} of the new ones in ``documents``."""
        s, counts = self.settings, self.counts
        numbers, texts = [], []
        for document in documents:
            for text in sentences(document) if s.split_sentences else (document,):
                counts["texts"] += 1
                if text and s.min_words <= text.count(" ") + 1 <= s.max_words:
                    numbers.append(counts["texts"])
                    texts.append(text)
                else:
                    counts["length"] += 1
        digests = _digests(texts)
        first = self._seen.add(digests)
        counts["repeats"] += len(texts) - int(first.sum())
        if self._runs:
            apart = [bool(f) and self._runs.isdisjoint(_runs(t)) for t, f in zip(texts, first, strict=True)]
            apart = np.array(apart, bool)
            counts["overlaps"] += int((first & ~apart).sum())
            first = apart
        self.ranks.append(digests[first] ^ self._seed)
        where = np.flatnonzero(first).tolist()
        return {"number": [numbers[i] for i in where], "text": [texts[i] for i in where]}


def _digests(texts: Sequence[str]) -> np.ndarray:
    """uint64[texts], equal for texts that are equal but for case, punctuation and space."""
    blob = b"".join(hashlib.blake2b(normalised(t), digest_size=8).digest() for t in texts)
    return np.frombuffer(blob, "<u8")


def _runs(text: str) -> Iterator[str]:
    words = _WORD.findall(text.lower())
    return (" ".join(words[i : i + RUN_OF_WORDS]) for i in range(len(words) - RUN_OF_WORDS + 1))


def unlabeled(
    task: Task,
    data_dir: str | None,
    settings: UnlabeledSettings,
    known_rows: Sequence[Rows],
    held_out: Sequence[Rows],
    path: Path,
    known: Sequence[Path] = (),
) -> Transfer:
    """:func:`read_unlabeled`, found again where it was read before from the same files."""
    key = {
        "settings": asdict(settings),
        "files": [files.sha256_file(p) for p in unlabeled_files(settings)],
        "source": task_documents(task, data_dir)[0] if settings.unlabeled == "task" else None,
        "apart_from": [rows.fingerprint() for rows in known_rows],
        "held_out": [RUN_OF_WORDS, *(rows.fingerprint() for rows in held_out)],
    }
    label = np.dtype(np.float32 if task.is_regression else np.int32)

    def make(key: dict) -> None:
        read_unlabeled(task, data_dir, settings, known_rows, held_out, path, key)

    return find_or_make(path, key, label, make, known)
