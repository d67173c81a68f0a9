"""What a student is trained towards: serializable, weighted, one class each.

An objective maps the targets ``y`` and the student's outputs to a loss per row and a weight per
row; the Distiller adds up ``weight · Σ(row weight · loss) / Σ row weight``.
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import ops

from kd_keras.common.errors import UserError
from kd_keras.common.registry import Registry
from kd_keras.distill.settings import DISTANCES

OBJECTIVES: Registry[type[Objective]] = Registry("objective")


def register(cls: type[Objective]) -> type[Objective]:
    """Makes an objective known by its ``title`` and to Keras' serialization."""
    OBJECTIVES.register(cls.title, cls)
    return keras.saving.register_keras_serializable("kd_keras")(cls)


class Objective:
    """Base class.

    Args:
      weight: factor of this objective in the whole loss.

    Attributes:
      title: its name in flags, logs and history.
      needs: keys that ``y`` must have.
      projection: a layer that is trained with the student and thrown away with the objective, or None.
    """

    title: str
    needs: tuple[str, ...] = ()
    projection: keras.layers.Layer | None = None

    def __init__(self, weight: float = 1.0):
        if weight < 0:
            raise UserError(f"objective {self.title}: expected a weight of at least 0, found {weight:g}")
        self.weight = float(weight)

    def build(self, outputs: dict) -> None:
        """Makes the weights of :attr:`projection`, once; ``outputs`` are the student's symbolic ones."""

    def rows(self, y: dict, outputs: dict) -> tuple[keras.KerasTensor, keras.KerasTensor | None]:
        """float32[batch] losses, and float32[batch] weights or None for all 1."""
        raise NotImplementedError

    def __call__(self, y: dict, outputs: dict, sample_weight=None):
        """The weighted mean over rows, a float32 scalar; 0 where all row weights are 0."""
        losses, weights = self.rows(y, outputs)
        if sample_weight is not None:
            sample_weight = ops.cast(sample_weight, losses.dtype)
            weights = sample_weight if weights is None else weights * sample_weight
        if weights is None:
            return ops.mean(losses)
        return ops.sum(losses * weights) / ops.maximum(ops.sum(weights), keras.config.epsilon())

    def get_config(self) -> dict:
        return {"weight": self.weight}

    @classmethod
    def from_config(cls, config: dict) -> Objective:
        return cls(**config)

    def __repr__(self) -> str:
        return f"{self.title}({', '.join(f'{k}={v}' for k, v in self.get_config().items())})"


@register
class HardLabels(Objective):
    """Cross-entropy with the gold label; rows without one (label < 0) count nothing.

    Args:
      weight: factor in the whole loss.
      unlabelled: "skip", or "teacher" for the teacher's argmax where there is no gold label
        (Tang et al. 2019, section 3.2).
      class_weights: what a row of each label counts, gold or the teacher's; None: all the same.
    """

    title = "hard"
    needs = ("label",)

    def __init__(self, weight: float = 1.0, unlabelled: str = "skip", class_weights: Sequence[float] | None = None):
        super().__init__(weight)
        self.class_weights = None if class_weights is None else [float(w) for w in class_weights]
        if unlabelled not in ("skip", "teacher"):
            raise UserError(f"objective hard: expected unlabelled to be skip or teacher, found {unlabelled!r}")
        self.unlabelled = unlabelled
        if unlabelled == "teacher":
            self.needs = ("label", "teacher_logits")

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

    def get_config(self):
        # Left out where there are none, as in the keys of students that were trained before there were any.
        weights = {} if self.class_weights is None else {"class_weights": self.class_weights}
        return super().get_config() | {"unlabelled": self.unlabelled} | weights


@register
class TeacherLabels(Objective):
    """Hard distillation: cross-entropy with the teacher's argmax (Mukherjee & Hassan Awadallah 2019).

    Args:
      weight: factor in the whole loss.
      confidence: rows whose label has a lower probability with the teacher count nothing.
    """

    title = "teacher_labels"
    needs = ("teacher_logits",)

    def __init__(self, weight: float = 1.0, confidence: float = 0.0):
        super().__init__(weight)
        if not 0.0 <= confidence < 1.0:
            raise UserError(f"objective teacher_labels: expected a confidence from 0 to under 1, found {confidence:g}")
        self.confidence = float(confidence)

    def rows(self, y, outputs):
        logits = outputs["logits"]
        teacher = ops.cast(y["teacher_logits"], logits.dtype)
        losses = keras.losses.sparse_categorical_crossentropy(ops.argmax(teacher, axis=-1), logits, from_logits=True)
        if not self.confidence:
            return losses, None
        sure = ops.max(ops.softmax(teacher, axis=-1), axis=-1) >= self.confidence
        return losses, ops.cast(sure, logits.dtype)

    def get_config(self):
        return super().get_config() | {"confidence": self.confidence}


