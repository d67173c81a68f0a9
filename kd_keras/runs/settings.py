"""What a run compares and where it writes, as flags. Imports no Keras."""

from __future__ import annotations

from dataclasses import dataclass

from kd_keras.common.config import AWAY, Checked, path_setting, setting
from kd_keras.common.errors import UserError

ABLATIONS = ("none", "augmentation", "recipes", "transfer_sizes")
# A student does not depend on where it is written, what is found, or how many are trained.
NOT_IN_KEY = (
    "output_dir",
    "signals",
    "seed",
    "seeds",
    "baseline",
    "tensorboard",
    "parallel_students",
    "allow_weak_teacher",
    "teacher_signals",
)


@dataclass(frozen=True)
class JobSettings(Checked):
    """What to compare and where to write."""

    group = "training"
    output_dir: str | None = path_setting(
        None,
        "run folder; if not given, saved_models/TASK/RUN, with RUN made from the settings, so that the "
        "same command finds its own run again.",
        main=True,
        group="output",
    )
    signals: str | None = path_setting(
        None,
        "uses the train/ and dev/ signals in this folder, RUN/signals of another run, or a copy of it in an "
        "object store (s3://BUCKET/PREFIX); --teacher must be the teacher that made them, RUN/teacher.",
        kind=AWAY,
        group="teacher",
    )
    teacher_signals: str | None = path_setting(
        None,
        "takes what any other model answered, in place of a teacher: .csv, .tsv, .jsonl or .parquet files "
        "with commas between. Beside the text they have logits (a list, or logit_CLASS columns), "
        "probabilities (a list, or p_CLASS columns), label and confidence (the other classes share the "
        "rest evenly), or score for a regression. Probabilities become log(p), centered; those under 1e-5 "
        "count as 1e-5. A text that comes twice has the mean of its logits. Texts that no split has are "
        "transfer text; training rows without a signal learn their labels.",
        kind="many",
    )
    seed: int = setting(1, "seed of the first student.", low=0)
    seeds: int = setting(
        1,
        "trains this many students of each arm, with seeds from --seed on; the report gives mean and spread.",
        low=1,
        main=True,
    )
    parallel_students: int = setting(
        1,
        "trains this many students at the same time, each in a process of its own with its share of the "
        "CPUs. Small matrices keep few CPUs busy, so N CPUs train N students in less time than one after "
        "the other. Each takes 1 to 2 GB.",
        low=1,
        high=64,
        late=True,
        group="machines",
    )
    baseline: bool = setting(True, "also trains the same student without distillation.")
    ablate: str = setting(
        "none",
        "trains a whole grid and tabulates it: augmentation is {no distillation, distillation} × {no "
        "augmentation, mask, pos, ngram, all}; recipes is {no distillation, every --recipe} × "
        "--transfer_sizes; transfer_sizes is the same for --recipe alone.",
        choices=ABLATIONS,
    )
    transfer_sizes: str = setting(
        "all",
        "how many rows beyond the training rows each size of the grid has, as 0,30000,all; each holds the "
        "smaller (--ablate=recipes or transfer_sizes).",
        late=True,
    )
    allow_weak_teacher: bool = setting(
        False, "goes on with a teacher that is worse on dev than a linear model, instead of stopping.", late=True
    )
    tensorboard: bool = setting(False, "writes TensorBoard logs to the run folder.", group="output")

    def __post_init__(self) -> None:
        super().__post_init__()
        self.sizes()

    def sizes(self) -> list[int | None]:
        """``transfer_sizes`` as numbers, with None for all."""
        parts = [p.strip() for p in self.transfer_sizes.split(",")]
        if not all(p == "all" or p.isdecimal() for p in parts) or len(set(parts)) != len(parts):
            raise UserError(
                f"--transfer_sizes={self.transfer_sizes}: expected different numbers of rows, or all, as in 0,30000,all"
            )
        return [None if p == "all" else int(p) for p in parts]

    def every_seed(self) -> list[int]:
        """The seeds of an arm's students."""
        return list(range(self.seed, self.seed + self.seeds))
