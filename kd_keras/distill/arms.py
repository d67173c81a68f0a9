"""The students of a run: planned as data, each trained in a folder of its own and found again when it is finished."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import keras
import numpy as np

from kd_keras.common import files
from kd_keras.common.config import key_of
from kd_keras.common.errors import UserError
from kd_keras.common.layout import RunLayout
from kd_keras.common.progress import say
from kd_keras.common.seeds import rng
from kd_keras.distill.inputs import Inputs
from kd_keras.distill.job import Job, Timings, seeds_of
from kd_keras.distill.loop import DevSet, predict
from kd_keras.distill.recipes import Step, baseline, recipe, stages
from kd_keras.distill.settings import BASELINE, DISTILLED, JobSettings
from kd_keras.distill.stages import Stage, TrainingSet, run_stages
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
      recipe: makes its steps; called once a student, as a projection belongs to one.
      data: what it learns from.
      labelled: the rows of ``data`` with gold labels.
      about: JSON-able, what ``data`` depend on.
    """

    kind: str
    name: str
    title: str
    recipe: Callable[[], tuple[Step, ...]]
    data: TrainingSet
    labelled: TrainingSet
    about: dict


@dataclass(frozen=True)
class Arm:
    """A trained student.

    Attributes:
      plan: what it was to be.
      seed: of weights, dropout and batches.
      folder: holds student.keras and history.json.
      history: see ``stages.run_stages``.
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


def training_set(
    job: Job, inputs: Inputs, sets: Sequence[str], source_labels: bool = False, limit: int | None = None
) -> TrainingSet:
    """The training rows, and with them the rows of transfer ``sets``.

    Args:
      source_labels: made rows have their source row's gold label, for plain training; else they have none.
      limit: at most so many rows of ``sets``, a draw of which a smaller one is part.
    """
    train, names = job.data.train, ("train", *sets)
    made = [inputs.transfer[name] for name in sets]
    label = [s.source_labels(train) if source_labels else s.rows.label for s in made]
    y = {
        "label": np.concatenate([train.label, *label]).astype(np.float32 if job.task.is_regression else np.int32),
        "teacher_logits": np.concatenate([inputs.signals[n].logits for n in names]),
    }
    if job.job.needs_hidden:
        y["teacher_hidden"] = np.concatenate([inputs.signals[n].hidden for n in names])
    data = TrainingSet(join_ids([inputs.ids[n] for n in names]), y)
    if limit is None or limit >= len(data) - len(train):
        return data
    drawn = rng(0, "transfer sizes").permutation(len(data) - len(train))[:limit]
    return data.take(np.concatenate([np.arange(len(train)), len(train) + np.sort(drawn)]))


def main_arms(job: Job, inputs: Inputs) -> list[Plan]:
    """The baseline on the training rows' gold labels, and the distilled student on the whole transfer set."""
    plans = [plan(job, inputs, DISTILLED, list(inputs.transfer), DISTILLED)]
    if job.job.baseline:
        plans.insert(0, plan(job, inputs, BASELINE, [], BASELINE))
    return plans


def plan(
    job: Job,
    inputs: Inputs,
    kind: str,
    sets: Sequence[str],
    name: str,
    settings: JobSettings | None = None,
    limit: int | None = None,
    title: str | None = None,
) -> Plan:
    """An arm of ``kind`` on the training rows and the transfer ``sets``.

    Args:
      settings: whose recipe it follows; the job's own if not given.
      limit: see :func:`training_set`.
    """
    data = training_set(job, inputs, sets, kind == BASELINE, limit)
    about = {
        "data": job.data.fingerprint,
        "transfer": [inputs.signals[s].manifest["data"] for s in sets],
        "limit": limit,
        "teacher": inputs.signals["train"].manifest["teacher"],
        "embeddings": hashlib.sha256(inputs.matrix.tobytes()).hexdigest()[:16],
    }
    regression = job.task.is_regression
    hidden = inputs.signals["train"].hidden
    units = 0 if hidden is None else hidden.shape[1]
    follow = partial(recipe, settings or job.job, regression, units)
    steps = partial(baseline, regression) if kind == BASELINE else follow
    title = title or ("no distillation" if kind == BASELINE else "distilled")
    title = f"{title}, {' + '.join(sets)}" if sets else title
    return Plan(kind, name, title, steps, data, training_set(job, inputs, []), about)


def train_arms(job: Job, layout: RunLayout, inputs: Inputs, plans: Sequence[Plan], timings: Timings) -> list[Arm]:
    """The students of ``plans`` at every seed, finished ones found again.

    All make as many updates, and are scored on dev as often: as ``epochs`` over the largest set ask for.
    """
    signals = inputs.signals["dev"]
    y = {"label": job.data.dev.label, "teacher_logits": signals.logits}
    if signals.hidden is not None:
        y["teacher_hidden"] = signals.hidden
    dev = DevSet(inputs.ids["dev"], job.data.dev.label, job.task.metrics, y)
    largest = max(len(p.data) for p in plans)
    updates = max(1, round(steps_per_epoch(largest, job.train.batch_size) * job.train.epochs))
    rounds = max(1, round(job.train.epochs * job.train.evals_per_epoch))
    arms = []
    for seed in seeds_of(job.job):
        for p in plans:
            what = f"{p.title}, seed {seed}"
            with timings.step(f"student ({what})"):
                todo = partial(_stages, p, updates, rounds, job.train.learning_rate)
                arms.append(_train(job, layout, inputs, p, todo, dev, seed, what))
    return arms


def _stages(plan: Plan, updates: int, rounds: int, learning_rate: float) -> tuple[Stage, ...]:
    return stages(plan.recipe(), plan.data, plan.labelled, updates, rounds, learning_rate)


def _train(
    job: Job,
    layout: RunLayout,
    inputs: Inputs,
    plan: Plan,
    todo: Callable[[], tuple[Stage, ...]],
    dev: DevSet,
    seed: int,
    what: str,
) -> Arm:
    folder = layout.arm(plan.name, seed)
    about = [stage.describe() for stage in todo()]
    # JSON and back: what is read from disk has lists for tuples.
    key = files.hash_of(about, asdict(job.train), key_of(job.student), inputs.tokenizer.fingerprint(), seed, plan.about)
    done, saved = folder / "history.json", folder / "student.keras"
    if done.is_file() and saved.is_file() and (found := files.read_json(done)).get("key") == key:
        student, history = load_student(saved), found
        say(f"student ({what}): found in {folder}")
    else:
        student = build_student(job.student, inputs.matrix, job.task.num_outputs, seed, job.task.is_pair)
        if job.task.is_regression:  # or the first updates only look for the scores' level
            student.get_layer("logits").bias.assign([float(np.nanmean(plan.data.y["label"]))])
        board = layout.tensorboard / folder.name if job.job.tensorboard else None
        history = run_stages(student, todo(), dev, job.train, folder, seed, what, board)
        with files.atomic_path(saved) as temp:
            student.save(temp)
        history |= {"key": key, "recipe": about}
        files.write_json(done, history)
        (folder / "state.npz").unlink(missing_ok=True)
        for old in folder.glob("stage-*"):
            shutil.rmtree(old)
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
