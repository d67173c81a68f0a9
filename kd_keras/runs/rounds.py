"""``--teacher_rounds=2``: what the first teachers say of the transfer text teaches a second one from the start.

A model of the same size that learns labels and another's answers may become better than that one (Furlanello et al.
2018, section 3); text without labels is what it learns most from here (as Mukherjee and Hassan Awadallah 2019 do with
students). Each round has a folder of its own, so a killed run finds what it made.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from kd_keras.common import files
from kd_keras.common.errors import UserError
from kd_keras.common.layout import RunLayout
from kd_keras.common.seeds import rng
from kd_keras.common.team import current, is_chief
from kd_keras.metrics.scores import softmax
from kd_keras.runs.job import Job
from kd_keras.tasks import Rows, has_label
from kd_keras.teachers.finished import link_folder
from kd_keras.teachers.signals import Signals

if TYPE_CHECKING:
    from kd_keras.teachers.targets import SoftText


def check_rounds(job: Job) -> None:
    """UserError where there can be no second round, before anything is trained."""
    count = job.teacher.teacher_rounds  # decided by the job
    if count == 1:
        return
    flag, task, data = f"--teacher_rounds={count}", job.task.name, job.data
    if job.task.is_tagging:
        raise UserError(f"{flag}: task {task} tags words; a second round is for teachers of texts; leave it out")
    if job.checkpoint.fine_tuned_for(task, data.fingerprint):
        raise UserError(
            f"{flag}: --teacher={job.checkpoint.name} is fine-tuned already; name the checkpoint that it was made from "
            "(what is finished is found again)"
        )
    more = job.augment.augment != "none" or job.unlabeled.wanted or data.rest is not None
    more |= job.job.ablate == "augmentation"
    if not more and has_label(data.train).all():
        raise UserError(
            f"{flag}: there is no text without labels to learn from; add --unlabeled=task, --augment=all, …"
        )


def soft_text(
    train: Rows, sets: Mapping[str, Rows], signals: Mapping[str, Signals], most: int | None = None
) -> SoftText:
    """The training rows without a label and the rows of ``sets``, with what ``signals`` say of them.

    Args:
      most: at most so many of them, drawn at random; None: all.
    """
    from kd_keras.teachers.targets import SoftText

    bare = np.flatnonzero(~has_label(train))
    parts = [(train.take(bare), signals["train"].logits[bare])] if len(bare) else []
    parts += [(rows, signals[name].logits) for name, rows in sets.items()]
    count = sum(len(rows) for rows, _ in parts)
    if most is not None and count > most:
        drawn = np.zeros(count, bool)
        drawn[rng(0, "second round").permutation(count)[:most]] = True
        ends = np.cumsum([len(rows) for rows, _ in parts])[:-1]
        each = [np.flatnonzero(some) for some in np.split(drawn, ends)]
        parts = [(rows.take(some), logits[some]) for (rows, logits), some in zip(parts, each, strict=True)]
    teachers = [[name, signals[name].manifest["teacher"]] for name in ("train", *sets)]
    precision = signals["train"].manifest.get("precision")
    return SoftText(
        [text for rows, _ in parts for text in rows.text],
        None if train.text_b is None else [text for rows, _ in parts for text in rows.text_b],
        np.concatenate([logits for _, logits in parts]),
        files.hash_of([rows.fingerprint() for rows, _ in parts], teachers, precision),
    )


def beside(soft: SoftText, probe: np.ndarray | None) -> SoftText:
    """``soft`` with the mean of what it says and what the linear ``probe`` says, float[texts, classes], as log
    probabilities. The probe errs in other rows than the teacher, from which alone a second one learns nothing new."""
    if probe is None:
        return soft
    both = (np.log(softmax(soft.logits)) + np.log(softmax(probe))) / 2
    return replace(soft, logits=both.astype(np.float32), key=files.hash_of(soft.key, "probe"))


def adopt(kept: RunLayout, layout: RunLayout, names: Iterable[str]) -> None:
    """Links the teachers of ``kept`` and their signals of ``names`` into the run folder ``layout``."""
    if is_chief():
        teachers = kept.every_teacher()
        folders = [*teachers, *(kept.signals(name, n) for n in range(1, len(teachers) + 1) for name in names)]
        for folder in folders:
            link_folder(folder, layout.root / folder.relative_to(kept.root))
    if (team := current()) is not None:
        team.wait()
