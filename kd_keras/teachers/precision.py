"""Labels in a lower precision, where a sample of the very text shows that they stay those of float32."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from kd_keras.common.errors import UserError
from kd_keras.common.progress import say
from kd_keras.common.ragged import Ragged
from kd_keras.metrics.vectors import cosines
from kd_keras.teachers.bert import Teacher
from kd_keras.teachers.encoded import Encoded
from kd_keras.teachers.settings import FLOAT32, LabelSettings
from kd_keras.teachers.tagger import EncodedWords

SAMPLE = 1024
AGREEMENT = 0.998  # part of the texts whose label stays
DRIFT = 0.02  # mean absolute difference of a logit, in standard deviations of the logits


def checked_labels(teacher: Teacher, lowered: Teacher, encoded: Encoded, settings: LabelSettings) -> None:
    """Labels texts spread over all lengths both ways: by ``teacher``, and ``lowered`` as ``settings`` have it.

    A text of several labels keeps all of them.

    Raises:
      UserError: less than 99.8 % of them keep their label, or logits move by more than 2 % of their spread.
    """
    order = np.argsort(encoded.ids.lengths, kind="stable")
    rows = np.unique(order[np.linspace(0, len(order) - 1, min(SAMPLE, len(order))).astype(int)])
    sample = encoded.take(rows)
    of_words = isinstance(encoded, EncodedWords)
    if of_words:
        sample = encoded
    how, tokens = settings.label_precision, settings.label_batch_tokens
    say(f"comparing labels in {how} with float32's, of {len(sample):,} texts")
    (whole, slow), (rough, fast) = (_timed(t, sample, tokens) for t in (teacher, lowered))
    if of_words:
        whole, rough = whole.flat(), rough.flat()
    moved = np.abs(rough - whole).mean()
    allowed = DRIFT * whole.std()
    same = ((rough > 0) == (whole > 0)).all(-1) if teacher.is_multilabel else rough.argmax(-1) == whole.argmax(-1)
    same = same.mean()
    found = (
        f"of {len(whole):,} {'words' if of_words else 'texts'} {same:.2%} get float32's label, "
        f"logits differ by {moved:.4f} on average "
        f"(their standard deviation is {whole.std():.3f})"
    )
    if not (same >= AGREEMENT and moved <= allowed):  # what overflows is no number, and under nothing
        raise UserError(
            f"--label_precision={how}: {found}; wanted: at least {AGREEMENT:.1%}, and at most {allowed:.4f}; "
            "take --label_precision=float32 (train: and another --output_dir beside this one; it finds the teacher)"
        )
    say(f"labels in {how}: {found}; {slow / fast:.2f} × the speed of float32")


def checked_vectors(vectors: Callable[[LabelSettings], np.ndarray], settings: LabelSettings) -> None:
    """Asks for the vectors of a sample, float[texts, width], in float32 and as ``settings`` have it.

    Raises:
      UserError: a hundredth of them have a cosine under 0.99 between the two, or the mean is under 0.999.
    """
    whole, rough = (vectors(replace(settings, label_precision=p)) for p in (FLOAT32, settings.label_precision))
    found = cosines(whole, rough)
    said = f"of {len(found):,} texts the vectors' mean cosine with float32's is {found.mean():.5f}"
    if not (np.quantile(found, 0.01) >= 0.99 and found.mean() >= 0.999):
        raise UserError(
            f"--label_precision={settings.label_precision}: {said}, and {np.mean(found < 0.99):.1%} of them are under "
            "0.99; wanted: at least 0.999, and at most 1 %; take --label_precision=float32"
        )
    say(f"vectors in {settings.label_precision}: {said}")


def _timed(teacher: Teacher, sample: Encoded, tokens_per_batch: int) -> tuple[np.ndarray | Ragged, float]:
    """The logits and the seconds that they took, without those of tracing."""
    teacher.predict_batch(sample.batch(np.arange(1)), cls_only=not isinstance(sample, EncodedWords))
    start = time.perf_counter()
    return teacher.logits(sample, tokens_per_batch), time.perf_counter() - start
