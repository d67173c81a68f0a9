"""Finds which output of a checkpoint's classifier is which label of the task: by name, else by assumption."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kd_keras.tasks import Task
from kd_keras.teachers.checkpoints import Checkpoint
from kd_keras.teachers.heads import linear_of
from kd_keras.teachers.settings import CLS, PROBE, TeacherSettings

# Shorter beginnings of a name say too little ("n" of "neutral").
_SHORTEST = 3


def match(names: Sequence[str] | None, labels: Sequence[str]) -> tuple[list[int], bool]:
    """For each label, the output that gives it. ``names`` are the names of the outputs.

    Equal names match first, ignoring case. Then a name matches one that it begins with ("negative", "neg"). The rest
    match in order.

    >>> match(["POS", "NEG"], ["neg", "pos"])
    ([1, 0], True)
    >>> match(["LABEL_0", "LABEL_1"], ["neg", "pos"])
    ([0, 1], False)

    Returns:
      For each label the number of its output, and whether all names are equal.
    """
    if names is None:
        return list(range(len(labels))), False
    outputs, wanted = ([name.strip().casefold() for name in some] for some in (names, labels))
    found: dict[int, int] = {}

    def pair(fits: Callable[[str, str], bool]) -> None:
        free = [n for n in range(len(outputs)) if n not in found.values()]
        left = [k for k in range(len(wanted)) if k not in found]
        fitting = {k: [n for n in free if fits(outputs[n], wanted[k])] for k in left}
        for k, some in fitting.items():
            if len(some) == 1 and sum(some[0] in others for others in fitting.values()) == 1:
                found[k] = some[0]

    pair(lambda output, label: output == label)
    by_name = len(found) == len(wanted)
    pair(_begins)
    rest = iter(n for n in range(len(outputs)) if n not in found.values())
    for k in range(len(wanted)):
        if k not in found:
            found[k] = next(rest)
    return [found[k] for k in range(len(wanted))], by_name


def _begins(a: str, b: str) -> bool:
    return min(len(a), len(b)) >= _SHORTEST and (a.startswith(b) or b.startswith(a)) and not a[-1:].isdigit()


def _keeps_classifier(checkpoint: Checkpoint, task: Task, settings: TeacherSettings) -> bool:
    return settings.teacher_start != PROBE and checkpoint.outputs(task.is_tagging) == task.num_outputs


def key_part(checkpoint: Checkpoint, task: Task, settings: TeacherSettings) -> dict[str, list[int]]:
    """For the teacher's key: the order of outputs, if it is not the checkpoint's own.

    Args:
      settings: with every auto decided.
    """
    if not task.labels or not _keeps_classifier(checkpoint, task, settings):
        return {}
    order, _ = match(checkpoint.labels, task.labels)
    return {} if order == sorted(order) else {"label_order": order}


def settle(bert: Any, checkpoint: Checkpoint, task: Task, settings: TeacherSettings) -> list[str]:
    """Puts the classifier's outputs into the order of the task's labels, and their names into its configuration.

    Args:
      bert: ``TFBertForSequenceClassification``, just loaded from ``checkpoint``.
      settings: with every auto decided.

    Returns:
      Sentences for the screen: which parts are new, and what is assumed about the names.
    """
    notes = []
    if not checkpoint.found.has_pooler and settings.teacher_pooling == CLS and not task.is_tagging:
        layer = checkpoint.found.family.features_name
        notes.append(f"the checkpoint has no {layer}; a new one is drawn at random and learned by fine-tuning")
    if _keeps_classifier(checkpoint, task, settings):
        if task.labels:
            names = checkpoint.labels
            order, by_name = match(names, task.labels)
            linear = linear_of(bert)
            for variable in (linear.kernel, linear.bias):
                variable.assign(np.take(variable.numpy(), order, axis=-1))
            if not by_name:
                notes.append(_assumed(names, task.labels, order))
    elif settings.teacher_start != PROBE:
        own = checkpoint.outputs(task.is_tagging)
        has = f"has one of {own}" if own else "has none"
        notes.append(f"a new classifier of {task.num_outputs} outputs is drawn, because the checkpoint {has}")
    if task.labels:
        bert.config.id2label = dict(enumerate(task.labels))
        bert.config.label2id = {label: n for n, label in enumerate(task.labels)}
    return notes


def _assumed(names: Sequence[str] | None, labels: Sequence[str], order: Sequence[int]) -> str:
    """What is assumed about the first few labels."""
    pairs = [f"{names[n] if names else f'output {n}'} is {label}" for label, n in zip(labels, order, strict=True)]
    said = "has other names for its outputs than the task" if names else "has no names for its outputs"
    return (
        f"the checkpoint's classifier {said}; assumed: {', '.join(pairs[:5])}{', …' if pairs[5:] else ''} "
        "(id2label in its config.json decides)"
    )
