"""What a run is compared with: linear models on the same rows, which take seconds and come first.

"constant" always gives the most frequent label, if classes are uneven. "linear" is TF-IDF with logistic regression,
or with ridge regression for scores. "probe" is logistic regression on the vectors of the teacher's encoder before
fine-tuning. All are found again by their data.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from kd_keras.common import files, packages
from kd_keras.common.artifacts import find_or_make
from kd_keras.common.npz import open_npz
from kd_keras.common.progress import say
from kd_keras.metrics import score
from kd_keras.metrics.answers import thresholds
from kd_keras.metrics.linear import Linear, constant, probe, tfidf
from kd_keras.runs.job import Job, Run
from kd_keras.tasks import Rows
from kd_keras.tasks.balance import is_uneven, label_counts
from kd_keras.teachers.schedule import PROBE_C, for_data
from kd_keras.teachers.settings import PROBE

FORMAT = 1
TITLES = {"constant": "always the most frequent", "linear": "linear (TF-IDF)", "probe": "linear probe of the teacher"}
_ON_DISK = TITLES | {"text": "linear probe of the teacher, of text without labels"}


@dataclass(frozen=True)
class References:
    """Attributes:
    logits: "constant", "linear", "probe" (if they exist) → split → float[rows, classes].
    start: the classifier that a teacher starts from, or None.
    """

    logits: Mapping[str, Mapping[str, np.ndarray]] = field(default_factory=dict)
    start: Linear | None = None

    def scores(self, job: Job, scored: Mapping[str, Rows]) -> dict[str, dict[str, dict[str, float]]]:
        """Reference → split → metric → value."""
        metrics = job.task.metrics
        return {
            name: {s: score(metrics, rows.label, found[s]) for s, rows in scored.items()}
            for name, found in self.logits.items()
        }


def references(run: Run) -> References:
    """Finds the models in this run or another of the task, or makes them. A tagging has none.

    Without scikit-learn there are none either. With several labels a text, dev chooses each label's threshold, as for
    every model.
    """
    job = run.job
    if job.task.is_tagging:
        return References()
    if packages.say_left_out("linear models", "teacher", "sklearn"):
        return References()
    splits = {split: rows for split, rows in run.splits.items() if split != "train"}
    with run.timings.step("linear models"):
        found = _kept(run, "linear", _about_text(job, splits), lambda: _linear(job, splits))
        logits, start = dict(found), None
        if probed := _probes(job):
            found = _kept(run, "probe", {**_about_text(job, splits), "probe": probed}, lambda: _probe(job, splits))
            start = Linear(found["start"]["kernel"], found["start"]["bias"])
            logits["probe"] = found["probe"]
    for name, each in logits.items():
        over = thresholds(job.data.dev.label, each["dev"])
        logits[name] = {split: found - over for split, found in each.items()}
    made = References(logits, start)
    metric, dev = job.task.metric, {"dev": job.data.dev}
    each = made.scores(job, dev)
    say("to beat: " + ", ".join(f"{TITLES[name]} {100 * s['dev'][metric]:.2f}" for name, s in each.items())
        + f" (dev {metric}, {len(job.data.dev):,} rows)")  # fmt: skip
    return made


def probe_of(run: Run, rows: Rows) -> np.ndarray | None:
    """float[rows, classes]: the logits that the probe gives of other rows. None if the run has no probe."""
    job, probed = run.job, _probes(run.job)
    if probed is None or job.task.is_multilabel or not job.task.labels or not packages.installed("sklearn"):
        return None
    key = {**_about_text(job, {"text": rows}), "probe": probed}
    return _kept(run, "text", key, lambda: _probe(job, {"text": rows}))["probe"]["text"]


def _about_text(job: Job, splits: Mapping[str, Rows]) -> dict:
    return {"format": FORMAT, "labels": len(job.task.labels), "train": job.data.train.fingerprint(),
            "splits": {split: rows.fingerprint() for split, rows in splits.items()}}  # fmt: skip


def _probes(job: Job) -> dict | None:
    """What the probe depends on. None if the teacher is finished or given, or cannot start from a probe."""
    if job.given is not None:
        return None
    checkpoint = job.checkpoint
    settings = for_data(job.teacher, checkpoint, job.data)
    if checkpoint.fine_tuned_for(job.task.name, job.data.fingerprint) or settings.teacher_start != PROBE:
        return None
    length = settings.teacher_max_length or job.task.max_length
    return {"weights": checkpoint.weights_sha256, "pooling": settings.teacher_pooling, "max_length": length,
            "truncation": settings.teacher_truncation, "c": PROBE_C, **checkpoint.read_otherwise}  # fmt: skip


def _linear(job: Job, splits: Mapping[str, Rows]) -> dict[str, dict[str, np.ndarray]]:
    classes, train = len(job.task.labels), job.data.train
    made = {}
    if job.task.labels and not job.task.is_multilabel and is_uneven(label_counts(train, classes)):
        made["constant"] = {split: constant(train, len(rows), classes) for split, rows in splits.items()}
    return made | {"linear": tfidf(train, splits, classes)}


def _probe(job: Job, splits: Mapping[str, Rows]) -> dict[str, dict[str, np.ndarray]]:
    from kd_keras.teachers.bert import Teacher

    checkpoint = job.checkpoint
    settings, classes, train = for_data(job.teacher, checkpoint, job.data), len(job.task.labels), job.data.train
    checkpoint = checkpoint.cut_to(t for rows in (train, *splits.values()) for t in (*rows.text, *(rows.text_b or ())))
    teacher = Teacher.load(
        checkpoint, classes, settings.teacher_max_length or job.task.max_length,
        truncation=settings.teacher_truncation, pooling=settings.teacher_pooling,
    )  # fmt: skip
    vectors = teacher.vectors(teacher.encode(train), what="vectors of train")
    best, start = probe(vectors, train.label, classes), probe(vectors, train.label, classes, PROBE_C)
    logits = {split: best.logits(teacher.vectors(teacher.encode(rows))) for split, rows in splits.items()}
    return {"probe": logits, "start": {"kernel": start.kernel, "bias": start.bias}}


def _kept(run: Run, name: str, key: dict, make: Callable[[], dict]) -> dict:
    """{name: {split: array}} of ``make()``. If this run or another has a file with ``key``, it is read instead."""
    wanted, path = files.hash_of(key), run.layout.reference(name)

    def write() -> None:
        made = make()
        flat = {f"{outer}/{inner}": value for outer, part in made.items() for inner, value in part.items()}
        arrays = {f"a{n}": value for n, value in enumerate(flat.values())}
        with files.atomic_path(path) as temp:
            np.savez(temp, key=wanted, names=json.dumps(list(flat)), **arrays)

    known = [s.reference(name) for s in run.siblings]
    return find_or_make(_ON_DISK[name], path, lambda place: _read(place, wanted), write, known, aloud=False)


def _read(path: Path, wanted: str) -> dict | None:
    if not path.is_file():
        return None
    with open_npz(path) as saved:
        if str(saved["key"]) != wanted:
            return None
        out: dict = {}
        for n, name in enumerate(json.loads(str(saved["names"]))):
            outer, inner = name.split("/", 1)
            out.setdefault(outer, {})[inner] = saved[f"a{n}"]
        return out
