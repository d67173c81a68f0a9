"""How a teacher is made and how it labels, as flags. Imports no TensorFlow, so that a command checks them at once."""

from __future__ import annotations

from dataclasses import dataclass, replace

from kd_keras.common import devices, machine
from kd_keras.common.config import AUTO, Checked, path_setting, setting
from kd_keras.common.errors import UserError
from kd_keras.text.truncation import TRUNCATIONS

# What a classifier reads of a text: BERT's pooler over [CLS], or the mean of the tokens.
CLS, MEAN = POOLINGS = ("cls", "mean")
PROBE, RANDOM = STARTS = ("probe", "random")
BEST, LAST = KEPT = ("best", "last")
FLOAT32, BFLOAT16, FLOAT16 = PRECISIONS = ("float32", "bfloat16", "float16")
INT8 = "int8"  # of labeling alone
WORD = "word"
NOTHING, EMBEDDINGS = FROZEN = ("none", "embeddings")
PCA, WHITEN = "pca", "whiten"


@dataclass(frozen=True)
class TeacherSettings(Checked):
    """How a teacher is made from a checkpoint."""

    group = "teacher"
    teacher: str = path_setting("minilm-l6", "packaged teacher, folder of a checkpoint, or hub name.", main=True)
    teacher_epochs: float | str = setting(
        AUTO,
        "passes over the training set; auto: enough for the updates that are needed, see "
        "--teacher_patience; 0: the checkpoint's own classifier is used as it is.",
        low=0.0,
        high=1000.0,
    )
    teacher_learning_rate: float | str = setting(
        AUTO,
        "peak learning rate of AdamW; auto: by the checkpoint's width, as small ones learn at higher rates.",
        low=1e-8,
        high=1.0,
    )
    teacher_pooling: str = setting(
        AUTO,
        "what the classifier reads: cls is BERT's pooler, mean is the mean of the tokens; auto: mean for "
        "a sentence encoder, as its folder says, else cls.",
        choices=(AUTO, *POOLINGS),
        late=True,
        before=CLS,
    )
    teacher_start: str = setting(
        AUTO,
        "first weights of the classifier: probe (logistic regression on the vectors of the encoder as it "
        "is), or random; auto: probe for classes with --teacher_pooling=mean, else random.",
        choices=(AUTO, *STARTS),
        late=True,
        before=RANDOM,
    )
    teacher_evals: float | str = setting(
        AUTO,
        "scores dev this many times in all; auto: ten, or at least once an epoch if --teacher_epochs is given.",
        low=0,
        high=1000,
        late=True,
        before=0,
    )
    teacher_patience: float | str = setting(
        AUTO,
        "stops after this many dev scores without a better one; 0: never; auto: 4 for a teacher of words, else 0.",
        low=0,
        high=1000,
        late=True,
        before=0,
    )
    teacher_keep: str = setting(
        AUTO,
        "the weights that are kept: those of the best dev score, or the last ones whose dev score is within two "
        "standard errors of the best; auto: last, but best for words or if --teacher_epochs is given.",
        choices=(AUTO, *KEPT),
        late=True,
        before=BEST,
    )
    teacher_batch_size: int = setting(32, "rows in an update of the teacher.", low=1)
    teacher_warmup: float = setting(0.06, "share of the updates in which the teacher's rate rises.", low=0.0, high=1.0)
    teacher_weight_decay: float = setting(0.01, "decay of the teacher's AdamW (not on biases and norms).", low=0.0)
    teacher_clip: float = setting(1.0, "largest global gradient norm of the teacher.", low=1e-6)
    teacher_precision: str = setting(
        FLOAT32,
        "arithmetic of the products in fine-tuning; weights and sums stay float32. bfloat16 is faster on "
        "a processor that has it, and on a GPU; float16, whose loss is scaled, is for a GPU.",
        choices=PRECISIONS,
        late=True,
    )
    teacher_freeze: str = setting(
        NOTHING,
        "keeps these weights as they are. The embeddings of a multilingual teacher are two thirds of its weights.",
        choices=FROZEN,
        late=True,
    )
    teacher_dropout: float | str = setting(
        AUTO,
        "share of the encoder's values dropped in fine-tuning; auto: as the checkpoint says, mostly 0.1. "
        "Text that is read once needs none, and then takes less time.",
        low=0.0,
        high=0.9,
        late=True,
    )
    teacher_max_length: int | None = setting(
        None,
        "longest text in pieces, [CLS] and [SEP] included; the task's own length if not given.",
        low=3,
    )
    teacher_truncation: str = setting(
        "head",
        "what the teacher reads of a longer text: its head, its tail, or a quarter of the length from the "
        "head and the rest from the tail (Sun et al. 2019: 128 + 382 pieces).",
        choices=TRUNCATIONS,
        late=True,
    )
    checkpoint_seconds: float = setting(60.0, "seconds between checkpoints, which is what a kill can cost.", low=0.0)
    teacher_seed: int = setting(1, "seed of the teacher's classifier, dropout and order of batches.", low=0)
    teacher_seeds: int = setting(
        1,
        "fine-tunes this many teachers, with seeds from --teacher_seed on: the student learns the mean of "
        "their logits. Its first embeddings and --hidden come from the first.",
        low=1,
        high=99,
        late=True,
    )

    teacher_rounds: float | str = setting(
        AUTO,
        "2: what the teachers say of the transfer text, and the training rows, teach one more teacher from "
        "--teacher's weights (Furlanello et al. 2018). The students learn from it, unless dev shows it to be worse; "
        "auto: 2 for classes of your own file with at most 10,000 rows, and with --unlabeled_files or "
        "--labels_per_class; else 1.",
        low=1,
        high=2,
        late=True,
        before=1,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.teacher_rounds not in (AUTO, 1, 2):
            raise UserError(f"--teacher_rounds={self.teacher_rounds:g}: expected 1, 2 or {AUTO}")
        if self.teacher_rounds == 2 and self.teacher_epochs == 0:
            raise UserError("--teacher_rounds=2: --teacher_epochs=0 trains nothing; leave one out")
        if self.teacher_seeds > 1 and self.teacher_epochs == 0:
            raise UserError(
                f"--teacher_seeds={self.teacher_seeds}: --teacher_epochs=0 trains nothing, so all would be the same"
            )

    def check_machine(self) -> None:
        """UserError if this processor or GPU does not have ``teacher_precision``."""
        _check_machine("teacher_precision", self.teacher_precision)


@dataclass(frozen=True)
class LabelSettings(Checked):
    """How text is labeled. None of this changes a logit beyond the rounding of ``label_precision``."""

    group = "teacher"
    hidden: str = setting(
        "none",
        "stores this beside the logits: a sentence vector (cls, mean), or each word's state (word, of a tagger).",
        choices=("none", "cls", "mean", WORD),
    )
    hidden_layer: int = setting(-1, "layer of the stored vectors or states; -1: the last, 0: the embeddings.", low=-1)
    hidden_width: int = setting(
        128,
        "stores a word's state as this many numbers, by a PCA that is fitted once (--hidden=word).",
        low=1,
        late=True,
    )
    label_batch_tokens: int = setting(2048, "labels this many tokens in one forward pass.", low=16)
    shard_rows: int = setting(4096, "distinct texts in one Parquet shard, which is what a kill can cost.", low=1)
    label_precision: str = setting(
        FLOAT32,
        "arithmetic of labeling; bfloat16 needs a processor that has it, or a GPU, and float16 a GPU. int8 is "
        "for a CPU: LiteRT runs the teacher with int8 weights, and a text between two labels is read in float32. A "
        "sample is labeled both ways first, and a precision that moves labels is refused.",
        choices=(*PRECISIONS, INT8),
        late=True,
    )

    def check_layer(self, layers: int) -> None:
        """UserError if the teacher, which has this many ``layers``, has no ``hidden_layer``."""
        if self.hidden_layer > layers:
            raise UserError(f"--hidden_layer={self.hidden_layer}: the teacher has layers 0 to {layers}")

    def check_machine(self) -> None:
        """UserError if this processor or GPU lacks ``label_precision``. Emulated, it is slower than float32."""
        if self.label_precision == INT8:
            if devices.gpu_names():
                raise UserError(f"--label_precision={INT8}: LiteRT works on the CPU, and there is a GPU; take bfloat16")
            return
        _check_machine("label_precision", self.label_precision)


@dataclass(frozen=True)
class TargetSettings(Checked):
    """What of the teacher's vector of a text a universal student learns."""

    group = "teacher"
    vector_size: int = setting(
        256, "size of a vector; with --reduction=none, the teacher's own width.", low=2, main=True
    )
    reduction: str = setting(
        PCA,
        "how the teacher's vector is made smaller: pca (the first axes of a PCA that is fitted once), "
        "whiten (the same, with all axes scaled alike), or none.",
        choices=(PCA, WHITEN, NOTHING),
    )
    unit: bool = setting(True, "brings vectors to length 1, so that their products are cosines.")

    def of_teacher(self, width: int) -> TargetSettings:
        """The settings for a teacher of ``width`` numbers. UserError if it has fewer than a vector needs."""
        if self.reduction == NOTHING:
            return replace(self, vector_size=width)
        if self.vector_size > width:
            raise UserError(f"--vector_size={self.vector_size}: the teacher's vectors have {width} numbers")
        return self


def _check_machine(flag: str, precision: str) -> None:
    if precision == FLOAT32 or (precision == BFLOAT16 and machine.has_bfloat16()) or devices.gpu_names():
        return
    if precision == FLOAT16:
        raise UserError(f"--{flag}=float16: is for a GPU, and TensorFlow works on the CPU; take float32")
    raise UserError(
        f"--{flag}=bfloat16: this processor has none (no avx512_bf16, amx_bf16 or bf16 in /proc/cpuinfo), and there is "
        "no GPU; take float32"
    )
