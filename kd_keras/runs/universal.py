"""Trains a universal student: text → the teacher's vectors → a BiLSTM that gives them → report (Wu et al. 2020).

Every step finds what an earlier run of the same command finished, and continues from there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import keras
import numpy as np

from kd_keras.augment.unlabeled import unlabeled
from kd_keras.common import files
from kd_keras.common.artifacts import one_at_a_time
from kd_keras.common.columns import JoinedArray
from kd_keras.common.progress import say
from kd_keras.distill.loop import DevSet, Training
from kd_keras.distill.objective import Objective
from kd_keras.distill.representation import VECTOR, Contrast, Representation, Similarities, TokenStates
from kd_keras.distill.stages import Stage, TrainingSet, run_stages
from kd_keras.pipelines.labelling import on_cluster
from kd_keras.pipelines.text import text_crew
from kd_keras.runs.finished import SPLIT, apart
from kd_keras.runs.inputs import first_embeddings, own_vocabulary
from kd_keras.runs.job import begin
from kd_keras.runs.students import finished, keep
from kd_keras.runs.universal_job import UniversalRun
from kd_keras.runs.universal_settings import TOKENS
from kd_keras.students.inference import load_student
from kd_keras.students.inputs import state_targets, student_ids
from kd_keras.students.universal import universal, without_states
from kd_keras.tasks import Rows
from kd_keras.teachers.labelling import label
from kd_keras.teachers.sentences import SentenceTeacher, opened, reduced, reduced_words
from kd_keras.teachers.signals import STATES, Signals
from kd_keras.text.batches import steps_per_epoch
from kd_keras.text.tokenizers import Tokenizer, cut_wordpiece

ARM = "universal"


@dataclass(frozen=True)
class Pretrained:
    """Attributes:
    teacher: the teacher, with the projection of its vectors.
    student: the student with its best dev weights.
    tokenizer: the student's.
    history: see ``stages.run_stages``.
    rows: how many texts it learned from, and how many chose its weights.
    notes: what the report says of text, vectors and vocabulary.
    """

    teacher: SentenceTeacher
    student: keras.Model
    tokenizer: Tokenizer
    history: dict
    rows: dict[str, int]
    notes: list[str]


def pretrain(run: UniversalRun) -> Pretrained:
    """Runs all steps after ``check``, up to the report.

    Raises:
      UserError: no text is left, the disk is full, or the folder holds signals of something else.
    """
    job, layout = run.job, run.layout
    begin(layout, job.key(), job.task, job.flags_text)
    say(f"run folder: {layout.root}")
    with run.timings.step("text"):
        known = [s.augmented("unlabeled") for s in run.siblings]
        path, crew = layout.augmented("unlabeled"), text_crew(job.cluster)
        text = unlabeled(job.text, [], [run.held_out], path, known, crew)
    with run.timings.step("vectors"):
        teacher, signals, notes = _taught(run, text.rows)
    with run.timings.step("student inputs"):
        tokenizer, matrix, about = _inputs(run, teacher, text.rows)
        ids = student_ids(tokenizer, text.rows)
    with run.timings.step("student"):
        train, dev = apart(len(text), job.universal.dev_rows)
        vectors = np.asarray(signals.hidden[dev], np.float32)
        held = DevSet({k: t.take(dev) for k, t in ids.items()}, vectors, job.task.metrics)
        ids = {k: t.take(train) for k, t in ids.items()}
        targets = {"teacher_hidden": JoinedArray([signals.hidden], train)}
        if job.learns_states:
            targets |= state_targets(tokenizer, ids["ids"], signals.more[STATES].take(train))
        learnt = TrainingSet(ids, targets)
        student, history = _student(run, matrix, learnt, held, (signals.manifest, tokenizer.fingerprint()))
    notes = [*text.notes, *notes, *about]
    return Pretrained(teacher, student, tokenizer, history, {"train": len(train), "dev": len(dev)}, notes)


def _taught(run: UniversalRun, rows: Rows) -> tuple[SentenceTeacher, Signals, list[str]]:
    """The teacher, and its reduced vector of each text."""
    job, layout = run.job, run.layout
    teacher = SentenceTeacher.of(job.checkpoint, job.universal.teacher_max_length, job.label)
    name = job.universal.teacher
    place = str(Path(name).resolve()) if Path(name).is_dir() else name
    teacher.crew = on_cluster(job.cluster, partial(opened, place, job.universal.teacher_max_length, job.label))
    known = [s.projection for s in run.siblings]
    teacher.reduction = reduced(teacher, rows.text, job.target, layout.projection, known)
    if job.learns_states:
        known = [s.word_projection for s in run.siblings]
        words = reduced_words(teacher, rows.text, job.universal.token_size, layout.word_projection, known)
        teacher.reduction = replace(teacher.reduction, words=words)
    known = [s.signals(SPLIT) for s in run.siblings]
    with one_at_a_time(f"signals ({SPLIT})", layout.signals(SPLIT)):
        signals = label(teacher, rows, layout.signals(SPLIT), job.label, job.task.name, SPLIT, known)
    projection = teacher.reduction.projection
    kept = "" if projection is None else f", which have {projection.kept:.1%} of their variance"
    length = "of length 1" if job.target.unit else "as they are"
    which = "mean of the states" if job.label.hidden == "mean" else "[CLS]'s state"
    layer = "the last" if job.label.hidden_layer == -1 else str(job.label.hidden_layer)
    note = f"teacher's vectors: {which}, layer {layer}, {length}; {job.target.vector_size} numbers{kept}"
    say(note)
    return teacher, signals, [note]


def _inputs(run: UniversalRun, teacher: SentenceTeacher, rows: Rows) -> tuple[Tokenizer, np.ndarray, list[str]]:
    job, settings = run.job, run.job.student
    length = settings.student_max_length or job.task.max_length
    if job.checkpoint.text.is_wordpiece:
        tokenizer = cut_wordpiece(
            teacher.tokenizer.wordpiece,
            rows.text,
            length,
            settings.vocab_size,
            settings.student_truncation,
            settings.vocab_characters,
        )
    else:
        tokenizer = own_vocabulary(rows.text, settings, length, job.checkpoint.text.lowercase)
    tokenizer.save(run.layout.vocab, run.layout.tokenizer)
    matrix, _, note = first_embeddings(settings, tokenizer, teacher, job.universal.seed, np.zeros(len(tokenizer), int))
    about = f"student's vocabulary: {len(tokenizer):,} {tokenizer.kind} entries from the text"
    say(f"{about}\n{note}")
    return tokenizer, matrix, [about, note]


def objectives(run: UniversalRun) -> tuple[Objective, ...]:
    """The objectives that ``--losses`` names."""
    job, units = run.job, run.job.target.vector_size
    settings = job.universal

    def made(name: str, weight: float) -> Objective:
        if name == "similarities":
            return Similarities(weight, units, VECTOR)
        if name == "contrast":
            return Contrast(weight, units, VECTOR, settings.contrast_temperature)
        if name == TOKENS:
            return TokenStates(weight, units=settings.token_size)
        return Representation(weight, name, units, state=VECTOR)

    return tuple(made(name, weight) for name, weight in settings.loss_weights(job.target.unit).items())


def _student(
    run: UniversalRun, matrix: np.ndarray, learnt: TrainingSet, dev: DevSet, about: tuple
) -> tuple[keras.Model, dict]:
    """Finds the student, or trains it now. ``about`` is what its text and its vocabulary depend on."""
    job, layout, seed = run.job, run.layout, run.job.universal.seed
    folder, settings = layout.arm(ARM, seed), job.training()
    per_epoch = steps_per_epoch(len(learnt), settings.batch_size)
    updates = job.universal.updates if job.updates_given else math.ceil(settings.epochs * per_epoch)
    stage = Stage(ARM, objectives(run), learnt, updates, settings.learning_rate, rounds=job.universal.evals)
    key = files.hash_of(stage.describe(), job.key(), *about)
    if history := finished(folder, key):
        say(f"student: found in {folder}")
        return load_student(folder / "student.keras"), history
    keras.utils.set_random_seed(seed)
    student = universal(job.student, matrix, job.target.vector_size, job.target.unit, job.learns_states)
    board = layout.tensorboard / folder.name if job.universal.tensorboard else None
    history = run_stages(student, [stage], Training(dev, settings, folder, seed, "universal student", board, key))
    student = without_states(student)
    history = keep(student, folder, history | {"key": key, "recipe": [stage.describe()]})
    files.link_or_copy(folder / "student.keras", layout.student)
    files.write_json(layout.history, {folder.name: history})
    return student, history
