"""What a run is: all its settings, its folder, and the time of its steps."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path

from kd_keras.augment.settings import AugmentSettings, UnlabeledSettings
from kd_keras.augment.unlabeled import UnlabeledText, split_like
from kd_keras.common import files, packages
from kd_keras.common.config import AUTO, key_of
from kd_keras.common.layout import RunLayout
from kd_keras.distill.settings import NEED_HIDDEN, RECIPES, RecipeSettings, TrainSettings
from kd_keras.pipelines.settings import ClusterSettings
from kd_keras.runs.auto import decided, rounds
from kd_keras.runs.finished import FinishedRun
from kd_keras.runs.settings import NOT_IN_KEY, JobSettings
from kd_keras.students.settings import LAST, StudentSettings, WarmSettings, shape_of
from kd_keras.tasks import Rows, Task, TaskData
from kd_keras.tasks.file_settings import AS_NAMED, FileSettings
from kd_keras.tasks.packages import has_imdb_reviews
from kd_keras.teachers.checkpoints import Checkpoint, find_checkpoint
from kd_keras.teachers.given import Given, read_given
from kd_keras.teachers.schedule import for_data
from kd_keras.teachers.settings import WORD, LabelSettings, TeacherSettings
from kd_keras.text.tokenizers import always_kept

# General text has many words that a task never sees. A phone's file does not need them.
_GENERAL_VOCAB = 8_000


@dataclass(frozen=True)
class Job:
    """All settings of a run. ``test`` is only for the final scores; no training code sees it."""

    data: TaskData
    test: Rows | None
    teacher: TeacherSettings
    label: LabelSettings
    student: StudentSettings
    train: TrainSettings
    job: JobSettings
    recipe: RecipeSettings = field(default_factory=RecipeSettings)
    augment: AugmentSettings = field(default_factory=AugmentSettings)
    unlabeled: UnlabeledSettings = field(default_factory=UnlabeledSettings)
    data_dir: str | None = None
    flags_text: str = ""
    on_bad_row: str = "stop"
    files: FileSettings = AS_NAMED
    warm: WarmSettings = field(default_factory=WarmSettings)
    cluster: ClusterSettings = field(default_factory=ClusterSettings)
    automatic: bool = field(default=False, init=False)  # whether the text beyond the training rows is

    def __post_init__(self) -> None:
        """Sets what follows from the task, its rows, the checkpoint and another student."""
        given = self.job.teacher_signals is not None
        more = self.unlabeled.wanted or self.data.rest is not None or given
        recipe = decided(self.recipe, self.task, self.job.ablate, given)
        pair = self.task.is_pair
        automatic = self.task.name == "custom" and not self.task.is_tagging
        automatic &= not more and self.job.ablate == "none" and self.augment.augment == AUTO
        text = packages.installed("sklearn") if pair else has_imdb_reviews()
        unlabeled = self.unlabeled.decided(automatic and recipe.alpha < 1 and text, pair)
        unlabeled = split_like(unlabeled, self.task, self.data.train)
        student = self.student
        if self.source is not None:
            said = files.read_json(self.source.layout.run)
            other = {**said.get("student", {})}
            if said.get("target", {}).get("unit"):
                other["sentence_size"] = said["target"]["vector_size"]
            if self.task.is_tagging:  # a tagger has no pooling
                other |= {"pooling": LAST, "sentence_size": 0}
            student = shape_of(student, other, self.warm.student_from)
        lent = self.lends and student.vocab_size is None and not given
        if unlabeled.unlabeled == "general" and lent and self._can_cut:
            student = replace(student, vocab_size=_GENERAL_VOCAB)
        varied = automatic
        if varied and self.augment.tagger == "hanta":
            varied = not packages.say_left_out("augmentation", "augment", "HanTa")
        augment = self.augment.decided(len(self.data.train), varied)
        found = {"recipe": recipe, "unlabeled": unlabeled, "student": student, "augment": augment}
        for name, value in (found | {"automatic": automatic}).items():
            object.__setattr__(self, name, value)
        if given:  # there is no teacher to set; check refuses settings that are about one
            return
        own_text = bool(unlabeled.unlabeled_files) or self.data.rest is not None
        count = rounds(self.teacher, self.task, len(self.data.train), own_text and self.job.ablate == "none")
        if count == 2 and self.teacher.teacher_rounds == AUTO:  # what is finished learns no more
            count -= self.checkpoint.fine_tuned_for(self.task.name, self.data.fingerprint)
        object.__setattr__(self, "teacher", replace(self.teacher, teacher_rounds=count))
        if self.needs_hidden and self.label.hidden == "none" and self.task.is_tagging:
            object.__setattr__(self, "label", replace(self.label, hidden=WORD))
        elif self.needs_hidden and self.label.hidden == "none":  # then what the teacher's own classifier reads
            given = self.teacher.teacher_pooling
            pooling = self.checkpoint.pooling if given == AUTO else given
            object.__setattr__(self, "label", replace(self.label, hidden=pooling))

    @property
    def task(self) -> Task:
        return self.data.task

    @cached_property
    def source(self) -> FinishedRun | None:
        """The run that ``--student_from`` names."""
        given = self.warm.student_from
        return None if given is None else FinishedRun.open(given, flag="--student_from")

    @property
    def recipes(self) -> list[str]:
        """The recipes that are trained. A regression cannot follow the teacher's labels."""
        if self.job.ablate != "recipes":
            return [self.recipe.recipe]
        return [r for r in RECIPES if not (r == "hard" and self.task.is_regression)]

    @property
    def needs_hidden(self) -> bool:
        """Whether the teacher's sentence vectors must be stored."""
        return any(r in NEED_HIDDEN for r in self.recipes)

    @property
    def steady(self) -> bool:
        """Whether the dev loss chooses among a distilled student's weights if dev does not tell them apart."""
        return self.train.epochs == AUTO and not self.task.is_tagging

    @cached_property
    def checkpoint(self) -> Checkpoint:
        """The checkpoint that ``--teacher`` names."""
        return find_checkpoint(self.teacher.teacher)

    @cached_property
    def given(self) -> Given | None:
        """The files of ``--teacher_signals``. UserError if they cannot be read."""
        if self.job.teacher_signals is None:
            return None
        paths = [p.strip() for p in self.job.teacher_signals.split(",") if p.strip()]
        rest = [] if self.data.rest is None else [self.data.rest]
        return read_given(paths, self.task, [*self.splits().values(), *rest], self.files, self.on_bad_row)

    @property
    def lends(self) -> bool:
        """Whether the student takes its pieces or its first embeddings from ``checkpoint``."""
        return self.source is None and self.student.tokenizer == "wordpiece"

    @property
    def _can_cut(self) -> bool:
        """Whether the teacher's characters leave place for words in the vocabulary that general text gets."""
        text = self.checkpoint.text
        least = always_kept(text.pieces, None, self.student.vocab_characters) if text.is_wordpiece else []
        return len(least) < _GENERAL_VOCAB // 2

    @property
    def unlabeled_text(self) -> UnlabeledText:
        """The unlabeled text of the flags, if there is any."""
        train = self.data.train if self.task.is_pair else None
        return UnlabeledText(self.task, self.unlabeled, self.data_dir, self.on_bad_row, self.files, train)

    def key(self) -> dict:
        """The settings that a run's results depend on. The number of seeds is left out."""
        rest = {} if self.data.rest is None else {"rest": self.data.rest.fingerprint()}
        if self.given is not None:
            teacher = {"given": self.given.fingerprint}
        else:
            teacher = key_of(for_data(self.teacher, self.checkpoint, self.data), leave_out=("checkpoint_seconds",))
        return {
            "task": self.task.name,
            "data": self.data.fingerprint,
            **self.task.learned_by(),
            **rest,
            "teacher": teacher,
            "augment": self.augment.key(),
            "unlabeled": asdict(self.unlabeled),
            "label": key_of(self.label),
            "student": key_of(self.student),
            **(self.warm.key(self.source.student_hash) if self.source is not None else {}),
            "train": asdict(self.train),
            "job": key_of(self.recipe) | key_of(self.job, leave_out=NOT_IN_KEY),
        }

    def splits(self) -> dict[str, Rows]:
        """Every labeled split by name. All but "train" are scored."""
        test = {"test": self.test} if self.test is not None else {}
        return {"train": self.data.train, "dev": self.data.dev, **self.data.extra, **test}

    def folder(self) -> Path:
        """The run folder: the given one, or one named after the settings."""
        if self.job.output_dir:
            return Path(self.job.output_dir)
        return Path("saved_models") / self.task.name / f"run-{files.hash_of(self.key(), length=8)}"


