"""First values of the student's embedding matrix: from the teacher by SVD, from word vectors, or random."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kd_keras.common.errors import UserError
from kd_keras.common.seeds import rng
from kd_keras.text.token_ids import TokenIds
from kd_keras.text.tokenizers import SPECIAL
from kd_keras.text.vectors import read_vectors


def random_matrix(rows: int, width: int, seed: int, scale: float = 0.05) -> np.ndarray:
    """float32[rows, width], uniform in ±scale; row 0 ([PAD]) is 0."""
    out = rng(seed, "embeddings").uniform(-scale, scale, (rows, width)).astype(np.float32)
    out[0] = 0
    return out


def from_teacher(matrix: np.ndarray, rows: Sequence[int], width: int, scale: float = 0.3) -> np.ndarray:
    """The teacher's embeddings at the student's width, by truncated SVD.

    Mukherjee & Hassan Awadallah 2020 (XtremeDistil, section 3.1) start the student from the fine-tuned teacher's
    matrix. The best rank-``width`` approximation keeps the angles between pieces as well as possible at that width.

    Args:
      matrix: float32[teacher vocab, teacher width], the fine-tuned teacher's word embeddings.
      rows: the teacher's id of each student piece, in the student's order.
      width: the student's embedding size. If it exceeds the teacher's, the rest is zero.
      scale: standard deviation of the result. A layer norm follows a transformer's embeddings, so they are too small
        for an LSTM.

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


def from_pieces(matrix: np.ndarray, pieces: TokenIds, width: int, scale: float = 0.3) -> np.ndarray:
    """As :func:`from_teacher`, for a student with its own vocabulary: each piece gets the mean of the teacher's pieces
    in it.

    Args:
      matrix: float32[teacher vocab, teacher width].
      pieces: the teacher's ids of each student piece, in the student's order. See :func:`teacher_pieces`.
      width, scale: as in :func:`from_teacher`.

    Returns:
      float32[len(pieces), width]; a piece without teacher pieces is 0.
    """
    lengths = pieces.lengths
    known = lengths > 0
    out = np.zeros((len(pieces), width), np.float32)
    if known.any():
        means = np.add.reduceat(np.asarray(matrix, np.float32)[pieces.values], pieces.offsets[:-1][known])
        means /= lengths[known, None]
        # The first row takes no part. It is the mean, so that it does not shift the centre.
        rows = np.concatenate([means.mean(0, keepdims=True), means])
        out[known] = from_teacher(rows, range(len(rows)), width, scale)[1:]
    return out


def teacher_pieces(vocab: Sequence[str], ids_of: Callable[[str, bool], Sequence[int]]) -> TokenIds:
    """The teacher's ids of each piece of a student's vocabulary, without its "##". Special pieces such as [PAD] have
    none.

    Args:
      vocab: the student's vocabulary.
      ids_of: returns the teacher's ids of a string, at the beginning of a word or inside one.
    """
    return TokenIds.of(
        [] if piece in SPECIAL else ids_of(piece.removeprefix("##"), not piece.startswith("##")) for piece in vocab
    )


@dataclass(frozen=True)
class Coverage:
    """The part of a vocabulary that has vectors.

    Attributes:
      found: words that have a vector.
      words: all of the vocabulary but special pieces such as [PAD].
      tokens: share of the text's tokens that have a vector, in [0, 1]; None if they were not counted.
    """

    found: int
    words: int
    tokens: float | None

    def __str__(self) -> str:
        share = f"{self.found:,} of {self.words:,} words have a vector ({self.found / max(1, self.words):.1%}"
        return share + (")" if self.tokens is None else f"; {self.tokens:.1%} of the text's tokens)")


def from_vectors(
    source: str | Path, vocab: Sequence[str], seed: int, counts: Mapping[str, int] | np.ndarray | None = None
) -> tuple[np.ndarray, Coverage]:
    """Published word vectors for a vocabulary.

    A word takes the vector of its exact form. Without one, a lower-case vocabulary takes the first vector that matches
    in lower case: "apple" takes that of "Apple". Published files go from frequent to rare. Words without a vector, and
    special tokens, are drawn uniformly. They have the variance of the known values and stay inside their range (Kim
    2014, section 4.3: better than any fixed range).

    Args:
      source: a file or the name of a package; see :func:`kd_keras.text.vectors.read_vectors`.
      vocab: entry 0 is [PAD].
      seed: draws the vectors of unknown words.
      counts: how often the text has each token: by word (words outside the vocabulary count as not covered), or
        int[len(vocab)] by id.

    Returns:
      float32[len(vocab), width] with row 0 ([PAD]) zero, and the coverage.

    Raises:
      UserError: the source is not a file of vectors, or has no word of the vocabulary.
    """
    index = {w: i for i, w in enumerate(vocab) if w not in SPECIAL}
    lowercase = all(w == w.lower() for w in index)
    exact: dict[int, np.ndarray] = {}
    lowered: dict[int, np.ndarray] = {}

    def place(word: str) -> tuple[dict[int, np.ndarray], int | None]:
        if word in index or not lowercase:
            return exact, index.get(word)
        return lowered, index.get(word.lower())

    def wanted(word: str) -> bool:
        rows, row = place(word)
        return row is not None and row not in rows and row not in exact

    for word, vector in read_vectors(source, wanted):
        rows, row = place(word)
        rows[row] = vector
    found = lowered | exact
    if not found:
        raise UserError(
            f"--vectors: {source}: has no word of the vocabulary (such as {', '.join(list(index)[:3])}); "
            "expected vectors of words in the language of the training text"
        )
    known = np.stack(list(found.values()))
    middle, reach = known.mean(dtype=np.float64), np.sqrt(3.0) * known.std(dtype=np.float64)
    low, high = max(known.min(), middle - reach), min(known.max(), middle + reach)
    out = rng(seed, "unknown words").uniform(low, high, (len(vocab), known.shape[1])).astype(np.float32)
    out[list(found)] = known
    out[0] = 0
    return out, Coverage(len(found), len(index), _share(found, vocab, counts))


def _share(found: Collection[int], vocab: Sequence[str], counts: Mapping[str, int] | np.ndarray | None) -> float | None:
    """The share of the text's tokens, without [PAD], whose word has a vector."""
    if counts is None:
        return None
    if not isinstance(counts, Mapping):
        counts = dict(zip(vocab, np.asarray(counts).tolist(), strict=True))
    total = sum(n for word, n in counts.items() if word != vocab[0])
    return sum(counts.get(vocab[row], 0) for row in found) / max(1, total)
