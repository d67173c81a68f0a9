"""A run folder's student in other formats, each file compared with Keras before it gets its name."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kd_keras.common import files
from kd_keras.common.errors import UserError
from kd_keras.common.layout import RunLayout
from kd_keras.common.progress import say
from kd_keras.deploy import bundle, check_texts
from kd_keras.deploy.formats import SAVED_MODEL, Format
from kd_keras.deploy.litert import LiteRT
from kd_keras.deploy.runner import Runner, softmax
from kd_keras.deploy.saved_model import LoadedModel, write_saved_model
from kd_keras.deploy.settings import ExportSettings
from kd_keras.deploy.tflite import convert
from kd_keras.deploy.verify import Verification, compare, cut_ids, require_agreement
from kd_keras.deploy.weights import StudentWeights, student_weights
from kd_keras.distill.stages import predict
from kd_keras.students.inputs import student_ids
from kd_keras.tasks import Rows, Task, read_labelled, read_texts
from kd_keras.tasks.records import Columns
from kd_keras.tasks.tables import BadRows, open_table, table_format
from kd_keras.text.token_ids import TokenIds

# More calibration texts move the ranges no further; more check texts take long in an interpreter of one text a call.
MOST_CALIBRATION, MOST_CHECKS = 500, 2000
# A file of any length is asked with so many different amounts of padding.
_PADDINGS = 4
# Of the check texts, the share that a SavedModel's tokenizer may split otherwise (see in_graph).
_PIECES = 0.005


@dataclass(frozen=True)
class Checks:
    """The texts that every file is compared on.

    Attributes:
      source: where they are from.
      rows: texts, and labels where there are any.
      ids: the student's.
      logits: float32[rows, outputs], Keras' of the whole texts.
    """

    source: str
    rows: Rows
    ids: dict[str, TokenIds]
    logits: np.ndarray


def export(model_dir: str | Path, settings: ExportSettings) -> dict[str, tuple[int, Verification]]:
    """Writes and verifies the formats of ``settings``.

    Returns:
      file → bytes and how it compares with Keras.

    Raises:
      UserError: ``model_dir`` is no run, a file cannot be read, or an export is beyond its tolerance (it is removed).
    """
    formats = settings.chosen()
    runner = Runner.load(model_dir)
    texts = read_check_texts(settings, runner.task)
    calibration = read_calibration(settings, runner) if any(f.precision == "int8" for f in formats) else None
    layout = RunLayout(Path(model_dir))
    student = files.sha256_file(layout.student)
    about = bundle.describe(runner.task, runner.tokenizer, student)
    checks = _checks(runner, *texts)
    weights = student_weights(runner.student)
    models = bundle.models_of(layout.tflite, student)
    results = {}
    for fmt in formats:
        say(f"{fmt.name}: converting, and comparing with Keras on {len(checks.rows):,} texts ({checks.source})")
        if fmt == SAVED_MODEL:
            results["saved_model"] = _saved_model(runner, layout, about, checks)
            continue
        path = layout.tflite / fmt.file
        # An older file goes first: should this one fail, nothing wrong is left in its place.
        path.unlink(missing_ok=True)
        models.pop(fmt.file, None)
        bundle.write(layout.tflite, runner.task, runner.tokenizer, about, models)
        models[fmt.file], found = _tflite(runner, weights, fmt, path, settings.tflite_length, calibration, checks)
        bundle.write(layout.tflite, runner.task, runner.tokenizer, about, models)
        results[f"tflite/{fmt.file}"] = (models[fmt.file]["bytes"], found)
    return results


def read_check_texts(settings: ExportSettings, task: Task) -> tuple[str, Rows]:
    """Where the check texts are from, and the texts with an empty one among them."""
    path = settings.check_file or settings.calibration_file
    if path is None:
        return "invented sentences", check_texts.with_edge_cases(task, check_texts.built_in(task))
    flag = "--check_file" if settings.check_file else "--calibration_file"
    rows = read_labelled(path, task, flag=flag) if _has_labels(path, task, flag) else _texts(path, task, flag)
    return Path(path).name, check_texts.with_edge_cases(task, _spread(rows, MOST_CHECKS))


def read_calibration(settings: ExportSettings, runner: Runner) -> dict[str, TokenIds]:
    """Ids of the calibration texts."""
    rows = _texts(settings.calibration_file, runner.task, "--calibration_file")
    return student_ids(runner.tokenizer, check_texts.with_edge_cases(runner.task, _spread(rows, MOST_CALIBRATION)))


def _texts(path: str, task: Task, flag: str) -> Rows:
    rows = read_texts(path, task=task, flag=flag)
    if not any(rows.text):
        raise UserError(f"{flag}={path}: holds no text")
    return rows


def _has_labels(path: str, task: Task, flag: str) -> bool:
    files.require_file(path, flag)
    if table_format(path) is None:
        return False
    columns: Columns = task.columns
    names, _ = open_table(path, BadRows("skip"), columns.headerless, lambda first: columns.label in first)
    return columns.label in names


def _spread(rows: Rows, most: int) -> Rows:
    """At most ``most`` rows, evenly from all of the file."""
    if len(rows) <= most:
        return rows
    return rows.take(np.linspace(0, len(rows) - 1, most).astype(np.int64))


def _checks(runner: Runner, source: str, rows: Rows) -> Checks:
    ids = student_ids(runner.tokenizer, rows)
    return Checks(source, rows, ids, predict(runner.student, ids))


def _scores(task: Task, logits: np.ndarray) -> np.ndarray:
    return logits if task.is_regression else softmax(logits)


def _tflite(
    runner: Runner,
    weights: StudentWeights,
    fmt: Format,
    path: Path,
    length: int,
    calibration: Mapping[str, TokenIds] | None,
    checks: Checks,
) -> tuple[dict, Verification]:
    """Writes one file; its metadata entry, and how it compares."""
    reads = min(length, runner.tokenizer.max_length) if fmt.form == "unrolled" else None
    with files.atomic_path(path) as temp:
        content = convert(weights, fmt, reads, calibration)
        temp.write_bytes(content)
        model = LiteRT(temp)
        ids, cut = cut_ids(checks.ids, reads)
        want = predict(runner.student, ids) if cut else checks.logits
        got = model.scores(ids, _PADDINGS)
        task = runner.task
        found = compare(task, checks.rows, _scores(task, want), got, _scores(task, checks.logits), cut)
        require_agreement(fmt, f"tflite/{fmt.file}", found)
        details = model.describe()
    entry = {
        "format": fmt.name,
        "form": fmt.form,
        "precision": fmt.precision,
        "length": reads,
        "bytes": len(content),
        "sha256": files.sha256_file(path),
        **details,
        "checked_on": checks.source,
        "verification": found.to_json(),
    }
    return entry, found


def _saved_model(runner: Runner, layout: RunLayout, about: dict, checks: Checks) -> tuple[int, Verification]:
    task, rows = runner.task, checks.rows
    shutil.rmtree(layout.saved_model, ignore_errors=True)
    with files.atomic_dir(layout.saved_model) as temp:
        write_saved_model(runner.student, runner.tokenizer, task, temp)
        model = LoadedModel(temp)
        by_ids = model.logits_of_ids(checks.ids)
        worst = float(np.abs(by_ids - checks.logits).max())
        if not worst <= SAVED_MODEL.tolerance:
            raise UserError(f"saved_model: ids give logits that differ from Keras' by {worst:.2g}; it was removed")
        same = _same_pieces(model, runner, rows)
        if (~same).mean() > _PIECES:
            raise UserError(
                f"saved_model: splits {(~same).sum()} of {len(rows):,} texts otherwise than the student's tokenizer "
                f"(the first is row {int(np.argmin(same))}); it was removed"
            )
        keras = _scores(task, checks.logits)
        got = np.where(same[:, None], model.scores(rows), keras)
        found = compare(task, rows, keras, got, keras, pieces_differ=int((~same).sum()))
        require_agreement(SAVED_MODEL, "saved_model", found)
        extra = temp / layout.saved_model_metadata.relative_to(layout.saved_model)
        files.write_json(extra, about | {"checked_on": checks.source, "verification": found.to_json()})
        size = sum(p.stat().st_size for p in temp.rglob("*") if p.is_file())
    return size, found


def _same_pieces(model: LoadedModel, runner: Runner, rows: Rows) -> np.ndarray:
    """bool[rows]: whether the SavedModel's tokenizer gives the ids of the student's."""
    same = np.ones(len(rows), bool)
    for texts in (rows.text, rows.text_b) if rows.text_b is not None else (rows.text,):
        ours, theirs = runner.tokenizer.encode(texts), model.pieces(texts)
        same &= [np.array_equal(ours[i], theirs[i]) for i in range(len(texts))]
    return same
