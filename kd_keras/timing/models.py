"""Models made for a benchmark only, once: the student unrolled to a text's length, and the teacher as TFLite.

They are in RUN/benchmark/models/. You can delete this folder: the next benchmark makes them again.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kd_keras import __version__
from kd_keras.common import files
from kd_keras.common.artifacts import find_or_make
from kd_keras.common.errors import UserError
from kd_keras.common.progress import say
from kd_keras.common.ragged import Ragged
from kd_keras.deploy.agreement import Verification, compare, require_agreement
from kd_keras.deploy.invented import spread, with_edge_cases
from kd_keras.deploy.runner import Runner
from kd_keras.formats import teacher_tflite
from kd_keras.formats.format import Format
from kd_keras.formats.litert import LiteRT
from kd_keras.formats.tflite import convert
from kd_keras.metrics.answers import scores_of
from kd_keras.runs.finished import FinishedRun
from kd_keras.runs.given import is_given
from kd_keras.students.weights import student_weights
from kd_keras.tasks import Rows
from kd_keras.teachers.checkpoints import MANIFEST, Checkpoint, find_checkpoint, from_folder
from kd_keras.teachers.settings import LabelSettings, TargetSettings
from kd_keras.text.truncation import HEAD
from kd_keras.timing import tagging

if TYPE_CHECKING:
    from kd_keras.deploy.comparison import TextComparison, WordComparison
    from kd_keras.teachers.bert import Teacher

# A made file is compared on this many texts before it is timed.
CHECKS = 300
TEACHER_FORMATS = {
    "float32": Format("teacher_float32", "unrolled", "float32", 1e-4),
    "dynamic": Format("teacher_dynamic", "unrolled", "dynamic", None, 0.95),
}


class MadeModels:
    """Finds or makes the files. Each is compared with the live model before it gets its name.

    Args:
      run: the finished run.
      rows: real text for the comparison and for int8's ranges. A file made here is timed but never scored.
    """

    def __init__(self, run: FinishedRun, rows: Rows):
        self._run, self._layout, self._task = run, run.layout, run.task
        self._rows = with_edge_cases(run.task, spread(rows, CHECKS))
        self._folder = run.layout.benchmark / "models"
        self._index = self._folder / "models.json"
        self._known = files.read_json(self._index) if self._index.is_file() else {}
        self._used: list[str] = []

    def student(self, fmt: Format, length: int) -> Path:
        """The student in ``fmt``, unrolled to ``length`` tokens of each text."""

        def content() -> bytes:
            from kd_keras.deploy.comparison import calibration_ids

            weights = student_weights(self._runner.student, self._task.is_multilabel)
            return convert(weights, fmt, length, calibration_ids(self._runner, self._rows, length))

        def check(path: Path) -> Verification:
            return self._keras.tflite(LiteRT(path), length)

        name = f"student-{fmt.file.removesuffix('.tflite')}-{length}"
        # It is calibrated on fewer texts than an export. Its time does not depend on that.
        fmt = fmt.of_words() if self._task.is_tagging else fmt
        fmt = replace(fmt, agreement=0.9) if fmt.precision == "int8" else fmt
        return self._find(name, fmt, self._layout.student, content, check)

    def teacher(self, precision: str, length: int, batch: int = 1) -> Path:
        """The teacher at ``length`` tokens, with [CLS] and [SEP]. A tagger's also takes ``batch`` texts a call."""
        fmt = TEACHER_FORMATS[precision]

        def check(path: Path) -> Verification:
            if self._task.is_tagging:
                some = tagging.teacher_windows(self._teacher.tokenizer, self._rows, length)
                live = tagging.live_logits(self._teacher, some)
                got = tagging.file_logits(path, some, self._teacher.tokenizer, length, "comparing")
                return self._compare(scores_of(self._task, live), scores_of(self._task, got))
            from kd_keras.teachers.encoded import Encoded

            rows, vocab = self._rows, self._teacher.tokenizer
            inputs = teacher_tflite.bert_inputs(vocab, rows.text, rows.text_b, length)
            # The live teacher encodes and pads the texts itself, so that an error in our encoding shows.
            reader = vocab.like(length)
            want = self._teacher.logits(Encoded(*reader.encode_for_bert(rows.text, rows.text_b), reader))
            got = teacher_tflite.logits(path, inputs, "comparing")
            return self._compare(scores_of(self._task, want), scores_of(self._task, got))

        name = f"teacher-{precision}-{length}" + (f"x{batch}" if batch > 1 else "")
        weights = run_teacher(self._run).checkpoint.weights
        return self._find(name, fmt, weights, lambda: teacher_tflite.convert(self._teacher, fmt, length, batch), check)

    def checks(self) -> dict[str, dict]:
        """How each file that was used compared with the live model."""
        return {name: self._known[name]["check"] for name in dict.fromkeys(self._used)}

    def _find(
        self, name: str, fmt: Format, source: Path, content: Callable[[], bytes], check: Callable[[Path], Verification]
    ) -> Path:
        path = self._folder / f"{name}.tflite"
        self._used.append(path.name)
        key = files.hash_of(files.sha256_file(source), name, __version__, self._rows.fingerprint())

        def read(place: Path) -> Path | None:
            entry = self._known.get(place.name, {})
            return place if entry.get("key") == key and _is_file_of(place, entry) else None

        def make() -> None:
            say(f"{path.name}: converting, then comparing with the live model on {len(self._rows):,} texts")
            with files.atomic_path(path) as temp:
                temp.write_bytes(content())
                found = check(temp)
                require_agreement(fmt, path.name, found)
            self._known[path.name] = {"key": key, "sha256": files.sha256_file(path), "check": found.to_json()}
            files.write_json(self._index, self._known)

        return find_or_make(path.name, path, read, make, aloud=False)

    def _compare(self, want: np.ndarray | Ragged, got: np.ndarray | Ragged) -> Verification:
        return compare(self._task, self._rows, want, got, want)

    @functools.cached_property
    def _runner(self) -> Runner:
        return Runner.load(self._run)

    @functools.cached_property
    def _keras(self) -> TextComparison | WordComparison:
        from kd_keras.deploy.comparison import comparison

        return comparison(self._runner, self._rows)

    @functools.cached_property
    def _teacher(self) -> Teacher:
        from kd_keras.teachers.tagger import load_finished

        if self._task.is_text:
            from kd_keras.teachers.sentences import found_again

            said = _settings(self._run)
            label = LabelSettings(hidden=said["label"]["hidden"], hidden_layer=said["label"]["hidden_layer"])
            target, name = TargetSettings(**said["target"]), said["universal"]["teacher"]
            return found_again(self._layout.projection, name, self._task.max_length, label, target)
        return load_finished(run_teacher(self._run).checkpoint)


