"""Asks a student's file and Keras the same: texts, which a file cuts, or words, which a tagger reads in windows."""

from __future__ import annotations

import numpy as np

from kd_keras.common.errors import UserError
from kd_keras.deploy.agreement import Verification, compare, cut_ids
from kd_keras.deploy.runner import Runner
from kd_keras.deploy.words import word_windows
from kd_keras.formats.format import SAVED_MODEL
from kd_keras.formats.litert import LiteRT
from kd_keras.formats.saved_model import LoadedModel
from kd_keras.metrics.answers import scores_of
from kd_keras.students.inference import predict, predict_tags
from kd_keras.students.inputs import student_ids
from kd_keras.tasks import Rows
from kd_keras.tasks.rows import words_of
from kd_keras.text.token_ids import TokenIds
from kd_keras.text.windows import Windows

# A file of any length is asked with this many different amounts of padding.
_PADDINGS = 4
# The share of the texts that a SavedModel's tokenizer may split differently (see graph_tokenizer).
_PIECES = 0.005


class TextComparison:
    """Compares sentences or pairs, one after another in one interpreter.

    Args:
      runner: holds the Keras student.
      rows: the texts.
    """

    def __init__(self, runner: Runner, rows: Rows):
        self._runner, self._rows = runner, rows
        self._ids = student_ids(runner.tokenizer, rows)
        self._logits = predict(runner.student, self._ids)

    def tflite(self, model: LiteRT, length: int | None) -> Verification:
        """Compares a file that reads ``length`` tokens. None: any number."""
        runner = self._runner
        ids, cut = cut_ids(self._ids, length, runner.tokenizer.truncation)
        want = predict(runner.student, ids) if cut else self._logits
        got = model.scores(ids, _PADDINGS)
        return compare(runner.task, self._rows, self._scores(want), got, self._scores(self._logits), cut)

    def saved_model(self, model: LoadedModel, name: str) -> Verification:
        """Raises UserError if the logits for the same ids differ, or if the tokenizer differs."""
        rows = self._rows
        _require_same_logits(model.logits_of_ids(self._ids), self._logits, name)
        same = self._same_pieces(model)
        if (~same).mean() > _PIECES:
            raise UserError(
                f"{name}: splits {(~same).sum()} of {len(rows):,} texts differently from the student's tokenizer "
                f"(the first is row {int(np.argmin(same))}); it was removed"
            )
        keras = self._scores(self._logits)
        got = np.where(same[:, None], model.scores(rows), keras)
        return compare(self._runner.task, rows, keras, got, keras, pieces_differ=int((~same).sum()))

    def _scores(self, logits: np.ndarray) -> np.ndarray:
        return scores_of(self._runner.task, logits)

    def _same_pieces(self, model: LoadedModel) -> np.ndarray:
        """bool[rows]: whether the SavedModel's tokenizer gives the same ids as the student's."""
        rows = self._rows
        same = np.ones(len(rows), bool)
        for texts in (rows.text, rows.text_b) if rows.text_b is not None else (rows.text,):
            ours, theirs = self._runner.tokenizer.encode(texts), model.pieces(texts)
            same &= [np.array_equal(ours[i], theirs[i]) for i in range(len(texts))]
        return same


class WordComparison:
    """Compares the words of a tagger's texts. Keras and the file read the same windows. See :class:`TextComparison`."""

    def __init__(self, runner: Runner, rows: Rows):
        self._runner, self._rows = runner, rows
        self._words = [words_of(text) for text in rows.text]
        self._whole = word_windows(runner.tokenizer, self._words)
        self._logits = predict_tags(runner.student, self._whole)

    def tflite(self, model: LiteRT, length: int | None) -> Verification:
        """Compares a file that reads ``length`` pieces. None: any number."""
        some = word_windows(self._runner.tokenizer, self._words, length)
        want = predict_tags(self._runner.student, some)
        return self._compared(some, want, model.tag_logits(some, _PADDINGS))

    def saved_model(self, model: LoadedModel, name: str) -> Verification:
        """Raises UserError if the logits differ."""
        got = model.tag_logits(self._whole)
        _require_same_logits(got, self._logits, name)
        return self._compared(self._whole, self._logits, got)

    def _compared(self, windows: Windows, want: np.ndarray, got: np.ndarray) -> Verification:
        task = self._runner.task
        scores = [scores_of(task, windows.rows(logits)) for logits in (want, got, self._logits)]
        return compare(task, self._rows, *scores, cut=windows.long_rows)


def comparison(runner: Runner, rows: Rows) -> TextComparison | WordComparison:
    """The comparison for the Keras student in ``runner``, on ``rows``."""
    return (WordComparison if runner.task.is_tagging else TextComparison)(runner, rows)


def calibration_ids(runner: Runner, rows: Rows, length: int | None) -> dict[str, TokenIds]:
    """The ids that int8's ranges come from: ``rows`` as a file of ``length`` tokens reads them."""
    if runner.task.is_tagging:
        return {"ids": word_windows(runner.tokenizer, [words_of(text) for text in rows.text], length).ids}
    return cut_ids(student_ids(runner.tokenizer, rows), length, runner.tokenizer.truncation)[0]


def _require_same_logits(got: np.ndarray, want: np.ndarray, name: str) -> None:
    worst = float(np.abs(got - want).max())
    if not worst <= SAVED_MODEL.tolerance:
        raise UserError(f"{name}: its logits for the same ids differ from Keras' by {worst:.2g}; it was removed")
