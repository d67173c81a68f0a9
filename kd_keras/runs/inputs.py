"""What the arms of a run share: transfer sets, the teacher's signals, and the texts as the student reads them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from kd_keras.augment.transfer import Transfer, augmented
from kd_keras.augment.unlabeled import unlabeled
from kd_keras.common import files
from kd_keras.common.errors import UserError
from kd_keras.common.layout import RunLayout, signals_in
from kd_keras.common.progress import say
from kd_keras.distill.settings import JobSettings
from kd_keras.metrics import score, softmax
from kd_keras.runs.auto import mix
from kd_keras.runs.job import Job, Timings, sibling_runs
from kd_keras.runs.references import References, references
from kd_keras.runs.teacher_check import check_teacher
from kd_keras.students.inputs import student_ids
from kd_keras.students.settings import StudentSettings
from kd_keras.tasks import Rows
from kd_keras.teachers import ensemble
from kd_keras.teachers.bert import Teacher
from kd_keras.teachers.checkpoints import find_checkpoint, from_folder
from kd_keras.teachers.finetune import fine_tune
from kd_keras.teachers.labelling import label
from kd_keras.teachers.signals import Signals
from kd_keras.text import embeddings
from kd_keras.text.token_ids import TokenIds
from kd_keras.text.tokenizers import Tokenizer, WordPiece, cut_wordpiece, word_vocab
from kd_keras.text.truncation import of_longer


@dataclass(frozen=True)
class Inputs:
    """Attributes:
    splits: "train", "dev", … → rows.
    transfer: rules ("mask", …, "all") → the rows they made; "unlabeled" → rows of unlabelled text; "rest" →
      training rows without their labels.
    signals: split, or name in ``transfer`` → the teacher's signals; of an ensemble their mean.
    teacher: what reports say of it.
    tokenizer: the student's.
    matrix: float32[vocab, embedding_size], the first embeddings.
    matrix_key: equal for equal matrices, and for those of one SVD, whose last bits change with the number of threads.
    ids: as ``signals``, {"ids": TokenIds} or {"ids_a", "ids_b"}.
    notes: what the report says of teachers, text, vocabulary and embeddings.
    each_teacher: the logits of each teacher by itself, for every split; more than one where ``teacher`` has "seeds".
    references: linear models on the same rows.
    how: the job's settings with the mix that suits the teacher.
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
    how: JobSettings | None = None


def rest_set(job: Job) -> dict[str, Transfer]:
    """{"rest": the training rows whose labels ``labels_per_class`` left out}, or nothing."""
    rest = job.data.rest
    if rest is None:
        return {}
    return {"rest": Transfer(rest, np.full(len(rest), -1, np.int64), ["rest"] * len(rest), [])}


def transfer_sets(job: Job, layout: RunLayout, rules: Sequence[str], timings: Timings) -> dict[str, Transfer]:
    """The rows that each of ``rules`` makes from the training rows, found again where they exist."""
    siblings = sibling_runs(layout, job.task.name)
    sets = {}
    for name in rules:
        if name != "none":
            with timings.step(f"augmentation ({name})"):
                settings = replace(job.augment, augment=name)
                known = [s.augmented(name) for s in siblings]
                sets[name] = augmented(job.data.train, settings, layout.augmented(name), known)
    return sets


def unlabeled_set(job: Job, layout: RunLayout, timings: Timings) -> Transfer:
    """The unlabelled text, none of which any split, or the training rows without labels, hold."""
    with timings.step("unlabelled text"):
        known = [s.augmented("unlabeled") for s in sibling_runs(layout, job.task.name)]
        apart = [job.data.train, *(s.rows for s in rest_set(job).values())]
        held_out = [rows for split, rows in job.splits().items() if split != "train"]
        path = layout.augmented("unlabeled")
        return unlabeled(job.task, job.data_dir, job.unlabeled, apart, held_out, path, known, job.on_bad_row)


