"""Turns sentences of words into the input of a model that tags tokens: pieces, windows of long sentences, and the place
of each word.

The first piece of a word stands for it: it carries the tag in training and gives the answer later. A sentence that is
longer than the model's input becomes several windows that overlap. The window in which a word has most context decides
it. So every word has exactly one answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kd_keras.common.columns import JoinedArray
from kd_keras.common.ragged import Ragged
from kd_keras.text.token_ids import TokenIds
from kd_keras.text.words import stands_close


@dataclass(frozen=True)
class Windows:
    """The input of a model that tags tokens, for some rows.

    >>> some = windows([[[5, 6], [7]], [[8]]], room=8)
    >>> some.ids[0].tolist(), some.at[0].tolist(), some.words.tolist()
    ([5, 6, 7], [0, 2], [2, 1])

    Attributes:
      ids: TokenIds of each window.
      at: ragged int32: for each window, the places of the first pieces of the words that it decides.
      word: ragged int64: the numbers of these words, counted over all rows.
      words: int64[rows]: the number of words in each row.
    """

    ids: TokenIds
    at: Ragged
    word: Ragged
    words: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    def of_words(self, values: Any, fill: float) -> PerPiece:
        """``values`` of all words, [words] or [words, width], placed at the words' first pieces."""
        return PerPiece(values, self.at, self.word, fill)

    def collect(self, out: np.ndarray, chosen: np.ndarray, answers: np.ndarray) -> None:
        """Writes a model's answers for the windows ``chosen``, [windows, time, width], into ``out``, [words, width]."""
        for n, w in enumerate(chosen.tolist()):
            out[self.word[w]] = answers[n, self.at[w]]

    def rows(self, values: np.ndarray) -> Ragged:
        """``values`` of all words, row by row."""
        return Ragged.cut(values, self.words)

    @property
    def row(self) -> np.ndarray:
        """int64[windows]: the row of each window."""
        begins = self.word.values[self.word.starts]
        return np.searchsorted(np.cumsum(self.words), begins, side="right")

    @property
    def long_rows(self) -> int:
        """The number of rows with more than one window."""
        return int((np.bincount(self.row, minlength=len(self.words)) > 1).sum())


@dataclass(frozen=True)
class PerPiece:
    """A student's targets: the values of words at their first pieces, and ``fill`` everywhere else.

    Attributes:
      values: [words] or [words, width], an array in memory or in a file.
      at, word: as in :class:`Windows`.
      fill: −1 for labels; for other targets a value that is never used.
    """

    values: Any
    at: Ragged
    word: Ragged
    fill: float = 0.0

    def __len__(self) -> int:
        return len(self.at)

    @property
    def dtype(self) -> np.dtype:
        return self.values.dtype

    @property
    def shape(self) -> tuple[int | None, ...]:
        """(windows, None for time, width if values have one)."""
        return (len(self), None, *self.values.shape[1:])

    def take(self, rows: np.ndarray, axis: int = 0) -> PerPiece:
        """The chosen windows, in that order."""
        return PerPiece(self.values, self.at.take(rows), self.word.take(rows), self.fill)

    def padded(self, rows: np.ndarray, time: int) -> np.ndarray:
        """[rows, time] or [rows, time, width]."""
        out = np.full((len(rows), time, *self.values.shape[1:]), self.fill, self.dtype)
        picked = rows.tolist()
        where = np.concatenate([self.at[i] for i in picked]) if picked else np.zeros(0, np.int64)
        which = np.concatenate([self.word[i] for i in picked]) if picked else np.zeros(0, np.int64)
        out[np.repeat(np.arange(len(rows)), self.at.lengths[rows]), where] = self.values[which]
        return out

    @classmethod
    def concatenate(cls, parts: Sequence[PerPiece]) -> PerPiece:
        """The windows of all parts, in order."""
        before = np.cumsum([0, *(p.values.shape[0] for p in parts)])[:-1]
        arrays = all(isinstance(p.values, np.ndarray) for p in parts)
        values = np.concatenate([p.values for p in parts]) if arrays else JoinedArray([p.values for p in parts])
        at = Ragged.concatenate([p.at for p in parts])
        word = np.concatenate([p.word.flat() + start for p, start in zip(parts, before, strict=True)])
        return cls(values, at, Ragged.cut(word, at.lengths), parts[0].fill)


