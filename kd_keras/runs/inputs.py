"""What the arms of a run share: transfer sets, the teacher's signals, and the texts as the student reads them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from kd_keras.augment.transfer import Transfer
from kd_keras.common import files
from kd_keras.common.progress import say
from kd_keras.common.ragged import Ragged
from kd_keras.distill.settings import RecipeSettings
from kd_keras.runs.alike import about_pairs, are_drawn
from kd_keras.runs.auto import mix
from kd_keras.runs.finished import FinishedRun
from kd_keras.runs.given import answered
from kd_keras.runs.job import Job, Run
from kd_keras.runs.references import References, references
from kd_keras.runs.taught import about_confidence, taught
from kd_keras.students.inputs import student_ids, student_windows
from kd_keras.students.settings import StudentSettings
from kd_keras.tasks import Rows, is_gold
from kd_keras.teachers.signals import Signals
from kd_keras.text import embeddings
from kd_keras.text.token_ids import TokenIds
from kd_keras.text.tokenizers import Tokenizer, WordPiece, cut_wordpiece, word_vocab
from kd_keras.text.truncation import of_longer
from kd_keras.text.windows import Windows
from kd_keras.text.wordpiece import trained_wordpiece

if TYPE_CHECKING:
    from kd_keras.teachers.bert import Teacher

# Size of a student's own vocabulary, if phones cannot read the teacher's.
_OWN_VOCAB = 30_000


@dataclass(frozen=True)
class Inputs:
    """Attributes:
    splits: "train", "dev", … → rows.
    transfer: rules ("mask", …, "all") → the rows they made; "unlabeled" → rows of unlabeled text; "rest" →
      training rows without their labels.
    signals: split, or name in ``transfer`` → the teacher's signals, or the mean of an ensemble's.
    teacher: what reports say of it.
    tokenizer: the student's.
    matrix: float32[vocab, embedding_size], the first embeddings.
    matrix_key: the same for equal matrices. Matrices of one SVD have one key, although the number of threads changes
      their last bits.
    ids: keys as in ``signals`` → {"ids": TokenIds} or {"ids_a", "ids_b"}.
    notes: what the report says of teachers, text, vocabulary and embeddings.
    each_teacher: the logits of each teacher, for every split. There are several if ``teacher`` has "seeds".
    references: linear models on the same rows.
    rounds: the logits of each round of teachers, for every split, where there are several.
    how: the job's recipe with the mix that suits the teacher.
    windows: a tagging task's windows, with the places of the words. Keys are as in ``ids``, which are their ids.
    """

    splits: Mapping[str, Rows]
    transfer: Mapping[str, Transfer]
    signals: Mapping[str, Signals]
    teacher: dict
    tokenizer: Tokenizer
    matrix: np.ndarray
    matrix_key: str
    ids: Mapping[str, Mapping[str, TokenIds]]
    notes: list[str]
    each_teacher: Sequence[Mapping[str, np.ndarray]] = ()
    references: References = field(default_factory=References)
    how: RecipeSettings | None = None
    windows: Mapping[str, Windows] = field(default_factory=dict)
    rounds: Sequence[Mapping[str, np.ndarray]] = ()


def prepare(run: Run, sets: Mapping[str, Transfer]) -> Inputs:
    """Teacher, signals, vocabulary and ids of every split and transfer set."""
    job = run.job
    to_beat = references(run)
    reads = None
    # This needs no teacher. Faulty vectors must stop the run before the long work.
    if job.student.tokenizer == "words" and job.source is None:
        reads = _reading(run, None, sets)
    # This needs no teacher either. Too few pieces must stop the run early.
    own = _taken_vocabulary(run) or _own_vocabulary(run, sets)
    found = taught(run, {name: s.rows for name, s in sets.items()}, to_beat)
    read = reads or _reading(run, found.first, sets, own)
    read.tokenizer.save(run.layout.vocab, run.layout.tokenizer)
    floor = to_beat.logits.get("linear", {}).get("dev")
    how, mixed = _mix(job, found.signals["dev"].logits, floor)
    notes = [
        *found.notes,
        *mixed,
        *about_confidence(job.recipe, job.recipes, job.task, (found.signals[name].logits for name in ("train", *sets))),
        *(about_pairs(job, found.signals["unlabeled"].logits) if "unlabeled" in sets and are_drawn(job) else []),
        *_about_windows(run, read),
        *([] if job.given is not None else [_about_reader(run, found.first)]),
        *_about_text(read.tokenizer, read.ids["dev"], job.source),
        read.note,
    ]
    for line in notes:
        say(line)
    notes = [*(n for s in sets.values() for n in s.notes), *notes]
    return Inputs(
        run.splits, sets, found.signals, found.about, read.tokenizer, read.matrix, read.matrix_key, read.ids, notes,
        found.each, to_beat, how, read.windows, found.rounds,
    )  # fmt: skip


def _mix(job: Job, teacher: np.ndarray | Ragged, floor: np.ndarray | None) -> tuple[RecipeSettings, list[str]]:
    """:func:`mix`, by the dev rows that the teacher answered."""
    label, metric = job.data.dev.label, job.task.metric
    if isinstance(teacher, Ragged):
        return mix(job.recipe, metric, label, teacher, floor)
    rows = answered(teacher) & is_gold(label)
    if not rows.any():
        return replace(job.recipe, chosen=False), []
    rows = slice(None) if rows.all() else rows
    return mix(job.recipe, metric, label[rows], teacher[rows], floor if floor is None else floor[rows])


def _about_reader(run: Run, teacher: Teacher) -> str:
    reader = teacher.tokenizer
    if run.job.task.is_tagging:
        splits = run.splits.items()
        counts = ", ".join(f"{name} {teacher.long_rows(rows.text):,} of {len(rows):,}" for name, rows in splits)
        return f"sentences that the teacher reads in several windows of {reader.max_length} pieces: {counts}"
    longer = of_longer(reader.max_length - 2, reader.truncation)
    return f"teacher's texts: at most {reader.max_length} pieces with [CLS] and [SEP]{longer}"


@dataclass(frozen=True)
class _Read:
    """What the student reads, and its first embeddings. The members are those of :class:`Inputs`."""

    tokenizer: Tokenizer
    ids: dict[str, dict[str, TokenIds]]
    windows: dict[str, Windows]
    matrix: np.ndarray
    matrix_key: str
    note: str


def _taken_vocabulary(run: Run) -> Tokenizer | None:
    """The vocabulary of the student of ``--student_from``."""
    job, source = run.job, run.job.source
    if source is None:
        return None
    return source.tokenizer.like(job.student.student_max_length or job.task.max_length, job.student.student_truncation)


def _own_vocabulary(run: Run, sets: Mapping[str, Transfer]) -> Tokenizer | None:
    """A WordPiece vocabulary learned from the text, if the student cannot use the teacher's.

    Phones have no Unigram and no BPE. A tagger needs capitals, which an uncased teacher does not see.
    """
    job = run.job
    if job.student.tokenizer != "wordpiece":
        return None
    text = job.checkpoint.text
    if text.is_wordpiece and not (job.task.is_tagging and text.lowercase):
        return None
    with run.timings.step("student's vocabulary"):
        learnt = [job.data.train, *(s.rows for s in sets.values())]
        texts = (t for r in learnt for part in (r.text, r.text_b or []) for t in part)
        lowercase = text.lowercase and not job.task.is_tagging
        return own_vocabulary(texts, job.student, job.student.student_max_length or job.task.max_length, lowercase)


def own_vocabulary(texts: Iterable[str], settings: StudentSettings, length: int, lowercase: bool = False) -> WordPiece:
    """A WordPiece learned from ``texts``, lower-cased or as they are. It reads ``length`` tokens of each text."""
    made = trained_wordpiece(texts, settings.vocab_size or _OWN_VOCAB, length, lowercase)
    return made.like(length, settings.student_truncation)


def _reading(run: Run, teacher: Teacher | None, sets: Mapping[str, Transfer], own: Tokenizer | None = None) -> _Read:
    job = run.job
    with run.timings.step("student inputs"):
        every = {**run.splits, **{name: s.rows for name, s in sets.items()}}
        learnt = [every[name] for name in ("train", *sets)]
        tokenizer = own or _tokenizer(
            job, teacher, (t for r in learnt for part in (r.text, r.text_b or []) for t in part)
        )
        windows = {}
        if job.task.is_tagging:
            windows = {name: student_windows(tokenizer, rows) for name, rows in every.items()}
            ids = {name: {"ids": some.ids} for name, some in windows.items()}
        else:
            ids = {name: student_ids(tokenizer, rows) for name, rows in every.items()}
        counts = np.bincount(np.concatenate([t.values for t in ids["train"].values()]), minlength=len(tokenizer))
        if job.source is not None:
            matrix = _taken_embeddings(job.source)
        else:
            matrix = first_embeddings(job.student, tokenizer, teacher, job.teacher.teacher_seed, counts)
        return _Read(tokenizer, ids, windows, *matrix)


def _tokenizer(job: Job, teacher: Teacher | None, texts: Iterable[str]) -> Tokenizer:
    settings = job.student
    length = settings.student_max_length or job.task.max_length
    if teacher is not None:
        return cut_wordpiece(
            teacher.tokenizer.wordpiece,
            texts,
            length,
            settings.vocab_size,
            settings.student_truncation,
            settings.vocab_characters,
        )
    return word_vocab(texts, length, settings.vocab_size, truncation=settings.student_truncation)


def _about_windows(run: Run, read: _Read) -> list[str]:
    """Notes how many sentences of a tagging task are read in several windows."""
    if not read.windows:
        return []
    counts = ", ".join(f"{name} {some.long_rows:,} of {len(some.words):,}" for name, some in read.windows.items())
    return [f"sentences that the student reads in several windows: {counts}"]


def _about_text(tokenizer: Tokenizer, dev: Mapping[str, TokenIds], source: FinishedRun | None) -> list[str]:
    values = np.concatenate([t.values for t in dev.values()])
    lengths = np.concatenate([t.lengths for t in dev.values()])
    unknown = float(np.mean(values == tokenizer.unk_id)) if len(values) else 0.0
    cut = float(np.mean(lengths >= tokenizer.max_length))
    longest = tokenizer.max_length
    whose = f"of {source.layout.root}" if source else "from the training text"
    return [
        f"student's vocabulary: {len(tokenizer):,} {tokenizer.kind} entries {whose}; "
        f"{unknown:.2%} of dev tokens are unknown",
        f"student's texts: at most {longest} tokens{of_longer(longest, tokenizer.truncation)} ({cut:.1%} of dev texts "
        "reach that)",
    ]


def _taken_embeddings(source: FinishedRun) -> tuple[np.ndarray, str, str]:
    """The embeddings of another student (:func:`first_embeddings`). Its other layers are copied later."""
    matrix = np.asarray(source.student().get_layer("embeddings").get_weights()[0])
    note = f"student: starts with the embeddings and the BiLSTM of {source.layout.root}"
    return matrix, files.hash_of("taken", source.student_hash), note


def first_embeddings(
    settings: StudentSettings, tokenizer: Tokenizer, teacher: Teacher | None, seed: int, counts: np.ndarray
) -> tuple[np.ndarray, str, str]:
    """float32[vocab, width], its key, and a note. ``counts`` is int[vocab]: how often each piece occurs."""
    if settings.embeddings == "teacher":
        assert isinstance(tokenizer, WordPiece) and teacher is not None
        if all(piece in teacher.tokenizer.index for piece in tokenizer.vocab):
            rows = [teacher.tokenizer.index[p] for p in tokenizer.vocab]
            matrix = embeddings.from_teacher(teacher.word_embeddings(), rows, settings.width())
        else:
            pieces = embeddings.teacher_pieces(tokenizer.vocab, teacher.tokenizer.pieces_of)
            matrix = embeddings.from_pieces(teacher.word_embeddings(), pieces, settings.width())
        key = files.hash_of("svd", teacher.fingerprint(), tokenizer.vocab, settings.width())
        whose = "the fine-tuned teacher" if teacher.classifies else teacher.name
        return matrix, key, f"embeddings: {whose}'s, by SVD to {settings.width()}"
    if settings.embeddings == "vectors":
        matrix, coverage = embeddings.from_vectors(settings.vectors, tokenizer.vocab, seed, counts)
        note = f"embeddings: {settings.vectors}, {coverage}"
    else:
        matrix, note = embeddings.random_matrix(len(tokenizer), settings.width(), seed), "embeddings: random"
    return matrix, hashlib.sha256(matrix.tobytes()).hexdigest()[:16], note
