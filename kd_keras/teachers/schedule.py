"""What ``auto`` means for a teacher: how long, how fast and from where it learns, by rows, classes and checkpoint.

docs/results/own-data.md has the measurements behind the numbers. Settings given by hand are kept.
"""

from __future__ import annotations

from dataclasses import replace

from kd_keras.common.config import AUTO
from kd_keras.common.errors import UserError
from kd_keras.tasks import TaskData, has_label
from kd_keras.teachers.checkpoints import Checkpoint
from kd_keras.teachers.settings import BEST, LAST, MEAN, PROBE, RANDOM, TeacherSettings
from kd_keras.text.batches import steps_per_epoch

# Few rows need many passes: at least this many updates, more for each class, and this many passes over a large set.
_LEAST_UPDATES, _UPDATES_A_CLASS, _LEAST_EPOCHS = 300, 2, 3.0
_EVALS, _PATIENCE = 10, 4
# scikit-learn's C of the probe that a teacher starts from. It is softer than the best probe, which is already right on
# all training rows and so teaches the encoder nothing.
PROBE_C = 1.0
# Peak rates by the checkpoint's width: MiniLM has 384, BERT-base 768, BERT-large 1,024.
_RATES = ((512, 2e-4), (768, 5e-5), (1 << 30, 2e-5))


def resolved(settings: TeacherSettings, checkpoint: Checkpoint, rows: int, outputs: int, kind: str) -> TeacherSettings:
    """``settings`` with a number or a word for every auto.

    Args:
      rows: how many labeled rows there are to learn from.
      outputs: of the classifier.
      kind: the task's. A regression or a tagging does not start from a probe.

    Raises:
      UserError: it is asked to.
    """
    by_hand = settings.teacher_epochs != AUTO
    per_epoch = steps_per_epoch(rows, settings.teacher_batch_size)
    pooling = settings.teacher_pooling if settings.teacher_pooling != AUTO else checkpoint.pooling
    updates = _LEAST_UPDATES + _UPDATES_A_CLASS * outputs
    can_probe = kind not in ("regression", "tagging")
    if settings.teacher_start == PROBE and not can_probe:
        what = "a regression learns a number" if kind == "regression" else "a tagging reads words"
        raise UserError(
            f"--teacher_start={PROBE}: is a logistic regression on whole texts, but {what}; "
            f"use --teacher_start={RANDOM}"
        )
    words = kind == "tagging"
    as_it_is = settings.teacher_epochs == 0 and checkpoint.outputs(words) == outputs
    chosen = {
        "teacher_epochs": round(max(_LEAST_EPOCHS, updates / max(1, per_epoch)), 3),
        "teacher_learning_rate": next(rate for width, rate in _RATES if checkpoint.width <= width),
        "teacher_pooling": pooling,
        "teacher_start": PROBE if can_probe and pooling == MEAN and not as_it_is else RANDOM,
        "teacher_evals": 0 if by_hand else _EVALS,
        "teacher_patience": _PATIENCE if words and not by_hand else 0,
        "teacher_keep": BEST if words or by_hand else LAST,
    }
    return replace(settings, **{name: v for name, v in chosen.items() if getattr(settings, name) == AUTO})


def for_data(settings: TeacherSettings, checkpoint: Checkpoint, data: TaskData, more: int = 0) -> TeacherSettings:
    """``settings`` with every auto decided; ``more`` texts are learned beside the rows with a label."""
    rows = int(has_label(data.train).sum()) + more
    return resolved(settings, checkpoint, rows, data.task.num_outputs, data.task.kind)
