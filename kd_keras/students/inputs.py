"""Turns rows into a student's inputs and targets."""

from __future__ import annotations

import numpy as np

from kd_keras.common.ragged import Ragged
from kd_keras.tasks import Rows
from kd_keras.tasks.rows import words_of
from kd_keras.text.token_ids import TokenIds
from kd_keras.text.tokenizers import Tokenizer, WordPiece
from kd_keras.text.windows import PerPiece, Windows


def student_ids(tokenizer: Tokenizer, rows: Rows) -> dict[str, TokenIds]:
    """{"ids"} for sentences; {"ids_a", "ids_b"} for pairs."""
    if rows.text_b is None:
        return {"ids": tokenizer.encode(rows.text)}
    return {"ids_a": tokenizer.encode(rows.text), "ids_b": tokenizer.encode(rows.text_b)}


def join_ids(parts: list[dict[str, TokenIds]]) -> dict[str, TokenIds]:
    """The rows of all parts, in order."""
    return {name: TokenIds.concatenate([p[name] for p in parts]) for name in parts[0]}


def student_windows(tokenizer: WordPiece, rows: Rows) -> Windows:
    """A tagger's input for rows of a tagging task."""
    return tokenizer.windows(words_of(text) for text in rows.text)


def word_targets(
    windows: Windows, label: Ragged, logits: Ragged | None = None, hidden: Ragged | None = None
) -> dict[str, PerPiece]:
    """A tagger's targets for the words of some rows, placed at the words' first pieces.

    Args:
      windows: the windows of the rows.
      label: int[words] of each row; empty for a row without gold.
      logits: the teacher's, float[words, tags] of each row, if given.
      hidden: the teacher's vectors, float[words, width] of each row, if given.

    Returns:
      "word": 1 at the first piece of each word and 0 elsewhere; only words count in a loss. "label": −1 if there is
        none. "teacher_logits" and "teacher_hidden", if given. The teacher's values are not copied.

    Raises:
      ValueError: a row has another number of values than words.
    """
    gold, count = label.lengths > 0, int(windows.words.sum())
    _same_words(label.lengths[gold], windows.words[gold], "label")
    tags = np.full(count, -1, np.int32)
    tags[np.repeat(gold, windows.words)] = label.flat()
    out = {"word": windows.of_words(np.ones(count, np.float32), 0), "label": windows.of_words(tags, -1)}
    for name, values in (("teacher_logits", logits), ("teacher_hidden", hidden)):
        if values is not None:
            _same_words(values.lengths, windows.words, name)
            out[name] = _laid(windows, values)
    return out


def state_targets(tokenizer: WordPiece, ids: TokenIds, states: Ragged) -> dict[str, PerPiece]:
    """A universal student's targets for the words of some rows, placed at the words' first pieces.

    Args:
      tokenizer: the student's.
      ids: the ids of the rows.
      states: the teacher's, float[words, width] of each row. Student and teacher may have read different numbers of
        words; only words that both read count.

    Returns:
      "word", as in :func:`word_targets`, and "teacher_states".
    """
    begins = tokenizer.begins[ids.values]
    row = np.repeat(np.arange(len(ids)), ids.lengths)[begins]
    at = (np.arange(len(ids.values)) - np.repeat(ids.offsets[:-1], ids.lengths))[begins]
    words = np.bincount(row, minlength=len(ids))
    number = np.arange(len(row)) - np.repeat(np.cumsum(words) - words, words)
    both = number < states.lengths[row]
    lengths = np.minimum(words, states.lengths)
    places = Ragged.cut(at[both].astype(np.int32), lengths)
    which = Ragged.cut((states.starts[row] + number)[both], lengths)
    ones = np.ones(states.values.shape[0], np.float32)
    return {"word": PerPiece(ones, places, which), "teacher_states": PerPiece(states.values, places, which)}


def _laid(windows: Windows, values: Ragged) -> PerPiece:
    """``values`` of all words without a copy. Rows may share them or be in another order."""
    begins = np.cumsum(windows.words) - windows.words
    place = np.arange(int(windows.words.sum())) + np.repeat(values.starts - begins, windows.words)
    word = Ragged.cut(place[windows.word.flat()], windows.word.lengths)
    return PerPiece(values.values, windows.at, word)


def _same_words(found: np.ndarray, words: np.ndarray, name: str) -> None:
    if len(found) != len(words) or (found != words).any():
        raise ValueError(f"{name}: rows of {found.tolist()[:5]}… values, but the rows have {words.tolist()[:5]}… words")
