"""How to compress, as flags. Imports no TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass

from kd_keras.common.config import Checked, path_setting, setting
from kd_keras.common.errors import UserError

METHODS = ("prune", "cluster", "prune_cluster")
NO_QAT = (
    "quantization-aware training (QAT) is not among them: tensorflow-model-optimization has it for Dense layers only, "
    "not for embeddings and LSTMs, which are nearly all of a student; quantize after training instead: "
    "python -m kd_keras.export --formats=tflite_dynamic (or tflite_int8)"
)


@dataclass(frozen=True)
class CompressSettings(Checked):
    """How far to prune or cluster, and how long to fine-tune meanwhile."""

    group = "compression"
    method: str = setting(
        "prune",
        "prune sets the smallest values of each kernel to zero; cluster leaves each kernel a few distinct values; "
        f"prune_cluster does one after the other and keeps the zeros; {NO_QAT}.",
        choices=METHODS,
        main=True,
    )
    sparsity: float = setting(0.5, "share of zeros in each kernel (prune).", low=0.01, high=0.99, main=True)
    clusters: int = setting(
        16,
        "leaves each kernel at most this many distinct values, a zero among them (cluster).",
        low=3,
        high=256,
        main=True,
    )
    updates: int = setting(
        500,
        "updates of fine-tuning towards the teacher's logits; prune_cluster makes twice as many.",
        low=2,
        main=True,
        group="training",
    )
    rounds: int = setting(
        10,
        "scores dev this many times, evenly over the updates; pruning reaches its sparsity half-way and "
        "is scored from there on.",
        low=2,
        group="training",
    )
    batch_size: int = setting(128, "rows in an update.", low=1, group="training")
    learning_rate: float = setting(
        5e-4, "first learning rate of Adam; it falls to 0.", low=1e-8, high=1.0, group="training"
    )
    seed: int = setting(1, "seed of batches and dropout.", low=0, group="training")
    data_dir: str | None = path_setting(
        None, "where the run's data is now, if not where the run found it.", main=True, group="data"
    )

    def __post_init__(self) -> None:
        if self.method in ("qat", "quantize", "quantise"):
            raise UserError(f"--method={self.method}: expected one of {', '.join(METHODS)}; {NO_QAT}")
        super().__post_init__()

    def steps(self) -> tuple[str, ...]:
        """The steps in their order. "cluster_sparse" keeps zeros."""
        return {"prune": ("prune",), "cluster": ("cluster",), "prune_cluster": ("prune", "cluster_sparse")}[self.method]
