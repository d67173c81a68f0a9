"""Turns unlabeled text into transfer rows: splits it into sentences, removes repeats and texts of dev and test, and
limits the number.

Mukherjee & Hassan Awadallah 2019, "Distilling BERT into Simple Neural Networks with Unlabeled Transfer Data".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from glob import glob
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kd_keras.augment.new_texts import NewTexts, Row, digests, texts_of
from kd_keras.augment.overlap import LONGEST, SHORTEST
from kd_keras.augment.pairs import NEAREST, read_pairs, recombined
from kd_keras.augment.parts import Crew, Kept, Parts, alone
from kd_keras.augment.sentences import sentences, sentences_of_words, spaced_sentences
from kd_keras.augment.settings import UnlabeledSettings
from kd_keras.augment.transfer import NothingNew, Transfer, found_or_made, parts_of, write
from kd_keras.common import files, packages
from kd_keras.common.columns import DigestSet, batched, batched_texts
from kd_keras.common.config import key_of
from kd_keras.common.errors import UserError
from kd_keras.common.progress import progress
from kd_keras.common.reading import text_lines
from kd_keras.tasks import Rows, Task
from kd_keras.tasks.cells import read_cell
from kd_keras.tasks.dialect import format_of
from kd_keras.tasks.file_settings import AS_NAMED, FileSettings
from kd_keras.tasks.tables import SKIP_HINT, BadRows, check_column, open_table
from kd_keras.tasks.tagged import TaggedFile
from kd_keras.tasks.unlabeled import TaskText, general_documents, task_documents

_DOCUMENTS, _LETTERS = 20_000, 2_000_000  # of a part
# Training rows that are checked for being whole texts.
_LOOKED_AT, _SEVERAL = 2_000, 0.1
_READING = "reading unlabeled text"


def split_like(settings: UnlabeledSettings, task: Task, train: Rows) -> UnlabeledSettings:
    """Decides for a user's files by the training rows whether documents are split, unless a flag decides.

    If a tenth of the rows have several sentences, rows are whole texts, and so are unlabeled texts. Pairs are whole.
    """
    if task.is_pair and settings.wanted:
        return replace(settings, split_sentences=False)
    if task.name != "custom" or settings.split_sentences is not None or not settings.unlabeled_files:
        return settings
    some = train.text[:_LOOKED_AT]
    several = sum(len(list(islice(sentences(text), 2))) > 1 for text in some)
    return replace(settings, split_sentences=several < _SEVERAL * len(some))


def unlabeled_files(settings: UnlabeledSettings) -> list[Path]:
    """The files that ``--unlabeled_files`` names. Raises UserError if a name matches no file."""
    return named_files(settings.unlabeled_files, "--unlabeled_files")


def named_files(names: str | None, flag: str) -> list[Path]:
    """The files that ``flag`` names: names or patterns, separated by commas. Raises UserError if one matches no
    file."""
    found = []
    for name in (n.strip() for n in (names or "").split(",")):
        if name:
            # The name of an existing file is no pattern, even "a[1].txt".
            paths = [name] if Path(name).exists() else sorted(glob(name)) or [name]
            found += [files.require_file(p, flag) for p in paths]
    return found


@dataclass(frozen=True)
class UnlabeledText:
    """The unlabeled text that is needed.

    Attributes:
      task: the task of the run.
      settings: the choice of the text, and its cleaning.
      data_dir: folder of the task's own text.
      on_bad_row: for tables; "skip" counts bad rows and lists them in the notes.
      how: encoding, delimiter, quoting and format of the user's files.
      train: a pair task's training rows, whose texts make new pairs.
    """

    task: Task
    settings: UnlabeledSettings
    data_dir: str | None = None
    on_bad_row: str = "stop"
    how: FileSettings = AS_NAMED
    train: Rows | None = None

    def known(self) -> TaskText:
        """The text that is in no file of the user: the task's text, or general text."""
        general = self.settings.unlabeled == "general"
        if self.task.is_pair:
            about = f"new pairs of the training texts, {NEAREST} for each text"
            return TaskText(about, recombined(self.train), lambda: about)
        return general_documents() if general else task_documents(self.task, self.data_dir)


