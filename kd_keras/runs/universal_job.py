"""What a run of pretrain is, and what can be refused before TensorFlow is imported."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path

from kd_keras.augment.settings import UnlabeledSettings
from kd_keras.augment.unlabeled import UnlabeledText, check_unlabeled, documents, named_files
from kd_keras.common import files, packages
from kd_keras.common.config import AUTO, key_of
from kd_keras.common.errors import UserError
from kd_keras.common.layout import RunLayout
from kd_keras.distill.settings import TrainSettings
from kd_keras.pipelines.settings import ClusterSettings
from kd_keras.runs.check import check_folder, check_same_text
from kd_keras.runs.job import Timings
from kd_keras.runs.universal_settings import NOT_IN_KEY, TOKENS, UniversalSettings
from kd_keras.students.settings import LAST, StudentSettings
from kd_keras.tasks import Rows, Task, TaskData, custom, get, load, load_test
from kd_keras.tasks.file_settings import AS_NAMED, FileSettings
from kd_keras.tasks.tables import SKIP_HINT, BadRows
from kd_keras.teachers.checkpoints import Checkpoint, find_checkpoint
from kd_keras.teachers.settings import LabelSettings, TargetSettings
from kd_keras.text.tokenizers import always_kept
from kd_keras.text.truncation import HEAD

NAME = "universal"


@dataclass(frozen=True)
class UniversalJob:
    """All settings of a run of pretrain."""

    universal: UniversalSettings
    label: LabelSettings
    target: TargetSettings
    student: StudentSettings
    train: TrainSettings
    unlabeled: UnlabeledSettings = field(default_factory=UnlabeledSettings)
    flags_text: str = ""
    on_bad_row: str = "stop"
    files: FileSettings = AS_NAMED
    cluster: ClusterSettings = field(default_factory=ClusterSettings)

    def __post_init__(self) -> None:
        """Sets what follows from the checkpoint."""
        if self.label.hidden == AUTO:
            object.__setattr__(self, "label", replace(self.label, hidden=self.checkpoint.pooling))
        object.__setattr__(self, "target", self.target.of_teacher(self.checkpoint.width))
        text = self.unlabeled
        if text.unlabeled == AUTO:
            text = replace(text, unlabeled="none" if text.unlabeled_files else "general")
        object.__setattr__(self, "unlabeled", text.for_task(NAME))

    @cached_property
    def checkpoint(self) -> Checkpoint:
        """The checkpoint that ``--teacher`` names."""
        return find_checkpoint(self.universal.teacher)

    @property
    def task(self) -> Task:
        """The task record that the run folder keeps."""
        return Task(
            NAME, "text", (), "neighbours", ("neighbours", "cosine"), max_length=self.universal.teacher_max_length,
            vector_size=self.target.vector_size,
        )  # fmt: skip

    @property
    def learns_states(self) -> bool:
        """Whether the student learns each word's state as well as the text's vector."""
        return TOKENS in self.universal.loss_weights(self.target.unit)

    @property
    def text(self) -> UnlabeledText:
        return UnlabeledText(self.task, self.unlabeled, None, self.on_bad_row, self.files)

    @property
    def updates_given(self) -> bool:
        """Whether the flags give updates, instead of passes over the text."""
        return self.train.epochs == AUTO

    def training(self) -> TrainSettings:
        """The training settings, with a number for every auto."""
        rate = 1.0 if self.train.optimizer == "adadelta" else 2e-3
        return replace(self.train, learning_rate=rate if self.train.learning_rate == AUTO else self.train.learning_rate)

    def key(self) -> dict:
        """The settings that a run's results depend on."""
        return {
            "task": NAME,
            "text": asdict(self.unlabeled),
            "label": key_of(self.label),
            "target": key_of(self.target),
            "student": key_of(self.student),
            "train": asdict(self.train),
            "universal": key_of(self.universal, leave_out=NOT_IN_KEY),
        }

    def folder(self) -> Path:
        """The run folder: the given one, or one named after the settings."""
        if self.universal.output_dir:
            return Path(self.universal.output_dir)
        return Path("saved_models") / NAME / f"run-{files.hash_of(self.key(), length=8)}"


