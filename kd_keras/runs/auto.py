"""What ``auto`` means for a student: recipe, rate and length, by the task, its text and its teacher.

Recipes of papers have their own settings, and settings given by hand are kept. docs/results/own-data.md has the
measurements behind the numbers.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kd_keras.common.config import AUTO
from kd_keras.common.ragged import Ragged
from kd_keras.distill.settings import RecipeSettings, TrainSettings
from kd_keras.metrics import score
from kd_keras.metrics.spread import standard_error, weighed
from kd_keras.tasks import Task, is_gold
from kd_keras.teachers.settings import TeacherSettings
from kd_keras.text.batches import steps_per_epoch

# Up to so many labeled rows a second teacher learns from what the first one says of other text.
_FEW_ROWS = 10_000
# How far a teacher was above a linear model on 21 files and sizes, with the deviation (docs/results/own-data.md).
_LEAD = (0.10, 0.07)
_RATES = {"adam": 3e-3, "adamw": 3e-3, "adadelta": 1.0}
# A student makes this many passes over its text, within these limits of updates.
_PASSES, _FEWEST, _MOST, _EVALS, _PATIENCE = 15.0, 1200, 2500, 12, 5


def decided(settings: RecipeSettings, task: Task, ablate: str = "none", given: bool = False) -> RecipeSettings:
    """``settings`` with recipe, alpha and weights decided, as far as the task alone can decide them.

    Args:
      ablate: the run's grid (``JobSettings``).
      given: whether the teacher is given as signals, which have no representation.
    """
    if settings.chosen:
        return settings
    by_hand = settings.recipe != AUTO
    # A mix, a temperature, a grid, pairs or scores mean the logits: Tang et al. 2019.
    mixed = settings.mixed_by_hand or ablate == "augmentation"
    joint = not (by_hand or mixed or given or task.is_pair or task.is_regression or ablate == "recipes")
    recipe = settings.recipe if by_hand else "joint" if joint else "soft"
    weight = settings.representation_weight
    return replace(
        settings,
        recipe=recipe,
        alpha=0.0 if settings.alpha == AUTO else settings.alpha,
        representation_weight=(5.0 if joint else 1.0) if weight == AUTO else weight,
        chosen=not by_hand and not mixed and ablate == "none" and not task.is_regression,
    )


def rounds(teacher: TeacherSettings, task: Task, rows: int, own_text: bool) -> int:
    """How many rounds of teachers there are.

    Args:
      rows: the number of training rows. Many of them leave nothing to learn from an earlier teacher.
      own_text: whether there is text without labels of the task's own kind. Other text teaches a teacher nothing.
    """
    if teacher.teacher_rounds != AUTO:
        return int(teacher.teacher_rounds)
    suits = own_text and rows <= _FEW_ROWS and task.name == "custom" and task.kind == "single"
    return 2 if suits and teacher.teacher_epochs == AUTO else 1


def mix(
    settings: RecipeSettings, metric: str, label: np.ndarray, teacher: np.ndarray, floor: np.ndarray | None
) -> tuple[RecipeSettings, list[str]]:
    """The recipe that suits the teacher, and a line that says so. Settings given by hand are not changed.

    Without a floor nothing says how good the teacher is, so the recipe no longer counts as chosen for it.

    Args:
      settings: those of :func:`decided`.
      label: gold labels of dev, int[rows] or int[rows, labels]. A tagging task's tags decide nothing.
      teacher: float[rows, classes], the teacher's logits.
      floor: float[rows, classes], the linear model's logits.
    """
    if not settings.chosen or isinstance(label, Ragged):
        return settings, []
    settings = replace(settings, chosen=floor is not None)
    gold = is_gold(label)
    label, teacher = label[gold], teacher[gold]
    mine = score([metric], label, teacher)[metric]
    why = "the teacher has"
    if floor is not None:
        least = score([metric], label, floor[gold])[metric]
        both = f"dev {metric} {100 * mine:.2f} against {100 * least:.2f}, {len(label):,} rows"
        lead, deviation = weighed(mine - least, standard_error(metric, label, teacher), *_LEAD)
        if lead <= deviation:
            said = (
                "recipe: half gold labels, half logits (--recipe=soft --alpha=0.5), because the teacher is not clearly "
                f"better than the linear model ({both})"
            )
            return replace(settings, recipe="soft", alpha=0.5), [said]
        sure = "is" if mine - least > deviation else "is likely"
        why = f"the teacher {sure} better than the linear model ({both}), and has"
    # With one label a text, a row's classes are compared; with several, a label's rows.
    spread = float((teacher - teacher.mean(0 if label.ndim == 2 else -1, keepdims=True)).std())
    if spread < 0.5:
        said = (
            f"recipe: distributions (--soft=kl --temperature=1), because the teacher's logits spread by only "
            f"{spread:.2f}: their squared errors would teach little"
        )
        return replace(settings, soft="kl", temperature=1.0), [said]
    return settings, [f"recipe: {settings.recipe}, because {why} logits that spread by {spread:.2f}"]


def training(settings: TrainSettings, rows: int) -> TrainSettings:
    """``settings`` with a number for every auto.

    Args:
      rows: size of the largest set that a student learns from.
    """
    rate = _RATES[settings.optimizer] if settings.learning_rate == AUTO else settings.learning_rate
    if settings.epochs != AUTO:
        return replace(settings, learning_rate=rate)
    per_epoch = steps_per_epoch(rows, settings.batch_size)
    updates = min(max(_FEWEST, _PASSES * per_epoch), max(_MOST, per_epoch))
    epochs = updates / per_epoch
    return replace(
        settings, learning_rate=rate, epochs=epochs, evals_per_epoch=_EVALS / epochs,
        patience=settings.patience or _PATIENCE,
    )  # fmt: skip