def documents(text: UnlabeledText, bad: BadRows) -> tuple[list[str], Iterator[str | Row]]:
    """A description of the text, and its documents. ``bad`` is told of table rows without text.

    For a tagging task the documents are sentences: words joined by one space. For a pair task they are pairs.
    """
    about: list[str] = []
    parts: list[Iterable[str | Row]] = []
    settings = text.settings.for_task(text.task.name)
    if settings.unlabeled in ("task", "general"):
        own = text.known()
        about.append(own.about)
        words = (w for d in own.documents for w in spaced_sentences(d, bool(settings.split_sentences)))
        parts.append(words if text.task.is_tagging else own.documents)
    for path in unlabeled_files(settings):
        about.append(str(path))
        if text.task.is_tagging:
            file = TaggedFile(text.task.columns, files=text.how)
            parts.append(sentences_of_words(path, file, settings, bad))
        elif text.task.is_pair:
            parts.append(read_pairs(path, text.task, bad, text.how))
        else:
            parts.append(_read(path, settings.unlabeled_column, bad, text.how))
    return about, (d for part in parts for d in part)


def _read(path: Path, column: str, bad: BadRows, how: FileSettings) -> Iterator[str]:
    form = format_of(path, how, (column,))
    if form is None:
        yield from (line.strip() for line in text_lines(path, how.encoding))
        return
    names, records = open_table(path, bad, form=form, how=how)
    check_column(path, column, names, "--unlabeled_column")
    cells = (read_cell(path, line, values, column, bad) for _, line, values in records)
    yield from (cell for cell in cells if cell is not None)


def check_unlabeled(text: UnlabeledText) -> None:
    """Raises the UserError of :func:`read_unlabeled` for missing files or text. It reads no file to its end."""
    task = text.task
    if task.is_pair and text.settings.unlabeled_column != UnlabeledSettings.unlabeled_column:
        raise UserError(
            f"--unlabeled_column={text.settings.unlabeled_column}: task {task.name} reads pairs of two columns; "
            "leave it out, and name them as in the training file"
        )
    if task.is_pair and text.settings.unlabeled == "general":
        raise UserError(f"--unlabeled=general: task {task.name} reads pairs; --unlabeled=task makes some of its texts")
    if task.is_pair and text.settings.unlabeled == "task":
        packages.require(f"--unlabeled=task (task {task.name})", "teacher", "sklearn")
        text = replace(text, settings=replace(text.settings, unlabeled="none"))  # it has no rows yet
    about, found = documents(text, BadRows(text.on_bad_row, SKIP_HINT))
    if text.settings.wanted and next(found, None) is None:
        raise UserError(f"unlabeled text ({', '.join(about)}): has no text; expected at least one line with text")


