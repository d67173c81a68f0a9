"""Fine-tunes a teacher: AdamW, linear warm-up and decay, clipping, best dev weights, resume after a kill."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from kd_keras.common.artifacts import find, one_at_a_time
from kd_keras.common.config import AUTO, key_of
from kd_keras.common.progress import say
from kd_keras.metrics import score
from kd_keras.metrics.answers import less, thresholds
from kd_keras.metrics.linear import Linear
from kd_keras.tasks import TaskData
from kd_keras.teachers import label_order
from kd_keras.teachers.bert import Teacher
from kd_keras.teachers.checkpoints import Checkpoint, from_folder
from kd_keras.teachers.fine_tuner import FineTuner, start_from_probe
from kd_keras.teachers.finished import finished, link_folder, reads
from kd_keras.teachers.heads import set_dropout
from kd_keras.teachers.loading import MANY_LABELS, REGRESSION
from kd_keras.teachers.losses import level, moved
from kd_keras.teachers.schedule import for_data
from kd_keras.teachers.settings import EMBEDDINGS, PROBE, TeacherSettings
from kd_keras.teachers.tagger import TaggingTeacher, load_finished
from kd_keras.teachers.targets import SoftText

# Rows whose pieces are counted; with a larger share of unknown ones, a teacher does not read their script.
_LOOKED_AT, _UNREAD = 1_000, 0.2
# Rows that show the scale of another regression's classifier.
_LEVELED = 256
# Settings that change nothing, or that the key has under another name.
_NOT_IN_KEY = ("teacher", "teacher_max_length", "checkpoint_seconds", "teacher_seeds", "teacher_rounds")


def teacher_key(checkpoint: Checkpoint, data: TaskData, settings: TeacherSettings) -> dict:
    """All that a fine-tuned teacher depends on. Equal keys mean an equal teacher.

    Args:
      settings: may contain auto. The key has the value that auto gives.
    """
    settings = for_data(settings, checkpoint, data)
    return {
        "base_weights_sha256": checkpoint.weights_sha256,
        "task": data.task.name,
        "data": data.fingerprint,
        "max_length": settings.teacher_max_length or data.task.max_length,
        **data.task.learned_by(),
        **key_of(settings, leave_out=_NOT_IN_KEY),
        **checkpoint.read_otherwise,
        # A Unigram's vocabulary is also cut to the text of these rows.
        **({"rest": data.rest.fingerprint()} if data.rest is not None and checkpoint.text.is_cut else {}),
        **label_order.key_part(checkpoint, data.task, settings),
    }


def fine_tune(
    checkpoint: Checkpoint,
    data: TaskData,
    settings: TeacherSettings,
    folder: Path,
    known: Sequence[Path] = (),
    start: Linear | None = None,
    soft: SoftText | None = None,
) -> Teacher:
    """The teacher of ``data.task`` in ``folder``: found, resumed or trained.

    Args:
      checkpoint: where the weights start.
      data: train is learned from, dev chooses the best weights.
      settings: see TeacherSettings.
      folder: where the result goes. Until then ``folder/../.teacher-checkpoint`` holds the state.
      known: other folders that may already hold this teacher.
      start: the probe to start from, if the settings ask for one and it is already known.
      soft: text to learn beside the training rows, with what earlier teachers said of it.

    Returns:
      The teacher with its best dev weights. ``folder/teacher.json`` has its dev score and history.
    """
    task = data.task
    if checkpoint.fine_tuned_for(task.name, data.fingerprint):
        checkpoint.check_reading(settings)
        say(f"teacher: {checkpoint.path} was fine-tuned for this task and data; it is used without more training")
        if checkpoint.path.resolve() != folder.resolve():
            link_folder(checkpoint.path, folder)
        return load_finished(checkpoint)
    settings = for_data(settings, checkpoint, data, 0 if soft is None else len(soft.texts))
    key = teacher_key(checkpoint, data, settings) | ({} if soft is None else {"soft_text": soft.key})
    with one_at_a_time("teacher", folder):
        if found := find("teacher", folder, lambda place: finished(place, key), known):
            return load_finished(found)
        return _made(checkpoint, data, settings, key, folder, start, soft)


def _made(
    checkpoint: Checkpoint,
    data: TaskData,
    settings: TeacherSettings,
    key: dict,
    folder: Path,
    start: Linear | None,
    soft: SoftText | None,
) -> Teacher:
    task = data.task
    if before := (checkpoint.manifest() or {}).get("key"):
        other = f"task {before['task']}" if before["task"] != task.name else "other data of this task"
        say(f"teacher: {checkpoint.path} was fine-tuned for {other}; fine-tuning continues from its weights")
    checkpoint.check_start(settings, task.num_outputs, task.is_tagging)
    probes, learns = settings.teacher_start == PROBE, settings.teacher_epochs > 0
    if settings.teacher_freeze != EMBEDDINGS:  # frozen rows cost nothing, and other text needs them
        checkpoint = checkpoint.cut_to(_texts(data))
    teacher = (TaggingTeacher if task.is_tagging else Teacher).load(
        checkpoint, task.num_outputs, key["max_length"], settings.teacher_seed, not (probes or learns),
        settings.teacher_truncation, settings.teacher_pooling,
    )  # fmt: skip
    if settings.teacher_dropout != AUTO:
        set_dropout(teacher.bert, settings.teacher_dropout)
    # Not what the checkpoint had learned before; other programs that load the folder read it too.
    teacher.bert.config.problem_type = REGRESSION if task.is_regression else MANY_LABELS if task.is_multilabel else None
    notes = [*checkpoint.notes, *label_order.settle(teacher.bert, checkpoint, task, settings), *_unread(teacher, data)]
    for note in notes:
        say(f"teacher: {note}")
    if not learns:
        if probes:
            start_from_probe(teacher, data, start)
        gold, logits = data.dev.label, teacher.logits(teacher.encode(data.dev))
        over = thresholds(gold, logits) if probes else np.zeros(1)  # a finished classifier is not changed
        dev = score([task.metric], gold, less(logits, over))
        with moved(teacher, over):
            teacher.save(folder, name=checkpoint.name, key=key, dev=dev, history=[], seconds=0.0, **reads(task))
        return teacher
    if task.scale is not None and checkpoint.outputs(False) == task.num_outputs:
        level(teacher, teacher.encode(data.train.take(np.arange(min(_LEVELED, len(data.train))))))
    FineTuner(teacher, data, settings, key, folder, start, soft).go()
    return load_finished(from_folder(str(folder), folder))


def _unread(teacher: Teacher, data: TaskData) -> list[str]:
    """A note if the teacher does not know the letters of the training text."""
    pieces = teacher.tokenizer.encode(data.train.text[:_LOOKED_AT]).values
    unknown = float(np.mean(pieces == teacher.tokenizer.unk_id)) if len(pieces) else 0.0
    if unknown < _UNREAD:
        return []
    return [
        f"{unknown:.0%} of the pieces of the training text are unknown to {teacher.name}, which may not read this "
        "script; --teacher=me5-small reads 47 languages"
    ]


def _texts(data: TaskData) -> Iterator[str]:
    """All texts that the teacher will certainly read."""
    for rows in (data.train, data.dev, data.rest):
        for texts in () if rows is None else (rows.text, rows.text_b or ()):
            yield from texts
