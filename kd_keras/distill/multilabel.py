"""Objectives for several labels a text: each label is decided by itself, by the sigmoid of its logit.

>>> y = {"label": [[1, 0]], "teacher_logits": [[2.0, -2.0]]}
>>> outputs = {"logits": ops.convert_to_tensor([[0.0, 0.0]])}
>>> [round(float(o(y, outputs)), 4) for o in (BinaryLabels(), BinaryTeacherLabels(), BinaryKL(temperature=1.0))]
[0.6931, 0.6931, 0.3278]
"""

from __future__ import annotations

from collections.abc import Sequence

from keras import ops

from kd_keras.distill.objective import ConfidentObjective, LabelObjective, TemperedObjective, register


@register
class BinaryLabels(LabelObjective):
    """Binary cross-entropy with the gold labels, as a mean over labels. Rows without gold labels (−1) do not count.

    Args:
      weight: factor in the whole loss.
      unlabelled: "skip", or "teacher" to use the teacher's answer (its logits over 0) if there is no gold.
      class_weights: for each label, the weight of rows that have it; rows without it have 1. None: 1.

    Raises:
      UserError: ``unlabelled`` has another value.
      ValueError: labels and logits differ in shape, or there is not one class weight for each output.

    >>> from kd_keras.distill.multilabel import BinaryLabels
    >>> outputs = {"logits": [[0.0, 0.0], [3.0, 1.0]]}
    >>> round(float(BinaryLabels(class_weights=[3, 1])({"label": [[1, 0], [-1, -1]]}, outputs)), 4)
    1.3863
    """

    title = "binary"
    label_sets = True

    def rows(self, y, outputs):
        logits = outputs["logits"]
        label = ops.cast(y["label"], logits.dtype)
        gold = ops.all(label >= 0, axis=-1)
        weights = None
        if self.unlabelled == "teacher":
            label = ops.where(
                gold[:, None], label, ops.cast(ops.convert_to_tensor(y["teacher_logits"]) > 0, label.dtype)
            )
        else:
            label = ops.where(gold[:, None], label, ops.zeros_like(label))
            weights = ops.cast(gold, logits.dtype)
        return ops.mean(_cross_entropy(label, logits, self.class_weights), axis=-1), weights


@register
class BinaryTeacherLabels(ConfidentObjective):
    """Hard distillation of several labels a text: binary cross-entropy with the teacher's logits over 0.

    Args:
      weight: factor in the whole loss.
      confidence: a label does not count if the teacher is less sure of it, in either direction.

    Raises:
      UserError: the confidence is under 0, or 1 or more.
      ValueError: teacher logits in another shape than the student's.

    >>> from kd_keras.distill.multilabel import BinaryTeacherLabels
    >>> y, outputs = {"teacher_logits": [[9.0, 0.1]]}, {"logits": [[0.0, 5.0]]}
    >>> round(float(BinaryTeacherLabels(confidence=0.9)(y, outputs)), 4)
    0.6931
    """

    title = "binary_teacher_labels"
    label_sets = True

    def rows(self, y, outputs):
        logits = outputs["logits"]
        teacher = ops.cast(y["teacher_logits"], logits.dtype)
        losses = _cross_entropy(ops.cast(teacher > 0, logits.dtype), logits)
        if not self.confidence:
            return ops.mean(losses, axis=-1), None
        sure = ops.cast(ops.sigmoid(ops.abs(teacher)) >= self.confidence, logits.dtype)
        count = ops.sum(sure, axis=-1)
        return ops.sum(losses * sure, axis=-1) / ops.maximum(count, 1.0), count


@register
class BinaryKL(TemperedObjective):
    """T² · KL(teacher ‖ student) of each label's two probabilities at temperature T, as a mean over labels.

    Args:
      weight: factor in the whole loss.
      temperature: T.
      own_head: as in :class:`LogitMSE`.

    Raises:
      UserError: a temperature that is not over 0.
      ValueError: teacher logits in another shape than the student's.

    >>> from kd_keras.distill.multilabel import BinaryKL
    >>> round(float(BinaryKL()({"teacher_logits": [[4.0]]}, {"logits": [[0.0]]})), 4)
    1.3113
    """

    title = "binary_kl"
    label_sets = True

    def rows(self, y, outputs):
        t = self.temperature
        student = self.logits(outputs) / t
        teacher = ops.cast(y["teacher_logits"], student.dtype) / t
        # Cross-entropy minus the teacher's own entropy.
        chance = ops.sigmoid(teacher)
        return t * t * ops.mean(_cross_entropy(chance, student) - _cross_entropy(chance, teacher), axis=-1), None


def _cross_entropy(chance, logits, on: Sequence[float] | None = None):
    """Binary cross-entropy of each logit, finite for any logit. ``on``: the weight of the term of a given label."""
    chance = ops.cast(chance, logits.dtype)
    given, not_given = ops.softplus(-logits), ops.softplus(logits)
    if on is not None:
        given = given * ops.convert_to_tensor(on, dtype=logits.dtype)
    return chance * given + (1 - chance) * not_given
