"""A student in any format as one object: text in, scores out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kd_keras.common import files, packages
from kd_keras.common.cli import command, import_tensorflow
from kd_keras.common.errors import UserError
from kd_keras.common.places import local
from kd_keras.common.ragged import Ragged, flat
from kd_keras.deploy import bundle
from kd_keras.deploy.words import word_windows
from kd_keras.formats.format import FORMATS, KERAS, SAVED_MODEL, Format
from kd_keras.formats.litert import LiteRT
from kd_keras.metrics.answers import as_logits, only_answer, scores_of
from kd_keras.runs.finished import FinishedRun
from kd_keras.students.inputs import student_ids
from kd_keras.tasks import Rows, Task, has_label
from kd_keras.tasks.rows import words_of
from kd_keras.text.tokenizers import Tokenizer
from kd_keras.text.windows import Windows


@dataclass(frozen=True)
class Runner:
    """A student with its tokenizer and labels.

    >>> import numpy as np
    >>> from kd_keras.tasks import Rows
    >>> runner = Runner.load("RUN")
    >>> scores = runner.scores(Rows(["a"], ["good film"], None, np.array([-1], np.int32)))
    >>> scores.shape, runner.task.labels
    ((1, 3), ('neg', 'so-so', 'pos'))

    Attributes:
      task: kind, labels and metrics.
      tokenizer: the student's.
      student: the Keras model, a ``LoadedModel`` or a ``LiteRT``.
      format: the name of its format.
    """

    task: Task
    tokenizer: Tokenizer
    student: Any
    format: Format = KERAS

    @classmethod
    def load(cls, run: FinishedRun | str | Path, format: str = "keras") -> Runner:
        """The student of a run in one of ``FORMATS``.

        Args:
          run: an opened run with its arm, or a run folder.
          format: the format that was exported.

        Raises:
          UserError: there is no run folder, its files do not fit together, or this format was not exported.
        """
        run = run if isinstance(run, FinishedRun) else FinishedRun.open(run)
        fmt = FORMATS[format]
        require_export(run, fmt)
        if fmt.is_tflite:
            return cls.load_file(run.home.tflite / fmt.file)
        if fmt == SAVED_MODEL:
            from kd_keras.formats.saved_model import LoadedModel

            return cls(run.task, run.tokenizer, LoadedModel(run.home.saved_model), fmt)
        return cls(run.task, run.tokenizer, run.student())

    @classmethod
    def of(cls, opened: Runner | FinishedRun) -> Runner:
        """The runner itself, or one of a run. Loading a run imports TensorFlow."""
        if isinstance(opened, Runner):
            return opened
        import_tensorflow()
        return cls.load(opened)

    @classmethod
    def load_file(cls, path: str | Path) -> Runner:
        """The student of a .tflite file, with the files that export wrote beside it. Imports no TensorFlow."""
        path = Path(local(path, "--model"))
        task, tokenizer, entry = bundle.open_model(path)
        return cls(task, tokenizer, LiteRT(path), FORMATS[entry["format"]])

    def windows(self, words: Sequence[Sequence[str]]) -> Windows:
        """The windows of words that a tagger reads in this format."""
        return word_windows(self.tokenizer, words, getattr(self.student, "length", None))

    def tag_logits(self, words: Sequence[Sequence[str]]) -> Ragged:
        """A tagger's answers: ragged float32[words, tags], one for each word of each text of any length.

        Args:
          words: the words of each text. An empty text has none.
        """
        return self.window_logits(self.windows(words))

    def window_logits(self, some: Windows) -> Ragged:
        """The answers for the windows of :meth:`windows`."""
        if self.format != KERAS:
            return some.rows(self.student.tag_logits(some))
        from kd_keras.students.inference import predict_tags

        return some.rows(predict_tags(self.student, some))

    def logits(self, rows: Rows) -> np.ndarray:
        """float32[rows, classes] of the Keras model. Empty texts have logits too; very long texts are cut."""
        from kd_keras.students.inference import predict

        if not len(rows):
            return np.zeros((0, self.task.num_outputs), np.float32)
        return predict(self.student, student_ids(self.tokenizer, rows))

    def scores(self, rows: Rows) -> np.ndarray | Ragged:
        """float[rows, classes]; each row adds up to 1.

        Several labels a text: each score is from 0 to 1, and over 0.5 means that the text has the label. Regression:
        float[rows, 1], the number itself. Tagger: ragged float[words, tags]; each word adds up to 1.
        """
        if self.task.is_tagging:
            return scores_of(self.task, self.tag_logits([words_of(text) for text in rows.text]))
        if not len(rows):
            return np.zeros((0, self.task.num_outputs), np.float32)
        return finite(self._scores(rows))

    def _scores(self, rows: Rows) -> np.ndarray:
        if self.format == KERAS:
            return scores_of(self.task, self.logits(rows))
        if self.format == SAVED_MODEL:
            return self.student.scores(rows)
        ids, length = student_ids(self.tokenizer, rows), self.student.length
        if length:  # the file itself would keep the head, even if training kept another part
            ids = {n: t.cut(length, self.tokenizer.truncation) for n, t in ids.items()}
        return self.student.scores(ids)

    def cut(self, rows: Rows) -> int:
        """How many rows have more tokens than this format reads, and lose the rest. A tagger's rows lose nothing."""
        length = getattr(self.student, "length", None) if self.format.is_tflite else None
        if length is None or not len(rows) or self.task.is_tagging:
            return 0
        lengths = [t.lengths for t in student_ids(self.tokenizer, rows).values()]
        return int((np.max(lengths, axis=0) > length).sum())


def finite(values: Any) -> Any:
    """``values``, an array or :class:`Ragged`. Raises UserError if a number is not finite."""
    if not np.isfinite(flat(values)).all():
        raise UserError(
            "the model's outputs are not finite numbers, so it has diverged; train it with a lower learning rate"
        )
    return values


def require_export(run: FinishedRun, fmt: Format) -> None:
    """Raises UserError if this format was not exported, or was exported from another student."""
    if fmt == KERAS:
        return
    if fmt == SAVED_MODEL and not run.task.is_tagging:
        packages.require(f"--formats={fmt.name}", "text")
    home, root = run.home, run.layout.root
    again = command("export", model_dir=root, formats=fmt.name, **({"arm": run.arm} if run.arm else {}))
    there = home.tflite / fmt.file if fmt.is_tflite else home.saved_model_metadata
    if not there.is_file():
        raise UserError(f"--formats={fmt.name}: {home.root} has no such export; make it with: {again}")

    about = bundle.read(home.tflite) if fmt.is_tflite else files.read_json(there)
    if about.get("student") != run.student_hash:
        raise UserError(
            f"--formats={fmt.name}: {there.name} was made from another student.keras; make it again with: {again}"
        )


# With fewer texts, one label for all may be chance.
MANY = 20


def only_label(task: Task, rows: Rows, scores: np.ndarray) -> str | None:
    """The label of all rows, if there are many rows and their gold labels differ. None for any sensible model."""
    if task.is_regression or task.is_tagging or task.is_text:
        return None
    gold = has_label(rows)
    if gold.sum() < MANY or len(np.unique(rows.label[gold], axis=0)) < 2:
        return None
    return only_answer(task, as_logits(task, scores[gold]))


def always_answers(name: str, label: str) -> str:
    """The warning for :func:`only_label`."""
    return f"{name}: answers {label!r} to every text, so its score is only that label's share"