def read_unlabeled(
    text: UnlabeledText,
    known: Iterable[Rows],
    held_out: Iterable[Rows],
    path: Path,
    key: dict,
    crew: Crew = alone,
) -> None:
    """Writes a transfer set of unlabeled text. Memory does not grow with the text: it holds 8 bytes for each known
    text, and 16 bytes for each word of dev and test.

    The parts of the text lie beside ``path`` until it is written, in a folder that ends in ``.parts``. The same call
    goes on from the parts that a killed one left there.

    Args:
      known: rows whose texts are left out, such as train. Texts that differ only in case, punctuation and space count
        as the same.
      held_out: dev and test, which training must not see. Texts that share 13 words in a row with them, or hold a whole
        text of 8 to 12 words, are left out too.
      path: the file that :func:`kd_keras.augment.transfer.load` reads later.
      key: what makes it; the file keeps it.
      crew: who makes the parts. It changes no byte.

    Raises:
      UserError: a row is bad.
      NothingNew: no text is left.
    """
    settings, bad = text.settings.for_task(text.task.name), BadRows(text.on_bad_row, SKIP_HINT)
    about, found = documents(text, bad)
    held_out = list(held_out)
    seen = DigestSet()
    for rows in (*known, *held_out):
        for some in batched(texts_of(rows), 10_000):
            seen.add(digests(some, settings))
    texts = [list(side) for rows in held_out for side in (rows.text, rows.text_b) if side is not None]
    opens = partial(NewTexts, settings, seen, texts, text.task.is_tagging)
    parts = Parts(parts_of(path))
    with files.disk_errors(path):
        parts.begin(key)
        with progress(None, _READING, "documents") as bar:
            count = parts.fill(opens, batched_texts(found, _DOCUMENTS, _LETTERS, _letters), crew, bar.update)
        kept = parts.sift(count, settings.max_unlabeled)
        counts = kept.counts
        if not kept.count:
            parts.remove()
            raise NothingNew(
                f"unlabeled text ({', '.join(about)}): none of {counts['texts']:,} is left; {counts['length']:,} "
                f"have fewer than --min_words={settings.min_words} or more than --max_words={settings.max_words} "
                f"words, {counts['repeats']:,} are repeats, {counts['left out']:,} overlap with dev or test"
            )
        what = "pairs" if text.task.is_pair else "sentences" if settings.split_sentences else "documents"
        notes = [
            f"unlabeled text: {', '.join(about)}: {counts['texts']:,} "
            f"{what}; left out: {counts['length']:,} shorter "
            f"than {settings.min_words} or longer than {settings.max_words} words, {counts['repeats']:,} repeats "
            f"of each other or of train, dev or test, {counts['left out']:,} with {LONGEST} words in a row of dev "
            f"or test, or with a whole text of theirs from {SHORTEST} words on; {kept.count:,} of the "
            f"{kept.left:,} that are left are used",
            *bad.notes(),
        ]
        write(path, key, notes, text.task.is_pair, _columns(parts, kept))
        parts.remove()


def _letters(document: str | Row) -> int:
    return len(document) if isinstance(document, str) else sum(map(len, document))


def _columns(parts: Parts, kept: Kept) -> Iterator[dict]:
    """The columns of a transfer set."""
    before = 0
    for rows, counts in parts.rows(kept):
        numbers = pc.cast(pc.add(rows["number"], before), pa.string())
        yield {
            "id": pc.binary_join_element_wise("unlabeled", numbers, "-"),
            "text": rows["text"],
            "text_b": rows["text_b"],
            "source": np.full(len(rows), -1, np.int64),
            "rule": pa.repeat("unlabeled", len(rows)),
        }
        before += counts["texts"]


def unlabeled(
    text: UnlabeledText,
    known_rows: Sequence[Rows],
    held_out: Sequence[Rows],
    path: Path,
    known: Sequence[Path] = (),
    crew: Crew = alone,
) -> Transfer:
    """The result of :func:`read_unlabeled`. It is found again if the same files were read before."""
    task = text.task
    settings = text.settings.decided(automatic=False).for_task(task.name)
    text = replace(text, settings=settings)
    key = {
        "settings": asdict(settings),
        "files": [files.sha256_file(p) for p in unlabeled_files(settings)],
        "source": None if settings.unlabeled == "none" else text.known().version(),
        "apart_from": [rows.fingerprint() for rows in known_rows],
        "held_out": [[SHORTEST, LONGEST], *(rows.fingerprint() for rows in held_out)],
        "on_bad_row": text.on_bad_row,
        **({"how": how} if (how := key_of(text.how)) else {}),
    }

    def read(key: dict) -> None:
        read_unlabeled(text, known_rows, held_out, path, key, crew)

    return found_or_made(path, key, task.no_labels(0), read, known)
