"""Signals that another model gave, with the text: probabilities, labels, or logits as this package keeps them.

given = read_given(["answers.csv"], task, [data.train, data.dev])
given.of(data.train)      # float32[rows, outputs], NaN where the files say nothing
"""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kd_keras.common import files
from kd_keras.common.columns import DigestSet, StringsOnDisk, batched
from kd_keras.common.errors import UserError
from kd_keras.tasks import FileSettings, Rows, Task, no_labels, text_hash
from kd_keras.tasks.label_readers import LabelReader
from kd_keras.tasks.tables import SKIP_HINT, BadRows, rows_in_words
from kd_keras.teachers.given_files import (
    LOGITS,
    PROBABILITIES,
    SCORE,
    Fault,
    by_name,
    labelled,
    number_of,
    read_answers,
)

# The smallest probability that is kept. Smaller ones, 0 above all, count as this.
LEAST = 1e-5
# A row of probabilities may differ from 1 by this without a note.
_TOLERANCE = 1e-3
_CHUNK = 5000


def logits_of(
    labels: Sequence[str],
    probabilities: Any = None,
    *,
    label: Sequence[str] | None = None,
    confidence: Sequence[float] | None = None,
    multilabel: bool = False,
) -> np.ndarray:
    """Logits for ``y["teacher_logits"]`` from another model's answers.

    With one label a text they are log(p), centered, so that a row adds up to 0. With several they are log(p / (1 − p)).

    Args:
      labels: the class names, in the order of the student's outputs.
      probabilities: float[rows, classes] in that order, or a dict by class name for each row. A row that does not add
        up to 1 is scaled. Probabilities under 1e-5 count as 1e-5.
      label: instead of probabilities, the name of each row's class.
      confidence: float[rows], the probability of ``label``. The other classes share the rest evenly.
      multilabel: whether a text may have any number of labels. Then rows need not add up to 1.

    Returns:
      float32[rows, classes].

    Raises:
      UserError: a class is unknown or missing, the number of columns is wrong, a probability is negative or not finite,
        or there are neither probabilities nor labels.

    >>> logits_of(["neg", "pos"], [[0.75, 0.25], [0.2, 0.2]]).astype(float).round(4).tolist()
    [[0.5493, -0.5493], [0.0, 0.0]]
    >>> logits_of(["neg", "so-so", "pos"], label=["pos"], confidence=[0.8]).astype(float).round(4).tolist()
    [[-0.6931, -0.6931, 1.3863]]
    """
    if (probabilities is None) == (label is None) or (label is None) != (confidence is None):
        raise UserError("logits_of: expected probabilities, or label and confidence")
    if label is not None:
        if multilabel:
            raise UserError("logits_of: label and confidence cannot describe several labels a text; give probabilities")
        if len(label) != len(confidence):
            raise UserError(f"logits_of: {len(label):,} labels, but {len(confidence):,} confidences")
        read = LabelReader("single", tuple(labels), None)
        probabilities = _each(
            lambda row: labelled(row, read),
            [{"label": name, "confidence": sure} for name, sure in zip(label, confidence, strict=True)],
        )
    elif not hasattr(probabilities, "dtype"):  # arrays and tensors are read whole, not number by number
        read = LabelReader("single", tuple(labels), None)
        probabilities = _each(lambda row: _row(row, read), probabilities)
    p = np.asarray(probabilities, np.float64) if len(probabilities) else np.zeros((0, len(labels)))
    if p.ndim != 2 or p.shape[1] != len(labels):
        raise UserError(f"logits_of: probabilities have the shape {p.shape}; expected (rows, {len(labels)})")
    wrong = ~(np.isfinite(p) & (p >= 0)).all(1) | ((p > 1).any(1) if multilabel else (p.sum(1) <= 0))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise UserError(
            f"logits_of: row {row} has {p[row].tolist()}; expected probabilities: numbers from 0 on, not all 0"
        )
    if multilabel:
        p = np.clip(p, LEAST, 1 - LEAST)
        return (np.log(p) - np.log1p(-p)).astype(np.float32)
    logits = np.log(np.maximum(p / p.sum(1, keepdims=True), LEAST))
    return (logits - logits.mean(1, keepdims=True)).astype(np.float32)


def _each(read: Callable[[Any], list[float]], rows: Iterable[Any]) -> list[list[float]]:
    out = []
    for n, row in enumerate(rows):
        try:
            out.append(read(row))
        except Fault as e:
            raise UserError(f"logits_of: row {n}{e}") from None
    return out


def _row(row: Any, reader: LabelReader) -> list[float]:
    if isinstance(row, Mapping):
        return by_name(row, "", reader)
    try:
        numbers = [number_of(value, f", number {n}") for n, value in enumerate(row, 1)]
    except TypeError:
        raise Fault(f": expected {len(reader.labels)} probabilities, found {row!r}") from None
    if len(numbers) != len(reader.labels):
        raise Fault(f": expected {len(reader.labels)} probabilities, one for each class; found {len(numbers)}")
    return numbers


