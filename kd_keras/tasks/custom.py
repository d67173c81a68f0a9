"""A user's own files as a task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kd_keras.common.errors import UserError
from kd_keras.common.files import require_file, tail
from kd_keras.tasks.readers import LabelReader, as_text, read_table
from kd_keras.tasks.records import Columns, Rows, Task
from kd_keras.tasks.tables import BadRows, missing_column, open_table


@dataclass(frozen=True)
class GivenFiles:
    """The files that flags name; a split without a file is None (dev is then drawn from train)."""

    files: tuple[tuple[str, str | None], ...]
    reads_data_dir = False

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
        labels = LabelReader(task.kind, task.labels, None)
        return read_table(path, task.columns, labels, bad, split, flags=True)


def custom(
    train_file: str,
    dev_file: str | None = None,
    test_file: str | None = None,
    text_column: str = "text",
    text_b_column: str | None = None,
    label_column: str = "label",
    labels: Sequence[str] | None = None,
) -> Task:
    """A classification task from .csv, .tsv or .jsonl files (.gz and .bz2 alike).

    Args:
      labels: their names in the order of the model's outputs; default: those of train, sorted (as numbers
        where all are whole numbers).

    Raises:
      UserError: a file is missing, or train has no such column or fewer than two labels.
    """
    for split, path in (("train", train_file), ("dev", dev_file), ("test", test_file)):
        if path is not None:
            require_file(path, f"--{split}_file")
    names = tuple(labels) if labels else _labels_of(train_file, label_column)
    if len(names) < 2:
        raise UserError(f"{train_file}, column {label_column!r}: expected two labels or more, found only {names[0]!r}")
    if len(set(names)) < len(names) or "" in names:
        raise UserError(f"--labels={','.join(names)}: expected different names with commas between")
    metrics = ("accuracy", "f1", "mcc") if len(names) == 2 else ("accuracy", "macro_f1", "mcc")
    return Task(
        name="custom",
        kind="pair" if text_b_column else "single",
        labels=names,
        metric="accuracy",
        metrics=metrics,
        sources=(GivenFiles((("train", train_file), ("dev", dev_file), ("test", test_file))),),
        columns=Columns((text_column,), text_b_column, label_column),
        description="your own files",
    )


def _labels_of(path: str, column: str) -> tuple[str, ...]:
    names, records = open_table(path, BadRows("skip"))  # bad rows are reported when the rows are read
    if column not in names:
        raise missing_column(path, column, names, "--label_column")
    found: set[str] = set()
    rows = 0
    for _, _, values in records:
        rows += 1
        label = as_text(values.get(column))
        if label:
            found.add(label)
    if not found:
        raise UserError(f"{path}, column {column!r}: expected labels, found none")
    if len(found) > 100 and len(found) > rows / 2:
        raise UserError(
            f"{path}, column {column!r}: {len(found):,} different labels in {rows:,} rows "
            f"({tail(', '.join(sorted(found)[:3]))}): is that the label column?"
        )
    try:
        return tuple(sorted(found, key=int))
    except ValueError:
        return tuple(sorted(found))
