"""What the arms of a run share: the teacher's signals, and the texts as the student reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kd_keras.common.layout import RunLayout
from kd_keras.common.progress import say
from kd_keras.distill.job import Job, Timings, sibling_runs
from kd_keras.students.settings import StudentSettings
from kd_keras.tasks import Rows
from kd_keras.teachers.bert import Teacher
from kd_keras.teachers.checkpoints import find_checkpoint
from kd_keras.teachers.finetune import fine_tune
from kd_keras.teachers.labelling import label
from kd_keras.teachers.signals import Signals
from kd_keras.text import embeddings
from kd_keras.text.token_ids import TokenIds
from kd_keras.text.tokenizers import Tokenizer, WordPiece, cut_wordpiece, word_vocab


@dataclass(frozen=True)
class StudentInputs:
    """Attributes:
    tokenizer: the student's.
    matrix: float32[vocab, embedding_size], the first embeddings.
    ids: split → {"ids": TokenIds}.
    notes: what the report says of vocabulary and embeddings.
    """

    tokenizer: Tokenizer
    matrix: np.ndarray
    ids: Mapping[str, Mapping[str, TokenIds]]
    notes: list[str]


def teacher_signals(
    job: Job, layout: RunLayout, splits: dict[str, Rows], timings: Timings
) -> tuple[Teacher, dict[str, Signals]]:
    """The fine-tuned teacher and its signals for each split, found again where they exist."""
    siblings = sibling_runs(layout, job.task.name)
    with timings.step("teacher"):
        checkpoint = find_checkpoint(job.teacher.teacher)
        teacher = fine_tune(checkpoint, job.data, job.teacher, layout.teacher, [s.teacher for s in siblings])
    signals = {}
    with timings.step("signals"):
        for split, rows in splits.items():
            known = [s.signals(split) for s in siblings]
            given = job.job.signals is not None and (Path(job.job.signals) / split).is_dir()
            if given:
                known = [Path(job.job.signals) / split]
            signals[split] = label(
                teacher, rows, layout.signals(split), job.label, job.task.name, split, known,
                must_be_known=given,
            )  # fmt: skip
    return teacher, signals


def student_inputs(job: Job, teacher: Teacher, splits: dict[str, Rows]) -> StudentInputs:
    """The student's vocabulary from the training text, its first embeddings, and all texts as ids."""
    settings = job.student
    length = settings.student_max_length or job.task.max_length
    texts = splits["train"].text
    if settings.tokenizer == "wordpiece":
        tokenizer: Tokenizer = cut_wordpiece(teacher.tokenizer, texts, length, settings.vocab_size)
    else:
        tokenizer = word_vocab(texts, length, settings.vocab_size)
    matrix, note = _matrix(settings, tokenizer, teacher, job.teacher.teacher_seed)
    ids = {split: {"ids": tokenizer.encode(rows.text)} for split, rows in splits.items()}
    dev = ids["dev"]["ids"]
    unknown = float(np.mean(dev.values == tokenizer.unk_id)) if len(dev.values) else 0.0
    cut = float(np.mean(dev.lengths >= length))
    notes = [
        f"student's vocabulary: {len(tokenizer):,} {tokenizer.kind} entries from the training text; "
        f"{unknown:.2%} of dev tokens are unknown",
        f"student's texts: at most {length} tokens ({cut:.1%} of dev texts reach that)",
        note,
    ]
    for line in notes:
        say(line)
    return StudentInputs(tokenizer, matrix, ids, notes)


def _matrix(settings: StudentSettings, tokenizer: Tokenizer, teacher: Teacher, seed: int) -> tuple[np.ndarray, str]:
    if settings.embeddings == "teacher":
        assert isinstance(tokenizer, WordPiece)
        rows = [teacher.tokenizer.index[p] for p in tokenizer.vocab]
        matrix = embeddings.from_teacher(teacher.word_embeddings(), rows, settings.embedding_size)
        return matrix, f"embeddings: the fine-tuned teacher's, by SVD to {settings.embedding_size}"
    if settings.embeddings == "vectors":
        matrix, found = embeddings.from_vectors(settings.vectors, tokenizer.vocab, seed)
        return matrix, f"embeddings: {settings.vectors}, {found:,} of {len(tokenizer):,} entries found"
    return embeddings.random_matrix(len(tokenizer), settings.embedding_size, seed), "embeddings: random"
