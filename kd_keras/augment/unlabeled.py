"""Unlabelled text as transfer rows: split into sentences, repeats and what dev and test hold removed, cut to a cap.

Mukherjee & Hassan Awadallah 2019, "Distilling BERT into Simple Neural Networks with Unlabeled Transfer Data".
"""

from __future__ import annotations

import hashlib
import heapq
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from glob import glob
from pathlib import Path

import numpy as np

from kd_keras.augment.settings import UnlabeledSettings
from kd_keras.augment.transfer import Transfer, find_or_make
from kd_keras.common import files
from kd_keras.common.errors import UserError
from kd_keras.common.progress import progress
from kd_keras.tasks import Rows, Task
from kd_keras.tasks.carve import normalised
from kd_keras.tasks.tables import BadRows, missing_column, open_table, table_format
from kd_keras.tasks.unlabeled import task_documents

# Texts with so many words in a row in common overlap (Brown et al. 2020, appendix C).
RUN_OF_WORDS = 13
_WORD = re.compile(r"\w+")

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


def _runs(text: str) -> Iterator[str]:
    words = _WORD.findall(text.lower())
    return (" ".join(words[i : i + RUN_OF_WORDS]) for i in range(len(words) - RUN_OF_WORDS + 1))


def read_unlabeled(
    task: Task, data_dir: str | None, settings: UnlabeledSettings, known: Iterable[Rows], held_out: Iterable[Rows] = ()
) -> Transfer:
    """Transfer rows of unlabelled text.

    Args:
      known: rows whose texts must not come again, those of train for example. Texts that are equal but for case,
        punctuation and space count as the same.
      held_out: dev and test, from which nothing may learn: texts that share 13 words in a row with one of
        theirs do not come either.
    """
    about, found = documents(task, data_dir, settings)
    held_out = list(held_out)
    known = [*known, *held_out]
    held_runs = {run for rows in held_out for text in rows.text for run in _runs(text)}
    seen = {_digest(t) for rows in known for t in rows.text}
    given = len(seen)
    counts: Counter[str] = Counter()
    # A cap keeps the rows of lowest hash: a fair draw that needs one pass and no more memory than it keeps.
    kept: list[tuple[int, int, str]] = []
    with progress(None, "reading unlabelled text", "documents") as bar:
        for document in found:
            bar.update(1)
            for text in sentences(document) if settings.split_sentences else (document,):
                counts["texts"] += 1
                words = text.count(" ") + 1
                if not settings.min_words <= words <= settings.max_words:
                    counts["length"] += 1
                    continue
                digest = _digest(text)
                if digest in seen:
                    counts["repeats"] += 1
                    continue
                if held_runs and not held_runs.isdisjoint(_runs(text)):
                    counts["overlaps"] += 1
                    continue
                seen.add(digest)
                rank = (digest ^ (settings.unlabeled_seed * 0x9E3779B97F4A7C15)) & (2**64 - 1)
                entry = (-rank, counts["texts"], text)
                if settings.max_unlabeled is None or len(kept) < settings.max_unlabeled:
                    heapq.heappush(kept, entry)
                else:
                    heapq.heappushpop(kept, entry)
    if not kept:
        raise UserError(
            f"unlabelled text ({', '.join(about)}): none of {counts['texts']:,} is left; {counts['length']:,} have "
            f"fewer than --min_words={settings.min_words} or more than --max_words={settings.max_words} words, "
            f"{counts['repeats']:,} are repeats, {counts['overlaps']:,} overlap with dev or test"
        )
    chosen = sorted((n, text) for _, n, text in kept)
    new = len(seen) - given
    notes = [
        f"unlabelled text: {', '.join(about)}: {counts['texts']:,} "
        f"{'sentences' if settings.split_sentences else 'documents'}; left out: {counts['length']:,} shorter than "
        f"{settings.min_words} or longer than {settings.max_words} words, {counts['repeats']:,} repeats of each other "
        f"or of train, dev or test, {counts['overlaps']:,} with {RUN_OF_WORDS} words in a row of dev or test; "
        f"{len(chosen):,} of the {new:,} that are left are used"
    ]
    rows = Rows(
        [f"unlabeled-{n}" for n, _ in chosen],
        [text for _, text in chosen],
        None,
        np.full(len(chosen), np.nan if task.is_regression else -1, np.float32 if task.is_regression else np.int32),
    )
    return Transfer(rows, np.full(len(rows), -1, np.int64), ["unlabeled"] * len(rows), notes)


def _digest(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(normalised(text), digest_size=8).digest(), "little")


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
    return find_or_make(path, key, label, lambda: read_unlabeled(task, data_dir, settings, known_rows, held_out), known)
