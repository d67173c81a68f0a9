"""How students are trained and what a run compares, as flags; no Keras import."""

from __future__ import annotations

from dataclasses import dataclass, field

from kd_keras.common.config import AUTO, Checked, setting
from kd_keras.common.errors import UserError

BASELINE, DISTILLED = "baseline", "distilled"
ABLATIONS = ("none", "augmentation", "recipes", "transfer_sizes")
# How the student follows the teacher: stages as data, see recipes.py.
RECIPES = ("soft", "hard", "joint", "staged", "staged_unfreeze")
NEED_HIDDEN = ("joint", "staged", "staged_unfreeze")
DISTANCES = ("mse", "cosine", "kl")


@dataclass(frozen=True)
class TrainSettings(Checked):
    """How a student is trained; the same for every arm of a comparison."""

    epochs: float | str = setting(
        AUTO, "passes over the transfer set: the training text and what is made from it; auto: 15, but at least 1,200 "
        "updates and at most 2,500 (or one pass), with 12 dev scores and --patience=5.", low=0.01, high=10000.0,
    )  # fmt: skip
    batch_size: int = setting(128, "rows an update.", low=1)
    optimizer: str = setting("adam", "optimizer (adadelta with ρ 0.95).", choices=("adam", "adamw", "adadelta"))
    learning_rate: float | str = setting(
        AUTO, "peak learning rate; auto: 3e-3, with adadelta 1.0 (Tang et al.).", low=1e-8, high=10.0
    )
    schedule: str = setting("cosine", "learning rate over time.", choices=("cosine", "constant"))
    warmup: float = setting(0.02, "part of the updates in which the rate rises.", low=0.0, high=1.0)
    weight_decay: float = setting(0.01, "decay of adamw.", low=0.0)
    clip: float = setting(1.0, "largest global gradient norm.", low=1e-6)
    ema: float = setting(
        0.998,
        "momentum of the averaged weights that are scored and kept (less in short runs); 0 averages nothing.",
        low=0.0,
        high=0.99999,
    )
    patience: int = setting(0, "stop after this many dev scores without a better one; 0 trains to the end.", low=0)
    evals_per_epoch: float = setting(1.0, "dev scores, and checkpoints, an epoch.", low=0.01, high=100.0)


@dataclass(frozen=True)
class JobSettings(Checked):
    """What to compare and where to write."""

    output_dir: str | None = setting(
        None, "run folder; saved_models/TASK/RUN if not given, RUN being made from the settings, so that the same "
        "command finds its own run again.",
    )  # fmt: skip
    alpha: float | str = setting(
        AUTO, "weight of the gold labels; 1 − alpha goes to the teacher's logits; auto: 0, or as --recipe=auto finds.",
        low=0.0, high=1.0,
    )  # fmt: skip
    soft: str = setting("mse", "how the student follows the logits.", choices=("mse", "kl"))
    temperature: float = setting(2.0, "temperature of --soft=kl.", low=0.01, high=100.0)
    recipe: str = setting(
        AUTO,
        "what is learnt in which order (--print_recipe shows it): auto is joint for labels of single texts, soft with "
        "half gold labels where the teacher is barely better than a linear model, else soft; soft follows the logits, "
        "hard the teacher's labels, "
        "joint logits, labels and representation at once, staged one after the other, staged_unfreeze from the top "
        "down within each stage.",
        choices=(AUTO, *RECIPES),
        late=True,
        before="soft",
    )
    confidence: float = setting(
        0.0,
        "--recipe=hard: rows whose label has a lower probability with the teacher count nothing.",
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
        "--recipe=joint: weight of the representation's loss beside the logits' and the labels'; auto: 1, of "
        "--recipe=auto 5.",
        low=0.0,
        high=1e4,
        late=True,
        before=1.0,
    )
    signals: str | None = setting(
        None,
        "folder with train/ and dev/ signals that another run made (RUN/signals); --teacher must be the teacher that "
        "made them (RUN/teacher).",
    )
    seed: int = setting(1, "seed of the first student.", low=0)
    seeds: int = setting(1, "students per arm, with seeds from --seed on; the report gives mean and spread.", low=1)
    parallel_students: int = setting(
        1, "students trained at the same time, each in a process of its own with its share of the CPUs. Small matrices "
        "keep few CPUs busy, so N CPUs train N students in less time than one after the other; each takes 1 to 2 GB.",
        low=1, high=64, late=True,
    )  # fmt: skip
    baseline: bool = setting(True, "also train the same student without distillation.")
    ablate: str = setting(
        "none",
        "instead of one student and its baseline, train a whole grid and tabulate it: augmentation is "
        "{no distillation, distillation} × {no augmentation, mask, pos, ngram, all}; recipes is {no distillation, "
        "every --recipe} × --transfer_sizes; transfer_sizes is the same for --recipe alone.",
        choices=ABLATIONS,
    )
    transfer_sizes: str = setting(
        "all",
        "with --ablate=recipes or transfer_sizes: how many rows beyond the training rows, as 0,30000,all; each holds "
        "the smaller.",
        late=True,
    )
    allow_weak_teacher: bool = setting(
        False, "go on with a teacher that is worse on dev than a linear model, instead of stopping.", late=True
    )
    tensorboard: bool = setting(False, "write TensorBoard logs to the run folder.")
    # Whether --recipe=auto decided; the teacher may still change its mind. Not a flag.
    chosen: bool = field(default=False, metadata={"late": True})

    def __post_init__(self) -> None:
        super().__post_init__()
        self.sizes()

    def recipes(self, regression: bool) -> list[str]:
        """The recipes that are trained; a regression has no labels of the teacher's to follow."""
        return [r for r in RECIPES if not (r == "hard" and regression)] if self.ablate == "recipes" else [self.recipe]

    @property
    def needs_hidden(self) -> bool:
        """Whether the teacher's sentence vectors must be stored."""
        return any(r in NEED_HIDDEN for r in self.recipes(False))

    def sizes(self) -> list[int | None]:
        """``transfer_sizes`` as numbers, None for all."""
        parts = [p.strip() for p in self.transfer_sizes.split(",")]
        if not all(p == "all" or p.isdecimal() for p in parts) or len(set(parts)) != len(parts):
            raise UserError(
                f"--transfer_sizes={self.transfer_sizes}: expected different numbers of rows, or all, as 0,30000,all"
            )
        return [None if p == "all" else int(p) for p in parts]
