"""The students of a run: planned as data, each trained in a folder of its own and found again when it is finished."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import keras
import numpy as np

from kd_keras.common import files
from kd_keras.common.config import key_of
from kd_keras.common.errors import UserError
from kd_keras.common.layout import RunLayout
from kd_keras.common.progress import say
from kd_keras.distill.inputs import Inputs
from kd_keras.distill.job import Job, Timings, seeds_of
from kd_keras.distill.objectives import HardLabels, HardScores, Objective, mixture
from kd_keras.distill.settings import BASELINE, DISTILLED
from kd_keras.distill.stages import DevSet, Stage, TrainingSet, predict, run_stage
from kd_keras.students.bilstm import build_student, parameters
from kd_keras.students.inputs import join_ids
from kd_keras.text.batches import steps_per_epoch


@dataclass(frozen=True)
class Plan:
    """A student that is to be trained, whatever its seed.

    Attributes:
      kind: "baseline" (gold labels) or "distilled".
      name: of its folder.
      title: for people.
      data: what it learns from.
      about: JSON-able, what ``data`` depend on.
    """

    kind: str
    name: str
    title: str
    data: TrainingSet
    about: dict


@dataclass(frozen=True)
class Arm:
    """A trained student.

    Attributes:
      plan: what it was to be.
      seed: of weights, dropout and batches.
      folder: holds student.keras and history.json.
      history: see ``stages.run_stage``.
      logits: split → float32[rows, classes].
      size: parameters with and without embeddings.
    """

    plan: Plan
    seed: int
    folder: Path
    history: dict
    logits: dict[str, np.ndarray]
    size: dict[str, int]

    @property
    def kind(self) -> str:
        return self.plan.kind

    @property
    def name(self) -> str:
        return f"{self.plan.name}-seed{self.seed}"


def training_set(job: Job, inputs: Inputs, sets: Sequence[str], source_labels: bool) -> TrainingSet:
    """The training rows, and with them the rows of transfer ``sets``.

    Args:
      source_labels: made rows have their source row's gold label, for plain training; else they have none.
    """
    train = job.data.train
    made = [inputs.transfer[name] for name in sets]
    label = [s.source_labels(train) if source_labels else s.rows.label for s in made]
    y = {
        "label": np.concatenate([train.label, *label]).astype(np.float32 if job.task.is_regression else np.int32),
        "teacher_logits": np.concatenate([inputs.signals[n].logits for n in ("train", *sets)]),
    }
    return TrainingSet(join_ids([inputs.ids[n] for n in ("train", *sets)]), y)


def main_arms(job: Job, inputs: Inputs) -> list[Plan]:
    """The baseline on the training rows' gold labels, and the distilled student on the whole transfer set."""
    plans = [plan(job, inputs, DISTILLED, list(inputs.transfer), DISTILLED)]
    if job.job.baseline:
        plans.insert(0, plan(job, inputs, BASELINE, [], BASELINE))
    return plans


def plan(job: Job, inputs: Inputs, kind: str, sets: Sequence[str], name: str) -> Plan:
    """An arm of ``kind`` on the training rows and the transfer ``sets``."""
    data = training_set(job, inputs, sets, source_labels=kind == BASELINE)
    about = {
        "data": job.data.fingerprint,
        "transfer": [inputs.signals[s].manifest["data"] for s in sets],
        "teacher": inputs.signals["train"].manifest["teacher"],
        "embeddings": hashlib.sha256(inputs.matrix.tobytes()).hexdigest()[:16],
    }
    title = "no distillation" if kind == BASELINE else "distilled"
    return Plan(kind, name, f"{title}, {' + '.join(sets)}" if sets else title, data, about)


def objectives_of(kind: str, job: Job) -> tuple[Objective, ...]:
    if kind == BASELINE:
        return (HardScores() if job.task.is_regression else HardLabels(),)
    return mixture(job.job.alpha, job.job.soft, job.job.temperature, job.task.is_regression)


def train_arms(job: Job, layout: RunLayout, inputs: Inputs, plans: Sequence[Plan], timings: Timings) -> list[Arm]:
    """The students of ``plans`` at every seed, finished ones found again.

    All make as many updates, and are scored on dev as often: as ``epochs`` over the largest set ask for.
    """
    dev = DevSet(inputs.ids["dev"], job.data.dev.label, job.task.metrics)
    largest = max(len(p.data) for p in plans)
    steps = max(1, round(steps_per_epoch(largest, job.train.batch_size) * job.train.epochs))
    rounds = max(1, round(job.train.epochs * job.train.evals_per_epoch))
    arms = []
    for seed in seeds_of(job.job):
        for p in plans:
            what = f"{p.title}, seed {seed}"
            with timings.step(f"student ({what})"):
                stage = Stage(p.kind, objectives_of(p.kind, job), p.data, steps, job.train.learning_rate, None, rounds)
                arms.append(_train(job, layout, inputs, p, stage, dev, seed, what))
    return arms


def _train(
    job: Job, layout: RunLayout, inputs: Inputs, plan: Plan, stage: Stage, dev: DevSet, seed: int, what: str
) -> Arm:  # fmt: skip
    folder = layout.arm(plan.name, seed)
    # JSON and back: what is read from disk has lists for tuples.
    key = files.hash_of(
        stage.describe(), asdict(job.train), key_of(job.student), inputs.tokenizer.fingerprint(), seed, plan.about
    )
    done, saved = folder / "history.json", folder / "student.keras"
    if done.is_file() and saved.is_file() and (found := files.read_json(done)).get("key") == key:
        student, history = load_student(saved), found
        say(f"student ({what}): found in {folder}")
    else:
        student = build_student(job.student, inputs.matrix, job.task.num_outputs, seed, job.task.is_pair)
        if job.task.is_regression:  # or the first updates only look for the scores' level
            student.get_layer("logits").bias.assign([float(np.nanmean(plan.data.y["label"]))])
        board = layout.tensorboard / folder.name if job.job.tensorboard else None
        history = run_stage(student, stage, dev, job.train, folder, seed, what, board)
        with files.atomic_path(saved) as temp:
            student.save(temp)
        history |= {"key": key, "stage": stage.describe()}
        files.write_json(done, history)
        (folder / "state.npz").unlink(missing_ok=True)
    logits = {split: predict(student, inputs.ids[split]) for split in inputs.splits if split != "train"}
    return Arm(plan, seed, folder, history, logits, parameters(student))


def load_student(path: Path) -> keras.Model:
    """A saved student, in Keras' safe mode: nothing in the file is executed."""
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as e:
        raise UserError(
            f"{path}: not a student that can be loaded ({files.tail(str(e).strip() or type(e).__name__)})"
        ) from e


def choose(arms: Sequence[Arm]) -> Arm:
    """The distilled student with the best dev score: what ``student.keras`` becomes."""
    return max((a for a in arms if a.kind == DISTILLED), key=lambda a: (a.history["best"], -a.seed))
