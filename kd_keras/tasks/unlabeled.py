"""Unlabeled text of a task, as documents, for ``--unlabeled=task``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from kd_keras.common.errors import UserError
from kd_keras.common.files import sha256_file, utf8_lines
from kd_keras.common.places import local
from kd_keras.tasks.packages import imdb_reviews
from kd_keras.tasks.records import Task, without_breaks


@dataclass(frozen=True)
class TaskText:
    """Unlabeled text.

    Attributes:
      about: its description.
      documents: the documents in order.
      version: returns a JSON-able value that changes with the text.
    """

    about: str
    documents: Iterator[str]
    version: Callable[[], Any]


def _packaged_reviews(data_dir: str | None) -> TaskText:
    """IMDB reviews of an installed package. They are about films, like sst2 and rotten_tomatoes."""
    name, reviews = imdb_reviews()
    about = f"{len(reviews):,} IMDB reviews of the installed package {name}"
    return TaskText(about, iter(reviews), lambda: about)


def _imdb_unsupervised(data_dir: str | None) -> TaskText:
    """aclImdb's train/unsup, or unlabeled.txt (one review a line; .gz too)."""
    root = Path(local(data_dir, "--data_dir") if data_dir else ".")
    for name in ("unlabeled.txt", "unlabeled.txt.gz"):
        path = root / name
        if data_dir and path.is_file():
            lines = (without_breaks(line).strip() for line in utf8_lines(path))
            return TaskText(str(path), lines, partial(sha256_file, path))
    for folder in (root / "train" / "unsup", root / "aclImdb" / "train" / "unsup"):
        if data_dir and folder.is_dir():
            found = sorted(folder.glob("*.txt"))
            reviews = (without_breaks("".join(utf8_lines(p))).strip() for p in found)
            return TaskText(str(folder), reviews, partial(_names_and_sizes, found))
    raise UserError(
        "--unlabeled=task: task imdb needs --data_dir=DIR with train/unsup/*.txt or unlabeled.txt (one review a line)"
    )


def _names_and_sizes(paths: list[Path]) -> list:
    return [[p.name, p.stat().st_size] for p in paths]


_DEFAULTS: dict[str, Callable[[str | None], TaskText]] = {
    "rotten_tomatoes": _packaged_reviews,
    "sst2": _packaged_reviews,
    "imdb": _imdb_unsupervised,
}


def task_documents(task: Task, data_dir: str | None) -> TaskText:
    """The task's own unlabeled text.

    Raises:
      UserError: the task has none, or it is not on this machine.
    """
    if task.name not in _DEFAULTS:
        raise UserError(
            f"--unlabeled=task: task {task.name} has no unlabeled text of its own "
            f"(those that have: {', '.join(sorted(_DEFAULTS))}); name files with --unlabeled_files"
        )
    return _DEFAULTS[task.name](data_dir)


def general_documents() -> TaskText:
    """General English sentences from installed packages. Raises UserError if none is installed."""
    return _packaged_reviews(None)
