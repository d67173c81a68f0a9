"""Defines a task and the sources of its rows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from kd_keras.common.errors import UserError
from kd_keras.common.files import hash_of
from kd_keras.common.ragged import Ragged
from kd_keras.tasks.columns import Columns
from kd_keras.tasks.label_names import label_fault
from kd_keras.tasks.rows import Rows, no_tags

_BREAKS = re.compile(r"(?:<br\s*/?>\s*)+", re.IGNORECASE)


def without_breaks(text: str) -> str:
    """Replaces IMDB's ``<br />`` by a space."""
    return _BREAKS.sub(" ", text)


KINDS = ("single", "pair", "regression", "multilabel", "tagging", "text")


class BadRowSink(Protocol):
    def report(self, message: str) -> None: ...

    def leave_out(self, where: str) -> None: ...


class Source(Protocol):
    """A possible source of a task's data. ``load`` returns None for a split that it does not have."""

    reads_data_dir: bool

    def here(self, task: Task, data_dir: str | None) -> str | None:
        """A sentence for the report if this source works now without a network, else None."""

    def reachable(self, task: Task, data_dir: str | None) -> str | None:
        """As ``here``, but it may look for a network (at most 3 s)."""

    def hint(self, task: Task) -> str:
        """What the user must do so that this source works."""

    def load(self, task: Task, split: str, data_dir: str | None, bad: BadRowSink) -> Rows | None:
        """Rows of "train", "dev", "test", or one of the task's extra splits."""

    def notes(self, task: Task) -> list[str]:
        """Notes for the report about data from this source."""