@dataclass(frozen=True)
class Given:
    """What files say of texts, found by the texts' hashes. Another process gets only names and numbers of it.

    Attributes:
      names: the files' names.
      texts: how many distinct texts they have.
      fingerprint: of hashes and logits. A CSV and a Parquet file with the same content have the same one.
      hashes: uint64[texts], ascending.
      logits: float32[texts, outputs].
      others: the texts that no split has, in the order of the files, without labels.
      notes: what a report must say of the files.
    """

    names: tuple[str, ...]
    texts: int
    fingerprint: str
    hashes: np.ndarray
    logits: np.ndarray
    others: Rows
    notes: list[str]

    def __getstate__(self) -> dict:
        light = {"hashes": self.hashes[:0], "logits": self.logits[:0], "others": None}
        return {**self.__dict__, **light}

    def of(self, rows: Rows) -> np.ndarray:
        """float32[rows, outputs]. A row is NaN if the files have no signal of its text."""
        wanted = rows.text_hashes()
        at = np.minimum(np.searchsorted(self.hashes, wanted), len(self.hashes) - 1)
        found = self.hashes[at] == wanted
        return np.where(found[:, None], self.logits[at], np.float32(np.nan))


def read_given(
    paths: Sequence[str],
    task: Task,
    apart: Iterable[Rows] = (),
    how: FileSettings = FileSettings(),  # noqa: B008, it is frozen
    on_bad_row: str = "stop",
) -> Given:
    """The signals of files. A text that they have several times gets the mean of its logits.

    Args:
      paths: .csv, .tsv, .jsonl or .parquet.
      apart: the rows of all splits. Their texts are left out of :attr:`Given.others`.
      how: encoding, delimiter and quoting.
      on_bad_row: "skip" counts and lists the rows that cannot be read.

    Raises:
      UserError: a file or column is missing, a class is unknown, or a number is invalid. It names file and line.
    """
    bad, known, first = BadRows(on_bad_row, SKIP_HINT), DigestSet(), DigestSet()
    for rows in apart:
        known.add(rows.text_hashes())
    hashes, logits, scaled, empty = array("Q"), [np.zeros((0, task.num_outputs), np.float32)], 0, 0
    text, text_b = StringsOnDisk(), StringsOnDisk() if task.is_pair else None
    for path in paths:
        form, answers = read_answers(path, task, how, bad)
        for asked in batched(answers, _CHUNK):
            chunk = [a for a in asked if a.text and a.text_b != ""]
            empty += len(asked) - len(chunk)
            if not chunk:
                continue
            values = np.array([a.values for a in chunk], np.float64)
            if form == PROBABILITIES:
                if not task.is_multilabel:
                    scaled += int((np.abs(values.sum(1) - 1) > _TOLERANCE).sum())
                values = logits_of(task.labels, values, multilabel=task.is_multilabel)
            logits.append(values.astype(np.float32))
            digests = np.array([int(text_hash(a.text, a.text_b), 16) for a in chunk], np.uint64)
            hashes.frombytes(digests.tobytes())
            for n in np.flatnonzero(first.add(digests) & ~known.has(digests)).tolist():
                text.append(chunk[n].text)
                if text_b is not None:
                    text_b.append(chunk[n].text_b)
    every, each = np.frombuffer(hashes, np.uint64), np.concatenate(logits)
    if not len(every):
        raise UserError(f"--teacher_signals={','.join(paths)}: no row can be used; expected at least one")
    distinct, means, differing = _averaged(every, each)
    notes = [f"teacher (given): {note}" for note in bad.notes()]
    if scaled:
        notes.append(
            f"teacher (given): the probabilities of {rows_in_words(scaled)} did not add up to 1, and were scaled"
        )
    if empty:
        notes.append(f"teacher (given): {rows_in_words(empty)} without text left out")
    if differing:
        notes.append(
            f"teacher (given): texts with several signals that differ: {differing:,}; each gets the mean of its logits"
        )
    ids = StringsOnDisk(f"given-{n}" for n in range(len(text)))
    others = Rows(ids, text, text_b, no_labels(task.no_labels(0), len(text)))
    digest = hashlib.sha256(distinct.tobytes() + means.tobytes()).hexdigest()[:16]
    return Given(tuple(Path(p).name for p in paths), len(distinct), digest, distinct, means, others, notes)


def write_answers(path: str, rows: Rows, logits: np.ndarray, labels: Sequence[str] | None) -> None:
    """Writes one JSON object a row: its text or texts, and the logit of each class, or a score. It can be given again.

    Args:
      logits: float32[rows, outputs]. Reading gives back the same float32.
      labels: names of the outputs. None: they have none.
    """
    with files.atomic_path(path) as temp, open(temp, "w", encoding="utf-8") as out:
        for n, text in enumerate(rows.text):
            texts = {"text": text} if rows.text_b is None else {"text": text, "text_b": rows.text_b[n]}
            numbers = [float(f"{v:.9g}") for v in logits[n].tolist()]
            if len(numbers) == 1:
                said: dict[str, Any] = {SCORE: numbers[0]}
            else:
                said = {LOGITS: numbers if labels is None else dict(zip(labels, numbers, strict=True))}
            out.write(json.dumps(texts | said, ensure_ascii=False) + "\n")


def _averaged(hashes: np.ndarray, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Distinct hashes in ascending order, the mean logits of each, and how many have logits that differ."""
    distinct, first, which, counts = np.unique(hashes, return_index=True, return_inverse=True, return_counts=True)
    if len(distinct) == len(hashes):
        return distinct, logits[first], 0
    differs = np.zeros(len(distinct), bool)
    differs[which[(logits != logits[first][which]).any(1)]] = True
    sums = np.zeros((len(distinct), logits.shape[1]))
    np.add.at(sums, which, logits)
    means = np.where(differs[:, None], sums / counts[:, None], logits[first]).astype(np.float32)
    return distinct, means, int(differs.sum())