def windows(
    rows: Iterable[Sequence[Sequence[int]]], room: int, first: int | None = None, last: int | None = None
) -> Windows:
    """Makes windows of rows of words, each a list of pieces.

    Args:
      rows: each word has at least one piece.
      room: most pieces in a window, without ``first`` and ``last``. A longer word loses its last pieces.
      first, last: pieces at the beginning and end of every window, such as [CLS] and [SEP].
    """
    ids: list[list[int]] = []
    at: list[list[int]] = []
    word: list[np.ndarray] = []
    counts: list[int] = []
    begin, end = ([first] if first is not None else []), ([last] if last is not None else [])
    number = 0
    for row in rows:
        pieces = [w[:room] for w in row]
        counts.append(len(pieces))
        for start, stop, own in _cut([len(w) for w in pieces], room):
            flat, places = list(begin), []
            for w in pieces[start:stop]:
                places.append(len(flat))
                flat += w
            ids.append(flat + end)
            at.append([places[n - start] for n in own])
            word.append(np.array([number + n for n in own], np.int64))
        number += len(pieces)
    lengths = np.array([len(a) for a in at], np.int64)
    flat_at = np.fromiter((p for a in at for p in a), np.int32, int(lengths.sum()))
    flat_word = np.concatenate(word) if word else np.zeros(0, np.int64)
    return Windows(
        TokenIds.of(ids), Ragged.cut(flat_at, lengths), Ragged.cut(flat_word, lengths), np.array(counts, np.int64)
    )


def _cut(sizes: Sequence[int], room: int) -> Iterator[tuple[int, int, list[int]]]:
    """(first word, word after the last, words that it decides) of each window. A row without words has no window."""
    if sum(sizes) <= room:
        if sizes:
            yield 0, len(sizes), list(range(len(sizes)))
        return
    starts = np.concatenate([[0], np.cumsum(sizes)])
    spans = []
    begin = 0
    while True:
        stop = int(np.searchsorted(starts, starts[begin] + room, side="right")) - 1
        spans.append((begin, stop))
        if stop == len(sizes):
            break
        # The next window begins half a window later, but at least one word.
        begin = max(begin + 1, int(np.searchsorted(starts, starts[begin] + room // 2, side="left")))
        begin = min(begin, stop)
    # The end of the row is no edge, as no context is missing there.
    far = int(starts[-1]) + room
    owner, most = np.zeros(len(sizes), np.int64), np.full(len(sizes), -1, np.int64)
    for n, (begin, stop) in enumerate(spans):
        before = starts[begin:stop] - starts[begin] if begin else np.full(stop - begin, far)
        after = starts[stop] - starts[begin + 1 : stop + 1] if stop < len(sizes) else np.full(stop - begin, far)
        context = np.minimum(before, after)
        better = context > most[begin:stop]
        owner[begin:stop][better], most[begin:stop][better] = n, context[better]
    for n, (begin, stop) in enumerate(spans):
        if own := [w for w in range(begin, stop) if owner[w] == n]:
            yield begin, stop, own


def word_pieces(
    backend: Any, texts: Sequence[Sequence[str]], unknown: int, space: int | None = None
) -> Iterator[list[list[int]]]:
    """The pieces of each word of some rows. A word without pieces (a zero-width character) gets ``unknown``.

    Args:
      backend: a Tokenizer of the package tokenizers.
      texts: the words of each row.
      unknown: id of the unknown piece.
      space: id of the piece that is only a space; see :func:`without_space`.
    """
    # A word's pieces do not depend on its neighbours, so each word is split once. Most words repeat.
    distinct = list(dict.fromkeys(word for row in texts for word in row))
    encoded = backend.encode_batch([[word] for word in distinct], is_pretokenized=True, add_special_tokens=False)
    pieces = {word: without_space(word, e.ids, space) or [unknown] for word, e in zip(distinct, encoded, strict=True)}
    for row in texts:
        yield [pieces[word] for word in row]


def without_space(word: str, ids: list[int], space: int | None) -> list[int]:
    """The pieces of a word at its beginning. A word of a script without spaces loses the piece ``space``.

    That piece would be the word's first, and the first piece alone gives the tag. It would also stand between all
    Chinese characters, which real text does not have.
    """
    return ids[1:] if ids[:1] == [space] and stands_close(word) else ids
