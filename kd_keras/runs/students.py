"""The students of a run: planned as data, each trained in a folder of its own and found again when it is finished."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import keras
import numpy as np

from kd_keras.common import files
from kd_keras.common.columns import JoinedArray
from kd_keras.common.config import key_of
from kd_keras.common.errors import UserError
from kd_keras.common.layout import RunLayout
from kd_keras.common.machine import cpus
from kd_keras.common.progress import say
from kd_keras.common.seeds import rng
from kd_keras.distill.loop import DevSet
from kd_keras.distill.recipes import Step, baseline, recipe, stages
from kd_keras.distill.settings import BASELINE, DISTILLED, JobSettings
from kd_keras.distill.stages import Stage, TrainingSet, run_stages, whole_rounds
from kd_keras.runs import auto
from kd_keras.runs.inputs import Inputs
from kd_keras.runs.job import Job, Timings, seeds_of, sibling_runs
from kd_keras.students.bilstm import build_student, parameters
from kd_keras.students.inference import load_student, predict
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

    @property
    def updates(self) -> int:
        """Made, in all stages; ``patience`` may have ended them early."""
        return self.history["epochs"][-1]["step"]

    @property
    def most_updates(self) -> int:
        """What it makes where ``patience`` does not end it."""
        return sum(math.prod(whole_rounds(stage["steps"], stage["rounds"])) for stage in self.history["recipe"])


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
        y["teacher_hidden"] = JoinedArray([inputs.signals[n].hidden for n in names])
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
    data: TrainingSet | None = None,
) -> Plan:
    """An arm of ``kind`` on the training rows and the transfer ``sets``.

    Args:
      settings: whose recipe it follows; what suits the job's teacher if not given.
      limit: see :func:`training_set`.
      data: what that gives, where another arm has it already.
    """
    if data is None:
        data = training_set(job, inputs, sets, kind == BASELINE, limit)
    about = {
        "data": job.data.fingerprint,
        "transfer": [inputs.signals[s].manifest["data"] for s in sets],
        "limit": limit,
        "teacher": inputs.signals["train"].manifest["teacher"],
        "embeddings": inputs.matrix_key,
    }
    regression = job.task.is_regression
    hidden = inputs.signals["train"].hidden
    units = 0 if hidden is None else hidden.shape[1]
    follow = partial(recipe, settings or inputs.how or job.job, regression, units, job.task.class_weights)
    steps = partial(baseline, regression, job.task.class_weights) if kind == BASELINE else follow
    title = title or ("no distillation" if kind == BASELINE else "distilled")
    title = f"{title}, {' + '.join(sets)}" if sets else title
    return Plan(kind, name, title, steps, data, training_set(job, inputs, []), about)


def train_arms(job: Job, layout: RunLayout, inputs: Inputs, plans: Sequence[Plan], timings: Timings) -> list[Arm]:
    """The students of ``plans`` at every seed, finished ones found again.

    All make as many updates as ``epochs`` over the largest set ask for, if ``patience`` does not end them before, and
    are scored on dev as often, but that each stage of a recipe has one score at least.
    """
    signals = inputs.signals["dev"]
    y = {"label": job.data.dev.label, "teacher_logits": signals.logits}
    if signals.hidden is not None:
        y["teacher_hidden"] = np.asarray(signals.hidden)
    dev = DevSet(inputs.ids["dev"], job.data.dev.label, job.task.metrics, y)
    largest = max(len(p.data) for p in plans)
    train = auto.training(job.train, largest)
    updates = max(1, round(steps_per_epoch(largest, train.batch_size) * train.epochs))
    rounds = max(1, round(train.epochs * train.evals_per_epoch))
    todo = [Todo(p, seed, updates, rounds) for seed in seeds_of(job.job) for p in plans]
    trainer = Trainer(replace(job, train=train), layout, inputs, dev)
    if (workers := min(job.job.parallel_students, cpus(), len(todo))) > 1:
        from kd_keras.runs.parallel import train_side_by_side

        train_side_by_side(trainer, todo, workers, timings)
    arms = []
    for each in todo:
        with timings.step(f"student ({each.what})"):
            arms.append(trainer.arm(each))
    return arms


@dataclass(frozen=True)
class Todo:
    """A student that is to be trained."""

    plan: Plan
    seed: int
    updates: int
    rounds: int

    @property
    def what(self) -> str:
        return f"{self.plan.title}, seed {self.seed}"


class Trainer:
    """What all students of a run have in common. Workers get a copy of it, so it holds data only.

    Attributes:
      known: folders of students that this very command has trained, which need no word when they are found.
    """

    def __init__(self, job: Job, layout: RunLayout, inputs: Inputs, dev: DevSet):
        self.job, self.layout, self.inputs, self.dev = job, layout, inputs, dev
        self.known: set[Path] = set()
        self.siblings = sibling_runs(layout, job.task.name)

    def folder(self, todo: Todo) -> Path:
        return self.layout.arm(todo.plan.name, todo.seed)

    def _stages(self, todo: Todo) -> tuple[Stage, ...]:
        plan = todo.plan
        return stages(plan.recipe(), plan.data, plan.labelled, todo.updates, todo.rounds, self.job.train.learning_rate)

    def _about(self, todo: Todo) -> list[dict]:
        return [stage.describe() for stage in self._stages(todo)]

    def _key(self, todo: Todo) -> str:
        # JSON and back: what is read from disk has lists for tuples.
        job, tokenizer = self.job, self.inputs.tokenizer.fingerprint()
        return files.hash_of(
            self._about(todo), asdict(job.train), key_of(job.student), tokenizer, todo.seed, todo.plan.about,
            *([job.task.learned_by()] if job.task.learned_by() else []),
        )  # fmt: skip

    def found(self, todo: Todo) -> dict | None:
        """The history of the very student, if it is trained, here or in another run of the task (it is linked)."""
        key, mine = self._key(todo), self.folder(todo)
        for folder in (mine, *(s.arms / name for s in self.siblings for name in s.trained_arms())):
            history = _finished(folder, key)
            if history and folder != mine:
                shutil.rmtree(mine, ignore_errors=True)  # another student's, or half of one
                for name in ("student.keras", "history.json"):
                    files.link_or_copy(folder / name, mine / name)
                say(f"student ({todo.what}): the same one was trained before ({folder}); it is taken from there")
                self.known.add(mine)
            if history:
                return history
        return None

    def train(self, todo: Todo) -> tuple[keras.Model, dict]:
        """The student, trained to its end, and its history; both are in its folder then."""
        job, folder = self.job, self.folder(todo)
        student = build_student(job.student, self.inputs.matrix, job.task.num_outputs, todo.seed, job.task.is_pair)
        if job.task.is_regression:  # or the first updates only look for the scores' level
            student.get_layer("logits").bias.assign([float(np.nanmean(todo.plan.data.y["label"]))])
        board = self.layout.tensorboard / folder.name if job.job.tensorboard else None
        key = self._key(todo)
        history = run_stages(student, self._stages(todo), self.dev, job.train, folder, todo.seed, todo.what, board, key)
        with files.atomic_path(folder / "student.keras") as temp:
            student.save(temp)
        history |= {"key": key, "recipe": self._about(todo)}
        files.write_json(folder / "history.json", history)
        (folder / "state.npz").unlink(missing_ok=True)
        for old in folder.glob("stage-*"):
            shutil.rmtree(old)
        return student, history

    def arm(self, todo: Todo) -> Arm:
        """Found again, or trained now."""
        folder = self.folder(todo)
        if history := self.found(todo):
            student = load_student(folder / "student.keras")
            if folder not in self.known:
                say(f"student ({todo.what}): found in {folder}")
        else:
            student, history = self.train(todo)
        scored = [split for split in self.inputs.splits if split != "train"]
        logits = {split: predict(student, self.inputs.ids[split]) for split in scored}
        return Arm(todo.plan, todo.seed, folder, history, logits, parameters(student))


def _finished(folder: Path, key: str) -> dict | None:
    """The history of the student of ``key`` in ``folder``, or None."""
    done = folder / "history.json"
    if not (done.is_file() and (folder / "student.keras").is_file()):
        return None
    try:
        history = files.read_json(done)
    except UserError:
        return None
    return history if history.get("key") == key else None


def choose(arms: Sequence[Arm]) -> Arm:
    """The student with the best dev score, with or without distillation: what ``student.keras`` becomes."""
    return max(arms, key=lambda a: (a.history["best"], a.kind == DISTILLED, -a.seed))