def prepare(job: Job, layout: RunLayout, sets: Mapping[str, Transfer], timings: Timings) -> Inputs:
    """Teacher, signals, vocabulary and ids of every split and transfer set."""
    splits = job.splits()
    to_beat = references(job, layout, timings)
    reads = None
    if job.student.tokenizer == "words":  # needs no teacher; faulty vectors must stop the run before the long work
        reads = _reading(job, None, splits, sets, timings)
    teacher, signals, each, about_teacher = _taught(job, layout, splits, sets, timings, to_beat)
    tokenizer, ids, matrix, matrix_key, note = reads or _reading(job, teacher, splits, sets, timings)
    about, length = teacher.about(), teacher.tokenizer.max_length
    floor = to_beat.logits.get("linear", {}).get("dev")
    how, mixed = mix(job.job, job.task.metric, job.data.dev.label, signals["dev"].logits, floor)
    seeds = [_seed_of(layout.teacher_of(n)) for n in range(1, len(each) + 1)]
    about |= {"seeds": seeds} if len(seeds) > 1 else {"seed": seeds[0]}
    longer = of_longer(length - 2, teacher.tokenizer.truncation)
    read = f"teacher's texts: at most {length} pieces with [CLS] and [SEP]{longer}"
    learnt = (signals[name].logits for name in ("train", *sets))
    sure = about_confidence(job.job, job.task.is_regression, learnt)
    notes = [
        *_about_teachers(job, signals, each, about),
        *about_teacher,
        *mixed,
        *sure,
        read,
        *_about_text(tokenizer, ids["dev"]),
        note,
    ]
    for line in notes:
        say(line)
    notes = [*(n for s in sets.values() for n in s.notes), *notes]
    tokenizer.save(layout.vocab, layout.tokenizer)
    return Inputs(splits, sets, signals, about, tokenizer, matrix, matrix_key, ids, notes, each, to_beat, how)


def _reading(
    job: Job,
    teacher: Teacher | None,
    splits: Mapping[str, Rows],
    sets: Mapping[str, Transfer],
    timings: Timings,
) -> tuple[Tokenizer, dict[str, dict[str, TokenIds]], np.ndarray, str, str]:
    """The student's tokenizer, all texts as its ids, its first embeddings with their key, and a note on these."""
    with timings.step("student inputs"):
        rows = [splits["train"], *(s.rows for s in sets.values())]
        tokenizer = _tokenizer(job, teacher, (t for r in rows for part in (r.text, r.text_b or []) for t in part))
        ids = {name: student_ids(tokenizer, r) for name, r in splits.items()}
        ids |= {name: student_ids(tokenizer, s.rows) for name, s in sets.items()}
        counts = np.bincount(np.concatenate([t.values for t in ids["train"].values()]), minlength=len(tokenizer))
        return tokenizer, ids, *_matrix(job.student, tokenizer, teacher, job.teacher.teacher_seed, counts)


def _taught(
    job: Job,
    layout: RunLayout,
    splits: Mapping[str, Rows],
    sets: Mapping[str, Transfer],
    timings: Timings,
    to_beat: References,
) -> tuple[Teacher, dict[str, Signals], list[dict[str, np.ndarray]], list[str]]:
    """The first teacher, the signals to learn from, each teacher's own logits of every split, and notes."""
    first, made, notes = None, [], []
    # Dev comes first: whether a teacher is worth listening to is known before the long work.
    rows = {"dev": splits["dev"], **splits, **{name: s.rows for name, s in sets.items()}}
    for number in range(1, job.teacher.teacher_seeds + 1):
        teacher = _teacher(job, layout, timings, number, to_beat)
        signals: dict[str, Signals] = {}
        with timings.step("signals" if number == 1 else f"signals {number}"):
            for split, some in rows.items():
                signals[split] = _signals(job, layout, teacher, split, some, number)
                if split == "dev" and number == 1:
                    notes = _about_teacher(job, signals["dev"], to_beat)
        made.append(signals)
        first = first or teacher
    signals = {name: ensemble.mean([own[name] for own in made]) for name in made[0]}
    return first, signals, [{split: own[split].logits for split in splits} for own in made], notes


def _about_teacher(job: Job, dev: Signals, to_beat: References) -> list[str]:
    """Raises UserError where the teacher is under the linear model."""
    if job.task.is_regression:
        return []
    floor = to_beat.logits.get("linear", {}).get("dev")
    return check_teacher(
        job.task.metric, job.task.labels, job.data.dev.label, dev.logits, floor, job.job.allow_weak_teacher
    )


def _teacher(job: Job, layout: RunLayout, timings: Timings, number: int, to_beat: References) -> Teacher:
    with timings.step("teacher" if number == 1 else f"teacher {number}"):
        given, count = find_checkpoint(job.teacher.teacher), job.teacher.teacher_seeds
        checkpoint = ensemble.checkpoints(given, job.task.name, job.data.fingerprint, count)[number - 1]
        known = [t for s in sibling_runs(layout, job.task.name) for t in s.every_teacher()]
        settings = ensemble.teacher_settings(job.teacher, number)
        return fine_tune(checkpoint, job.data, settings, layout.teacher_of(number), known, to_beat.start)