@register
class HardScores(Objective):
    """Squared error of the one output against the gold score of a regression; rows without one (NaN) count nothing."""

    title = "score"
    needs = ("label",)

    def rows(self, y, outputs):
        score = outputs["logits"][:, 0]
        label = ops.cast(y["label"], score.dtype)
        gold = ops.isfinite(label)
        # The NaN itself must go, not only its loss: 0 · NaN is NaN.
        label = ops.where(gold, label, ops.zeros_like(label))
        return ops.square(score - label), ops.cast(gold, score.dtype)


@register
class LogitMSE(Objective):
    """Mean squared error of the logits: Tang et al. 2019's equation 2, but the mean over the classes, not their sum, so
    that a weight means the same for any number of them."""

    title = "mse"
    needs = ("teacher_logits",)

    def rows(self, y, outputs):
        gap = outputs["logits"] - ops.cast(y["teacher_logits"], outputs["logits"].dtype)
        return ops.mean(ops.square(gap), axis=-1), None


@register
class LogitKL(Objective):
    """T² · KL(teacher ‖ student) of the distributions at temperature T (Hinton et al. 2015, section 2).

    Args:
      weight: factor in the whole loss.
      temperature: T; the factor T² keeps the gradient's size as T grows.
    """

    title = "kl"
    needs = ("teacher_logits",)

    def __init__(self, weight: float = 1.0, temperature: float = 2.0):
        super().__init__(weight)
        if temperature <= 0:
            raise UserError(f"objective kl: expected a temperature over 0, found {temperature:g}")
        self.temperature = float(temperature)

    def rows(self, y, outputs):
        t = self.temperature
        logits = outputs["logits"]
        teacher = ops.log_softmax(ops.cast(y["teacher_logits"], logits.dtype) / t, axis=-1)
        student = ops.log_softmax(logits / t, axis=-1)
        return t * t * ops.sum(ops.exp(teacher) * (teacher - student), axis=-1), None

    def get_config(self):
        return super().get_config() | {"temperature": self.temperature}


@register
class Representation(Objective):
    """The student's sentence vector, projected to the teacher's width, against the teacher's sentence vector.

    Mukherjee & Hassan Awadallah 2019 and 2020 (section 3.2). ``y["teacher_hidden"]`` is float[batch, units];
    the student's "sentence" is float32[batch, width].

    Args:
      weight: factor in the whole loss.
      distance: "mse", the mean over units; "cosine", 1 − cosine; "kl", KL(teacher ‖ student) of softmaxes over units.
      units: width of the teacher's vectors.
      activation: of the projection. The papers take GELU; a vector's negative values are out of its reach, so
        it goes with "kl", where only differences between units count.
    """

    title = "representation"
    needs = ("teacher_hidden",)

    def __init__(self, weight: float = 1.0, distance: str = "mse", units: int = 384, activation: str = "linear"):
        super().__init__(weight)
        if distance not in DISTANCES:
            raise UserError(
                f"objective representation: expected a distance of {', '.join(DISTANCES)}, found {distance!r}"
            )
        self.distance, self.units, self.activation = distance, int(units), activation
        self.projection = keras.layers.Dense(self.units, activation=activation, name="projection")

    def build(self, outputs):
        if not self.projection.built:
            self.projection.build((None, outputs["sentence"].shape[-1]))

    def rows(self, y, outputs):
        guess = self.projection(outputs["sentence"])
        target = ops.cast(y["teacher_hidden"], guess.dtype)
        if self.distance == "cosine":
            return 1.0 - ops.sum(ops.normalize(guess, axis=-1) * ops.normalize(target, axis=-1), axis=-1), None
        if self.distance == "kl":
            wanted, found = ops.log_softmax(target, axis=-1), ops.log_softmax(guess, axis=-1)
            return ops.sum(ops.exp(wanted) * (wanted - found), axis=-1), None
        return ops.mean(ops.square(guess - target), axis=-1), None

    def get_config(self):
        return super().get_config() | {
            "distance": self.distance,
            "units": self.units,
            "activation": self.activation,
        }


def mixture(
    alpha: float = 0.0,
    soft: str = "mse",
    temperature: float = 2.0,
    regression: bool = False,
    class_weights: Sequence[float] | None = None,
) -> tuple[Objective, ...]:
    """``α · CE(gold) + (1 − α) · soft`` (Tang et al. 2019, equation 3); a part of weight 0 is left out.

    For a regression the gold part is the squared error of the score.
    """
    if not 0.0 <= alpha <= 1.0:
        raise UserError(f"--alpha={alpha:g}: expected a number from 0 to 1")
    kind = OBJECTIVES.get(soft)
    extra = {"temperature": temperature} if kind is LogitKL else {}
    gold = HardScores(alpha) if regression else HardLabels(alpha, class_weights=class_weights)
    parts = (gold, kind(1.0 - alpha, **extra))
    return tuple(p for p in parts if p.weight > 0)
