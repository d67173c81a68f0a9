"""The arms of a comparison: the same student, text, updates and seed; only the objectives differ."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import keras
import numpy as np

from kd_keras.common import files
from kd_keras.common.errors import UserError
from kd_keras.common.layout import RunLayout
from kd_keras.common.progress import say
from kd_keras.distill.inputs import StudentInputs
from kd_keras.distill.job import Job, Timings, seeds_of
from kd_keras.distill.objectives import HardLabels, Objective, mixture
from kd_keras.distill.settings import BASELINE, DISTILLED
from kd_keras.distill.stages import DevSet, Stage, TrainingSet, predict, run_stage
from kd_keras.students.bilstm import build_student, parameters
from kd_keras.teachers.signals import Signals
from kd_keras.text.batches import steps_per_epoch


@dataclass(frozen=True)
class Arm:
    """A trained student.

    Attributes:
      kind: "baseline" or "distilled".
      seed: of weights, dropout and batches.
      folder: holds student.keras and history.json.
      history: see ``stages.run_stage``.
      logits: split → float32[rows, classes].
      size: parameters with and without embeddings.
    """

    kind: str
    seed: int
    folder: Path
    history: dict
    logits: dict[str, np.ndarray]
    size: dict[str, int]

    @property
    def name(self) -> str:
        return f"{self.kind}-seed{self.seed}"


def objectives_of(kind: str, job: Job) -> tuple[Objective, ...]:
    if kind == BASELINE:
        return (HardLabels(),)
    return mixture(job.job.alpha, job.job.soft, job.job.temperature)


def train_arms(
    job: Job, layout: RunLayout, inputs: StudentInputs, signals: dict[str, Signals], timings: Timings
) -> list[Arm]:
    """Baseline and distilled students of every seed, finished ones found again."""
    y = {"label": job.data.train.label.astype(np.int32), "teacher_logits": signals["train"].logits}
    train = TrainingSet(inputs.ids["train"], y)
    dev = DevSet(inputs.ids["dev"], job.data.dev.label, job.task.metrics)
    kinds = [BASELINE, DISTILLED] if job.job.baseline else [DISTILLED]
    arms = []
    for seed in seeds_of(job.job):
        for kind in kinds:
            with timings.step(f"student ({kind}, seed {seed})"):
                arms.append(_train(job, layout, inputs, train, dev, signals, kind, seed))
    return arms


def _train(
    job: Job, layout: RunLayout, inputs: StudentInputs, train: TrainingSet, dev: DevSet,
    signals: dict[str, Signals], kind: str, seed: int,
) -> Arm:  # fmt: skip
    folder = layout.arm(kind, seed)
    steps = max(1, round(steps_per_epoch(len(train), job.train.batch_size) * job.train.epochs))
    stage = Stage(kind, objectives_of(kind, job), train, steps, job.train.learning_rate)
    # JSON and back: what is read from disk has lists for tuples.
    key = files.hash_of(
        stage.describe(), asdict(job.train), asdict(job.student), inputs.tokenizer.fingerprint(), seed,
        job.data.fingerprint, signals["train"].manifest["teacher"],
    )  # fmt: skip
    done, saved = folder / "history.json", folder / "student.keras"
    if done.is_file() and saved.is_file() and (found := files.read_json(done)).get("key") == key:
        student, history = load_student(saved), found
        say(f"student ({kind}, seed {seed}): found in {folder}")
    else:
        student = build_student(job.student, inputs.matrix, len(job.task.labels), seed)
        board = layout.tensorboard / f"{kind}-seed{seed}" if job.job.tensorboard else None
        history = run_stage(student, stage, dev, job.train, folder, seed, f"{kind}, seed {seed}", board)
        with files.atomic_path(saved) as temp:
            student.save(temp)
        history |= {"key": key, "stage": stage.describe()}
        files.write_json(done, history)
        (folder / "state.npz").unlink(missing_ok=True)
    logits = {split: predict(student, ids) for split, ids in inputs.ids.items() if split != "train"}
    return Arm(kind, seed, folder, history, logits, parameters(student))


def load_student(path: Path) -> keras.Model:
    """A saved student, in Keras' safe mode: nothing in the file is executed."""
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as e:
        raise UserError(
            f"{path}: not a student that can be loaded ({files.tail(str(e).strip() or type(e).__name__)})"
        ) from e


def choose(arms: list[Arm], metric: str) -> Arm:
    """The distilled student with the best dev score: what ``student.keras`` becomes."""
    return max((a for a in arms if a.kind == DISTILLED), key=lambda a: (a.history["best"], -a.seed))
