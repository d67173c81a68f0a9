"""The whole job: teacher → signals → student inputs → arms (baseline and distilled, each seed) → scores → report.

Every step finds what an earlier run of the same command finished, and goes on from there.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np

from kd_keras.augment.settings import AugmentSettings, UnlabeledSettings
from kd_keras.augment.tagging import check_tagger
from kd_keras.augment.unlabeled import check_unlabeled, split_like
from kd_keras.common import files
from kd_keras.common.config import AUTO, key_of
from kd_keras.common.errors import UserError
from kd_keras.common.layout import RunLayout, signals_in
from kd_keras.common.progress import say
from kd_keras.distill.settings import JobSettings, TrainSettings
from kd_keras.runs.auto import decided
from kd_keras.students.settings import StudentSettings, student_name
from kd_keras.tasks import Rows, Task, TaskData
from kd_keras.tasks.packages import has_imdb_reviews
from kd_keras.teachers import ensemble
from kd_keras.teachers.checkpoints import Checkpoint, find_checkpoint
from kd_keras.teachers.schedule import for_data
from kd_keras.teachers.settings import LabelSettings, TeacherSettings
from kd_keras.text.tokenizers import always_kept, read_vocab
from kd_keras.text.truncation import check_truncation

# Where to write, what to find and how many to train change no student.
_NO_SETTINGS = ("output_dir", "signals", "seed", "seeds", "baseline", "tensorboard", "parallel_students",
                "allow_weak_teacher")  # fmt: skip
# General text has many words that a task never sees; a phone's file need not hold them.
_GENERAL_VOCAB = 8_000


@dataclass(frozen=True)
class Job:
    """All settings of a run; ``test`` is for the final scores only and no training code sees it."""

    data: TaskData
    test: Rows | None
    teacher: TeacherSettings
    label: LabelSettings
    student: StudentSettings
    train: TrainSettings
    job: JobSettings
    augment: AugmentSettings = field(default_factory=AugmentSettings)
    unlabeled: UnlabeledSettings = field(default_factory=UnlabeledSettings)
    data_dir: str | None = None
    flags_text: str = ""
    on_bad_row: str = "stop"

    def __post_init__(self) -> None:
        """Decides what the task and its rows decide of ``job`` and ``augment``."""
        more = self.unlabeled.wanted or self.data.rest is not None
        job = decided(self.job, self.task)
        automatic = job.chosen and not self.task.is_pair and self.task.name == "custom" and not more
        unlabeled = self.unlabeled.decided(automatic and self.augment.augment == AUTO and has_imdb_reviews())
        unlabeled = split_like(unlabeled, self.task, self.data.train)
        student = self.student
        if unlabeled.unlabeled == "general" and student.vocab_size is None and student.tokenizer == "wordpiece":
            student = replace(student, vocab_size=_GENERAL_VOCAB)
        augment = self.augment.decided(len(self.data.train), automatic)
        for name, value in {"job": job, "unlabeled": unlabeled, "student": student, "augment": augment}.items():
            object.__setattr__(self, name, value)

    @property
    def task(self) -> Task:
        return self.data.task

    def key(self) -> dict:
        """The settings that make a run what it is; how many seeds it has is not among them."""
        rest = {} if self.data.rest is None else {"rest": self.data.rest.fingerprint()}
        teacher = for_data(self.teacher, find_checkpoint(self.teacher.teacher), self.data)
        return {
            "task": self.task.name,
            "data": self.data.fingerprint,
            **rest,
            "teacher": key_of(teacher, leave_out=("checkpoint_seconds",)),
            "augment": self.augment.key(),
            "unlabeled": asdict(self.unlabeled),
            "label": key_of(self.label),
            "student": key_of(self.student),
            "train": asdict(self.train),
            "job": key_of(self.job, leave_out=_NO_SETTINGS),
        }

    def splits(self) -> dict[str, Rows]:
        """Every labelled split by name; all but "train" are scored."""
        test = {"test": self.test} if self.test is not None else {}
        return {"train": self.data.train, "dev": self.data.dev, **self.data.extra, **test}

    def folder(self) -> Path:
        """The run folder: the given one, or one named after the settings."""
        if self.job.output_dir:
            return Path(self.job.output_dir)
        return Path("saved_models") / self.task.name / f"run-{files.hash_of(self.key(), length=8)}"


def check(job: Job) -> RunLayout:
    """Looks for what would stop the run later. Writes nothing.

    Raises:
      UserError: unknown teacher, output folder of another task or run, vectors that are missing, …
    """
    task, layout = job.task, RunLayout(job.folder())
    if task.kind == "tagging":
        raise UserError(f"task {task.name}: kind {task.kind} has no student yet; train takes sentences and pairs")
    job.label.check_machine()
    student_name(job.student, task.is_pair)
    check_truncation("teacher_truncation", job.teacher.teacher_truncation, task.name, task.is_pair)
    check_truncation("student_truncation", job.student.student_truncation, task.name, task.is_pair)
    if task.is_regression and job.job.soft == "kl":
        raise UserError(f"--soft=kl: task {task.name} is a regression, which has no distribution; take --soft=mse")
    if task.is_regression and job.job.recipe == "hard":
        raise UserError(f"--recipe=hard: task {task.name} is a regression, whose teacher gives no labels; take another")
    if job.job.ablate == "augmentation" and job.augment.augment != "none":
        raise UserError(f"--augment={job.augment.augment}: --ablate={job.job.ablate} tries every --augment by itself")
    if job.job.ablate == "augmentation" and job.unlabeled.wanted:
        raise UserError(
            "--unlabeled… with --ablate=augmentation: half of its students learn from labels alone, which unlabelled "
            "text does not have; add --unlabeled=none, or take --ablate=transfer_sizes"
        )
    unmixed = {"joint": "adds the labels' loss to that of the logits, each with weight 1",
               "hard": "follows the teacher's labels alone"}  # fmt: skip
    for name in job.job.recipes(task.is_regression):
        if job.job.alpha and name in unmixed:
            raise UserError(f"--alpha={job.job.alpha:g}: the recipe {name} {unmixed[name]}; leave --alpha out")
    if job.job.ablate == "recipes" and job.job.recipe != "soft":
        raise UserError(f"--recipe={job.job.recipe}: --ablate=recipes tries every recipe by itself")
    if job.job.ablate == "augmentation" and job.data.rest is not None:
        raise UserError(
            "--labels_per_class with --ablate=augmentation: half of its students learn from labels alone, which the "
            "other training rows do not have; leave one of the two out"
        )
    more = job.augment.augment != "none" or job.unlabeled.wanted or job.data.rest is not None
    if job.job.ablate == "transfer_sizes" and not more:
        raise UserError("--ablate=transfer_sizes: there is no transfer text; add --unlabeled=task, --augment=all, …")
    if any(job.job.sizes()) and not more:
        raise UserError(
            f"--transfer_sizes={job.job.transfer_sizes}: there is no transfer text to draw rows from; add "
            "--unlabeled=task, --augment=all, …"
        )
    if job.job.ablate == "augmentation" or job.augment.chance("pos"):
        check_tagger(job.augment.tagger)
    check_unlabeled(task, job.data_dir, job.unlabeled, job.on_bad_row)
    checkpoint = find_checkpoint(job.teacher.teacher)
    job.label.check_layer(checkpoint.layers)
    if job.student.tokenizer == "wordpiece":
        always_kept(read_vocab(checkpoint.vocab), job.student.vocab_size)
    if checkpoint.fine_tuned_for(task.name, job.data.fingerprint):
        checkpoint.check_reading(job.teacher)
    teachers = ensemble.checkpoints(checkpoint, task.name, job.data.fingerprint, job.teacher.teacher_seeds)
    if job.job.signals is not None:
        _check_signals(job, Path(job.job.signals), teachers)
    job.student.width()  # looks into --vectors
    if layout.root.is_file():
        raise UserError(f"--output_dir={layout.root}: is a file, expected a folder")
    if layout.task.is_file():
        other = files.read_json(layout.task).get("name")
        if other != task.name:
            raise UserError(
                f"--output_dir={layout.root}: holds a run of task {other!r}, not {task.name!r}; choose another"
            )
    if layout.run.is_file():
        # run.json was JSON once, so tuples compare as lists.
        files.refuse_other(layout.root, "run", files.read_json(layout.run), json.loads(json.dumps(job.key())))
    elif layout.root.is_dir() and any(layout.root.iterdir()):
        raise UserError(f"--output_dir={layout.root}: is not empty and holds no run of train; choose another folder")
    if not checkpoint.fine_tuned_for(task.name, job.data.fingerprint):
        checkpoint.check_length(job.teacher.teacher_max_length or task.max_length)
    return layout


def _check_signals(job: Job, folder: Path, teachers: list[Checkpoint]) -> None:
    """Refuses signals of another teacher or of other data before anything is trained."""
    from kd_keras.teachers.signals import SignalStore

    if not teachers[0].fine_tuned_for(job.task.name, job.data.fingerprint):
        raise UserError(
            f"--signals={folder}: needs the teacher that made them, as --teacher=RUN/teacher; "
            f"--teacher={teachers[0].name} is not fine-tuned for this task and data"
        )
    pairs = ((split, number) for split in ("train", "dev") for number in range(1, len(teachers) + 1))
    for split, number in pairs:
        manifest, rows = SignalStore(signals_in(folder, split, number)).verify(), job.splits()[split]
        here = teachers[number - 1].manifest()["fingerprint"]
        if manifest["teacher"] != here:
            said = "; ".join(files.differences(manifest["teacher"], here))
            raise UserError(f"--signals={folder}: {split} has signals from another teacher ({said})")
        if manifest["data"] != rows.fingerprint():
            raise UserError(f"--signals={folder}: {split} has signals of other data than this run's")


class Timings:
    """Wall time of each step, added up over resumed runs."""

    def __init__(self, path: Path):
        self.path = path
        self.seconds: dict[str, float] = files.read_json(path) if path.is_file() else {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        started = time.monotonic()
        try:
            yield
        finally:
            took = time.monotonic() - started
            if took > 1 or name not in self.seconds:  # finding a finished step again is no work
                self.seconds[name] = round(self.seconds.get(name, 0.0) + took, 1)
                files.write_json(self.path, self.seconds)


def run(job: Job) -> dict:
    """Everything; returns what ``metrics.json`` holds.

    Raises:
      UserError: see :func:`check`; a full disk; signals that do not fit.
    """
    layout = check(job)
    with files.disk_errors(layout.root):
        layout.root.mkdir(parents=True, exist_ok=True)
    files.write_json(layout.run, job.key())
    files.write_json(layout.task, job.task.to_json())
    files.write_text(layout.labels, "".join(f"{name}\n" for name in job.task.labels))
    files.write_text(layout.flags, job.flags_text)
    say("\n".join([f"run folder: {layout.root}", f"data: {job.data.source}", *job.data.notes]))
    timings = Timings(layout.timings)

    if job.job.ablate == "augmentation":
        from kd_keras.runs.augmentation_grid import run_ablation

        return run_ablation(job, layout, timings)
    from kd_keras.runs.inputs import prepare, rest_set, transfer_sets, unlabeled_set
    from kd_keras.runs.report import write_report
    from kd_keras.runs.students import choose, main_arms, train_arms

    sets = rest_set(job) | transfer_sets(job, layout, [job.augment.augment], timings)
    if job.unlabeled.wanted:
        sets["unlabeled"] = unlabeled_set(job, layout, timings)
    inputs = prepare(job, layout, sets, timings)
    if job.job.ablate in ("recipes", "transfer_sizes"):
        from kd_keras.runs.recipe_grid import run_recipe_grid

        return run_recipe_grid(job, layout, inputs, timings)
    arms = train_arms(job, layout, inputs, main_arms(job, inputs), timings)
    chosen = choose(arms)
    files.link_or_copy(chosen.folder / "student.keras", layout.student)
    files.write_json(layout.history, {arm.name: arm.history for arm in arms})
    return write_report(job, layout, inputs, arms, chosen, timings.seconds)


def sibling_runs(layout: RunLayout, task: str) -> list[RunLayout]:
    """Other run folders of the same task, where a teacher or signals may be found again."""
    places = {layout.root.resolve().parent, (Path("saved_models") / task).resolve()}
    runs = [p for place in sorted(places) if _readable(place) for p in sorted(place.iterdir())]
    return [RunLayout(p) for p in runs if _readable(p) and p.resolve() != layout.root.resolve()]


def _readable(folder: Path) -> bool:
    """Other people's folders may lie beside a run (/tmp)."""
    return folder.is_dir() and os.access(folder, os.R_OK | os.X_OK)


def seeds_of(settings: JobSettings) -> list[int]:
    return list(range(settings.seed, settings.seed + settings.seeds))


def mean_and_spread(values: list[float]) -> tuple[float, float]:
    """Mean and sample standard deviation (0 for a single value)."""
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
