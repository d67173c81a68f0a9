"""A user's own files as a task."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from kd_keras.common.errors import UserError
from kd_keras.common.files import atomic_path, require_file, tail
from kd_keras.common.reading import is_stream, open_raw
from kd_keras.tasks.cells import read_label, read_labels
from kd_keras.tasks.columns import Columns
from kd_keras.tasks.dialect import format_of
from kd_keras.tasks.file_settings import AS_NAMED, FileSettings
from kd_keras.tasks.label_names import check_labels, doubtful
from kd_keras.tasks.label_readers import LabelReader, reader_for
from kd_keras.tasks.readers import Reading, read_table
from kd_keras.tasks.records import Task
from kd_keras.tasks.rows import Rows
from kd_keras.tasks.tables import BadRows, check_column, open_table


@dataclass(frozen=True)
class GivenFiles:
    """The files that the flags name. A split without a file is None; dev is then drawn from train."""

    files: tuple[tuple[str, str | None], ...]
    how: FileSettings = AS_NAMED
    reads_data_dir = False

    @classmethod
    def of(cls, train: str, dev: str | None, test: str | None, how: FileSettings) -> Self:
        """Raises UserError if a file is missing."""
        files = (("train", train), ("dev", dev), ("test", test))
        for split, path in files:
            if path is not None:
                require_file(path, f"--{split}_file")
        return cls(files, how)

    def here(self, task: Task, data_dir: str | None) -> str | None:
        return ", ".join(f"--{split}_file={path}" for split, path in self.files if path)

    def reachable(self, task: Task, data_dir: str | None) -> str | None:
        return self.here(task, data_dir)

    def hint(self, task: Task) -> str:
        return "--train_file=FILE"

    def notes(self, task: Task) -> list[str]:
        return []

    def load(self, task: Task, split: str, data_dir: str | None, bad: BadRows) -> Rows | None:
        path = dict(self.files).get(split)
        if path is None:
            return None
        require_file(path, f"--{split}_file")
        labels = reader_for(task)
        rows = read_table(path, task.columns, labels, bad, split, Reading(flags=True, files=self.how))
        for note in [] if task.is_regression else doubtful(labels.seen, labels.read):
            bad.remark(f"{path}, column {task.columns.label!r}: {note}")
        return rows


def keep_pipes(task: Task, folder: Path) -> None:
    """Writes what the task's pipes gave to ``folder``, as train.csv and so on. Files are not copied."""
    for source in task.sources:
        for split, path in source.files if isinstance(source, GivenFiles) else ():
            if path is not None and is_stream(path):
                with (
                    atomic_path(folder / f"{split}.{format_of(path, source.how)}") as temp,
                    open_raw(path) as given,
                    open(temp, "wb") as kept,
                ):
                    shutil.copyfileobj(given, kept)


def custom(
    train_file: str,
    dev_file: str | None = None,
    test_file: str | None = None,
    columns: Columns = Columns(),  # noqa: B008, it is frozen
    labels: Sequence[str] | None = None,
    regression: bool = False,
    files: FileSettings = AS_NAMED,
) -> Task:
    """A task from .csv, .tsv or .jsonl files, plain or packed, or from pipes.

    Args:
      columns: the columns of text and label. A second text makes it a task of pairs.
      labels: their names in the order of the model's outputs. By default the labels of train, sorted; whole numbers by
        value.
      regression: the label column is a number, and the model learns it as a score.
      files: encoding, delimiter, quoting and format.

    Raises:
      UserError: a file is missing, the settings conflict, or train lacks a column or has fewer than two labels.
    """
    sources = (GivenFiles.of(train_file, dev_file, test_file, files),)
    _check_columns(columns)
    if regression:
        if labels:
            raise UserError(
                f"--labels={','.join(labels)}: --regression learns a number and has no labels; leave out one of the two"
            )
        return Task("custom", "regression", (), "pearson", ("pearson", "spearman"), sources, columns, "your own files")
    if columns.labels and labels:
        raise UserError(
            f"--labels={','.join(labels)}: --label_columns names the labels already; leave out one of the two"
        )
    names = columns.labels or tuple(labels or ()) or _labels_of(train_file, columns, files)
    check_labels(names)
    if len(names) < 2:
        flag = "--label_columns" if columns.labels else "--labels"
        raise UserError(f"{flag}={names[0]}: expected two labels or more")
    if len(set(names)) < len(names) or "" in names:
        raise UserError(f"--labels={','.join(names)}: expected different names, separated by commas")
    if columns.many_labels:
        metrics = ("micro_f1", "macro_f1", "exact_match")
        return Task("custom", "multilabel", names, "micro_f1", metrics, sources, columns, "your own files")
    metrics = ("accuracy", "f1", "mcc") if len(names) == 2 else ("accuracy", "macro_f1", "mcc")
    kind = "pair" if columns.text_b else "single"
    return Task("custom", kind, names, "accuracy", metrics, sources, columns, "your own files")


def _check_columns(columns: Columns) -> None:
    label = "--label_columns" if columns.labels else "--label_column"
    given = [*(("--text_column", name) for name in columns.text), ("--text_b_column", columns.text_b),
             *((label, name) for name in columns.gold())]  # fmt: skip
    flags: dict[str, str] = {}
    for flag, name in given:
        if name is not None and name in flags:
            raise UserError(f"{flag}={name}: {flags[name]} names this column too; expected two different columns")
        if name is not None:
            flags[name] = flag


def _labels_of(path: str, columns: Columns, how: FileSettings) -> tuple[str, ...]:
    column, most = columns.label, 0
    bad = BadRows("skip")  # bad rows are reported when the rows are read, unless they hide a label
    names, records = open_table(path, bad, how=how)
    own_keys = format_of(path, how) == "jsonl"  # each line has its own, and the first may be a bad row
    if not own_keys:
        check_column(path, column, names, "--label_column")
    found: set[str] = set()
    rows = 0
    for _, line, values in records:
        rows += 1
        if columns.many_labels:
            written = read_labels(path, line, values, columns, bad) or []
        else:
            written = [read_label(path, line, values, column, bad) or ""]
        labels = {label.strip() for label in written} - {""}
        most = max(most, len(labels))
        found |= labels
    if own_keys and not found:
        check_column(path, column, names, "--label_column")
    if len(found) < 2 and bad.count:  # the bad row is the problem, not the number of labels
        others = f"the other rows have only the label {next(iter(found))!r}" if found else "no other row has a label"
        raise UserError(f"{bad.first[0]} ({others})")
    if not found:
        raise UserError(f"{path}, column {column!r}: expected labels, found none")
    if len(found) < 2:
        raise UserError(f"{path}, column {column!r}: expected two labels or more, found only {next(iter(found))!r}")
    if columns.many_labels and most < 2:
        raise UserError(
            f"{path}, column {column!r}: no row has two labels: --label_separator={columns.separator!r} is in none of "
            "them; name another separator, or leave out --multilabel if each text has one label"
        )
    if len(found) > 100 and len(found) > rows / 2:
        number = LabelReader("regression", (), None)
        hint = "" if any(number.read(f) is None for f in found) else " --regression learns numbers."
        raise UserError(
            f"{path}, column {column!r}: {len(found):,} different labels in {rows:,} rows "
            f"({tail(', '.join(sorted(found)[:3]))}): is that the label column?{hint}"
        )
    try:
        return tuple(sorted(found, key=lambda name: (int(name), name)))
    except ValueError:
        return tuple(sorted(found))
