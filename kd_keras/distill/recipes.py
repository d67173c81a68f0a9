"""Recipes: what a student learns from its teacher, in which order, by which layers.

Mukherjee & Hassan Awadallah 2019 and 2020 (section 3.3): the teacher's representation, then its logits, then labels;
within a stage the layers thaw from the top down. A recipe is a tuple of :class:`Step`, to be printed, or changed
in a notebook, before :func:`stages` turns it into what ``run_stages`` runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kd_keras.common.config import AUTO
from kd_keras.common.errors import UserError
from kd_keras.distill.objectives import (
    BinaryLabels,
    BinaryTeacherLabels,
    HardLabels,
    HardScores,
    Objective,
    Representation,
    TeacherLabels,
    mixture,
)
from kd_keras.distill.settings import RecipeSettings
from kd_keras.distill.stages import Stage, TrainingSet

# The student's layers from the top down; the projection of a representation always learns.
HEAD, BILSTM, EMBEDDINGS = ("dense", "logits"), ("bilstm",), ("embeddings",)
ENCODER = BILSTM + EMBEDDINGS


@dataclass(frozen=True)
class Step:
    """A stage before it is known what data there are.

    Attributes:
      name: for logs.
      objectives: what to train towards.
      share: of the recipe's updates; the shares of a recipe add up to 1.
      rows: "all" rows, or the "labelled" ones alone.
      trainable: names of the layers that learn; None means all.
      select: see :class:`Stage`.
      rate: factor of the peak learning rate.
    """

    name: str
    objectives: tuple[Objective, ...]
    share: float = 1.0
    rows: str = "all"
    trainable: tuple[str, ...] | None = None
    select: str = "metric"
    rate: float = 1.0

    def __str__(self) -> str:
        towards = " + ".join(f"{o.weight:g}·{o!r}" if o.weight != 1 else repr(o) for o in self.objectives)
        layers = "all layers" if self.trainable is None else ", ".join(self.trainable) or "no layers of the student"
        rate = "" if self.rate == 1 else f", {self.rate:g} of the learning rate"
        return (
            f"{self.name}: {towards}; {self.share:.0%} of the updates, {self.rows} rows; {layers} learn; "
            f"best dev {self.select}{rate}"
        )


def baseline(
    regression: bool = False, class_weights: Sequence[float] | None = None, multilabel: bool = False
) -> tuple[Step, ...]:
    """No distillation: gold labels."""
    return (Step("baseline", (_gold(regression, class_weights, multilabel),)),)


def recipe(
    settings: RecipeSettings,
    regression: bool = False,
    units: int = 384,
    class_weights: Sequence[float] | None = None,
    multilabel: bool = False,
) -> tuple[Step, ...]:
    """The steps of ``settings.recipe``.

    Args:
      regression: whether the task's labels are scores.
      units: width of the teacher's sentence vectors.
      class_weights: what a row of each label counts in the loss of labels; None: all the same.
      multilabel: whether a text has any number of labels.

    Raises:
      UserError: labels of a teacher that gives scores.
    """
    name = settings.recipe
    alpha = 0.0 if settings.alpha == AUTO else settings.alpha
    weight = 1.0 if settings.representation_weight == AUTO else settings.representation_weight
    soft = mixture(alpha, settings.soft, settings.temperature, regression, class_weights, multilabel)
    if name == "soft":
        return (Step("distilled", soft),)
    if regression and name == "hard":
        raise UserError("--recipe=hard: the task is a regression, whose teacher gives scores and no labels; take soft")
    if name == "hard":
        kind = BinaryTeacherLabels if multilabel else TeacherLabels
        return (Step("hard", (kind(confidence=settings.confidence),)),)
    # GELU, as in the papers, where negative values are not needed: see Representation.
    activation = "gelu" if settings.distance == "kl" else "linear"
    if name == "joint":
        labels: Objective = HardScores()
        if not regression:
            labels = (BinaryLabels if multilabel else HardLabels)(unlabelled="teacher", class_weights=class_weights)
        represent = Representation(weight, settings.distance, units, activation)
        return (Step("joint", (*soft, labels, represent)),)
    represent = Representation(1.0, settings.distance, units, activation)
    gold = _gold(regression, class_weights, multilabel)
    if name == "staged":
        return (
            Step("representation", (represent,), 0.35, trainable=ENCODER, select="loss"),
            Step("logits", soft, 0.55),
            Step("labels", (gold,), 0.10, "labelled", rate=0.3),
        )
    return (
        Step("representation, projection", (represent,), 0.02, trainable=(), select="loss"),
        Step("representation, + BiLSTM", (represent,), 0.08, trainable=BILSTM, select="loss"),
        Step("representation, + embeddings", (represent,), 0.25, trainable=ENCODER, select="loss"),
        Step("logits, head", soft, 0.05, trainable=HEAD),
        Step("logits, + BiLSTM", soft, 0.15, trainable=HEAD + BILSTM),
        Step("logits, + embeddings", soft, 0.35),
        Step("labels, head", (gold,), 0.02, "labelled", HEAD, rate=0.3),
        Step("labels, + BiLSTM", (gold,), 0.03, "labelled", HEAD + BILSTM, rate=0.3),
        Step("labels, + embeddings", (gold,), 0.05, "labelled", rate=0.3),
    )


def _gold(regression: bool, class_weights: Sequence[float] | None, multilabel: bool) -> Objective:
    if regression:
        return HardScores()
    return (BinaryLabels if multilabel else HardLabels)(class_weights=class_weights)


def stages(
    steps: Sequence[Step], data: TrainingSet, labelled: TrainingSet, updates: int, rounds: int, learning_rate: float
) -> tuple[Stage, ...]:
    """The stages of a recipe, whose updates and dev scores add up to ``updates`` and ``rounds`` (one each at least)."""
    return tuple(
        Stage(
            step.name,
            step.objectives,
            data if step.rows == "all" else labelled,
            max(1, round(updates * step.share)),
            learning_rate * step.rate,
            step.trainable,
            max(1, round(rounds * step.share)),
            step.select,
        )
        for step in steps
    )
