"""Labelling text with a teacher: each distinct text once, batched by length, resumable shard by shard."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kd_keras.common import files
from kd_keras.common.columns import Picked
from kd_keras.common.errors import UserError
from kd_keras.common.progress import progress, say
from kd_keras.common.seeds import rng
from kd_keras.tasks import Rows
from kd_keras.teachers.bert import Teacher, token_batches
from kd_keras.teachers.precision import checked_bfloat16
from kd_keras.teachers.settings import LabelSettings
from kd_keras.teachers.signals import Signals, SignalStore, text_hashes


def manifest(teacher: Teacher, task_name: str, rows: Rows, settings: LabelSettings) -> dict:
    """What the signals depend on."""
    layers = teacher.bert.config.num_hidden_layers
    settings.check_layer(layers)
    layer = layers if settings.hidden_layer == -1 else settings.hidden_layer
    return {
        "task": task_name,
        "teacher": teacher.fingerprint(),
        "hidden": None if settings.hidden == "none" else {"pooling": settings.hidden, "layer": layer},
        "data": rows.fingerprint(),
        "rows": len(rows),
        "batch_tokens": settings.label_batch_tokens,
        "shard_rows": settings.shard_rows,
        **({} if settings.label_precision == "float32" else {"precision": settings.label_precision}),
    }


def label(
    teacher: Teacher,
    rows: Rows,
    folder: Path,
    settings: LabelSettings,
    task_name: str,
    split: str,
    known: Sequence[Path] = (),
    must_be_known: bool = False,
) -> Signals:
    """Signals of ``rows`` in ``folder``: read where they are complete, else made or completed.

    Args:
      known: folders of other runs that may hold the very same signals.
      must_be_known: refuse signals in ``known`` that do not fit, instead of labelling again.
    """
    wanted = manifest(teacher, task_name, rows, settings)
    store = SignalStore(folder)
    if not store.folder.exists():
        for place in known:
            if must_be_known:
                SignalStore(place).verify(wanted)
            if must_be_known or _same(place, wanted):
                with files.atomic_dir(folder) as temp:
                    for f in place.iterdir():
                        if f != SignalStore(place).hidden:
                            files.link_or_copy(f, temp / f.name)
                say(f"signals ({split}): labelled before, taken from {place}")
                break
    store.check(wanted)
    if not store.is_complete:
        _label(teacher, rows, store, wanted, settings, split)
    return store.read(rows, wanted)


def _same(place: Path, wanted: dict) -> bool:
    try:
        SignalStore(place).verify(wanted)
    except UserError:
        return False
    return True


def _label(teacher: Teacher, rows: Rows, store: SignalStore, wanted: dict, settings: LabelSettings, split: str) -> None:
    hashes = text_hashes(rows)
    texts = DistinctTexts(hashes)
    encoded = teacher.encode(rows if len(texts) == len(rows) else _picked(rows, texts.first))
    shards = plan(encoded.ids.lengths, settings)

    if settings.label_precision == "bfloat16":
        teacher = checked_bfloat16(teacher, encoded, settings.label_batch_tokens)
    store.begin(wanted)  # last, so that what was refused leaves nothing behind
    done = [n for n in range(len(shards)) if store.shard(n).is_file()]
    for n in done:  # a damaged one, or one of another version's plan, must stop the run now, not at its end
        store.check_shard(n, [rows.ids[i] for i in texts.rows(np.concatenate(shards[n]))[0].tolist()])
    skipped = sum(len(b) for n in done for b in shards[n])
    if done:
        say(f"signals ({split}): going on with shard {len(done) + 1} of {len(shards)}")
    layers = teacher.bert.config.num_hidden_layers
    layer = layers if settings.hidden_layer == -1 else settings.hidden_layer
    cls_only = not (settings.hidden == "mean" and layer == layers)
    with progress(len(texts), f"labelling {split}", "texts", initial=skipped) as bar:
        for n, batches in enumerate(shards):
            if n in done:
                continue
            at, logits, hidden = [], [], []
            for batch in batches:
                x = encoded.batch(batch)
                out = teacher.predict_batch(x, cls_only)
                at.append(batch)
                logits.append(out["logits"].numpy())
                if settings.hidden != "none":
                    states = out[f"hidden_{layer}"].numpy()
                    hidden.append(pool(states, x["attention_mask"], settings.hidden))
                bar.update(len(batch))
            # A text that several rows share is written once for each of them.
            where, repeat = texts.rows(np.concatenate(at))
            vectors = np.concatenate(hidden)[repeat] if hidden else None
            ids = [rows.ids[i] for i in where.tolist()]
            store.write_shard(n, ids, hashes[where].astype(str).tolist(), np.concatenate(logits)[repeat], vectors)
    store.finish(len(shards))
    twice = len(rows) - len(texts)
    say(f"signals ({split}): {len(rows):,} rows, {len(texts):,} distinct texts ({twice:,} repeats labelled once)")


class DistinctTexts:
    """Rows that share a text, by the texts' hashes; texts are numbered as they first come.

    Attributes:
      first: int64[texts], the first row of each.
    """

    def __init__(self, hashes: np.ndarray):
        _, first, text = np.unique(hashes, return_index=True, return_inverse=True)
        order = np.argsort(first)
        number = np.empty(len(order), np.int64)
        number[order] = np.arange(len(order))
        self.first = first[order]
        text = number[text]
        self._rows = np.argsort(text, kind="stable")
        self._starts = np.concatenate([[0], np.cumsum(np.bincount(text, minlength=len(first)))])

    def __len__(self) -> int:
        return len(self.first)

    def rows(self, texts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The rows of ``texts``, text by text, and for each row which of ``texts`` it has."""
        counts = self._starts[texts + 1] - self._starts[texts]
        which = np.repeat(np.arange(len(texts)), counts)
        begin = np.cumsum(counts) - counts
        return self._rows[np.arange(len(which)) - begin[which] + self._starts[texts][which]], which


def _picked(rows: Rows, where: np.ndarray) -> Rows:
    text_b = None if rows.text_b is None else Picked(rows.text_b, where)
    return Rows(Picked(rows.ids, where), Picked(rows.text, where), text_b, rows.label[where])


def pool(states: np.ndarray, mask: np.ndarray, how: str) -> np.ndarray:
    """float32[batch, width] from float32[batch, time, width]: the [CLS] state, or the mean of real tokens."""
    if how == "cls":
        return states[:, 0]
    weights = mask[:, :, None].astype(np.float32)
    return (states * weights).sum(1) / np.maximum(weights.sum(1), 1)


def plan(lengths: np.ndarray, settings: LabelSettings) -> list[list[np.ndarray]]:
    """Shards of whole batches, the same on every run, so that a resumed run gives the same bits.

    Batches hold texts of like length; their order is shuffled so that the time left can be told.
    """
    batches = token_batches(lengths, settings.label_batch_tokens)
    shards: list[list[np.ndarray]] = [[]]
    size = 0
    for b in rng(0, "label order").permutation(len(batches)):
        if size >= settings.shard_rows:
            shards.append([])
            size = 0
        shards[-1].append(batches[b])
        size += len(batches[b])
    return shards
