"""Labelling text with a teacher: each distinct text once, batched by length, resumable shard by shard."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kd_keras.common import files
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
    layer = layers if settings.hidden_layer == -1 else settings.hidden_layer
    if layer > layers:
        raise UserError(f"--hidden_layer={layer}: the teacher has layers 0 to {layers}")
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
    members: dict[str, list[int]] = {}
    for i, h in enumerate(hashes):
        members.setdefault(h, []).append(i)
    first = np.array([m[0] for m in members.values()])
    encoded = teacher.encode(rows.take(first))
    shards = plan(encoded.ids.lengths, settings)

    if settings.label_precision == "bfloat16":
        teacher = checked_bfloat16(teacher, encoded, settings.label_batch_tokens)
    store.begin(wanted)  # last, so that what was refused leaves nothing behind
    done = [n for n in range(len(shards)) if store.shard(n).is_file()]
    for n in done:  # a damaged one, or one of another version's plan, must stop the run now, not at its end
        store.check_shard(n, [rows.ids[i] for b in shards[n] for t in b for i in members[hashes[first[t]]]])
    skipped = sum(len(b) for n in done for b in shards[n])
    if done:
        say(f"signals ({split}): going on with shard {len(done) + 1} of {len(shards)}")
    layers = teacher.bert.config.num_hidden_layers
    layer = layers if settings.hidden_layer == -1 else settings.hidden_layer
    cls_only = not (settings.hidden == "mean" and layer == layers)
    with progress(len(first), f"labelling {split}", "texts", initial=skipped) as bar:
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
            texts = np.concatenate(at)
            # A text that several rows share is written once for each of them.
            owners = [members[hashes[first[t]]] for t in texts]
            repeat = np.repeat(np.arange(len(texts)), [len(o) for o in owners])
            flat = [i for o in owners for i in o]
            vectors = np.concatenate(hidden)[repeat] if hidden else None
            store.write_shard(
                n,
                [rows.ids[i] for i in flat],
                [hashes[i] for i in flat],
                np.concatenate(logits)[repeat],
                vectors,
            )
    store.finish(len(shards))
    twice = sum(c - 1 for c in Counter(hashes).values())
    say(f"signals ({split}): {len(rows):,} rows, {len(first):,} distinct texts ({twice:,} repeats labelled once)")


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
