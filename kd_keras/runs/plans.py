"""The students of a run, planned as data: what each learns, and from which rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from kd_keras.common.columns import JoinedArray
from kd_keras.common.ragged import Ragged
from kd_keras.common.seeds import rng
from kd_keras.distill.answered import where_answered
from kd_keras.distill.objectives import BinaryLabels, HardLabels, HardScores
from kd_keras.distill.recipes import Step, baseline, recipe
from kd_keras.distill.settings import BASELINE, DISTILLED, NEED_HIDDEN, RecipeSettings
from kd_keras.distill.stages import TrainingSet
from kd_keras.runs.alike import alike, are_drawn
from kd_keras.runs.given import answered
from kd_keras.runs.inputs import Inputs
from kd_keras.runs.job import Job
from kd_keras.students.inputs import join_ids, word_targets
from kd_keras.tasks import is_gold
from kd_keras.tasks.scale import standard
from kd_keras.text.windows import PerPiece

# The transfer set of unlabeled text.
_NEW = "unlabeled"


@dataclass(frozen=True)
class Plan:
    """A student to train, without its seed.

    Attributes:
      kind: "baseline" (gold labels) or "distilled".
      name: the folder's name.
      title: the name in tables.
      recipe: makes its steps. It is called once a student, because each student has its own projection.
      data: what it learns from.
      labelled: the rows of ``data`` with gold labels.
      about: JSON-able, what ``data`` depends on.
    """

    kind: str
    name: str
    title: str
    recipe: Callable[[], tuple[Step, ...]]
    data: TrainingSet
    labelled: TrainingSet
    about: dict


def training_set(
    job: Job, inputs: Inputs, sets: Sequence[str], source_labels: bool = False, limit: int | None = None
) -> TrainingSet:
    """The training rows, and with them the rows of transfer ``sets``.

    Args:
      source_labels: give made rows the gold label of their source row, for plain training. Else they have none.
      limit: draw at most this many rows of ``sets``. A smaller draw is part of a larger one.
    """
    train, names = job.data.train, ("train", *sets)
    if job.task.is_tagging:
        return _words(job, inputs, names, limit)
    made = [inputs.transfer[name] for name in sets]
    label = [s.source_labels(train) if source_labels else s.rows.label for s in made]
    labels = np.concatenate([train.label, *label]).astype(np.float32 if job.task.is_regression else np.int32)
    y = {
        "label": standard(job.task, labels),
        "teacher_logits": standard(job.task, np.concatenate([inputs.signals[n].logits for n in names])),
    }
    if job.needs_hidden:
        y["teacher_hidden"] = JoinedArray([inputs.signals[n].hidden for n in names])
    data = TrainingSet(join_ids([inputs.ids[n] for n in names]), y)
    if job.given is not None:  # a row without signal and label teaches nothing
        return data.take(np.flatnonzero(answered(y["teacher_logits"]) | is_gold(y["label"])))
    kept = _drawn(len(train), len(data), limit)
    if _NEW in sets and are_drawn(job):
        start = sum(len(inputs.signals[n].logits) for n in names[: names.index(_NEW)])
        drawn = alike(train.label, inputs.signals[_NEW].logits)
        kept = np.ones(len(data), bool) if kept is None else kept
        kept[start : start + len(drawn)] &= drawn
    return data if kept is None else data.take(np.flatnonzero(kept))


def _words(job: Job, inputs: Inputs, names: Sequence[str], limit: int | None) -> TrainingSet:
    """A tagging task's set. Each row is a window, and its targets are at the first pieces of words."""
    rows = {"train": job.data.train, **{name: made.rows for name, made in inputs.transfer.items()}}
    each = [word_targets_of(inputs, name, rows[name].label) for name in names]
    y = {key: PerPiece.concatenate([one[key] for one in each]) for key in each[0]}
    data = TrainingSet(join_ids([inputs.ids[n] for n in names]), y)
    before = np.cumsum([0, *(len(rows[name]) for name in names)])
    kept = _drawn(len(rows["train"]), int(before[-1]), limit)
    if kept is None:
        return data
    row = np.concatenate([inputs.windows[n].row + start for n, start in zip(names, before, strict=False)])
    return data.take(np.flatnonzero(kept[row]))


def word_targets_of(inputs: Inputs, name: str, label: Ragged) -> dict[str, PerPiece]:
    """What a tagger learns on a split or transfer set: gold tags, and the teacher's signals."""
    signals = inputs.signals[name]
    return word_targets(inputs.windows[name], label, signals.logits, signals.hidden)


