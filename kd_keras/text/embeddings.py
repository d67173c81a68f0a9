"""First values of the student's embedding matrix: from the teacher by SVD, from word vectors, or random."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kd_keras.common import files
from kd_keras.common.errors import UserError
from kd_keras.common.seeds import rng


def random_matrix(rows: int, width: int, seed: int, scale: float = 0.05) -> np.ndarray:
    """float32[rows, width], uniform in ±scale; row 0 ([PAD]) is 0."""
    out = rng(seed, "embeddings").uniform(-scale, scale, (rows, width)).astype(np.float32)
    out[0] = 0
    return out


def from_teacher(matrix: np.ndarray, rows: Sequence[int], width: int, scale: float = 0.3) -> np.ndarray:
    """The teacher's embeddings at the student's width, by truncated SVD.

    Mukherjee & Hassan Awadallah 2020 (XtremeDistil, section 3.1) start the student from the
    fine-tuned teacher's matrix; the best rank-``width`` approximation keeps the angles between
    pieces as well as that width can.

    Args:
      matrix: float32[teacher vocab, teacher width], the fine-tuned teacher's word embeddings.
      rows: the teacher's id of each student piece, the student's order.
      width: of the student; wider than the teacher's means zeros in the rest.
      scale: standard deviation of the result. A transformer's embeddings are made for the layer
        norm behind them and are too faint for an LSTM.

    Returns:
      float32[len(rows), width]; row 0 ([PAD]) is 0.
    """
    w = np.asarray(matrix, np.float32)[np.asarray(rows)]
    w = w - w.mean(0)
    _, _, axes = np.linalg.svd(w[1:], full_matrices=False)
    projected = w @ axes[:width].T
    out = np.zeros((len(rows), width), np.float32)
    out[:, : projected.shape[1]] = projected * (scale / max(projected[1:].std(), 1e-8))
    out[0] = 0
    return out


def from_vectors(path: str | Path, vocab: Sequence[str], seed: int) -> tuple[np.ndarray, int]:
    """Word vectors in text form (GloVe, fastText .vec, word2vec text; .gz too).

    Words without a vector are drawn uniformly inside the range of those that have one.

    Returns:
      float32[len(vocab), width], and how many words were found.
    """
    wanted = {w: i for i, w in enumerate(vocab)}
    found: dict[int, np.ndarray] = {}
    width: int | None = None
    for number, line in enumerate(files.utf8_lines(files.require_file(path, "--vectors")), 1):
        parts = line.rstrip("\n ").split(" ")
        if number == 1 and len(parts) == 2:
            continue  # word2vec's and fastText's header: rows, width
        width = len(parts) - 1 if width is None else width
        if len(parts) - 1 != width or width < 2:
            raise UserError(
                f"--vectors: {path}, line {number}: expected a word and {width} numbers, found {len(parts) - 1} numbers"
            )
        if parts[0] in wanted:
            try:
                vector = np.array(parts[1:], np.float32)
            except ValueError:
                vector = np.full(width, np.nan)
            if not np.isfinite(vector).all():
                raise UserError(f"--vectors: {path}, line {number}: expected numbers after the word")
            found[wanted[parts[0]]] = vector
    if not found or width is None:
        raise UserError(f"--vectors: {path}: holds no word of the vocabulary")
    known = np.stack(list(found.values()))
    out = rng(seed, "unknown words").uniform(known.min(), known.max(), (len(vocab), width)).astype(np.float32)
    out[list(found)] = known
    out[0] = 0
    return out, len(found)
