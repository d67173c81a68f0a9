"""A run with a given teacher: files hold another model's answers, so no teacher is trained or asked."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from kd_keras.augment import transfer
from kd_keras.augment.overlap import Overlaps
from kd_keras.augment.transfer import ROW_GROUP, Transfer
from kd_keras.common.artifacts import find_or_make
from kd_keras.common.errors import UserError
from kd_keras.distill.settings import NEED_HIDDEN
from kd_keras.runs.job import Job, Run
from kd_keras.tasks import Rows
from kd_keras.teachers import signal_columns
from kd_keras.teachers.settings import LabelSettings, TeacherSettings
from kd_keras.teachers.signal_columns import ROW, Column
from kd_keras.teachers.signals import LOGITS, OWN_FILES, Signals, SignalStore

NAME, SET = "given", "given"
_FLAG = "--teacher_signals"


def check_given(job: Job) -> None:
    """Before the files are read, refuses what has no meaning with a given teacher.

    Raises:
      UserError: it names the flag.
    """
    if job.task.is_tagging:
        raise UserError(f"{_FLAG}: task {job.task.name} tags words; signals can be given only for whole texts")
    for name, value in _by_hand(job):
        raise UserError(
            f"--{name}={value}: is about a teacher that this run trains or asks, but {_FLAG} gives another model's "
            "answers; leave one of the two out"
        )
    if job.job.signals is not None:
        raise UserError(f"--signals={job.job.signals}: has signals of a teacher; leave out --signals or {_FLAG}")
    if job.job.ablate != "none":
        raise UserError(
            f"--ablate={job.job.ablate}: its grid needs a teacher that answers every text; leave it out, or leave out "
            f"{_FLAG}"
        )
    if job.recipe.recipe in NEED_HIDDEN:
        raise UserError(
            f"--recipe={job.recipe.recipe}: follows the teacher's sentence vectors, which {_FLAG} does not have; use "
            "--recipe=soft or hard"
        )
    asked = {"augment": job.augment.augment, "unlabeled": job.unlabeled.unlabeled}
    asked = {f"--{name}={value}": value != "none" for name, value in asked.items()}
    asked[f"--unlabeled_files={job.unlabeled.unlabeled_files}"] = bool(job.unlabeled.unlabeled_files)
    for flag in (flag for flag, on in asked.items() if on):
        raise UserError(
            f"{flag}: this run has no teacher to label the text; ask your model, and add its answers to {_FLAG}. "
            "Texts there that are in no split are the transfer text"
        )


def _by_hand(job: Job) -> Iterator[tuple[str, object]]:
    """Flags about teachers and labeling that are not at their defaults."""
    for settings, kind in ((job.teacher, TeacherSettings), (job.label, LabelSettings)):
        for field in dataclasses.fields(kind):
            value = getattr(settings, field.name)
            if value != field.default and field.name not in ("shard_rows", "checkpoint_seconds"):
                yield field.name, value


def check_answered(job: Job) -> None:
    """UserError if no training row has a signal. Most likely the texts were changed on their way."""
    if not answered(job.given.of(job.data.train)).any():
        mine = job.data.train.text[0]
        raise UserError(
            f"{_FLAG}={job.job.teacher_signals}: none of its {job.given.texts:,} texts is one of the "
            f"{len(job.data.train):,} training rows, which begin with {mine[:60]!r}; texts must be equal except for "
            "white space at their ends"
        )


def answered(logits: np.ndarray) -> np.ndarray:
    """bool[rows]: which rows have a signal.

    >>> answered(np.array([[0.5, 1.0], [np.nan, np.nan]])).tolist()
    [True, False]
    """
    return np.isfinite(logits).all(-1)


def given_set(run: Run) -> dict[str, Transfer]:
    """{"given": the texts of the files that are in no split}. Empty if there are none."""
    given, job = run.job.given, run.job
    if given is None or not len(given.others):
        return {}
    held_out = [rows for split, rows in run.splits.items() if split != "train"]
    key = {"given": given.fingerprint, "apart_from": [rows.fingerprint() for rows in run.splits.values()]}
    path, like = run.layout.augmented(SET), job.task.no_labels(0)

    def make(key: dict) -> None:
        _write(given.others, held_out, path, key)

    with run.timings.step("given text"):
        found = transfer.found_or_made(path, key, like, make, [s.augmented(SET) for s in run.siblings])
    return {SET: found} if len(found) else {}


def _write(others: Rows, held_out: list[Rows], path: Path, key: dict) -> None:
    """Writes the texts that share nothing with dev and test, as for unlabeled text. Pairs are compared by hashes."""
    dropped = np.zeros(len(others), bool)
    parts = [range(start, min(start + ROW_GROUP, len(others))) for start in range(0, len(others), ROW_GROUP)]
    if others.text_b is None:
        overlap = Overlaps(rows.text for rows in held_out)
        for part in parts:
            dropped[part.start : part.stop] = overlap(others.text[part.start : part.stop])
    left = f"; {dropped.sum():,} more share 13 words in a row with dev or test, and are left out" * bool(dropped.any())
    note = f"given text: {(~dropped).sum():,} texts of {_FLAG} are in no split, so they are transfer text{left}"

    def written() -> Iterator[dict]:
        for part in parts:
            rows = others.take([n for n in part if not dropped[n]])
            texts_b = rows.text_b or [None] * len(rows)
            source, rule = np.full(len(rows), -1, np.int64), [NAME] * len(rows)
            yield {"id": rows.ids, "text": rows.text, "text_b": texts_b, "source": source, "rule": rule}

    transfer.write(path, key, [note], others.text_b is not None, written())


def given_signals(run: Run, sets: Mapping[str, Rows]) -> dict[str, Signals]:
    """The signals of every split and of the rows of ``sets``, in the run's store. NaN if a row has none."""
    every = {**run.splits, **sets}
    with run.timings.step("signals"):
        return {name: _stored(run, name, rows) for name, rows in every.items()}


