"""``--teacher_rounds=2``: what the first teachers say of the transfer text teaches a second one from the start.

A model of the same size that learns labels and another's answers may become better than that one (Furlanello et al.
2018, section 3); text without labels is what it learns most from here (as Mukherjee and Hassan Awadallah 2019 do with
students). Each round has a folder of its own, so a killed run finds what it made.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from kd_keras.common import files
from kd_keras.common.errors import UserError
from kd_keras.common.layout import RunLayout
from kd_keras.common.team import current, is_chief
from kd_keras.runs.job import Job
from kd_keras.tasks import Rows, has_label
from kd_keras.teachers.finished import link_folder
from kd_keras.teachers.signals import Signals

if TYPE_CHECKING:
    from kd_keras.teachers.targets import SoftText


def check_rounds(job: Job) -> None:
    """UserError where there can be no second round, before anything is trained."""
    count = job.teacher.teacher_rounds
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
    if not more and has_label(data.train).all():
        raise UserError(
            f"{flag}: there is no text without labels to learn from; add --unlabeled=task, --augment=all, …"
        )


def soft_text(train: Rows, sets: Mapping[str, Rows], signals: Mapping[str, Signals]) -> SoftText:
    """The training rows without a label and the rows of ``sets``, with what ``signals`` say of them."""
    from kd_keras.teachers.targets import SoftText

    bare = np.flatnonzero(~has_label(train))
    parts = [(train.take(bare), signals["train"].logits[bare])] if len(bare) else []
    parts += [(rows, signals[name].logits) for name, rows in sets.items()]
    teachers = [[name, signals[name].manifest["teacher"]] for name in ("train", *sets)]
    precision = signals["train"].manifest.get("precision")
    return SoftText(
        [text for rows, _ in parts for text in rows.text],
        None if train.text_b is None else [text for rows, _ in parts for text in rows.text_b],
        np.concatenate([logits for _, logits in parts]),
        files.hash_of([rows.fingerprint() for rows, _ in parts], teachers, precision),
    )


def adopt(kept: RunLayout, layout: RunLayout, names: Iterable[str]) -> None:
    """Links the teachers of ``kept`` and their signals of ``names`` into the run folder ``layout``."""
    if is_chief():
        teachers = kept.every_teacher()
        folders = [*teachers, *(kept.signals(name, n) for n in range(1, len(teachers) + 1) for name in names)]
        for folder in folders:
            link_folder(folder, layout.root / folder.relative_to(kept.root))
    if (team := current()) is not None:
        team.wait()