@dataclass(frozen=True)
class UniversalRun:
    """A job in its folder.

    Attributes:
      tried: the data of ``--tasks`` by name.
      held_out: dev and test texts, which must not be learned from.
    """

    job: UniversalJob
    layout: RunLayout
    timings: Timings
    tried: dict[str, TaskData]
    held_out: Rows

    @cached_property
    def siblings(self) -> list[RunLayout]:
        """Other runs of pretrain, whose results may be used again."""
        return self.layout.siblings(NAME)


def _held_out(job: UniversalJob, tried: Iterable[TaskData], tests: Iterable[Rows | None]) -> Rows:
    rows = [r for data in tried for r in (data.dev, *data.extra.values())] + [r for r in tests if r is not None]
    texts = [text for r in rows for part in (r.text, r.text_b or ()) for text in part]
    if job.universal.held_out_files:
        named_files(job.universal.held_out_files, "--held_out_files")
        own = replace(job.unlabeled, unlabeled="none", unlabeled_files=job.universal.held_out_files)
        texts += documents(replace(job.text, settings=own), BadRows(job.on_bad_row, SKIP_HINT))[1]
    return Rows([f"held-out-{n}" for n in range(len(texts))], texts, None, job.task.no_labels(len(texts)))


def _check_states(job: UniversalJob) -> None:
    """Checks that teacher and student find the same words in a text and have a state for each."""
    flag = f"--losses={job.universal.losses}: tokens"
    if not job.checkpoint.text.is_wordpiece:
        raise UserError(f"{flag}: needs words in common, but {job.checkpoint.name} has no WordPiece; leave it out")
    if job.student.pooling == LAST:
        raise UserError(f"{flag}: needs a state of each token; use --pooling=mean or max")
    if job.student.student_truncation != HEAD:
        raise UserError(f"{flag}: counts words from a text's head; use --student_truncation=head")
    if job.universal.token_size > (width := job.checkpoint.width):
        raise UserError(f"--token_size={job.universal.token_size}: the teacher's states have only {width} numbers")


def check(job: UniversalJob) -> UniversalRun:
    """Returns the run that the job may start. Writes nothing.

    Raises:
      UserError: unknown teacher or task, output folder of another run, missing text, …
    """
    folders = job.universal.task_folders()
    # A file is a custom task. load draws its dev split as train does.
    files_of = {name: path for name, path in folders.items() if path and Path(path).is_file()}
    tasks = {name: custom(files_of[name]) if name in files_of else get(name) for name in folders}
    folders = {name: None if name in files_of else path for name, path in folders.items()}
    if tagging := [name for name, task in tasks.items() if task.is_tagging]:
        raise UserError(f"--tasks={tagging[0]}: tags words, but a vector describes a whole text; leave it out")
    job.cluster.check()
    if job.universal.tensorboard:
        packages.require("--tensorboard", "plots", "tensorboard")
    packages.say_left_out("plots", "plots", "matplotlib")
    job.label.check_machine()
    job.label.check_layer(job.checkpoint.layers)
    job.checkpoint.check_length(job.universal.teacher_max_length)
    if job.checkpoint.text.is_wordpiece:
        always_kept(job.checkpoint.text.pieces, job.student.vocab_size, job.student.vocab_characters)
    if job.learns_states:
        _check_states(job)
    check_unlabeled(job.text)
    layout = RunLayout(job.folder())
    check_folder(layout, NAME, job.key(), "pretrain")
    check_same_text(layout, job.unlabeled)
    tried = {name: load(task, folders[name], job.on_bad_row) for name, task in tasks.items()}
    tests = [load_test(task, folders[name], job.on_bad_row) for name, task in tasks.items()]
    return UniversalRun(job, layout, Timings(layout.timings), tried, _held_out(job, tried.values(), tests))
