"""Recipes: what a student learns from its teacher, in which order, and with which layers.

Mukherjee & Hassan Awadallah 2019 and 2020 (section 3.3): first the teacher's representation, then its logits, then
labels, or the last two at once. Within a stage the layers unfreeze from the top down. A tagger learns the
representation end to end, as in the second paper, whose nine phases are ``staged_unfreeze``.

A recipe is a tuple of :class:`Step`. It can be printed, or changed in a notebook. :func:`stages` turns it into the
stages that ``run_stages`` runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any, NamedTuple

from kd_keras.common.config import AUTO
from kd_keras.common.errors import UserError
from kd_keras.distill.loop import SELECT
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
from kd_keras.distill.representation import HIDDEN, SENTENCE
from kd_keras.distill.settings import STEADY, RecipeSettings
from kd_keras.distill.stages import Stage, TrainingSet
from kd_keras.students.settings import ENCODER as ALL_OF_ENCODER
from kd_keras.students.settings import WarmSettings

# The student's layers from the top down. The projection of a representation always learns.
HEAD, BILSTM, EMBEDDINGS = ("dense", "logits"), ("bilstm",), ("embeddings",)
ENCODER = BILSTM + EMBEDDINGS


class _Part(NamedTuple):
    """Layers that unfreeze together, and the share of all updates of that phase, for each thing that is learned."""

    name: str
    layers: tuple[str, ...]
    logits: float
    labels: float
    both: float


_SENTENCE_PARTS = (
    _Part("head", HEAD, logits=0.05, labels=0.02, both=0.10),
    _Part("+ BiLSTM", BILSTM, logits=0.15, labels=0.03, both=0.20),
    _Part("+ embeddings", EMBEDDINGS, logits=0.35, labels=0.05, both=0.35),
)
_TAGGER_PARTS = (
    _Part("head", ("logits",), logits=0.05, labels=0.01, both=0.05),
    _Part("+ dense", ("dense",), logits=0.05, labels=0.02, both=0.10),
    _Part("+ BiLSTM", BILSTM, logits=0.15, labels=0.03, both=0.20),
    _Part("+ embeddings", EMBEDDINGS, logits=0.30, labels=0.04, both=0.30),
)


@dataclass(frozen=True)
class Step:
    """A stage without its data.

    Attributes:
      name: the name in logs.
      objectives: what to train towards.
      share: of the recipe's updates; the shares of a recipe add up to 1.
      rows: "all" rows, or only the "labelled" ones.
      trainable: names of the layers that learn; None means all.
      select: see :class:`Stage`.
      rate: factor of the peak learning rate.
      slow_rate: one more factor, for the encoder's layers.
    """

    name: str
    objectives: tuple[Objective, ...]
    share: float = 1.0
    rows: str = "all"
    trainable: tuple[str, ...] | None = None
    select: str = "metric"
    rate: float = 1.0
    slow_rate: float = 1.0

    def __str__(self) -> str:
        towards = " + ".join(f"{o.weight:g}·{o!r}" if o.weight != 1 else repr(o) for o in self.objectives)
        layers = "all layers" if self.trainable is None else ", ".join(self.trainable) or "no layers of the student"
        rate = "" if self.rate == 1 else f", {self.rate:g} of the learning rate"
        rate += "" if self.slow_rate == 1 else f", {self.slow_rate:g} of it in the encoder"
        return (
            f"{self.name}: {towards}; {self.share:.0%} of the updates, {self.rows} rows; {layers} learn; "
            f"{SELECT[self.select]}{rate}"
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
    tagging: bool = False,
) -> tuple[Step, ...]:
    """The steps of ``settings.recipe``.

    Args:
      regression: whether the task's labels are scores.
      units: width of the teacher's vectors.
      class_weights: the weight of the rows of each label in the loss of labels; None: all the same.
      multilabel: whether a text may have any number of labels.
      tagging: whether each word has a label. Losses are then means over words.

    Raises:
      UserError: the recipe needs labels of a teacher that gives scores.
    """
    name = settings.recipe
    alpha = 0.0 if settings.alpha == AUTO else settings.alpha
    weight = 1.0 if settings.representation_weight == AUTO else settings.representation_weight
    mix = (alpha, settings.soft, settings.temperature, regression, class_weights, multilabel)
    if name == "soft":
        return (Step("distilled", mixture(*mix)),)
    if regression and name == "hard":
        raise UserError(
            "--recipe=hard: the task is a regression, whose teacher gives scores and no labels; use --recipe=soft"
        )
    if name == "hard":
        kind = BinaryTeacherLabels if multilabel else TeacherLabels
        return (Step("hard", (kind(confidence=settings.confidence),)),)
    own = settings.logit_head == "own"
    soft = mixture(*mix, own_head=own)
    # GELU, as in the papers, if negative values are not needed: see Representation.
    activation, state = "gelu" if settings.distance == "kl" else "linear", HIDDEN if tagging else SENTENCE
    if name == "joint":
        labels: Objective = HardScores()
        if not regression:
            labels = (BinaryLabels if multilabel else HardLabels)(unlabelled="teacher", class_weights=class_weights)
        represent = Representation(weight, settings.distance, units, activation, state)
        return (Step("joint", (*soft, labels, represent)),)
    represent = Representation(1.0, settings.distance, units, activation, state)
    gold = _gold(regression, class_weights, multilabel)
    unfreeze = name.endswith("_unfreeze")
    if tagging:
        first = (Step("representation", (represent,), 0.35, trainable=("dense", *ENCODER), select="loss"),)
    elif unfreeze:
        first = (
            Step("representation, projection", (represent,), 0.02, trainable=(), select="loss"),
            Step("representation, + BiLSTM", (represent,), 0.08, trainable=BILSTM, select="loss"),
            Step("representation, + embeddings", (represent,), 0.25, trainable=ENCODER, select="loss"),
        )
    else:
        first = (Step("representation", (represent,), 0.35, trainable=ENCODER, select="loss"),)
    if name.startswith("two_stage"):
        return first + _phases("labels and logits", (*soft, gold), "both", tagging, unfreeze)
    # If the logits have their own head, the student's head has learned nothing yet, unless the mixture has labels.
    still, select = ("logits",) if own and not alpha else (), "loss" if own else "metric"
    logits = _phases("logits", soft, "logits", tagging, unfreeze, still, select=select)
    return first + logits + _phases("labels", (gold,), "labels", tagging, unfreeze, rows="labelled", rate=0.3)


def _phases(
    name: str,
    objectives: tuple[Objective, ...],
    share: str,
    tagging: bool,
    unfreeze: bool,
    still: tuple[str, ...] = (),
    **step: Any,
) -> tuple[Step, ...]:
    """One step for all layers, or one for each part that unfreezes, from the top down; ``still``: layers that stay
    frozen."""
    parts = _TAGGER_PARTS if tagging else _SENTENCE_PARTS
    shares = [getattr(part, share) for part in parts]
    *thawed, whole = accumulate(tuple(layer for layer in part.layers if layer not in still) for part in parts)
    thawed.append(whole if still else None)
    if not unfreeze:
        return (Step(name, objectives, round(sum(shares), 10), trainable=thawed[-1], **step),)
    return tuple(
        Step(f"{name}, {part.name}", objectives, part_share, trainable=layers, **step)
        for part, part_share, layers in zip(parts, shares, thawed, strict=True)
    )


def _gold(regression: bool, class_weights: Sequence[float] | None, multilabel: bool) -> Objective:
    if regression:
        return HardScores()
    return (BinaryLabels if multilabel else HardLabels)(class_weights=class_weights)


def warmed(steps: Sequence[Step], warm: WarmSettings, tagging: bool = False) -> tuple[Step, ...]:
    """The steps of a student that starts from another one. ``warm`` says how the layers that it takes continue to
    learn.

    With ``student_unfreeze``, a step in which all layers learn becomes one for each part that unfreezes.
    """
    if warm.student_from is None:
        return tuple(steps)
    if not warm.student_rate:
        return tuple(replace(step, trainable=HEAD) for step in steps)
    out: list[Step] = []
    for step in steps:
        step = replace(step, slow_rate=warm.student_rate)
        if warm.student_unfreeze and step.trainable is None:
            rest = {name: getattr(step, name) for name in ("rows", "select", "rate", "slow_rate")}
            thawed = _phases(step.name, step.objectives, "both", tagging, True, **rest)
            whole = sum(phase.share for phase in thawed)
            out += [replace(phase, share=step.share * phase.share / whole) for phase in thawed]
        else:
            out.append(step)
    return tuple(out)


def steadied(steps: Sequence[Step]) -> tuple[Step, ...]:
    """The steps of a distilled student, with what chooses well where dev has few rows: ``--epochs=auto``."""
    return tuple(replace(step, select=STEADY) if step.select == "metric" else step for step in steps)


def stages(
    steps: Sequence[Step], data: TrainingSet, labelled: TrainingSet, updates: int, rounds: int, learning_rate: float
) -> tuple[Stage, ...]:
    """The stages of a recipe. Their updates and dev scores add up to ``updates`` and ``rounds``; each stage has at
    least one."""
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
            ALL_OF_ENCODER if step.slow_rate != 1 else (),
            step.slow_rate,
        )
        for step in steps
    )
