"""Defines an objective: a loss for each row, and the row's weight in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras
from keras import ops

from kd_keras.common.errors import UserError
from kd_keras.common.registry import Registry
from kd_keras.distill import shapes

OBJECTIVES: Registry[type[Objective]] = Registry("objective")


def register(cls: type[Objective]) -> type[Objective]:
    """Registers an objective by its ``title``, and for Keras' serialization."""
    OBJECTIVES.register(cls.title, cls)
    return keras.saving.register_keras_serializable("kd_keras")(cls)


class Objective:
    """Base class.

    >>> class Margin(Objective):
    ...     title, needs = "margin", ("label",)
    ...
    ...     def rows(self, y, outputs):
    ...         return keras.losses.categorical_hinge(ops.one_hot(y["label"], 2), outputs["logits"]), None
    >>> float(Margin()({"label": [1]}, {"logits": [[2.0, 1.5]]}))
    1.5

    Args:
      weight: factor of this objective in the whole loss.

    Attributes:
      title: its name in flags, logs and history.
      needs: keys that ``y`` must have.
      reads: keys that the student's outputs must have.
      label_sets: whether "label" is a set of labels for each row, [batch, outputs] of 0 and 1.
      in_batch: whether a row's loss depends on other rows of the batch.
      projection: a layer that is trained with the student and thrown away afterwards, or None.

    Raises:
      UserError: the weight is under 0.
    """

    title: str
    needs: tuple[str, ...] = ()
    reads: tuple[str, ...] = ("logits",)
    label_sets: bool = False
    in_batch: bool = False
    projection: keras.layers.Layer | None = None

    def __init__(self, weight: float = 1.0):
        if weight < 0:
            raise UserError(f"objective {self.title}: expected a weight of at least 0, found {weight:g}")
        self.weight = float(weight)

    def build(self, outputs: dict) -> None:
        """Checks the student's symbolic ``outputs``, and makes the weights of :attr:`projection`, once.

        Raises:
          ValueError: the objective has no meaning for this student.
        """

    def rows(self, y: dict, outputs: dict) -> tuple[keras.KerasTensor, keras.KerasTensor | None]:
        """float32[batch] losses, and float32[batch] weights or None for all 1. For tokens, both are [batch, time].

        Only tokens with a 1 in ``y["word"]`` count, for any weights; see :meth:`__call__`.

        "label" comes as [batch] (:attr:`label_sets`: [batch, outputs]) and "teacher_logits" as [batch, outputs], for
        any allowed shape of the data. ``outputs`` are float32 in mixed precision too.
        """
        raise NotImplementedError

    def __call__(self, y: dict, outputs: dict, sample_weight=None, across: Callable | None = None):
        """The weighted mean over rows, or over words: a float32 scalar; 0 if all weights are 0.

        Args:
          y: targets. "label" is [batch] or [batch, 1] (sets of labels: [batch, outputs]), "teacher_logits" [batch,
            outputs] or [batch, 1, outputs]. For tokens they are [batch, time] and [batch, time, tags], and "word",
            float[batch, time], is 1 at the first piece of each word and 0 elsewhere.
          outputs: the student's.
          sample_weight: [batch] or [batch, 1], or None for all 1.
          across: sums a scalar over the workers that share the batch. The result is then this worker's part of the
            mean.

        Raises:
          ValueError: a shape is wrong; the message has both shapes.
        """
        outputs = shapes.full_precision(outputs)
        losses, weights = self.rows(shapes.targets(y, outputs, self.needs, self.label_sets), outputs)
        if len(losses.shape) == 0 or (weights is not None and len(weights.shape) != len(losses.shape)):
            found = "no weights" if weights is None else f"weights of shape {weights.shape}"
            raise ValueError(
                f"objective {self.title}: rows returned losses of shape {losses.shape} and {found}: expected one loss, "
                "and one weight or None, for each row"
            )
        if len(losses.shape) == 2 and "word" in y:
            words = shapes.weights(y["word"], losses, 'y["word"]')
            weights = words if weights is None else weights * words
        if sample_weight is not None:
            sample_weight = shapes.weights(sample_weight, losses)
            weights = sample_weight if weights is None else weights * sample_weight
        if weights is None and across is None:
            return ops.mean(losses)
        weights = ops.ones_like(losses) if weights is None else weights
        count = ops.sum(weights) if across is None else across(ops.sum(weights))
        return ops.sum(losses * weights) / ops.maximum(count, keras.config.epsilon())

    def get_config(self) -> dict:
        return {"weight": self.weight}

    @classmethod
    def from_config(cls, config: dict) -> Objective:
        return cls(**config)

    def __repr__(self) -> str:
        return f"{self.title}({', '.join(f'{k}={v}' for k, v in self.get_config().items())})"

    def several_outputs(self, outputs: dict) -> int:
        """The number of logits in a row. Raises ValueError if it is one, as one output has no distribution."""
        count = outputs["logits"].shape[-1]
        if count == 1:
            raise ValueError(
                f"objective {self.title}: the student has one output, which has no distribution: for two labels give "
                "it two outputs, without an activation; for a score use the objectives score and mse"
            )
        return count


