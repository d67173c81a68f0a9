"""Reads data sets in their official file layouts, below ``--data_dir``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kd_keras.common.errors import UserError
from kd_keras.common.files import tail, utf8_lines
from kd_keras.common.reading import PACKED, open_bytes
from kd_keras.tasks.carve import carve
from kd_keras.tasks.dialect import table_format
from kd_keras.tasks.file_settings import AS_NAMED, OFFICIAL
from kd_keras.tasks.label_readers import reader_for
from kd_keras.tasks.readers import Reading, read_table
from kd_keras.tasks.records import Task, without_breaks
from kd_keras.tasks.rows import Rows
from kd_keras.tasks.tables import BadRows


def _what_is_in(folder: Path) -> str:
    names = sorted(p.name + ("/" if p.is_dir() else "") for p in folder.iterdir())
    return tail(", ".join(names), 120) or "nothing"


@dataclass(frozen=True)
class DataDir:
    """Base of the sources that read ``--data_dir``.

    Attributes:
      layout: the layout's name, for the report.
      expected: the files, for errors.
      folders: subfolders of the official archive, where the files may also be.
    """

    layout: str
    expected: str
    folders: tuple[str, ...] = ()
    reads_data_dir = True

    def here(self, task: Task, data_dir: str | None) -> str | None:
        return f"--data_dir={data_dir} ({self.layout})" if data_dir is not None else None

    def reachable(self, task: Task, data_dir: str | None) -> str | None:
        return self.here(task, data_dir)

    def hint(self, task: Task) -> str:
        return f"--data_dir=DIR with {self.expected} ({self.layout})"

    def notes(self, task: Task) -> list[str]:
        return []

    def _find(self, data_dir: str, names: Sequence[str], required: bool) -> Path | None:
        """The first of ``names`` (plain or packed) in the folder or a subfolder of the archive."""
        root = Path(data_dir)
        if not root.is_dir():
            raise UserError(f"--data_dir={data_dir}: no such folder")
        for folder in (root, *(root / f for f in self.folders)):
            for name in names:
                for packed in ("", *PACKED):
                    path = folder / (name + packed)
                    if path.exists():
                        return path
        if required:
            raise UserError(
                f"--data_dir={data_dir}: has no {' or '.join(names)}; expected {self.expected} "
                f"({self.layout}), found {_what_is_in(root)}"
            )
        return None


@dataclass(frozen=True)
class TableDir(DataDir):
    """One table for each split.

    Attributes:
      splits: pairs (split, names of its file). train and dev are required. A name without a known format (SICK's .txt)
        is a TSV.
      official_header: whether the files have a header with the task's columns.
    """

    splits: tuple[tuple[str, tuple[str, ...]], ...] = ()
    official_header: bool = True

    def load(self, task: Task, split: str, data_dir: str | None, bad: BadRows) -> Rows | None:
        names = dict(self.splits).get(split)
        path = self._find(data_dir or "", names, required=split in ("train", "dev")) if names else None
        if path is None:
            return None
        self._check_classes(task, path.parent)
        labels = reader_for(task, task.columns.label_base)
        form = table_format(path) or "tsv"
        return read_table(
            path,
            task.columns,
            labels,
            bad,
            split,
            Reading(
                header=None if self.official_header else False,
                form=form,
                files=OFFICIAL if form == "tsv" else AS_NAMED,
                clean=task.clean,
            ),
        )

    @staticmethod
    def _check_classes(task: Task, folder: Path) -> None:
        """Raises UserError if ``classes.txt`` has other classes, as this is then another data set."""
        path = folder / "classes.txt"
        if not path.is_file():
            return
        found = [line.strip() for line in utf8_lines(path) if line.strip()]
        if [f.lower() for f in found] != [n.lower() for n in task.labels]:
            raise UserError(
                f"{path}: expected the classes of {task.name} ({', '.join(task.labels)}), "
                f"found {tail(', '.join(found), 100)}"
            )


@dataclass(frozen=True)
class ReviewFolders(DataDir):
    """aclImdb: train/neg/*.txt, train/pos/*.txt, test/…; ids come from the file names.

    Maas et al. 2011, "Learning Word Vectors for Sentiment Analysis". If the folder has a train.tsv (columns label,
    text) instead, this is read.
    """

    def _table(self) -> TableDir:
        return TableDir(
            self.layout,
            self.expected,
            self.folders,
            splits=(("train", ("train.tsv", "train.csv")), ("test", ("test.tsv", "test.csv"))),
        )

    def load(self, task: Task, split: str, data_dir: str | None, bad: BadRows) -> Rows | None:
        if split == "dev":
            return None
        root = self._find(data_dir or "", [f"{split}/neg"], required=False)
        if root is None:
            if split == "test" or self._table()._find(data_dir or "", ["train.tsv", "train.csv"], False):
                return self._table().load(task, split, data_dir, bad)
            self._find(data_dir or "", ["train/neg", "train.tsv"], required=True)
        ids, text, label = [], [], []
        for index, name in enumerate(("neg", "pos")):
            folder = root.parent / name
            files = sorted(folder.glob("*.txt")) if folder.is_dir() else []
            if not files:
                raise UserError(f"{folder}: expected reviews (*.txt), found none")
            for path in files:
                review = without_breaks("".join(utf8_lines(path))).strip()
                if not review:
                    bad.report(f"{path}: expected a review, found an empty file")
                    continue
                ids.append(f"{split}-{name}/{path.stem}")
                text.append(review)
                label.append(index)
        return Rows(ids, text, None, np.asarray(label, np.int32))


@dataclass(frozen=True)
class SentencePolarity(DataDir):
    """rt-polarity.pos and rt-polarity.neg, one sentence a line (Pang and Lee 2005).

    There is no official split. Fixed seeds draw a tenth for test, and a tenth of the rest for dev. The official files
    are Latin-1; files converted to UTF-8 work too.
    """

    def load(self, task: Task, split: str, data_dir: str | None, bad: BadRows) -> Rows | None:
        if split == "dev":
            return None
        ids, text, label = [], [], []
        for index, name in enumerate(("neg", "pos")):
            path = self._find(data_dir or "", [f"rt-polarity.{name}"], required=True)
            with open_bytes(path) as f:
                raw = f.read()
            try:
                content = raw.decode("utf-8")
            except UnicodeDecodeError:
                content = raw.decode("latin-1")
            lines = content.removesuffix("\n").split("\n") if content.strip() else []
            if not lines:
                raise UserError(f"{path}: the file is empty")
            for number, line in enumerate(lines):
                if not line.strip():
                    bad.report(f"{path}, line {number + 1}: expected a sentence, found an empty line")
                    continue
                ids.append(f"train-{name}-{number}")
                text.append(line.strip())
                label.append(index)
        train, test = carve(Rows(ids, text, None, np.asarray(label, np.int32)), 0.1, task.name, "test")
        return train if split == "train" else test

    def notes(self, task: Task) -> list[str]:
        return ["test: 10% of the sentences, drawn with a fixed seed"]
