"""Real text with a given number of tokens. Every model is timed on the same text."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kd_keras.common.errors import UserError
from kd_keras.common.seeds import rng
from kd_keras.formats.teacher_tflite import bert_inputs
from kd_keras.students.inputs import student_ids
from kd_keras.tasks import Rows
from kd_keras.text.token_ids import TokenIds
from kd_keras.text.tokenizers import Tokenizer, WordPiece

# An empty row adds nothing. If so many joined rows lack tokens, there is no text.
_MOST_JOINED = 2000


@dataclass(frozen=True)
class TimingTexts:
    """What is timed at one length.

    Attributes:
      length: tokens of a text, or of a pair's two texts together. None: texts at their own length.
      student: input name → ids without padding.
      teacher: BERT input name → int32[texts, length], or None.
      different: how many of the texts differ.
      joined: how many of the texts are made of several rows.
    """

    length: int | None
    student: dict[str, TokenIds]
    teacher: dict[str, np.ndarray] | None
    different: int
    joined: int

    def __len__(self) -> int:
        return len(next(iter(self.student.values())))


def timing_texts(
    rows: Rows, tokenizer: Tokenizer, teacher: WordPiece | None, length: int | None, count: int
) -> TimingTexts:
    """``count`` texts that begin at different rows. A short one continues with the rows after it.

    Args:
      rows: the source of the text.
      tokenizer: the student's.
      teacher: the teacher's tokenizer, if the teacher is timed too.
      length: tokens of each text; each text of a pair has half of them. The teacher's include [CLS] and [SEP]. None:
        the rows as they are, with the teacher's padded to its maximum length.
      count: how many. If there are fewer rows, rows are used again.

    Raises:
      UserError: ``rows`` has too little text.
    """
    sides = [rows.text] if rows.text_b is None else [rows.text, rows.text_b]
    share = None if length is None else max(1, length // len(sides))
    sizes = [_sizes(side, tokenizer, teacher) for side in sides]
    order = _order(sizes, share)
    starts = np.resize(order, count)
    joined, made = np.zeros(count, bool), []
    for side, size in zip(sides, sizes, strict=True):
        texts = []
        for n, start in enumerate(starts):
            text, rows_used = _text_of(side, size, start, share)
            texts.append(text)
            joined[n] |= rows_used > 1
        made.append(texts)
    label = np.full(count, -1, np.int32)
    chosen = Rows([f"text-{n}" for n in range(count)], made[0], made[1] if len(made) > 1 else None, label)
    ids = {name: _cut(t, share) for name, t in student_ids(tokenizer, chosen).items()}
    bert = bert_inputs(teacher, chosen.text, chosen.text_b, length or teacher.max_length) if teacher else None
    return TimingTexts(length, ids, bert, min(count, len(order)), int(joined.sum()))


def _sizes(texts: list[str], tokenizer: Tokenizer, teacher: WordPiece | None) -> np.ndarray:
    """int64[rows]: the tokens of each text, by the tokenizer that gives fewer."""
    sizes = tokenizer.encode(texts).lengths
    return sizes if teacher is None else np.minimum(sizes, teacher.encode(texts).lengths)


def _order(sizes: list[np.ndarray], share: int | None) -> np.ndarray:
    """Shuffled rows, those that are long enough first. Empty rows are left out."""
    shortest = np.min(sizes, axis=0)
    order = rng(0, "timing texts").permutation(np.flatnonzero(shortest))
    if not len(order):
        raise UserError("no row has text to time; expected at least one row that is not empty")
    return order if share is None else order[np.argsort(shortest[order] < share, kind="stable")]


def _text_of(texts: list[str], sizes: np.ndarray, start: int, share: int | None) -> tuple[str, int]:
    """The text from row ``start`` on, joined with the next ones up to ``share`` tokens, and how many rows it took."""
    parts, have = [texts[start]], int(sizes[start])
    while share is not None and have < share:
        if len(parts) > _MOST_JOINED:
            raise UserError(f"--lengths: {len(texts):,} rows have too little text for one of {share} tokens")
        at = (start + len(parts)) % len(texts)
        parts.append(texts[at])
        have += int(sizes[at])
    return " ".join(parts), len(parts)


def _cut(ids: TokenIds, share: int | None) -> TokenIds:
    return ids if share is None else TokenIds.of(ids[i][:share] for i in range(len(ids)))
