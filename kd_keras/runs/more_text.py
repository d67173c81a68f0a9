"""The text beyond a run's training rows: what the settings ask for, found again if it exists."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from kd_keras.augment.augmentation import augmented
from kd_keras.augment.transfer import NothingNew, Transfer
from kd_keras.augment.unlabeled import unlabeled
from kd_keras.common.progress import say
from kd_keras.pipelines.text import text_crew
from kd_keras.runs.job import Job, Run


def rest_set(job: Job) -> dict[str, Transfer]:
    """{"rest": the training rows whose labels ``labels_per_class`` left out}. Empty if there are none."""
    rest = job.data.rest
    if rest is None:
        return {}
    return {"rest": Transfer(rest, np.full(len(rest), -1, np.int64), ["rest"] * len(rest), [])}


def transfer_sets(run: Run, rules: Sequence[str]) -> dict[str, Transfer]:
    """The rows that each of ``rules`` makes from the training rows. Existing ones are found again."""
    sets = {}
    for name in rules:
        if name != "none":
            with run.timings.step(f"augmentation ({name})"):
                settings = replace(run.job.augment, augment=name)
                known = [s.augmented(name) for s in run.siblings]
                crew = text_crew(run.job.cluster, settings.processes)
                sets[name] = augmented(run.job.data.train, settings, run.layout.augmented(name), known, crew)
    return sets


def unlabeled_set(run: Run) -> Transfer:
    """The unlabeled text. It holds no text of any split or of the training rows without labels."""
    job = run.job
    with run.timings.step("unlabeled text"):
        known = [s.augmented("unlabeled") for s in run.siblings]
        apart = [job.data.train, *(s.rows for s in rest_set(job).values())]
        held_out = [rows for split, rows in run.splits.items() if split != "train"]
        path = run.layout.augmented("unlabeled")
        return unlabeled(job.unlabeled_text, apart, held_out, path, known, text_crew(job.cluster))


def more_text(run: Run) -> dict[str, Transfer]:
    """The text that the settings ask for. If the job chose it by itself, and nothing in it is new, it is left out."""
    sets, job = {}, run.job
    makers = [partial(transfer_sets, run, [job.augment.augment])]
    if job.unlabeled.wanted:
        makers.append(lambda: {"unlabeled": unlabeled_set(run)})
    for make in makers:
        try:
            sets |= make()
        except NothingNew as e:
            if not job.automatic:
                raise
            say(f"left out: {e}")
    return sets