@dataclass(frozen=True)
class Task:
    """A task as a declarative record: what to learn.

    Attributes:
      name: its name in the registry, or "custom".
      kind: "single" | "pair" | "regression" | "multilabel", the last two with one text or two; or "tagging"; or "text",
        where only the teacher's vectors of plain text are learned.
      labels: label names; the index of a name is the label, or its column, in :class:`Rows`. A regression has none. A
        tagging task has O, then B and I of each entity type (IOB2): "O", "B-LOC", "I-LOC", "B-ORG", …
      metric: the dev metric that selects weights.
      metrics: the metrics to report.
      sources: sources of its data, in the order in which they are tried.
      columns: the columns of text and label in a labeled file.
      dev_fraction: share of train that becomes dev if there is no official dev split.
      max_length: default length of the teacher's input, in word pieces; for a pair, of both texts together.
      extra_splits: more labeled splits to score, if the source has them ("dev_mismatched").
      class_weights: the weight of each label's rows in the loss of gold labels, 1 on average. With several labels a
        text, the weight of a row that has the label; a row without it has 1. None: all weights are 1.
      chosen_metric: whether ``metric`` is not the task's own, because the user chose it or classes are uneven.
      vector_size: for kind "text", the size of the vectors.
      scale: mean and standard deviation of a regression's scores, on which models learn (``kd_keras.tasks.scale``).
        None: they learn the scores as they are.
    """

    name: str
    kind: str
    labels: tuple[str, ...]
    metric: str = "accuracy"
    metrics: tuple[str, ...] = ("accuracy",)
    sources: tuple[Source, ...] = ()
    columns: Columns = field(default_factory=Columns)
    description: str = ""
    dev_fraction: float = 0.1
    max_length: int = 128
    extra_splits: tuple[str, ...] = ()
    class_weights: tuple[float, ...] | None = None
    chosen_metric: bool = False
    vector_size: int = 0
    scale: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"task {self.name!r}: kind {self.kind!r} is none of {KINDS}")
        if self.metric not in self.metrics:
            raise ValueError(f"task {self.name!r}: metric {self.metric!r} is not in its metrics")
        if len(set(self.labels)) != len(self.labels):
            raise ValueError(f"task {self.name!r}: a label is listed twice")
        if (self.kind == "pair" and not self.is_pair) or (self.kind == "single" and self.is_pair):
            raise ValueError(f"task {self.name!r}: kind {self.kind!r}, but columns.text_b is {self.columns.text_b!r}")
        if fault := next((f"{name!r} {fault}" for name in self.labels if (fault := label_fault(name))), None):
            raise ValueError(f"task {self.name!r}: the label {fault}")
        if self.is_regression and self.labels:
            raise ValueError(f"task {self.name!r}: a regression has no labels")
        if self.is_text != bool(self.vector_size) or (self.is_text and self.labels):
            raise ValueError(f"task {self.name!r}: kind 'text' alone has a vector_size and no labels")
        if self.is_tagging and self.labels != iob2(self.types):
            raise ValueError(f"task {self.name!r}: labels {self.labels}: expected O, then B- and I- of each type")

    @property
    def clean(self) -> Callable[[str], str] | None:
        """Takes the data set's own markup out of a text, in whatever file it stands. None: there is none."""
        return without_breaks if self.name == "imdb" else None

    @property
    def is_pair(self) -> bool:
        """Whether a row has two texts."""
        return self.columns.text_b is not None

    @property
    def is_regression(self) -> bool:
        """Whether the label is a score instead of a class."""
        return self.kind == "regression"

    @property
    def is_multilabel(self) -> bool:
        """Whether a text may have any number of labels, each decided by itself."""
        return self.kind == "multilabel"

    @property
    def is_tagging(self) -> bool:
        """Whether each word of a text has its own label."""
        return self.kind == "tagging"

    @property
    def is_text(self) -> bool:
        """Whether vectors of plain text are learned, for later tasks."""
        return self.kind == "text"

    @property
    def types(self) -> tuple[str, ...]:
        """The types of entities that a tagging task finds."""
        return tuple(name.removeprefix("B-") for name in self.labels[1::2]) if self.is_tagging else ()

    def no_labels(self, count: int) -> np.ndarray | Ragged:
        """``count`` missing labels, as in :class:`Rows`."""
        if self.is_tagging:
            return no_tags(count)
        if self.is_regression:
            return np.full(count, np.nan, np.float32)
        return np.full((count, len(self.labels)) if self.is_multilabel else count, -1, np.int32)

    def rows(self, texts: Sequence[str], texts_b: Sequence[str] | None = None, prefix: str = "row") -> Rows:
        """Texts as rows without labels, with ids "row-0", "row-1", …"""
        ids = [f"{prefix}-{n}" for n in range(len(texts))]
        return Rows(ids, list(texts), None if texts_b is None else list(texts_b), self.no_labels(len(ids)))

    def learned_by(self) -> dict[str, Any]:
        """For keys: the metric that selects, class weights and scale, if they are not the task's own."""
        return {
            **({"metric": self.metric} if self.chosen_metric else {}),
            **({"class_weights": list(self.class_weights)} if self.class_weights else {}),
            **({"scale": list(self.scale)} if self.scale else {}),
        }

    def selected_by(self, metric: str) -> Task:
        """The same task with another dev metric."""
        if metric == self.metric:
            return self
        return replace(self, metric=metric, metrics=tuple(dict.fromkeys([metric, *self.metrics])), chosen_metric=True)

    @property
    def num_outputs(self) -> int:
        """Size of a model's output: the number of labels, 1 for a regression, or the size of a vector."""
        return 1 if self.is_regression else self.vector_size or len(self.labels)

    def to_json(self) -> dict[str, Any]:
        """The content of a run folder's ``task.json``: enough to predict and to evaluate."""
        return {
            "name": self.name,
            "kind": self.kind,
            "labels": list(self.labels),
            "metric": self.metric,
            "metrics": list(self.metrics),
            "columns": self.columns.to_json(),
            "max_length": self.max_length,
            **({"vector_size": self.vector_size} if self.is_text else {}),
        }

    @staticmethod
    def from_json(value: Any) -> Task:
        """The task of a ``task.json``, without sources. Raises UserError if it is not one."""
        try:
            columns = dict(value["columns"])
            columns["text"] = tuple(columns["text"])
            columns["headerless"] = tuple(columns["headerless"]) if columns.get("headerless") else None
            columns |= {name: tuple(columns.get(name, ())) for name in ("no_gold", "labels")}
            return Task(
                name=value["name"],
                kind=value["kind"],
                labels=tuple(value["labels"]),
                metric=value["metric"],
                metrics=tuple(value["metrics"]),
                columns=Columns(**columns),
                max_length=int(value["max_length"]),
                vector_size=int(value.get("vector_size", 0)),
            )
        except (KeyError, TypeError, ValueError) as e:
            raise UserError(f"task.json is not a task's record ({type(e).__name__}: {e})") from None


def iob2(types: Iterable[str]) -> tuple[str, ...]:
    """The labels of a tagging task. Tag 0 is outside; type n begins with tag 2n + 1 and continues with 2n + 2.

    >>> iob2(["LOC", "PER"])
    ('O', 'B-LOC', 'I-LOC', 'B-PER', 'I-PER')
    """
    return ("O", *(f"{part}-{name}" for name in types for part in "BI"))


@dataclass(frozen=True)
class TaskData:
    """The data that training may see: train and dev. ``load_test`` reads the test split.

    Attributes:
      source: a sentence that names the source.
      notes: notes for the report about the data.
      extra: the extra splits that the source has, by name. They are only scored.
      rest: the training rows that ``labels_per_class`` left out, without their labels; None if there are none.
    """

    task: Task
    train: Rows
    dev: Rows
    source: str
    notes: list[str]
    extra: dict[str, Rows] = field(default_factory=dict)
    rest: Rows | None = None

    @property
    def fingerprint(self) -> str:
        """A fingerprint of the rows that are learned from and selected by. Extra splits and ``rest`` do not count.

        Labels after the last one that a row has count too: a model has an output for each.
        """
        more: list[int] = []
        if self.task.labels and not self.task.is_tagging and not self.task.is_multilabel:
            last = max((int(rows.label.max()) for rows in (self.train, self.dev) if len(rows)), default=-1)
            more = [len(self.task.labels)] * (last + 1 < len(self.task.labels))
        return hash_of(self.train.fingerprint(), self.dev.fingerprint(), *more)
