"""Trains a student of a run in its own folder, and finds it again when it is finished."""

from __future__ import annotations

import contextlib
import math
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import keras
import numpy as np

from kd_keras.common import files
from kd_keras.common.artifacts import find
from kd_keras.common.claims import claimed
from kd_keras.common.config import key_of
from kd_keras.common.progress import say_above
from kd_keras.common.ragged import Ragged
from kd_keras.common.team import is_chief
from kd_keras.distill.loop import DevSet
from kd_keras.distill.recipes import stages, steadied, warmed
from kd_keras.distill.settings import DISTILLED, TrainSettings
from kd_keras.distill.stages import Stage, Training, run_stages, whole_rounds
from kd_keras.metrics.answers import sigmoid
from kd_keras.runs.given import answered
from kd_keras.runs.inputs import Inputs
from kd_keras.runs.job import Run
from kd_keras.runs.plans import Plan
from kd_keras.students.bilstm import build_student, parameters
from kd_keras.students.inference import load_student, predict, predict_tags
from kd_keras.students.thresholds import move_thresholds
from kd_keras.students.warm_start import warm_start
from kd_keras.tasks.scale import unscaled

# The files of an arm's folder that another run may use.
_PARTS = ("student.keras", "history.json")


@dataclass(frozen=True)
class Arm:
    """A trained student.

    Attributes:
      plan: its plan.
      seed: of weights, dropout and batches.
      folder: holds student.keras and history.json.
      history: see ``stages.run_stages``.
      logits: split → float32[rows, classes]; for a tagging task ragged rows of [words, tags].
      size: parameters with and without embeddings.
    """

    plan: Plan
    seed: int
    folder: Path
    history: dict
    logits: dict[str, np.ndarray | Ragged]
    size: dict[str, int]

    @property
    def kind(self) -> str:
        return self.plan.kind

    @property
    def name(self) -> str:
        return f"{self.plan.name}-seed{self.seed}"

    @property
    def updates(self) -> int:
        """Updates made in all stages. ``patience`` may have ended them early."""
        return self.history["epochs"][-1]["step"]

    @property
    def most_updates(self) -> int:
        """The updates that it makes if ``patience`` does not end it."""
        return sum(math.prod(whole_rounds(stage["steps"], stage["rounds"])) for stage in self.history["recipe"])


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
    """What all students of a run share. Workers get a copy of it, so it holds only data.

    Attributes:
      known: folders of students that this command has already trained or found. They are not announced again.
    """

    def __init__(self, run: Run, inputs: Inputs, dev: DevSet, train: TrainSettings):
        self.run, self.job, self.inputs, self.dev, self.settings = run, run.job, inputs, dev, train
        self.known: set[Path] = set()

    def folder(self, todo: Todo) -> Path:
        return self.run.layout.arm(todo.plan.name, todo.seed)

    def _stages(self, todo: Todo) -> tuple[Stage, ...]:
        plan = todo.plan
        steps = warmed(plan.recipe(), self.job.warm, self.job.task.is_tagging)
        if plan.kind == DISTILLED and self.job.steady and answered(self.dev.y["teacher_logits"]).all():
            steps = steadied(steps)
        return stages(steps, plan.data, plan.labelled, todo.updates, todo.rounds, self.settings.learning_rate)

    def _about(self, todo: Todo) -> list[dict]:
        return [stage.describe() for stage in self._stages(todo)]

    def _key(self, todo: Todo) -> str:
        # Through JSON, because what is read from disk has lists instead of tuples.
        job, tokenizer = self.job, self.inputs.tokenizer.fingerprint()
        return files.hash_of(
            self._about(todo), asdict(self.settings), key_of(job.student), tokenizer, todo.seed, todo.plan.about,
            *([job.task.learned_by()] if job.task.learned_by() else []),
        )  # fmt: skip

    def found(self, todo: Todo) -> dict | None:
        """The history of this student, if it is trained, here or in another run of the task."""
        key, mine = self._key(todo), self.folder(todo)
        others = (s.arms / name for s in self.run.siblings for name in s.trained_arms())
        what, aloud = f"student ({todo.what})", mine not in self.known
        history = find(what, mine, lambda place: finished(place, key), others, _PARTS, aloud)
        if history:
            self.known.add(mine)
        return history

    @contextlib.contextmanager
    def claim(self, todo: Todo, wait: bool = True) -> Iterator[bool]:
        """Inside, no other command trains this student; see :func:`claimed`."""
        if not is_chief():  # its chief has it
            yield True
            return
        with claimed(self.run.layout.claim(todo.plan.name, todo.seed), f"student ({todo.what})", wait) as mine:
            yield mine

    def trained(self, todo: Todo) -> tuple[int, float, float] | None:
        """Of one that is trained now: updates, best dev score and seconds; None if another command trains it."""
        with self.claim(todo, wait=False) as mine:
            if not mine:
                return None
            history = self.found(todo) or self.train(todo)[1]
        return history["epochs"][-1]["step"], history["best"], history["seconds"]

    def note(self, todo: Todo, done: tuple[int, float, float] | None) -> None:
        """Says what :meth:`trained` gave in another process."""
        if done is not None:
            updates, best, seconds = done
            self.known.add(self.folder(todo))
            say_above(f"{todo.what}: best dev {best:.4f}, {updates:,} updates, {seconds:.0f} s")

    def train(self, todo: Todo) -> tuple[keras.Model, dict]:
        """The trained student and its history. Both are then in its folder."""
        job, folder = self.job, self.folder(todo)
        task = job.task
        student = build_student(
            job.student, self.inputs.matrix, task.num_outputs, todo.seed, task.is_pair, task.is_tagging
        )
        if job.source is not None:
            warm_start(student, job.source.student())
        if job.task.is_regression:  # otherwise the first updates only find the scores' level
            student.get_layer("logits").bias.assign([float(np.nanmean(todo.plan.data.y["label"]))])
        board = self.run.layout.tensorboard / folder.name if job.job.tensorboard else None
        key = self._key(todo)
        training = Training(self.dev, self.settings, folder, todo.seed, todo.what, board, key)
        history = run_stages(student, self._stages(todo), training)
        if job.task.is_multilabel:
            history["thresholds"] = sigmoid(move_thresholds(student, self.dev.labels, self.dev.ids)).tolist()
        if task.scale is not None:
            head = student.get_layer("logits")
            head.set_weights(unscaled(task, *head.get_weights()))
        return student, keep(student, folder, history | {"key": key, "recipe": self._about(todo)})

    def arm(self, todo: Todo) -> Arm:
        """Finds the student, or trains it now. If another command trains it, this one waits and finds it."""
        folder = self.folder(todo)
        history, student = self.found(todo), None
        if history is None:
            with self.claim(todo):
                history = self.found(todo)
                if history is None:
                    student, history = self.train(todo)
        if student is None:
            student = load_student(folder / "student.keras")
        scored = [split for split in self.inputs.splits if split != "train"]
        logits = {split: self._asked(student, split) for split in scored}
        return Arm(todo.plan, todo.seed, folder, history, logits, parameters(student))

    def _asked(self, student: keras.Model, split: str) -> np.ndarray | Ragged:
        windows = self.inputs.windows.get(split)
        if windows is None:
            return predict(student, self.inputs.ids[split])
        return windows.rows(predict_tags(student, windows))


def keep(student: keras.Model, folder: Path, history: dict) -> dict:
    """Writes a student that has finished learning, and its history, which it returns. Then no state is needed."""
    with files.atomic_path(folder / "student.keras") as temp:
        student.save(temp)
    files.write_json(folder / "history.json", history)
    if not is_chief():
        return history
    (folder / "state.npz").unlink(missing_ok=True)
    for old in folder.glob("stage-*"):
        shutil.rmtree(old)
    return history


def finished(folder: Path, key: str) -> dict | None:
    """The history of the student of ``key`` in ``folder``, or None."""
    done = folder / "history.json"
    if not (done.is_file() and (folder / "student.keras").is_file()):
        return None
    history = files.read_json(done)
    return history if history.get("key") == key else None
