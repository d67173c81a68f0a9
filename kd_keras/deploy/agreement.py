"""Compares a file's answers with Keras' answers to the same ids, and says whether they are near enough."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from kd_keras.common.errors import UserError
from kd_keras.common.markdown import markdown_table
from kd_keras.common.ragged import Ragged
from kd_keras.formats.format import Format
from kd_keras.metrics import score
from kd_keras.metrics.answers import as_logits
from kd_keras.metrics.vectors import cosines
from kd_keras.tasks import Rows, Task, has_label
from kd_keras.text.token_ids import TokenIds
from kd_keras.text.truncation import HEAD

# Logits are computed from scores. A score below this has too few digits.
_READABLE = 1e-4
# If Keras' second score is nearer to its best than this share of the best, chance decides which is first. It is a
# share, because all scores are small if there are many labels.
_CLEAR = 0.04
# A regression has no labels to compare. Scores that differ by less than this share of Keras' range count as the same.
_SAME_SCORE = 0.05
# Vectors have no labels either. Vectors with at least this cosine count as the same.
SAME_VECTOR = 0.98


@dataclass(frozen=True)
class Verification:
    """One file against Keras, on rows that follow one another in one interpreter.

    Attributes:
      rows: how many texts were compared. One of them is empty.
      cut: how many are longer than the file reads. Keras gets them cut alike; a tagger reads the same windows.
      max_score_difference: the largest difference of a score.
      max_logit_difference: the largest difference of a logit, without each row's mean. None for a regression, or if no
        logit can be computed from the scores (integers).
      agreement: share of the rows with Keras' label. Several labels a text: share of the labels on which both agree.
        Regression: share of the rows within 5 % of Keras' range. Vectors: share with a cosine of 0.98 or more.
      clear: rows whose best score leads the second by at least 4 % of itself, in Keras. Several labels a text: labels
        whose score is at least 0.02 from 0.5. Regression and vectors: all.
      clear_agreement: the same share among the clear rows, or among all if none is clear.
      metrics: the file's scores on the rows with a gold label, cut texts included. None if there are no such rows.
      keras_metrics: Keras' scores on the whole texts.
      pieces_differ: rows that a SavedModel's own tokenizer splits differently. They are not compared.
      words: a tagger's number of words. Its "agreement" and "clear" count words, and tags instead of labels.
      scale: a regression's range of scores. Its tolerance grows with it.
      cosine: the mean cosine with Keras' vectors, if the student gives vectors.
    """

    rows: int
    cut: int
    max_score_difference: float
    max_logit_difference: float | None
    agreement: float
    clear: int
    clear_agreement: float
    metrics: dict[str, float] | None = None
    keras_metrics: dict[str, float] | None = None
    pieces_differ: int = 0
    words: int | None = None
    cosine: float | None = None
    scale: float | None = None

    @property
    def compared(self) -> str:
        return f"{self.rows:,} texts" if self.words is None else f"{self.words:,} words"

    def to_json(self) -> dict:
        late = ("words", "cosine", "scale")
        return {name: value for name, value in asdict(self).items() if value is not None or name not in late}


def cut_ids(ids: Mapping[str, TokenIds], length: int | None, truncation: str = HEAD) -> tuple[dict[str, TokenIds], int]:
    """Cuts each text to at most ``length`` tokens. Returns the ids, and how many rows lost some.

    Args:
      ids: ids of whole texts, or as the student's tokenizer has cut them. The result is the same.
      length: how many tokens the file reads. None: any number.
      truncation: the tokenizer's.
    """
    if length is None:
        return dict(ids), 0
    cut = {n: t.cut(length, truncation) for n, t in ids.items()}
    lost = np.any([t.lengths > length for t in ids.values()], axis=0)
    return cut, int(lost.sum())


def compare(
    task: Task,
    rows: Rows,
    want: np.ndarray | Ragged,
    got: np.ndarray | Ragged,
    whole: np.ndarray | Ragged,
    cut: int = 0,
    pieces_differ: int = 0,
) -> Verification:
    """Compares scores with scores. A tagger's are ragged float[words, tags] for each row.

    Args:
      task: tells a regression from classes.
      rows: the texts.
      want: float[rows, classes], Keras' scores for the same ids.
      got: float[rows, classes], the file's.
      whole: float[rows, classes], Keras' scores for the whole texts.
      cut: how many rows were cut.
      pieces_differ: how many rows the caller left out of the comparison.
    """
    file, words = got, got.lengths.sum().item() if isinstance(got, Ragged) else None
    got, want = (x.flat() if isinstance(x, Ragged) else x for x in (got, want))
    if got.shape != want.shape or not np.isfinite(got).all():
        raise UserError(
            f"the exported file's answers have the shape {got.shape} and {np.isnan(got).sum()} NaN; "
            f"expected {want.shape} and none"
        )
    difference = np.abs(got - want)
    scale = max(1.0, float(np.ptp(want))) if task.is_regression else None
    logits, clear, cosine = None, np.ones(want.shape if task.is_multilabel else len(want), bool), None
    if task.is_text:
        each = cosines(want, got)
        same, cosine = each >= SAME_VECTOR, float(each.mean())
    elif task.is_regression:
        spread = max(float(np.ptp(want)), 1e-3)
        same = difference[:, 0] <= _SAME_SCORE * spread
    elif task.is_multilabel:
        same, clear = (got > 0.5) == (want > 0.5), np.abs(want - 0.5) >= _CLEAR / 2
        readable = (np.minimum(got, want) > _READABLE) & (np.maximum(got, want) < 1 - _READABLE)
        if readable.any():
            logits = float(np.abs(_odds(got[readable]) - _odds(want[readable])).max())
    else:
        same = got.argmax(-1) == want.argmax(-1)
        best = np.sort(want, -1)
        clear = best[:, -1] - best[:, -2] >= _CLEAR * best[:, -1]
        readable = np.minimum(got.min(-1), want.min(-1)) > _READABLE
        if readable.any():
            logits = float(np.abs(_centred_logits(got[readable]) - _centred_logits(want[readable])).max())
    labelled = has_label(rows).any()
    return Verification(
        rows=len(rows),
        cut=cut,
        max_score_difference=float(difference.max()),
        max_logit_difference=logits,
        agreement=float(same.mean()),
        clear=int(clear.sum()),
        clear_agreement=float(same[clear].mean() if clear.any() else same.mean()),
        metrics=score(task.metrics, rows.label, as_logits(task, file)) if labelled else None,
        keras_metrics=score(task.metrics, rows.label, as_logits(task, whole)) if labelled else None,
        pieces_differ=pieces_differ,
        words=words,
        cosine=cosine,
        scale=scale,
    )


def require_agreement(fmt: Format, name: str, found: Verification) -> None:
    """Raises UserError if ``found`` is beyond the format's tolerance."""
    most = None if fmt.tolerance is None else fmt.tolerance * (found.scale or 1.0)
    same = "label" if found.scale is None else "score"
    if most is not None and not found.max_score_difference <= most:
        raise UserError(
            f"{name}: differs from Keras by {found.max_score_difference:.2g} in a score; at most {most:g} is "
            f"allowed (same {same} on {found.agreement:.1%} of {found.compared}); the file was removed"
        )
    allowed = fmt.allowed()
    if any(getattr(found, which) < allowed[which] for which in ("clear_agreement", "agreement")):
        advice = "; calibrate on more text like your app's" if fmt.precision == "int8" else ""
        what, unit = ("label", "texts") if found.words is None else ("tag", "words")
        what = what if found.cosine is None else f"vector (a cosine of {SAME_VECTOR})"
        raise UserError(
            f"{name}: gives Keras' {what} on {found.clear_agreement:.1%} of the {found.clear:,} {unit} that Keras is "
            f"clear about, expected at least {_share(allowed['clear_agreement'])}; on all {found.compared.split()[0]} "
            f"it is {found.agreement:.1%}, expected at least {_share(allowed['agreement'])} (largest difference of a "
            f"score: {found.max_score_difference:.2g}); the file was removed{advice}"
        )


