"""The objectives that a student learns: one serializable class each, with a weight.

An objective maps the targets ``y`` and the student's outputs to a loss per row and a weight per row. The Distiller adds
up ``weight · Σ(row weight · loss) / Σ row weight``.

>>> y = {"label": [1, 0], "teacher_logits": [[0.0, 2.0], [2.0, 0.0]]}
>>> outputs = {"logits": ops.convert_to_tensor([[0.0, 1.0], [1.0, 0.0]])}
>>> [(o.title, o.weight, round(float(o(y, outputs)), 4)) for o in mixture(0.5)]
[('hard', 0.5, 0.3133), ('mse', 0.5, 0.5)]
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import ops

from kd_keras.common.errors import UserError
from kd_keras.distill.multilabel import BinaryKL, BinaryLabels, BinaryTeacherLabels
from kd_keras.distill.objective import (
    OBJECTIVES,
    ConfidentObjective,
    LabelObjective,
    LogitObjective,
    Objective,
    TemperedObjective,
    register,
)
from kd_keras.distill.representation import Contrast, Representation, Similarities, TokenStates

__all__ = [
    "OBJECTIVES",
    "BinaryKL",
    "BinaryLabels",
    "BinaryTeacherLabels",
    "Contrast",
    "HardLabels",
    "HardScores",
    "LogitKL",
    "LogitMSE",
    "Objective",
    "Representation",
    "Similarities",
    "TeacherLabels",
    "TokenStates",
    "mixture",
    "register",
]


@register
class HardLabels(LabelObjective):
    """Cross-entropy with the gold label. Rows without one (label < 0) do not count.

    Args:
      weight: factor in the whole loss.
      unlabelled: "skip", or "teacher" to use the teacher's argmax if there is no gold label (Tang et al. 2019, section
        3.2).
      class_weights: the weight of the rows of each label, gold or the teacher's; None: all the same.

    Raises:
      UserError: ``unlabelled`` has another value.
      ValueError: labels are not [batch] or [batch, 1]; the student has one output, or not one output for each class
        weight.

    >>> from kd_keras.distill.objectives import HardLabels
    >>> outputs = {"logits": [[0.0, 0.0], [3.0, 1.0]]}
    >>> round(float(HardLabels()({"label": [1, -1]}, outputs)), 4)
    0.6931
    """

    title = "hard"

    def build(self, outputs):
        self.several_outputs(outputs)
        super().build(outputs)

    def rows(self, y, outputs):
        logits = outputs["logits"]
        label = ops.cast(y["label"], "int32")
        gold = label >= 0
        weights = None
        if self.unlabelled == "teacher":
            label = ops.where(gold, label, ops.cast(ops.argmax(y["teacher_logits"], axis=-1), "int32"))
        else:
            label = ops.where(gold, label, ops.zeros_like(label))
            weights = ops.cast(gold, logits.dtype)
        if self.class_weights is not None:
            each = ops.take(ops.convert_to_tensor(self.class_weights, dtype=logits.dtype), label)
            weights = each if weights is None else weights * each
        return keras.losses.sparse_categorical_crossentropy(label, logits, from_logits=True), weights


@register
class TeacherLabels(ConfidentObjective):
    """Hard distillation: cross-entropy with the teacher's argmax (Mukherjee & Hassan Awadallah 2019).

    Args:
      weight: factor in the whole loss.
      confidence: a row does not count if the teacher gives its label a lower probability.

    Raises:
      UserError: the confidence is under 0, or 1 or more.
      ValueError: teacher logits in another shape than the student's; a student of one output.

    >>> from kd_keras.distill.objectives import TeacherLabels
    >>> y, outputs = {"teacher_logits": [[2.0, 1.0], [0.0, 9.0]]}, {"logits": [[0.0, 5.0], [0.0, 0.0]]}
    >>> round(float(TeacherLabels(confidence=0.9)(y, outputs)), 4)
    0.6931
    """

    title = "teacher_labels"

    def build(self, outputs):
        self.several_outputs(outputs)

    def rows(self, y, outputs):
        logits = outputs["logits"]
        teacher = ops.cast(y["teacher_logits"], logits.dtype)
        losses = keras.losses.sparse_categorical_crossentropy(ops.argmax(teacher, axis=-1), logits, from_logits=True)
        if not self.confidence:
            return losses, None
        sure = ops.max(ops.softmax(teacher, axis=-1), axis=-1) >= self.confidence
        return losses, ops.cast(sure, logits.dtype)


@register
class HardScores(Objective):
    """Squared error of the output against a regression's gold score. Rows without a score (NaN) do not count.

    Args:
      weight: factor in the whole loss.

    Raises:
      ValueError: labels are not [batch] or [batch, 1], or the student has several outputs.

    >>> from kd_keras.distill.objectives import HardScores
    >>> float(HardScores()({"label": [1.0, float("nan")]}, {"logits": [[3.0], [8.0]]}))
    4.0
    """

    title = "score"
    needs = ("label",)

    def build(self, outputs):
        count = outputs["logits"].shape[-1]
        if count != 1:
            raise ValueError(f"objective score: the student has {count} outputs: expected one, the score")

    def rows(self, y, outputs):
        score = outputs["logits"][..., 0]
        label = ops.cast(y["label"], score.dtype)
        gold = ops.isfinite(label)
        # The NaN itself must be replaced, not only its loss: 0 · NaN is NaN.
        label = ops.where(gold, label, ops.zeros_like(label))
        return ops.square(score - label), ops.cast(gold, score.dtype)


@register
class LogitMSE(LogitObjective):
    """Mean squared error of the logits (Tang et al. 2019, equation 2).

    It is the mean over the classes, not their sum, so that a weight means the same for any number of classes.

    Args:
      weight: factor in the whole loss.
      own_head: learns them with an own linear layer on the student's "hidden", which is thrown away afterwards. So the
        student's "logits" are for labels alone (Mukherjee & Hassan Awadallah 2020, section 3.2).

    Raises:
      ValueError: teacher logits in another shape than the student's.

    >>> from kd_keras.distill.objectives import LogitMSE
    >>> float(LogitMSE()({"teacher_logits": [[1.0, 2.0]]}, {"logits": [[0.0, 0.0]]}))
    2.5
    """

    title = "mse"

    def rows(self, y, outputs):
        logits = self.logits(outputs)
        gap = logits - ops.cast(y["teacher_logits"], logits.dtype)
        return ops.mean(ops.square(gap), axis=-1), None


@register
class LogitKL(TemperedObjective):
    """T² · KL(teacher ‖ student) of the distributions at temperature T (Hinton et al. 2015, section 2).

    Args:
      weight: factor in the whole loss.
      temperature: T. The factor T² keeps the size of the gradient as T grows.
      own_head: as in :class:`LogitMSE`.

    Raises:
      UserError: a temperature that is not over 0.
      ValueError: teacher logits in another shape than the student's; a student of one output.

    >>> from kd_keras.distill.objectives import LogitKL
    >>> y, outputs = {"teacher_logits": [[4.0, 0.0]]}, {"logits": [[0.0, 0.0]]}
    >>> round(float(LogitKL(temperature=2.0)(y, outputs)), 4)
    1.3113
    """

    title = "kl"

    def build(self, outputs):
        self.several_outputs(outputs)
        super().build(outputs)

    def rows(self, y, outputs):
        t = self.temperature
        logits = self.logits(outputs)
        teacher = ops.log_softmax(ops.cast(y["teacher_logits"], logits.dtype) / t, axis=-1)
        student = ops.log_softmax(logits / t, axis=-1)
        return t * t * ops.sum(ops.exp(teacher) * (teacher - student), axis=-1), None


def mixture(
    alpha: float = 0.0,
    soft: str = "mse",
    temperature: float = 2.0,
    regression: bool = False,
    class_weights: Sequence[float] | None = None,
    multilabel: bool = False,
    own_head: bool = False,
) -> tuple[Objective, ...]:
    """``α · CE(gold) + (1 − α) · soft`` (Tang et al. 2019, equation 3). A part of weight 0 is left out.

    Args:
      alpha: weight of the gold labels.
      soft: the loss of the logits, "mse" or "kl".
      temperature: temperature of "kl".
      regression: whether the gold part is the squared error of a score.
      class_weights: the weight of gold rows of each label; None: all the same.
      multilabel: whether a text may have any number of labels, each decided by itself.
      own_head: whether the logits have their own head; see :class:`LogitMSE`.

    Raises:
      UserError: ``alpha`` is outside of 0 to 1, or ``soft`` is unknown.

    >>> from kd_keras.distill.objectives import mixture
    >>> mixture(0.25)
    (hard(weight=0.25, unlabelled=skip), mse(weight=0.75))
    """
    if not 0.0 <= alpha <= 1.0:
        raise UserError(f"--alpha={alpha:g}: expected a number from 0 to 1")
    kind = OBJECTIVES.get(f"binary_{soft}" if multilabel and soft == LogitKL.title else soft)
    extra = {"temperature": temperature} if kind in (LogitKL, BinaryKL) else {}
    gold: Objective = HardScores(alpha)
    if not regression:
        gold = (BinaryLabels if multilabel else HardLabels)(alpha, class_weights=class_weights)
    parts = (gold, kind(1.0 - alpha, own_head=own_head, **extra))
    return tuple(p for p in parts if p.weight > 0)
