"""Objectives for a teacher that answered only some rows. The other rows learn their labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import keras
from keras import ops

from kd_keras.distill.objective import OBJECTIVES, Objective
from kd_keras.distill.recipes import Step

_TEACHER = "teacher_logits"


@keras.saving.register_keras_serializable("kd_keras")
class Answered(Objective):
    """Limits an objective to the rows whose "teacher_logits" are numbers, or to those where they are NaN.

    The mean is over all rows of the batch, so that rows of both kinds count the same, whatever else is in it.

    Args:
      objective: what these rows learn.
      answered: True for the rows that the teacher answered, False for the others.

    >>> from kd_keras.distill.objectives import LogitMSE
    >>> y, outputs = {"teacher_logits": [[1.0, 2.0], [float("nan")] * 2]}, {"logits": [[0.0, 0.0], [3.0, 1.0]]}
    >>> float(Answered(LogitMSE())(y, outputs))
    1.25
    """

    title = "answered"

    def __init__(self, objective: Objective, answered: bool = True):
        super().__init__(objective.weight)
        self.objective, self.answered = objective, answered
        self.title = f"{objective.title}_{'answered' if answered else 'unanswered'}"
        self.needs = (*objective.needs, *((_TEACHER,) if _TEACHER not in objective.needs else ()))
        self.reads, self.label_sets, self.in_batch = objective.reads, objective.label_sets, objective.in_batch

    @property
    def projection(self):
        return self.objective.projection

    def build(self, outputs):
        self.objective.build(outputs)

    def rows(self, y, outputs):
        teacher = ops.convert_to_tensor(y[_TEACHER])
        there = ops.all(ops.isfinite(teacher), axis=-1)
        # The NaN itself must be replaced, not only its loss: 0 · NaN is NaN.
        losses, weights = self.objective.rows(
            {**y, _TEACHER: ops.where(there[..., None], teacher, ops.zeros_like(teacher))}, outputs
        )
        losses = losses * ops.cast(there if self.answered else ~there, losses.dtype)
        if self.answered or weights is None:
            return losses, weights
        return losses * weights, None  # text without a label would take its rows out of the mean

    def __repr__(self):
        return f"{self.objective!r} where {'the teacher answered' if self.answered else 'it did not'}"

    def get_config(self):
        return {"of": self.objective.title, "config": self.objective.get_config(), "answered": self.answered}

    @classmethod
    def from_config(cls, config):
        kind = OBJECTIVES.get(config["of"])
        return cls(kind.from_config(config["config"]), config["answered"])


def where_answered(steps: Sequence[Step], gold: type[Objective], **settings: object) -> tuple[Step, ...]:
    """``steps`` for a teacher that answered only some rows. Rows without an answer learn their labels instead.

    Args:
      gold: the objective of labels; ``settings`` are its arguments.

    >>> from kd_keras.distill.objectives import HardLabels, mixture
    >>> where_answered([Step("distilled", mixture(0.25))], HardLabels)[0].objectives[1:]
    (mse(weight=0.75) where the teacher answered, hard(weight=0.75, unlabelled=skip) where it did not)
    """
    return tuple(replace(step, objectives=_where_answered(step.objectives, gold, settings)) for step in steps)


def _where_answered(objectives: Sequence[Objective], gold: type[Objective], settings: dict) -> tuple[Objective, ...]:
    taught = [o for o in objectives if _TEACHER in o.needs]
    parts = [Answered(o) if o in taught else o for o in objectives]
    labels = gold(sum(o.weight for o in taught), **settings)
    return (*parts, Answered(labels, answered=False))