def _share(value: float) -> str:
    return f"{100 * value:.4g}%"


def table(results: Mapping[str, tuple[int, Verification]], metric: str) -> str:
    """File, bytes and verification as a Markdown table; Keras itself is the first row, if there are gold labels."""
    files = {Path(name).name: (f"{size:,}", f"{v.max_score_difference:.2g}", v) for name, (size, v) in results.items()}
    first = next(iter(results.values()))[1]
    if first.cosine is not None:
        head = ["file", "bytes", "max diff", "mean cosine", f"≥ {SAME_VECTOR}", "cut"]
        rows = [[n, b, d, f"{v.cosine:.5f}", f"{v.agreement:.2%}", f"{v.cut:,}"] for n, (b, d, v) in files.items()]
        return markdown_table(head, rows)
    head = ["file", "bytes", "max diff", "same label" if first.scale is None else "same score", metric, "cut"]
    lines = [["Keras", "", "", "", f"{first.keras_metrics[metric]:.4f}", ""]] if first.keras_metrics else []
    for name, (size, difference, v) in files.items():
        value = f"{v.metrics[metric]:.4f}" if v.metrics else "-"
        lines.append([name, size, difference, f"{v.agreement:.2%}", value, f"{v.cut:,}"])
    return markdown_table(head, lines)


def _odds(scores: np.ndarray) -> np.ndarray:
    p = scores.astype(np.float64)
    return np.log(p / (1 - p))


def _centred_logits(scores: np.ndarray) -> np.ndarray:
    logits = np.log(scores.astype(np.float64))
    return logits - logits.mean(-1, keepdims=True)
