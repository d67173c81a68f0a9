"""What a universal student is, what text it learns from and how, as flags. Imports no Keras."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kd_keras.common.config import AUTO, Checked, path_setting, redefined, setting
from kd_keras.common.errors import UserError, did_you_mean
from kd_keras.distill.settings import TrainSettings
from kd_keras.students.settings import MEAN, StudentSettings
from kd_keras.teachers.settings import CLS, LabelSettings

# The losses that draw a student to the teacher's vectors.
TOKENS = "tokens"
LOSSES = ("mse", "cosine", "similarities", "contrast", TOKENS)
# A student does not depend on these.
NOT_IN_KEY = ("output_dir", "tasks", "data_dir", "tensorboard")


@dataclass(frozen=True)
class UniversalShape(StudentSettings):
    """A student's shape for a phone: 3.5 million parameters, 3.5 MB as a dynamic-range file."""

    # A universal student has no choice of these, so they are no flags.
    student: str | None = "universal"
    tokenizer: str = "wordpiece"
    vectors: str | None = None
    dense_size: int = 0
    sentence_size: int = 0
    vocab_size: int | None = redefined(StudentSettings, "vocab_size", 20_000)
    embedding_size: int | None = redefined(StudentSettings, "embedding_size", 128)
    embeddings: str = redefined(
        StudentSettings,
        "embeddings",
        "teacher",
        choices=("teacher", "random"),
        help="first values of the embeddings: the teacher's by SVD, or random.",
    )
    hidden_size: int = redefined(StudentSettings, "hidden_size", 256)
    pooling: str = redefined(StudentSettings, "pooling", MEAN)
    student_max_length: int | None = redefined(StudentSettings, "student_max_length", 64)
    embedding_dropout: float = redefined(StudentSettings, "embedding_dropout", 0.0)
    word_dropout: float = redefined(StudentSettings, "word_dropout", 0.0)
    dropout: float = redefined(StudentSettings, "dropout", 0.0)


@dataclass(frozen=True)
class UniversalLabels(LabelSettings):
    """How the teacher reads."""

    hidden_width: int = 0
    hidden: str = redefined(
        LabelSettings,
        "hidden",
        AUTO,
        choices=(AUTO, CLS, MEAN),
        help="the teacher's vector of a text: the state of [CLS], or the mean of all; auto: mean for a sentence "
        "encoder, as its folder says, else cls.",
    )


@dataclass(frozen=True)
class UniversalTraining(TrainSettings):
    """How the student is trained."""

    evals_per_epoch: float = 0.0
    learning_rate: float | str = redefined(
        TrainSettings, "learning_rate", AUTO, help="peak learning rate; auto: 2e-3, with adadelta 1.0."
    )
    epochs: float | str = redefined(
        TrainSettings, "epochs", AUTO, help="passes over the text, in place of --updates; auto: as --updates has it."
    )
    batch_size: int = redefined(TrainSettings, "batch_size", 256)


@dataclass(frozen=True)
class UniversalSettings(Checked):
    """Which teacher, which text is kept out, and what the student learns."""

    group = "training"
    output_dir: str | None = path_setting(
        None,
        "run folder; saved_models/universal/RUN if not given, RUN being made from the settings, so that the same "
        "command finds its own run again.",
        main=True,
        group="output",
    )
    teacher: str = path_setting(
        "minilm-l6", "packaged teacher, folder of a checkpoint, or hub name.", main=True, group="teacher"
    )
    teacher_max_length: int = setting(
        128, "longest text in the teacher's pieces, [CLS] and [SEP] included.", low=3, group="teacher"
    )
    updates: int = setting(20_000, "updates of the student.", low=1, main=True)
    evals: int = setting(20, "scores dev, and saves a checkpoint, this many times in all.", low=1)
    dev_rows: int = setting(2_000, "texts that choose the best weights, at most a tenth of all.", low=2)
    losses: str = setting(
        AUTO,
        "what draws the student to the teacher's vectors, with commas between, and weights after a colon: "
        "mse, cosine (each vector by itself), similarities (the cosines of a batch's texts with one "
        "another), contrast (which of a batch's texts a vector belongs to; InfoNCE), tokens (each word's "
        "state); auto: cosine, or mse with --nounit.",
        main=True,
    )
    token_size: int = setting(64, "size of a word's state in the loss tokens, by a PCA.", low=1)
    contrast_temperature: float = setting(0.05, "divides the cosines of the loss contrast.", low=1e-3, high=100.0)
    tasks: str | None = setting(
        None,
        "tries the vectors on these tasks, as sst2,stsb or sst2=DIR,stsb=DIR (else --data_dir, or "
        "packages), or NAME=FILE with columns text and label. Texts of their dev and test splits are not "
        "learned from, and the report has the scores.",
        main=True,
        group="data",
    )
    data_dir: str | None = path_setting(None, "where the data of --tasks are.", main=True, group="data")
    held_out_files: str | None = path_setting(
        None,
        "your own dev and test texts, which are not learned from: files with commas between, as --unlabeled_files.",
        kind="many",
        main=True,
        group="data",
    )
    seed: int = setting(1, "seed of the student's weights and of the order of batches.", low=0)
    tensorboard: bool = setting(False, "writes TensorBoard logs to the run folder.", group="output")

    def __post_init__(self) -> None:
        super().__post_init__()
        self.loss_weights(True)

    def loss_weights(self, unit: bool) -> Mapping[str, float]:
        """Name → weight. ``unit`` says whether vectors have length 1. UserError if ``losses`` cannot be read."""
        if self.losses == AUTO:
            return {"cosine" if unit else "mse": 1.0}
        found: dict[str, float] = {}
        for part in self.losses.split(","):
            name, colon, weight = (p.strip() for p in part.partition(":"))
            if name not in LOSSES:
                raise UserError(
                    f"--losses={self.losses}: {name!r} is not one of {', '.join(LOSSES)}.{did_you_mean(name, LOSSES)}"
                )
            try:
                found[name] = float(weight) if colon else 1.0
            except ValueError:
                found[name] = -1.0
            if not 0 < found[name] < 1e6:
                raise UserError(f"--losses={self.losses}: expected a number over 0 after the colon, as in contrast:0.1")
        return found

    def task_folders(self) -> dict[str, str | None]:
        """Name of a task → its folder."""
        parts = [part.partition("=") for part in (self.tasks or "").split(",") if part.strip()]
        return {name.strip(): folder.strip() or self.data_dir for name, _, folder in parts}
