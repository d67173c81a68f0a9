"""How a teacher is made and how it labels, as flags; no TensorFlow import, so that a command checks them at once."""

from __future__ import annotations

from dataclasses import dataclass, replace

from kd_keras.common import devices, machine
from kd_keras.common.config import AUTO, Checked, path_setting, setting
from kd_keras.common.errors import UserError
from kd_keras.text.truncation import TRUNCATIONS

# What a classifier reads of a text: BERT's pooler over [CLS], or the mean of the tokens.
CLS, MEAN = POOLINGS = ("cls", "mean")
PROBE, RANDOM = STARTS = ("probe", "random")
FLOAT32, BFLOAT16, FLOAT16 = PRECISIONS = ("float32", "bfloat16", "float16")
WORD = "word"
NOTHING, EMBEDDINGS = FROZEN = ("none", "embeddings")
PCA, WHITEN = "pca", "whiten"


@dataclass(frozen=True)
class TeacherSettings(Checked):
    """How a teacher is made from a checkpoint."""

    group = "teacher"
    teacher: str = path_setting("minilm-l6", "packaged teacher, folder of a checkpoint, or hub name.", main=True)
    teacher_epochs: float | str = setting(
        AUTO, "passes over the training set; auto: so many that there are enough updates, see --teacher_patience; 0 "
        "uses the checkpoint's classifier as it is.", low=0.0, high=1000.0,
    )  # fmt: skip
    teacher_learning_rate: float | str = setting(
        AUTO, "peak learning rate of AdamW; auto: by the checkpoint's width, small ones learn at higher rates.",
        low=1e-8, high=1.0,
    )  # fmt: skip
    teacher_pooling: str = setting(
        AUTO, "what the classifier reads of a text: cls is BERT's pooler, mean the mean of the tokens; auto: mean for "
        "a sentence encoder, as its folder says, else cls.", choices=(AUTO, *POOLINGS), late=True,
        before=CLS,
    )  # fmt: skip
    teacher_start: str = setting(
        AUTO, "first weights of the classifier: a linear probe (logistic regression on the vectors of the encoder as "
        "it is), or random; auto: probe for classes and --teacher_pooling=mean, else random.",
        choices=(AUTO, *STARTS), late=True, before=RANDOM,
    )  # fmt: skip
    teacher_evals: float | str = setting(
        AUTO, "dev scores in all; auto: ten, or with --teacher_epochs by hand one an epoch at least.", low=0, high=1000,
        late=True, before=0,
    )  # fmt: skip
    teacher_patience: float | str = setting(
        AUTO, "stop after so many dev scores without a better one, 0 never; auto: 4, or 0 with --teacher_epochs by "
        "hand.", low=0, high=1000, late=True, before=0,
    )  # fmt: skip
    teacher_batch_size: int = setting(32, "rows an update.", low=1)
    teacher_warmup: float = setting(0.06, "part of the updates in which the rate rises.", low=0.0, high=1.0)
    teacher_weight_decay: float = setting(0.01, "AdamW's decay (not on biases and norms).", low=0.0)
    teacher_clip: float = setting(1.0, "largest global gradient norm.", low=1e-6)
    teacher_precision: str = setting(
        FLOAT32, "arithmetic of the products in fine-tuning; weights and sums stay float32. bfloat16 is faster on a "
        "processor that has it, and on a GPU; float16, whose loss is scaled, is for a GPU.", choices=PRECISIONS,
        late=True,
    )  # fmt: skip
    teacher_freeze: str = setting(
        NOTHING, "what does not learn: the embeddings of a multilingual teacher are two thirds of its weights.",
        choices=FROZEN, late=True,
    )  # fmt: skip
    teacher_dropout: float | str = setting(
        AUTO, "part of the encoder's values dropped in fine-tuning; auto: as the checkpoint says, mostly 0.1. Text "
        "that is read once needs none, which also takes less time.", low=0.0, high=0.9, late=True,
    )  # fmt: skip
    teacher_max_length: int | None = setting(
        None,
        "longest text in pieces, [CLS] and [SEP] included; the task's own length if not given.",
        low=3,
    )
    teacher_truncation: str = setting(
        "head", "what the teacher reads of longer texts: their head, their tail, or a quarter of the length from the "
        "head and the rest from the tail (Sun et al. 2019: 128 + 382 pieces).", choices=TRUNCATIONS, late=True,
    )  # fmt: skip
    checkpoint_seconds: float = setting(60.0, "time between checkpoints: what a kill can cost.", low=0.0)
    teacher_seed: int = setting(1, "seed of the teacher's classifier, dropout and order of batches.", low=0)
    teacher_seeds: int = setting(
        1, "teachers, with seeds from --teacher_seed on: the student learns the mean of their logits; its first "
        "embeddings, and --hidden, are those of the first.", low=1, high=99, late=True,
    )  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.teacher_seeds > 1 and self.teacher_epochs == 0:
            raise UserError(
                f"--teacher_seeds={self.teacher_seeds}: --teacher_epochs=0 trains nothing, so all would be the same"
            )

    def check_machine(self) -> None:
        """UserError where ``teacher_precision`` is not for this processor or GPU."""
        _check_machine("teacher_precision", self.teacher_precision)


@dataclass(frozen=True)
class LabelSettings(Checked):
    """How text is labelled. None of this changes a logit beyond the rounding of ``label_precision``."""

    group = "teacher"
    hidden: str = setting(
        "none", "what to store beside the logits: a sentence vector (cls, mean); of a tagging each word's state.",
        choices=("none", "cls", "mean", WORD),
    )  # fmt: skip
    hidden_layer: int = setting(-1, "layer of these; -1 is the last, 0 the embeddings.", low=-1)
    hidden_width: int = setting(
        128, "--hidden=word: numbers that a state is told in, by a PCA that is fitted once.", low=1, late=True
    )
    label_batch_tokens: int = setting(2048, "tokens in one forward pass.", low=16)
    shard_rows: int = setting(4096, "distinct texts in one Parquet shard: what a kill can cost.", low=1)
    label_precision: str = setting(
        FLOAT32, "arithmetic of labelling; bfloat16 needs a processor that has it, or a GPU, float16 a GPU. Both are "
        "refused where they move labels: first a sample is labelled both ways.", choices=PRECISIONS, late=True,
    )  # fmt: skip

    def check_layer(self, layers: int) -> None:
        """UserError where the teacher, of so many ``layers``, has no ``hidden_layer``."""
        if self.hidden_layer > layers:
            raise UserError(f"--hidden_layer={self.hidden_layer}: the teacher has layers 0 to {layers}")

    def check_machine(self) -> None:
        """UserError where ``label_precision`` is not for this processor or GPU: emulated, it is slower than float32."""
        _check_machine("label_precision", self.label_precision)


@dataclass(frozen=True)
class TargetSettings(Checked):
    """What of the teacher's vector of a text a universal student learns."""

    group = "teacher"
    vector_size: int = setting(
        256, "numbers of a vector; with --reduction=none the teacher's own width.", low=2, main=True
    )
    reduction: str = setting(
        PCA, "how the teacher's numbers become these: the first axes of a PCA that is fitted once, the same with all "
        "axes scaled alike, or none.", choices=(PCA, WHITEN, NOTHING),
    )  # fmt: skip
    unit: bool = setting(True, "whether vectors are brought to length 1, so that their products are cosines.")

    def of_teacher(self, width: int) -> TargetSettings:
        """With the size that vectors of a teacher of ``width`` numbers have; UserError where it has fewer."""
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
