"""Exports a run's student to other formats. Each file is compared with Keras before it gets its name."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kd_keras.common import files
from kd_keras.common.errors import UserError
from kd_keras.common.places import linked
from kd_keras.common.progress import say
from kd_keras.deploy import bundle, model_card
from kd_keras.deploy.agreement import Verification, require_agreement
from kd_keras.deploy.comparison import calibration_ids, comparison
from kd_keras.deploy.runner import Runner
from kd_keras.deploy.settings import ExportSettings
from kd_keras.deploy.texts import Texts, export_texts
from kd_keras.formats import mediapipe, tagger_metadata
from kd_keras.formats.format import SAVED_MODEL, Format, names
from kd_keras.formats.litert import LiteRT
from kd_keras.formats.saved_model import LoadedModel, write_saved_model
from kd_keras.formats.tflite import convert
from kd_keras.formats.tflite_inputs import READS
from kd_keras.runs.finished import FinishedRun
from kd_keras.students.weights import student_weights


@dataclass(frozen=True)
class Exported:
    """The result of an export.

    Attributes:
      files: name → bytes, and the comparison with Keras.
      failures: a sentence for each format beyond its tolerance. Its file was removed.
    """

    files: dict[str, tuple[int, Verification]]
    failures: list[str]


def export(run: FinishedRun | str | Path, settings: ExportSettings, texts: Texts | None = None) -> Exported:
    """Writes and verifies the formats of ``settings``. If one fails, the others are still written.

    >>> done = export("RUN", ExportSettings(formats="tflite_float32", tflite_length=8))
    >>> list(done.files), done.failures
    (['tflite/float32.tflite'], [])

    Args:
      run: an opened run with its arm, or a run folder.
      settings: what to write.
      texts: what ``export_texts`` gives for both. If not given, they are read here.

    Raises:
      UserError: there is no run folder, or a file of text cannot be read.
    """
    run = run if isinstance(run, FinishedRun) else FinishedRun.open(run, settings.arm)
    texts = texts or export_texts(run, settings)
    if settings.arm:
        say(f"{settings.arm}{'' if run.arm else ' (the student that the run kept)'}: its files go to {run.home.root}")
    job = _Job(run, settings, texts)
    unrolled = [f for f in texts.formats if f.form == "unrolled"]
    if unrolled and (reason := mediapipe.why_not(run.task, run.tokenizer, unrolled[0])):
        say(f"{names(unrolled)}: written without metadata for MediaPipe, because {reason}")
    done = Exported({}, [])
    for fmt in texts.formats:
        say(f"{fmt.name}: converting, then comparing with Keras on {len(texts.check):,} texts ({texts.source})")
        try:
            name, size, found = job.saved_model() if fmt == SAVED_MODEL else job.tflite(fmt)
            done.files[name] = (size, found)
        except UserError as e:
            done.failures.append(str(e))
    model_card.write(run, job.about, job.models)
    return done


class _Job:
    """What all formats of one export share."""

    def __init__(self, run: FinishedRun, settings: ExportSettings, texts: Texts):
        self.run, self.layout, self.length = run, run.home, settings.tflite_length
        self.runner, self.source, self.calibration = Runner.load(run), texts.source, texts.calibration
        self.about = bundle.describe(run.task, run.tokenizer, run.student_hash, run.arm or run.kept_arm)
        self.keras = comparison(self.runner, texts.check)
        self.models = bundle.models_of(self.layout.tflite, self.about["student"])

    def tflite(self, fmt: Format) -> tuple[str, int, Verification]:
        """Writes one file and its entry in metadata.json."""
        runner, path = self.runner, self.layout.tflite / fmt.file
        name = path.relative_to(self.run.layout.root).as_posix()
        self._write()
        length = min(self.length, runner.tokenizer.max_length) if fmt.form == "unrolled" else None
        with self._older_gone_if_refused(path), files.atomic_path(path) as temp:
            calibration = self.calibration and calibration_ids(runner, self.calibration, length)
            no_mediapipe = mediapipe.why_not(runner.task, runner.tokenizer, fmt)
            bert = no_mediapipe is None and runner.tokenizer.kind == "wordpiece"
            aliases = list(mediapipe.accented(runner.tokenizer).values()) if bert else ()
            content = convert(
                student_weights(runner.student, runner.task.is_multilabel), fmt, length, calibration, bert, aliases
            )
            if runner.task.is_tagging:
                content = tagger_metadata.add_metadata(content, runner.task, runner.tokenizer, bundle.WORDS)
            elif no_mediapipe is None:
                content = mediapipe.add_metadata(content, runner.task, runner.tokenizer)
            temp.write_bytes(content)
            model = LiteRT(temp)
            found = self.keras.tflite(model, length)
            require_agreement(self._bounds(fmt), name, found)
        self.models[fmt.file] = {
            "format": fmt.name,
            "form": fmt.form,
            "precision": fmt.precision,
            "length": length,
            "bytes": len(content),
            "sha256": files.sha256_file(path),
            **model.describe("vector" if runner.task.is_text else "scores"),
            "reads": READS["bert" if bert else "ids"],
            "mediapipe": f"no: {no_mediapipe}" if no_mediapipe else mediapipe.server(runner.task),
            "checked_on": self.source,
            "verification": _verification(self._bounds(fmt), found),
        }
        self._write()
        return name, len(content), found

    def saved_model(self) -> tuple[str, int, Verification]:
        """Writes the folder with its metadata."""
        runner, folder = self.runner, self.layout.saved_model
        name = folder.relative_to(self.run.layout.root).as_posix()
        with self._older_gone_if_refused(folder), files.atomic_dir(folder) as temp:
            write_saved_model(runner.student, runner.tokenizer, runner.task, temp)
            found = self.keras.saved_model(LoadedModel(temp), name)
            fmt = self._bounds(SAVED_MODEL)
            require_agreement(fmt, name, found)
            extra = temp / self.layout.saved_model_metadata.relative_to(folder)
            said = {"reads": READS["ids"], "checked_on": self.source, "verification": _verification(fmt, found)}
            files.write_json(extra, self.about | said)
            size = sum(p.stat().st_size for p in temp.rglob("*") if p.is_file())
        return name, size, found

    def _write(self) -> None:
        bundle.write(self.layout.tflite, self.runner.task, self.runner.tokenizer, self.about, self.models)

    @contextlib.contextmanager
    def _older_gone_if_refused(self, path: Path) -> Iterator[None]:
        """If the new file or folder is refused, nobody may take an older one for it. One that is stopped leaves it."""
        try:
            yield
        except UserError:
            older = linked(path)
            if older.is_dir():
                shutil.rmtree(older, ignore_errors=True)
            elif older.is_file():
                older.unlink()
            if self.models.pop(path.name, None):
                self._write()
            raise

    def _bounds(self, fmt: Format) -> Format:
        if self.runner.task.is_text:
            return fmt.of_vectors()
        return fmt.of_words() if self.runner.task.is_tagging else fmt


def _verification(fmt: Format, found: Verification) -> dict:
    return found.to_json() | {"allowed": fmt.allowed()}
