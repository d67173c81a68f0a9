"""Labeling text with a teacher: each distinct text once, in shards of consecutive texts, resumable shard by shard.

A shard is read, labeled and written before the next is read, so memory does not grow with the number of texts.
:func:`label_shard` needs nothing but a shard's texts, so any process may do it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from kd_keras.common.artifacts import find
from kd_keras.common.errors import UserError
from kd_keras.common.progress import progress, say
from kd_keras.common.ragged import Ragged, flat
from kd_keras.common.team import current
from kd_keras.tasks import Rows
from kd_keras.teachers import signal_columns
from kd_keras.teachers.bert import Teacher
from kd_keras.teachers.distinct import Distinct, ShardText
from kd_keras.teachers.encoded import plan
from kd_keras.teachers.lent import Lender, joined, lender
from kd_keras.teachers.precision import SAMPLE, checked_labels, checked_vectors
from kd_keras.teachers.settings import FLOAT32, WORD, LabelSettings
from kd_keras.teachers.signal_columns import ROW, TOKEN, Column
from kd_keras.teachers.signals import HIDDEN, LOGITS, OWN_FILES, STATES, Signals, SignalStore
from kd_keras.teachers.tagger import EncodedWords, TaggingTeacher


def manifest(teacher: Teacher, task_name: str, rows: Rows, settings: LabelSettings) -> dict:
    """What the signals depend on."""
    settings.check_layer(teacher.bert.config.num_hidden_layers)
    vector = {"pooling": settings.hidden, "layer": layer_of(teacher, settings)}
    if settings.hidden == WORD:
        vector["projection"] = teacher.projection.key
    elif not teacher.classifies:
        vector["told"] = teacher.reduction.to_json()
    return {
        "task": task_name,
        "teacher": teacher.fingerprint(),
        "hidden": None if settings.hidden == "none" else vector,
        "data": rows.fingerprint(),
        "rows": len(rows),
        "batch_tokens": settings.label_batch_tokens,
        "shard_rows": settings.shard_rows,
        "columns": signal_columns.to_json(columns(settings, teacher)),
        **({} if settings.label_precision == FLOAT32 else {"precision": settings.label_precision}),
    }


def columns(settings: LabelSettings, teacher: Teacher) -> dict[str, Column]:
    """The columns that :func:`label_shard` makes: a line of numbers a text, or for each of its words."""
    kind, made = TOKEN if teacher.tagging else ROW, {}
    if teacher.classifies:
        made[LOGITS] = Column(kind, "float32")
    if settings.hidden != "none":
        made[HIDDEN] = Column(kind, "float16")
    if teacher.tells_words:
        made[STATES] = Column(TOKEN, "float16")
    return made


def layer_of(teacher: Teacher, settings: LabelSettings) -> int:
    """The number of the layer whose states are kept."""
    return teacher.bert.config.num_hidden_layers if settings.hidden_layer == -1 else settings.hidden_layer


def label(
    teacher: Teacher,
    rows: Rows,
    folder: str | Path,
    settings: LabelSettings,
    task_name: str,
    split: str,
    known: Sequence[Path] = (),
) -> Signals:
    """Signals of ``rows`` in ``folder``, as :func:`make` leaves them, in the rows' order. Memory holds all logits.

    If the folder is in an object store, only the logits are read. So the store need not be copied.
    """
    store, team = SignalStore(folder), current()
    if team is not None and not team.chief:
        wanted = manifest(teacher, task_name, rows, settings)
        team.wait()
        return store.read(rows, wanted)
    rows.text_hashes()  # of all rows, once: reading asks for them too
    wanted = make(teacher, rows, store, settings, task_name, split, known)
    signals = store.read(rows, wanted, with_hidden=store.place.is_here)
    if team is not None:
        team.wait()
    return signals


def make(
    teacher: Teacher,
    rows: Rows,
    store: SignalStore,
    settings: LabelSettings,
    task_name: str,
    split: str,
    known: Sequence[Path] = (),
) -> dict:
    """Makes the signals of ``rows`` in ``store``, or what is missing of them. Memory does not grow with the rows.

    Args:
      known: folders of other runs that may hold the very same signals, or those of some texts.

    Returns:
      Their :func:`manifest`.

    Raises:
      UserError: the folder holds signals of something else, or damaged ones: what cost hours is not made again unasked.
    """
    wanted = manifest(teacher, task_name, rows, settings)
    if known and not store.place.exists():
        what = f"signals ({split})"
        find(what, store.folder, lambda place: SignalStore(place).verify(wanted), known, OWN_FILES, alone=True)
    store.check(wanted)
    if not store.is_complete:
        found = Distinct(rows, settings.shard_rows)
        _check_precision(teacher, rows, found, settings)
        store.begin(wanted)  # last, so that what was refused leaves nothing behind
        with lender(known, wanted, found, store, split) as lent:
            _label(teacher, rows, found, store, settings, split, lent)
    return wanted


def _check_precision(teacher: Teacher, rows: Rows, found: Distinct, settings: LabelSettings) -> None:
    if settings.label_precision == FLOAT32:
        return
    most = SAMPLE if teacher.tagging else 4 * SAMPLE
    some = rows.take(found.at(np.linspace(0, found.count - 1, min(most, found.count)).astype(int)))
    if teacher.classifies:
        checked_labels(teacher, _lowered(teacher, settings), teacher.encode_texts(some.text, some.text_b), settings)
        return
    with progress(2 * len(some), f"comparing {settings.label_precision} with float32", "texts") as bar:
        checked_vectors(lambda how: label_shard(teacher, some.text, how, report=bar.update)[HIDDEN], settings)


def _label(
    teacher: Teacher, rows: Rows, found: Distinct, store: SignalStore, settings: LabelSettings, split: str, lent: Lender
) -> None:
    there, done, skipped = store.finished_shards(), 0, 0
    for n, (_, hashes) in enumerate(found.hashes() if there else ()):
        if n in there:  # a damaged one, or one of another version's plan, must stop the run now, not at its end
            store.check_shard(n, hashes)
            done, skipped = done + 1, skipped + len(hashes)
    if done:
        say(f"signals ({split}): going on with shard {done + 1} of {found.shards}")
    with progress(found.count, f"labeling {split}", "texts", initial=skipped) as bar:
        shards = map(lent.lend, found.without(there))
        (teacher.crew or _make_here)(teacher, store, shards, settings, bar.update)
    store.finish(found.shards)
    twice = len(rows) - found.count
    have = "row has" if twice == 1 else "rows have"
    same = (
        f"; {twice:,} {have} the very text of an earlier row of {split}, which the teacher read once" if twice else ""
    )
    say(f"signals ({split}): {len(rows):,} rows{same}")


def make_shard(
    teacher: Teacher,
    store: SignalStore,
    shard: ShardText,
    settings: LabelSettings,
    report: Callable[[int], object] = lambda texts: None,
) -> None:
    """One file of ``store``, by whatever process.

    Raises:
      UserError: a number is too large for ``settings.label_precision``.
    """
    texts, texts_b = shard.asked()
    report(len(shard.texts) - len(texts))
    made = label_shard(teacher, texts, settings, texts_b, report) if texts or shard.lent is None else {}
    if settings.label_precision != FLOAT32 and not all(np.isfinite(flat(values)).all() for values in made.values()):
        raise UserError(
            f"--label_precision={settings.label_precision}: some numbers of shard {shard.number} are too large for it; "
            "take float32"
        )
    store.write_shard(shard.number, shard.ids, shard.hashes, joined(shard, made))


def _make_here(
    teacher: Teacher,
    store: SignalStore,
    missing: Iterable[ShardText],
    settings: LabelSettings,
    report: Callable[[int], object],
) -> None:
    for shard in missing:
        make_shard(teacher, store, shard, settings, report)


def label_shard(
    teacher: Teacher,
    texts: Sequence[str],
    settings: LabelSettings,
    texts_b: Sequence[str] | None = None,
    report: Callable[[int], object] = lambda texts: None,
) -> dict[str, np.ndarray | Ragged]:
    """What ``teacher`` says of ``texts``: a function of these, the teacher and the settings alone.

    So it does not matter which process labels a shard. The last bits of a number depend on the texts that share its
    batch, and so on the shard, and on the number of threads and the kernels of a machine.

    >>> label_shard(teacher, ["a good film", "dull"], LabelSettings(hidden="cls"))["logits"].shape  # doctest: +SKIP
    (2, 2)

    Args:
      texts: of one shard; memory holds all of them as ids.
      texts_b: the second ones of pairs.
      report: told after each batch how many texts it had.

    Returns:
      {"logits": float32[texts, labels], "hidden": float16[texts, width] unless ``settings.hidden`` is "none"}, in the
      order of ``texts``. A teacher of words: ragged rows of both, float32[words, labels] and float16[words, fewer]. One
      that does not classify: "hidden", and ragged rows "states" of the words where its reduction tells them.
    """
    tells = teacher  # a copy of lower precision knows no axes
    if settings.label_precision != FLOAT32:
        teacher = _lowered(teacher, settings)
    encoded, config, layer = teacher.encode_texts(texts, texts_b), teacher.bert.config, layer_of(teacher, settings)
    if isinstance(encoded, EncodedWords):
        return _label_words(teacher, encoded, settings, report)
    widths = {LOGITS: teacher.num_labels, HIDDEN: tells.vector_size}
    made_of = columns(settings, tells)
    out = {name: np.empty((len(texts), widths[name]), c.dtype) for name, c in made_of.items() if c.kind == ROW}
    words = _Words(len(texts)) if STATES in made_of else None
    cls_only = not ((settings.hidden == "mean" or words is not None) and layer == config.num_hidden_layers)
    for batch in plan(encoded.ids.lengths, settings.label_batch_tokens):
        x = encoded.batch(batch)
        made = teacher.predict_batch(x, cls_only)
        if LOGITS in out:
            out[LOGITS][batch] = made["logits"].numpy()
        if HIDDEN in out:
            out[HIDDEN][batch] = tells.told(pool(made[f"hidden_{layer}"].numpy(), x["attention_mask"], settings.hidden))
        if words is not None:
            words.put(batch, *tells.told_words(made[f"hidden_{layer}"].numpy(), x["input_ids"]))
        report(len(batch))
    return out if words is None else out | {STATES: words.rows()}


def _lowered(teacher: Teacher, settings: LabelSettings) -> Teacher:
    """The twin that gives what ``settings`` want kept."""
    vectors = settings.hidden != "none" or teacher.tells_words
    outputs = [LOGITS] * teacher.classifies + [f"hidden_{layer_of(teacher, settings)}"] * vectors
    return teacher.lowered(settings.label_precision, outputs)


class _Words:
    """What is kept of the words of so many texts, put batch by batch."""

    def __init__(self, texts: int):
        self._parts: list[np.ndarray] = []
        self._starts, self._lengths, self._count = np.zeros(texts, np.int64), np.zeros(texts, np.int64), 0

    def put(self, batch: np.ndarray, values: np.ndarray, lengths: np.ndarray) -> None:
        self._starts[batch] = self._count + np.cumsum(lengths) - lengths
        self._lengths[batch] = lengths
        self._count += len(values)
        self._parts.append(values.astype(np.float16))

    def rows(self) -> Ragged:
        return Ragged(np.concatenate(self._parts), self._starts, self._lengths)


def _label_words(
    teacher: TaggingTeacher, encoded: EncodedWords, settings: LabelSettings, report: Callable[[int], object]
) -> dict[str, Ragged]:
    windows, layer = encoded.windows, layer_of(teacher, settings)
    words = int(windows.words.sum())
    out = {LOGITS: np.zeros((words, teacher.num_labels), np.float32)}
    if settings.hidden == WORD:
        out[HIDDEN] = np.zeros((words, teacher.projection.axes.shape[1]), np.float16)
    for batch in plan(encoded.ids.lengths, settings.label_batch_tokens):
        made = teacher.predict_batch(encoded.batch(batch))
        windows.collect(out[LOGITS], batch, made["logits"].numpy())
        if HIDDEN in out:
            states, numbers = made[f"hidden_{layer}"].numpy(), range(len(batch))
            out[HIDDEN][np.concatenate([windows.word[w] for w in batch])] = teacher.projection(
                np.concatenate([states[n, windows.at[w]] for n, w in zip(numbers, batch, strict=True)])
            )
        report(len(batch))
    return {name: windows.rows(values) for name, values in out.items()}


def pool(states: np.ndarray, mask: np.ndarray, how: str) -> np.ndarray:
    """float32[batch, width] from float32[batch, time, width]: the [CLS] state, or the mean of real tokens."""
    if how == "cls":
        return states[:, 0]
    weights = mask[:, :, None].astype(np.float32)
    return (states * weights).sum(1) / np.maximum(weights.sum(1), 1)
