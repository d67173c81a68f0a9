"""Length-bucketed tf.data batches whose order is a function of seed and step alone.

So a killed run can resume in the middle of an epoch. It only needs to know the step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from kd_keras.common.columns import JoinedArray
from kd_keras.common.seeds import rng
from kd_keras.text.token_ids import TokenIds
from kd_keras.text.windows import PerPiece

# Sorting in pools of this many batches gives little padding and still mixes the rows.
_POOL = 64


def steps_per_epoch(rows: int, batch_size: int) -> int:
    return -(-rows // batch_size)


def epoch_plan(lengths: np.ndarray, batch_size: int, seed: int, epoch: int) -> list[np.ndarray]:
    """Each row once, in batches of similar length. Rows and batches are shuffled.

    Returns:
      ``steps_per_epoch`` arrays of row indices.
    """
    draw = rng(seed, "batches", epoch)
    order = draw.permutation(len(lengths))
    pool = batch_size * _POOL
    batches = []
    for start in range(0, len(order), pool):
        part = order[start : start + pool]
        part = part[np.argsort(lengths[part], kind="stable")]
        batches += [part[i : i + batch_size] for i in range(0, len(part), batch_size)]
    return [batches[i] for i in draw.permutation(len(batches))]


def sorted_plan(lengths: np.ndarray, batch_size: int) -> list[np.ndarray]:
    """Each row once, longest first. This needs the least padding, and memory peaks at the start."""
    order = np.argsort(-lengths, kind="stable")
    return [order[i : i + batch_size] for i in range(0, len(order), batch_size)]


def row_lengths(ids: Mapping[str, TokenIds]) -> np.ndarray:
    """int64[rows]: length of each row's longest input."""
    return np.max([t.lengths for t in ids.values()], axis=0)


def training_plan(lengths: np.ndarray, batch_size: int, seed: int, start_step: int = 0) -> Iterator[np.ndarray]:
    """Endless batches of row indices, from ``start_step`` on."""
    epoch, skip = divmod(start_step, steps_per_epoch(len(lengths), batch_size))
    while True:
        yield from epoch_plan(lengths, batch_size, seed, epoch)[skip:]
        epoch, skip = epoch + 1, 0


def padded(
    ids: Mapping[str, TokenIds], y: Mapping[str, np.ndarray | JoinedArray | PerPiece], rows: np.ndarray
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The chosen rows as arrays, x and y as in :func:`training_batches`."""
    x = {k: t.padded(rows) for k, t in ids.items()}
    time = max(v.shape[1] for v in x.values())
    return x, {k: v.padded(rows, time) if isinstance(v, PerPiece) else v[rows] for k, v in y.items()}


def training_batches(
    ids: Mapping[str, TokenIds],
    y: Mapping[str, np.ndarray | JoinedArray | PerPiece],
    batch_size: int,
    seed: int,
    start_step: int = 0,
    part: tuple[int, int] = (0, 1),
) -> Any:
    """An endless ``tf.data.Dataset`` of ``(x, y)``.

    Args:
      ids: {"ids": TokenIds}, or "ids_a" and "ids_b" for pairs.
      y: {"label": int32[rows], "teacher_logits": float32[rows, classes], …}; for a tagger each is a PerPiece.
      batch_size: rows a batch.
      seed: draws the order.
      start_step: the step at which a resumed run goes on.
      part: (n, count) gives rows n, n + count, … of every batch. A small batch may have none of them.

    Returns:
      x as {name: int32[batch, time]} right-padded with 0, y as {name: [batch, …]}, for a tagger [batch, time, …].
    """
    import tensorflow as tf

    lengths = row_lengths(ids)

    def generate() -> Iterator[tuple[dict, dict]]:
        for rows in training_plan(lengths, batch_size, seed, start_step):
            yield padded(ids, y, rows[part[0] :: part[1]])

    signature = (
        {k: tf.TensorSpec((None, None), tf.int32) for k in ids},
        {k: tf.TensorSpec((None, *v.shape[1:]), v.dtype) for k, v in y.items()},
    )
    options = tf.data.Options()
    # There is nothing to tune, and a tuned iterator takes up to a minute to close.
    options.autotune.enabled = False
    return tf.data.Dataset.from_generator(generate, output_signature=signature).prefetch(8).with_options(options)
