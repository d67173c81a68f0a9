"""Opens a finished run. This is the one way from a folder of train to its task, data, student, arms and signals.

run = FinishedRun.open("saved_models/sst2/run-1")
run.task.labels, run.kept_arm, run.data().dev
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kd_keras.common import files
from kd_keras.common.config import from_flagfile
from kd_keras.common.errors import UserError, did_you_mean
from kd_keras.common.layout import RunLayout
from kd_keras.common.places import local
from kd_keras.common.progress import say
from kd_keras.common.reading import STDIN, says_encoding
from kd_keras.common.seeds import rng
from kd_keras.distill.settings import BASELINE, DISTILLED
from kd_keras.tasks import Rows, Task, TaskData, TaskSettings, has_label, load_data, read_labelled
from kd_keras.tasks.conll import layout
from kd_keras.tasks.file_settings import AS_NAMED, FileSettings
from kd_keras.tasks.tagging_forms import form_of
from kd_keras.text.tokenizers import Tokenizer, load_tokenizer

if TYPE_CHECKING:
    import keras

# The name of the signals of a universal student's text.
SPLIT = "text"
_ADVICE = "--data_dir=DIR says where the data is now"
_FILE = "--data_file=FILE takes a labeled file instead"


@dataclass(frozen=True)
class FinishedRun:
    """What a run folder holds. Opening it imports nothing heavy. Opening its student imports only Keras.

    Attributes:
      layout: the run folder's.
      task: kind, labels and metrics.
      arm: the student that is used, if it is not the one that the run kept: a folder of RUN/arms.
    """

    layout: RunLayout
    task: Task
    arm: str | None = None

    @classmethod
    def open(cls, model_dir: str | Path, arm: str | None = None, flag: str = "--model_dir") -> FinishedRun:
        """The run in ``model_dir``. ``flag`` is the flag that named it.

        Raises:
          UserError: it is no folder of a finished run, or has no such arm.
        """
        layout = RunLayout(Path(local(model_dir, flag)))
        if not layout.root.is_dir():
            raise UserError(f"{flag}={model_dir}: no such folder")
        if arm and arm not in (known := layout.trained_arms()):
            raise UserError(
                f"--arm={arm}: {layout.arms} has no such trained student; expected one of: "
                f"{', '.join(known) or 'none'}.{did_you_mean(arm, known)}"
            )
        needed = (*(() if arm else (layout.student,)), layout.task, layout.tokenizer, layout.vocab)
        missing = [p.name for p in needed if not p.is_file()]
        if missing:
            shipped = f"; its files are --model={file}" if (file := layout.tflite / "dynamic.tflite").is_file() else ""
            raise UserError(
                f"{flag}={model_dir}: expected a finished run of train, but {', '.join(missing)} "
                f"{'is' if len(missing) == 1 else 'are'} missing{shipped}"
            )
        run = cls(layout, Task.from_json(files.read_json(layout.task)), arm)
        return dataclasses.replace(run, arm=None) if arm and arm == run.kept_arm else run

    @property
    def home(self) -> RunLayout:
        """The folder of the student and its exports: the run folder, or the arm's own."""
        return self.layout.of_arm(self.arm) if self.arm else self.layout

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The student's tokenizer."""
        return load_tokenizer(self.layout.vocab, self.layout.tokenizer)

    @cached_property
    def student_hash(self) -> str:
        """sha256 of student.keras. Exports keep it to know what they were made from."""
        return files.sha256_file(self.home.student)

    def student(self) -> keras.Model:
        """The Keras student. UserError if it does not fit its vocabulary."""
        from kd_keras.students.inference import load_student

        student = load_student(self.home.student)
        rows = student.get_layer("embeddings").input_dim
        if rows != len(self.tokenizer):
            raise UserError(
                f"{self.layout.vocab}: has {len(self.tokenizer):,} lines, but the student was trained with {rows:,}; "
                "use both from the same run"
            )
        return student

    @cached_property
    def metrics(self) -> Mapping[str, Any]:
        """metrics.json. Empty if it is missing or damaged."""
        try:
            found = files.read_json(self.layout.metrics) if self.layout.metrics.is_file() else {}
        except UserError:
            found = {}
        return found if isinstance(found, dict) else {}

    @property
    def kept_arm(self) -> str | None:
        """The arm that RUN/student.keras is. None if it is unknown."""
        if said := self.metrics.get("kept", {}).get("arm"):
            return said
        if self.layout.compression.is_file():
            return files.read_json(self.layout.compression).get("arm")
        if "chosen_seed" in self.metrics:  # an older run, which always kept a distilled student
            return self.layout.arm(DISTILLED, self.metrics["chosen_seed"]).name
        return None

    @cached_property
    def flags(self) -> str:
        """flags.txt. Empty if it is missing."""
        return self.layout.flags.read_text(encoding="utf-8") if self.layout.flags.is_file() else ""

    def files_like(self, path: str, how: FileSettings, gold: bool = False) -> FileSettings:
        """How to read the file ``path``: as ``how`` says, and in the run's own --encoding if ``how`` names none.

        A file whose bytes tell that they are UTF-8, or UTF-16, stays so. A tagging's words and tags (``gold``) are in
        the run's own columns, if the file has as many. A line says what was taken from the run.
        """
        own = from_flagfile(FileSettings, self.flags)
        file = STDIN if path == "-" else path
        if how.encoding == "auto" and own.encoding != "auto" and not says_encoding(file):
            say(f"{file}: read as {own.encoding}, as the run's own files were; --encoding=NAME names another encoding")
            how = dataclasses.replace(how, encoding=own.encoding)
        places = {"word_column": own.word_column, "tag_column": own.tag_column}
        last = max((n for n in places.values() if n), default=0)
        if not last or how.word_column or how.tag_column or not self.task.is_tagging or not Path(file).is_file():
            return how
        if form_of(file, how, gold=gold) != "columns" or layout(file, how, tags=False).width < last:
            return how
        said = " ".join(f"--{name}={n}" for name, n in places.items() if n)
        say(f"{file}: read with the run's own {said}; the same flags name other columns")
        return dataclasses.replace(how, **places)

    def data(self, data_dir: str | None = None, advice: str = _ADVICE) -> TaskData:
        """The rows that the run was trained on, found by its own flags.

        Args:
          data_dir: used instead of the run's own.
          advice: the end of every error.

        Raises:
          UserError: the data is gone, or differs from the run's.
        """
        for path in (self.layout.flags, self.layout.run):
            if not path.is_file():
                raise UserError(f"{self.layout.root}: has no {path.name}, so its data cannot be found; {advice}")
        settings = from_flagfile(TaskSettings, self.flags)
        kept = [path for split in ("train", "dev", "test") for path in self.layout.piped.glob(f"{split}.*")]
        piped = {f"{path.stem}_file": str(path) for path in kept}
        settings = dataclasses.replace(settings, **piped)
        if data_dir:
            settings = dataclasses.replace(settings, data_dir=data_dir)
        ways = [settings]
        if "--quoting=" not in self.flags:  # an older run read quotes in .tsv as text
            ways.append(dataclasses.replace(settings, quoting="none"))
        wanted, said = files.read_json(self.layout.run).get("data"), None
        for way in ways:
            try:
                data = load_data(way)
            except UserError as e:
                said = said or f"the run's data cannot be read ({e})"
                continue
            if data.fingerprint == wanted:
                return data
            said = said or f"{data.source}: is not the data that this run was trained on"
        raise UserError(f"{said}; {advice}")

    def dev_rows(
        self, data_dir: str | None = None, data_file: str | None = None, how: FileSettings = AS_NAMED
    ) -> tuple[str, Rows]:
        """The source of the rows, and the rows: the dev split, or ``data_file``, a labeled file.

        Raises:
          UserError: as in :meth:`data`; also if they have no labels.
        """
        if self.task.is_text:
            if data_file:
                raise UserError(f"--data_file={data_file}: a universal student is measured on its run's own text")
            return "the run's dev text", self._dev_text()
        if data_file:
            how = self.files_like(data_file, how, gold=self.task.is_tagging)
            source, rows = Path(data_file).name, read_labelled(data_file, self.task, files=how)
        else:
            source, rows = "dev split", self.data(data_dir, f"{_ADVICE}, {_FILE}").dev
        if not has_label(rows).any() or not any(rows.text):
            raise UserError(f"{source}: has no labeled text to measure on; give a labeled file by --data_file")
        return source, rows

    def _dev_text(self) -> Rows:
        """The texts that chose a universal student's weights. Their labels are the teacher's vectors."""
        from kd_keras.augment import transfer
        from kd_keras.teachers.signals import SignalStore

        path = self.layout.augmented("unlabeled")
        text = transfer.load(path, None, self.task.no_labels(0))
        if text is None or "rows" not in self.metrics:
            raise UserError(f"{self.layout.root}: has no {path.name} or no {self.layout.metrics.name} of pretrain")
        vectors = SignalStore(self.layout.signals(SPLIT)).read(text.rows).hidden
        _, dev = apart(len(text), self.metrics["rows"]["dev"])
        return dataclasses.replace(text.rows.take(dev), label=np.asarray(vectors[dev], np.float32))

    def teacher_logits(self, name: str, rows: Rows) -> np.ndarray:
        """float32[rows, outputs]: the teacher's logits for a split or transfer set, or the mean of several teachers."""
        from kd_keras.teachers import ensemble
        from kd_keras.teachers.signals import SignalStore

        folders = self.layout.every_signals(name) or [self.layout.signals(name)]  # if there are none, reading says so
        return ensemble.mean([SignalStore(folder).read(rows, with_hidden=False) for folder in folders]).logits


def apart(count: int, dev_rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Splits a universal student's text: rows to learn from, and at most a tenth that choose its weights.

    >>> [len(rows) for rows in apart(50, 2000)]
    [45, 5]
    """
    order, most = rng(0, "universal dev").permutation(count), max(2, min(dev_rows, count // 10))
    return np.sort(order[most:]), np.sort(order[:most])


def is_baseline(arm: str | None) -> bool:
    """Whether the arm of this name learned only from gold labels."""
    return arm is not None and arm.startswith(f"{BASELINE}-")