def _stored(run: Run, split: str, rows: Rows) -> Signals:
    given, size = run.job.given, run.job.label.shard_rows
    folder = run.layout.signals(split)
    wanted = {
        "task": run.task.name,
        "teacher": {"given": given.fingerprint},
        "hidden": None,
        "data": rows.fingerprint(),
        "rows": len(rows),
        "shard_rows": size,
        "columns": signal_columns.to_json({LOGITS: Column(ROW, "float32")}),
    }

    def read(place: Path) -> Signals | None:
        store = SignalStore(place)
        return store.read(rows, wanted) if store.is_complete else None

    def make() -> None:
        store, logits, hashes = SignalStore(folder), given.of(rows), rows.text_hashes()
        first = np.sort(np.unique(hashes, return_index=True)[1])
        shards = [first[start : start + size] for start in range(0, max(1, len(first)), size)]
        store.begin(wanted)
        for n, where in enumerate(shards):
            store.write_shard(n, [rows.ids[i] for i in where.tolist()], hashes[where], {LOGITS: logits[where]})
        store.finish(len(shards))

    known = [place for s in run.siblings for place in s.every_signals(split)]
    return find_or_make(f"signals ({split})", folder, read, make, known, OWN_FILES, aloud=False)


def about_given(run: Run, signals: Mapping[str, Signals]) -> tuple[dict, list[str]]:
    """What reports say of the teacher, and notes."""
    given = run.job.given
    counts = {split: int(answered(signals[split].logits).sum()) for split in run.splits}
    files = ", ".join(given.names)
    told = "; ".join(f"{split} {counts[split]:,} of {len(rows):,}" for split, rows in run.splits.items())
    notes = [*given.notes, f"teacher (given): {files}, {given.texts:,} texts; rows with a signal: {told}"]
    if without := len(run.splits["train"]) - counts["train"]:
        notes.append(f"teacher (given): {without:,} training rows have no signal and learn only their labels")
    for name in set(signals) - set(run.splits):
        if without := int((~answered(signals[name].logits)).sum()):
            notes.append(f"teacher (given): {without:,} rows of {name} have neither label nor signal, and are left out")
    if not counts["dev"]:
        notes.append("teacher (given): no dev row has a signal, so its quality is unknown")
    return {"name": NAME, "files": list(given.names), "texts": given.texts, "answered": counts}, notes


def is_given(teacher: Mapping) -> bool:
    """Whether "teacher" of metrics.json was given as signals."""
    return "answered" in teacher