def _drawn(first: int, rows: int, limit: int | None) -> np.ndarray | None:
    """bool[rows]: the ``first`` rows, and at most ``limit`` of the others. None if that is every row."""
    if limit is None or limit >= rows - first:
        return None
    kept = np.arange(rows) < first
    kept[first + rng(0, "transfer sizes").permutation(rows - first)[:limit]] = True
    return kept


@dataclass(frozen=True)
class Drawn:
    """At most ``limit`` rows beyond the training rows."""

    data: TrainingSet
    limit: int


def main_arms(job: Job, inputs: Inputs) -> list[Plan]:
    """The baseline on the training rows' gold labels, and the distilled student on the whole transfer set."""
    arms = [distilled(job, inputs, list(inputs.transfer), DISTILLED)]
    if job.job.baseline:
        arms.insert(0, undistilled(job, inputs, [], BASELINE))
    return arms


def undistilled(job: Job, inputs: Inputs, sets: Sequence[str], name: str) -> Plan:
    """An arm without distillation. It learns gold labels; a made row of ``sets`` has its source row's."""
    steps = partial(baseline, **_learned(job))
    data = training_set(job, inputs, sets, source_labels=True)
    return Plan(BASELINE, name, _titled("no distillation", sets), steps, data, training_set(job, inputs, []),
                _about(job, inputs, sets))  # fmt: skip


def distilled(
    job: Job,
    inputs: Inputs,
    sets: Sequence[str],
    name: str,
    settings: RecipeSettings | None = None,
    drawn: Drawn | None = None,
) -> Plan:
    """An arm that learns from the teacher on the training rows and the transfer ``sets``.

    Args:
      settings: the recipe that it follows. If not given, the one that suits the job's teacher.
      drawn: a part of the rows, which several arms share. If not given, all of ``sets``.
    """
    hidden = inputs.signals["train"].hidden
    units = 0 if hidden is None else (hidden.values if isinstance(hidden, Ragged) else hidden).shape[1]
    how = settings or inputs.how or job.recipe
    steps = partial(recipe, how, units=units, tagging=job.task.is_tagging, **_learned(job))
    title, limit = "distilled", None
    if drawn is None:
        data = training_set(job, inputs, sets)
    else:
        data, title = drawn.data, f"{how.recipe}, {drawn.limit:,} rows more"
        # All of them are no limit, so that a run of its own finds the student again.
        limit = drawn.limit if drawn.limit < sum(len(inputs.transfer[s]) for s in sets) else None
    if job.given is not None and not answered(data.y["teacher_logits"]).all():
        steps = partial(_where_answered, steps, job)
    return Plan(DISTILLED, name, _titled(title, sets), steps, data, training_set(job, inputs, []),
                _about(job, inputs, sets, limit) | _signals_of(job, inputs, how.recipe))  # fmt: skip


def _where_answered(steps: Callable[[], tuple[Step, ...]], job: Job) -> tuple[Step, ...]:
    task = job.task
    if task.is_regression:
        return where_answered(steps(), HardScores)
    return where_answered(steps(), BinaryLabels if task.is_multilabel else HardLabels, class_weights=task.class_weights)


def _learned(job: Job) -> dict:
    """What a recipe needs to know of the task."""
    task = job.task
    return {"regression": task.is_regression, "multilabel": task.is_multilabel, "class_weights": task.class_weights}


def _titled(title: str, sets: Sequence[str]) -> str:
    return f"{title}, {' + '.join(sets)}" if sets else title


def _about(job: Job, inputs: Inputs, sets: Sequence[str], limit: int | None = None) -> dict:
    return {
        "data": job.data.fingerprint,
        "transfer": [inputs.signals[s].manifest["data"] for s in sets],
        "limit": limit,
        "teacher": inputs.signals["train"].manifest["teacher"],
        "embeddings": inputs.matrix_key,
        **({"drawn": "by label"} if _NEW in sets and are_drawn(job) else {}),
    }


def _signals_of(job: Job, inputs: Inputs, recipe: str) -> dict:
    """What of the signals the student learns beyond "teacher": which states, and in which precision they were made."""
    manifest = inputs.signals["train"].manifest
    if job.task.is_tagging:
        return {"signals": {name: manifest.get(name) for name in ("hidden", "precision")}}
    # A whole text's student that never reads them has no key for them: students of earlier versions are found again.
    named = {"hidden": manifest["hidden"]} if recipe in NEED_HIDDEN else {}
    named |= {"precision": manifest["precision"]} if "precision" in manifest else {}
    return {"signals": named} if named else {}
