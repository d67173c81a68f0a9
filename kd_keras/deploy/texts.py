"""The texts for comparing an export with Keras, and those for int8's ranges. Imports no TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kd_keras.augment.transfer import load
from kd_keras.common import files, packages
from kd_keras.common.errors import UserError
from kd_keras.common.progress import say
from kd_keras.deploy import invented
from kd_keras.deploy.settings import ExportSettings
from kd_keras.formats.format import SAVED_MODEL, Format
from kd_keras.runs.finished import FinishedRun
from kd_keras.tasks import Rows, Task, TaskData, read_labelled, read_texts
from kd_keras.tasks.columns import Columns
from kd_keras.tasks.dialect import format_of
from kd_keras.tasks.file_settings import FileSettings
from kd_keras.tasks.tables import BadRows, open_table
from kd_keras.tasks.tagging_forms import form_of

# More calibration texts do not change the ranges. More check texts take long, because an interpreter reads one a call.
MOST_CALIBRATION, MOST_CHECKS = 500, 2000


@dataclass(frozen=True)
class Texts:
    """The texts that an export reads.

    Attributes:
      formats: what can be written with them.
      source: where ``check`` comes from.
      check: the texts to compare on. One of them is empty.
      calibration: the texts for int8's ranges. None if no format needs them.
    """

    formats: Sequence[Format]
    source: str
    check: Rows
    calibration: Rows | None


def export_texts(run: FinishedRun, settings: ExportSettings) -> Texts:
    """The texts in the files of ``settings``. Without files, the run's dev and training rows.

    Raises:
      UserError: a file cannot be read, or int8 has no text.
    """
    task, formats = run.task, _formats(run.task, settings)
    if task.is_text:
        return _of_plain_text(run, settings, formats)
    int8 = [f for f in formats if f.precision == "int8"]
    data, reason = None, ""
    if not (settings.calibration_file and settings.check_file):
        try:
            data = run.data(settings.data_dir)
        except UserError as e:
            if settings.data_dir:
                raise
            reason = str(e)
    calibration = None
    if int8:
        if settings.calibration_file:
            calibration = _texts(settings.calibration_file, task, "--calibration_file", settings)
        elif data is not None:
            calibration = data.train
        elif settings.formats:
            raise UserError(
                f"--formats=tflite_int8 needs --calibration_file=FILE, some hundred texts like your app's, to choose "
                f"the ranges of its integers ({reason})"
            )
        else:
            say(f"tflite_int8: left out, because there is no --calibration_file and {reason}")
            formats = [f for f in formats if f not in int8]
    source, check = _check(settings, task, data, reason)
    return Texts(
        formats, source, _ready(task, check, MOST_CHECKS), calibration and _ready(task, calibration, MOST_CALIBRATION)
    )


def _formats(task: Task, settings: ExportSettings) -> list[Format]:
    """The formats of ``settings`` that can be written. A SavedModel that reads strings needs tensorflow-text."""
    formats = settings.chosen()
    if task.is_tagging or SAVED_MODEL not in formats:
        return formats
    if settings.formats:
        packages.require(f"--formats={SAVED_MODEL.name}", "text")
    elif packages.say_left_out(SAVED_MODEL.name, "text", "tensorflow_text"):
        formats.remove(SAVED_MODEL)
    return formats


def _of_plain_text(run: FinishedRun, settings: ExportSettings, formats: Sequence[Format]) -> Texts:
    """For a universal student: the named files, or the text that it learned from, or invented sentences."""
    task, own = run.task, run.layout.augmented("unlabeled")
    learnt = load(own, None, task.no_labels(0)) if own.is_file() else None
    named = {
        flag: (Path(path).name, _texts(path, task, f"--{flag}", settings))
        for flag in ("check_file", "calibration_file") if (path := getattr(settings, flag))
    }  # fmt: skip
    if named:
        source, check = next(iter(named.values()))
    elif learnt is not None:
        source, check = "the text of the run", learnt.rows
    else:
        say("comparing on invented sentences, because the run's text was not found")
        source, check = "invented sentences", invented.built_in(task)
    if "calibration_file" in named:
        _, calibration = named["calibration_file"]
    else:
        calibration = check if learnt is None else learnt.rows
    return Texts(formats, source, _ready(task, check, MOST_CHECKS), _ready(task, calibration, MOST_CALIBRATION))


def _check(settings: ExportSettings, task: Task, data: TaskData | None, reason: str) -> tuple[str, Rows]:
    if path := settings.check_file:
        flag = "--check_file"
        if task.is_tagging:
            return Path(path).name, _with_tags_if_any(path, task, flag, settings)
        if _has_labels(path, task, flag, settings):
            return Path(path).name, read_labelled(path, task, flag=flag, files=settings)
        return Path(path).name, _texts(path, task, flag, settings)
    if data is not None:
        return "dev split", data.dev
    if path := settings.calibration_file:
        if task.is_tagging:
            return Path(path).name, _with_tags_if_any(path, task, "--calibration_file", settings)
        return Path(path).name, _with_labels_if_any(path, task, "--calibration_file", settings)
    say(f"comparing on invented sentences, because {reason}")
    return "invented sentences", invented.built_in(task)


def _ready(task: Task, rows: Rows, most: int) -> Rows:
    """At most ``most`` rows, evenly spread over all, with hard cases between them."""
    return invented.with_edge_cases(task, invented.spread(rows, most))


def _texts(path: str, task: Task, flag: str, how: FileSettings) -> Rows:
    rows = read_texts(path, task=task, flag=flag, files=how)
    if not any(rows.text):
        raise UserError(f"{flag}={path}: holds no text; expected one text a line, or a file with a text column")
    return rows


def _with_labels_if_any(path: str, task: Task, flag: str, how: FileSettings) -> Rows:
    """Reads text, with its labels if they are the task's. Calibration needs only text, so other labels are no error."""
    texts = _texts(path, task, flag, how)
    try:
        return read_labelled(path, task, flag=flag, files=how) if _has_labels(path, task, flag, how) else texts
    except UserError:
        return texts


def _with_tags_if_any(path: str, task: Task, flag: str, how: FileSettings) -> Rows:
    """A tagger's words, with their tags if the file has tags of the task."""
    files.require_file(path, flag)
    if form_of(path, how, task.columns.text) not in ("columns", "jsonl"):
        say(f"{flag}={path}: compared without scores, because it is text without tags")
        return _texts(path, task, flag, how)
    try:
        return read_labelled(path, task, flag=flag, files=how)
    except UserError as e:
        rows = _texts(path, task, flag, how)  # if the file cannot be read at all, this raises the better error
        say(f"{flag}={path}: compared without scores, because it has no tags that can be used ({e})")
        return rows


def _has_labels(path: str, task: Task, flag: str, how: FileSettings) -> bool:
    files.require_file(path, flag)
    columns: Columns = task.columns
    form = format_of(path, how, columns.gold())
    if form is None:
        return False
    gold = set(columns.gold())
    names, _ = open_table(path, BadRows("skip"), columns.headerless, lambda first: gold <= set(first), form, how)
    return gold <= set(names)