class LabelObjective(Objective):
    """Base of the objectives of gold labels: see ``HardLabels`` and ``BinaryLabels``."""

    needs = ("label",)

    def __init__(self, weight: float = 1.0, unlabelled: str = "skip", class_weights: Sequence[float] | None = None):
        super().__init__(weight)
        self.class_weights = None if class_weights is None else [float(w) for w in class_weights]
        if unlabelled not in ("skip", "teacher"):
            raise UserError(f"objective {self.title}: expected unlabelled to be skip or teacher, found {unlabelled!r}")
        self.unlabelled = unlabelled
        if unlabelled == "teacher":
            self.needs = ("label", "teacher_logits")

    def build(self, outputs):
        count = outputs["logits"].shape[-1]
        if self.class_weights is not None and len(self.class_weights) != count:
            raise ValueError(
                f"objective {self.title}: {len(self.class_weights)} class_weights, but the student has {count} "
                "outputs: expected one weight for each"
            )

    def get_config(self):
        # Left out if there are none, so that keys of older students stay the same.
        weights = {} if self.class_weights is None else {"class_weights": self.class_weights}
        return super().get_config() | {"unlabelled": self.unlabelled} | weights


class ConfidentObjective(Objective):
    """Base of the objectives of the teacher's labels: the confidence that they need."""

    needs = ("teacher_logits",)

    def __init__(self, weight: float = 1.0, confidence: float = 0.0):
        super().__init__(weight)
        if not 0.0 <= confidence < 1.0:
            raise UserError(f"objective {self.title}: expected a confidence from 0 to under 1, found {confidence:g}")
        self.confidence = float(confidence)

    def get_config(self):
        return super().get_config() | {"confidence": self.confidence}


class LogitObjective(Objective):
    """Base of the objectives of the teacher's logits: the student's logits that they are compared with."""

    needs = ("teacher_logits",)

    def __init__(self, weight: float = 1.0, own_head: bool = False):
        super().__init__(weight)
        self.own_head = bool(own_head)
        if own_head:
            self.reads = ("logits", "hidden")

    def build(self, outputs):
        if self.own_head and self.projection is None:
            self.projection = keras.layers.Dense(outputs["logits"].shape[-1], name="logit_head")
            self.projection.build(outputs["hidden"].shape)

    def logits(self, outputs: dict) -> keras.KerasTensor:
        """The student's logits, or those of the objective's own head."""
        if not self.own_head:
            return outputs["logits"]
        self.build(outputs)
        return shapes.full_precision({"logits": self.projection(outputs["hidden"])})["logits"]

    def get_config(self):
        # Left out if there is none, so that keys of older students stay the same.
        return super().get_config() | ({"own_head": True} if self.own_head else {})


class TemperedObjective(LogitObjective):
    """Base of the objectives of the teacher's distributions: their temperature."""

    def __init__(self, weight: float = 1.0, temperature: float = 2.0, own_head: bool = False):
        super().__init__(weight, own_head)
        if temperature <= 0:
            raise UserError(f"objective {self.title}: expected a temperature over 0, found {temperature:g}")
        self.temperature = float(temperature)

    def get_config(self):
        return super().get_config() | {"temperature": self.temperature}