def begin(layout: RunLayout, key: dict, task: Task, flags_text: str) -> None:
    """Writes what a run folder has of its job: settings, task, labels, flags."""
    with files.disk_errors(layout.root):
        layout.root.mkdir(parents=True, exist_ok=True)
    files.write_json(layout.run, key)
    files.write_json(layout.task, task.to_json())
    files.write_text(layout.labels, "".join(f"{name}\n" for name in task.labels))
    files.write_text(layout.flags, flags_text)


class Timings:
    """Wall time of each step, summed over resumed runs."""

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
            if took > 1 or name not in self.seconds:  # finding a finished step again does not count
                self.seconds[name] = round(self.seconds.get(name, 0.0) + took, 1)
                files.write_json(self.path, self.seconds)


@dataclass(frozen=True)
class Run:
    """A job in its folder, as every step gets it."""

    job: Job
    layout: RunLayout
    timings: Timings

    @classmethod
    def of(cls, job: Job) -> Run:
        layout = RunLayout(job.folder())
        return cls(job, layout, Timings(layout.timings))

    @property
    def task(self) -> Task:
        return self.job.task

    @cached_property
    def siblings(self) -> list[RunLayout]:
        """Other runs of the task, whose results may be used again."""
        return self.layout.siblings(self.task.name)

    @cached_property
    def splits(self) -> dict[str, Rows]:
        """See :meth:`Job.splits`."""
        return self.job.splits()