def _seed_of(teacher: Path) -> int | None:
    """Also of a teacher that was given, which ``teacher_seed`` says nothing of; None where nothing was fine-tuned."""
    key = from_folder(str(teacher), teacher).manifest()["key"]
    return key["teacher_seed"] if key["teacher_epochs"] else None


def _about_teachers(
    job: Job, signals: Mapping[str, Signals], each: Sequence[Mapping[str, np.ndarray]], about: dict
) -> list[str]:
    if "seeds" not in about:
        return []
    metric, gold = job.task.metric, job.data.dev.label
    alone = ensemble.scores([metric], {"dev": gold}, each, about["seeds"])
    return [ensemble.in_words(metric, alone, score([metric], gold, signals["dev"].logits)[metric])]


def about_confidence(settings: JobSettings, regression: bool, logits: Iterable[np.ndarray]) -> list[str]:
    """How many rows the hard labels teach, of ``logits`` float[rows, classes] each; nothing without ``--confidence``.

    Raises:
      UserError: none is as sure.
    """
    least = settings.confidence
    if not least or "hard" not in settings.recipes(regression):
        return []
    surest = softmax(np.concatenate(list(logits))).max(axis=-1)
    count = int(np.sum(surest >= least))
    if not count:
        raise UserError(
            f"--confidence={least:g}: the teacher gives none of {len(surest):,} rows a label so probable, its surest "
            f"has {surest.max():.4f}; choose less"
        )
    return [f"hard labels: {count:,} of {len(surest):,} rows have one that the teacher gives {least:g} or more"]


def _signals(job: Job, layout: RunLayout, teacher: Teacher, split: str, rows: Rows, number: int) -> Signals:
    settings = ensemble.label_settings(job.label, number)
    known = [place for s in sibling_runs(layout, job.task.name) for place in s.every_signals(split)]
    given = job.job.signals and signals_in(Path(job.job.signals), split, number)
    known = [given] if (must := bool(given and given.is_dir())) else known
    return label(
        teacher, rows, layout.signals(split, number), settings, job.task.name,
        split if number == 1 else f"{split}, teacher {number}", known, must_be_known=must,
    )  # fmt: skip


def _tokenizer(job: Job, teacher: Teacher | None, texts: Iterable[str]) -> Tokenizer:
    settings = job.student
    length = settings.student_max_length or job.task.max_length
    if teacher is not None:
        return cut_wordpiece(teacher.tokenizer, texts, length, settings.vocab_size, settings.student_truncation)
    return word_vocab(texts, length, settings.vocab_size, truncation=settings.student_truncation)


def _about_text(tokenizer: Tokenizer, dev: Mapping[str, TokenIds]) -> list[str]:
    values = np.concatenate([t.values for t in dev.values()])
    lengths = np.concatenate([t.lengths for t in dev.values()])
    unknown = float(np.mean(values == tokenizer.unk_id)) if len(values) else 0.0
    cut = float(np.mean(lengths >= tokenizer.max_length))
    longest = tokenizer.max_length
    return [
        f"student's vocabulary: {len(tokenizer):,} {tokenizer.kind} entries from the training text; "
        f"{unknown:.2%} of dev tokens are unknown",
        f"student's texts: at most {longest} tokens{of_longer(longest, tokenizer.truncation)} ({cut:.1%} of dev texts "
        "reach that)",
    ]


def _matrix(
    settings: StudentSettings, tokenizer: Tokenizer, teacher: Teacher | None, seed: int, counts: np.ndarray
) -> tuple[np.ndarray, str, str]:
    if settings.embeddings == "teacher":
        assert isinstance(tokenizer, WordPiece) and teacher is not None
        rows = [teacher.tokenizer.index[p] for p in tokenizer.vocab]
        matrix = embeddings.from_teacher(teacher.word_embeddings(), rows, settings.width())
        key = files.hash_of("svd", teacher.fingerprint(), tokenizer.vocab, settings.width())
        return matrix, key, f"embeddings: the fine-tuned teacher's, by SVD to {settings.width()}"
    if settings.embeddings == "vectors":
        matrix, coverage = embeddings.from_vectors(settings.vectors, tokenizer.vocab, seed, counts)
        note = f"embeddings: {settings.vectors}, {coverage}"
    else:
        matrix, note = embeddings.random_matrix(len(tokenizer), settings.width(), seed), "embeddings: random"
    return matrix, hashlib.sha256(matrix.tobytes()).hexdigest()[:16], note
