"""The flags of a student's training and of what it learns from its teacher. No Keras import."""

from __future__ import annotations

from dataclasses import dataclass, field

from kd_keras.common.config import AUTO, Checked, setting

BASELINE, DISTILLED = "baseline", "distilled"
# How the student follows the teacher; recipes.py has the stages.
RECIPES = ("soft", "hard", "joint", "two_stage", "two_stage_unfreeze", "staged", "staged_unfreeze")
# The best weights have the lowest dev loss among those near the best dev metric (loop.py).
STEADY = "steady"
NEED_HIDDEN = ("joint", "two_stage", "two_stage_unfreeze", "staged", "staged_unfreeze")
DISTANCES = ("mse", "cosine", "kl")


@dataclass(frozen=True)
class TrainSettings(Checked):
    """How a student is trained. All arms of a comparison share it."""

    group = "training"
    epochs: float | str = setting(
        AUTO,
        "passes over the transfer set: the training text and what is made from it; auto: 15, but 1,200 to "
        "2,500 updates (or one pass), 12 dev scores, --patience=5, and the dev loss where scores are near.",
        low=0.01,
        high=10000.0,
        main=True,
    )
    batch_size: int = setting(128, "rows in an update.", low=1)
    optimizer: str = setting(
        "adam", "optimizer of the student (adadelta with ρ 0.95).", choices=("adam", "adamw", "adadelta")
    )
    learning_rate: float | str = setting(
        AUTO, "peak learning rate; auto: 3e-3, with adadelta 1.0 (Tang et al.).", low=1e-8, high=10.0
    )
    schedule: str = setting("cosine", "learning rate over time.", choices=("cosine", "constant"))
    warmup: float = setting(0.02, "share of the updates in which the rate rises.", low=0.0, high=1.0)
    weight_decay: float = setting(0.01, "decay of adamw.", low=0.0)
    clip: float = setting(1.0, "largest global gradient norm.", low=1e-6)
    ema: float = setting(
        0.998,
        "momentum of the averaged weights that are scored and kept, less in short runs; 0: no average.",
        low=0.0,
        high=0.99999,
    )
    patience: int = setting(0, "stops after this many dev scores without better weights; 0: trains to the end.", low=0)
    evals_per_epoch: float = setting(
        1.0, "scores dev, and saves a checkpoint, this many times an epoch.", low=0.01, high=100.0
    )


@dataclass(frozen=True)
class RecipeSettings(Checked):
    """What a student learns from its teacher, and in which order."""

    group = "training"
    alpha: float | str = setting(
        AUTO,
        "weight of the gold labels; 1 − alpha goes to the teacher's logits; auto: 0, or as --recipe=auto finds.",
        low=0.0,
        high=1.0,
    )
    soft: str = setting("mse", "how the student follows the logits.", choices=("mse", "kl"))
    temperature: float = setting(2.0, "temperature of --soft=kl.", low=0.01, high=100.0)
    recipe: str = setting(
        AUTO,
        "what is learned in which order: soft logits, hard the teacher's labels, joint logits, labels and vectors at "
        "once, two_stage vectors first, staged one after the other, …_unfreeze from the top down; auto: joint for "
        "labels of single texts, else soft (half gold labels if the teacher barely beats a linear model). "
        "--print_recipe shows the stages.",
        choices=(AUTO, *RECIPES),
        late=True,
        before="soft",
        main=True,
    )
    confidence: float = setting(
        0.0,
        "leaves out rows whose label has a lower probability with the teacher (--recipe=hard).",
        low=0.0,
        high=0.999,
        late=True,
    )
    distance: str = setting(
        "mse",
        "how the student's projected sentence vector follows the teacher's (--hidden).",
        choices=DISTANCES,
        late=True,
    )
    representation_weight: float | str = setting(
        AUTO,
        "weight of the representation's loss beside those of logits and labels (--recipe=joint); auto: 1, "
        "or 5 with --recipe=auto.",
        low=0.0,
        high=1e4,
        late=True,
        before=1.0,
    )
    logit_head: str = setting(
        "shared",
        "for recipes with labels and logits: shared (one last layer learns both), or own (the logits have "
        "a layer of their own that is thrown away).",
        choices=("shared", "own"),
        late=True,
    )
    # Whether --recipe=auto decided, so that the teacher's score may still change it. Not a flag.
    chosen: bool = field(default=False, metadata={"late": True})

    @property
    def mixed_by_hand(self) -> bool:
        """Whether the user set a mix, or another way to follow the logits."""
        return self.alpha != AUTO or self.soft != "mse"