def _is_file_of(place: Path, entry: Mapping[str, str]) -> bool:
    return place.is_file() and files.sha256_file(place) == entry["sha256"]


def _settings(run: FinishedRun) -> dict:
    """run.json of pretrain."""
    return files.read_json(run.layout.run)


class RunTeacher:
    """A run's fine-tuned teacher, as its files describe it. Needs no TensorFlow.

    Attributes:
      checkpoint: the files.
      length: how many tokens it was fine-tuned to read.
      positions: how many tokens it can read.
      tokenizer: its own.
    """

    def __init__(self, checkpoint: Checkpoint, length: int | None = None):
        made = checkpoint.manifest()
        if length is None and (not made or "key" not in made):
            raise UserError(
                f"{checkpoint.path}: is not a finished teacher of train ({MANIFEST}); use --teacher_formats=none"
            )
        self.checkpoint = checkpoint
        self.length = length or int(made["key"]["max_length"])
        self.positions = checkpoint.positions
        truncation = (made or {}).get("key", {}).get("teacher_truncation", HEAD)
        self.tokenizer = checkpoint.text.tokenizer(self.length, truncation)


def run_teacher(run: FinishedRun) -> RunTeacher:
    """The teacher in the run folder, or the one that a universal student's run names. UserError if there is none."""
    layout = run.layout
    if run.task.is_text:
        return RunTeacher(find_checkpoint(_settings(run)["universal"]["teacher"]), run.task.max_length)
    if is_given(run.metrics.get("teacher", {})):
        raise UserError(
            f"{layout.root}: its teacher was given as signals, so there is no model to time; --teacher_formats=none "
            "measures only the student"
        )
    if not layout.teacher.is_dir():
        raise UserError(
            f"{layout.root}: has no {layout.teacher.name}/; --teacher_formats=none measures only the student"
        )
    return RunTeacher(from_folder(str(layout.teacher), layout.teacher))
