"""Limits the train and dev rows of each language of a tagging task. A task of one language counts as a whole."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kd_keras.common.errors import UserError
from kd_keras.common.seeds import rng
from kd_keras.tasks.carve import SPLIT_SEED
from kd_keras.tasks.records import Task, TaskData
from kd_keras.tasks.rows import Rows, has_label, no_labels
from kd_keras.tasks.tagging_settings import TaggingSettings

# A run scores a dev split of 47 languages dozens of times.
PANX_DEV = 250


def check_tagging(task: Task, settings: TaggingSettings) -> None:
    """Raises UserError if the settings are for tagging and the task is another."""
    if task.is_tagging:
        return
    for name in ("max_per_language", "dev_per_language", "labels_per_language", "word_column", "tag_column"):
        if (value := getattr(settings, name)) is not None:
            raise UserError(f"--{name}={value}: needs a task that tags words; task {task.name} is of kind {task.kind}")


def per_language(data: TaskData, settings: TaggingSettings, labels_seed: int) -> TaskData:
    """``data`` with as many rows of each language as the settings say.

    Seeds draw the rows, language by language, and a larger number keeps what a smaller one drew. Rows stay in the
    file's order. Rows that lose their tags become ``rest``.

    Args:
      data: of a tagging task.
      labels_seed: draws the labels; other draws have fixed seeds.
    """
    task, train, dev, notes = data.task, data.train, data.dev, list(data.notes)
    if most := settings.max_per_language:
        kept = drawn(train, most, SPLIT_SEED, "train per language", task.name)
        notes.append(f"train: {len(kept):,} of {len(train):,} rows, at most {most:,} a language, drawn by a fixed seed")
        train = train.take(kept)
    most = settings.dev_per_language
    if most is None:
        most = PANX_DEV if task.name == "panx" else 0
    if most:
        kept = drawn(dev, most, SPLIT_SEED, "dev per language", task.name)
        if len(kept) < len(dev):
            notes.append(
                f"dev: {len(kept):,} of {len(dev):,} rows, at most {most:,} a language, drawn by a fixed seed "
                "(--dev_per_language=0 takes all)"
            )
            dev = dev.take(kept)
    rest = data.rest
    if few := settings.labels_per_language:
        kept = drawn(train, few, labels_seed, "labels per language", task.name)
        others = np.setdiff1d(np.arange(len(train)), kept)
        left = f"the other {len(others):,} are transfer text without tags" if len(others) else "none is left over"
        notes.append(
            f"labels: {len(kept):,} of {len(train):,} training rows keep their tags, {few:,} a language, drawn with "
            f"seed {labels_seed}; {left}"
        )
        if len(others):
            bare = train.take(others)
            rest = replace(bare, label=no_labels(bare.label, len(bare)))
        train = train.take(kept)
    return replace(data, train=train, dev=dev, rest=rest, notes=notes)


def drawn(rows: Rows, most: int, seed: int, what: str, task: str) -> np.ndarray:
    """int64[n], sorted: at most ``most`` rows with tags of each language."""
    group = np.asarray(rows.group if rows.group is not None else [""] * len(rows))
    gold = has_label(rows)
    picked = []
    for language in sorted(set(group.tolist())):
        members = np.flatnonzero((group == language) & gold)
        picked.append(members[rng(seed, what, task, language).permutation(len(members))[:most]])
    return np.sort(np.concatenate(picked)) if picked else np.zeros(0, np.int64)
