"""Which of some texts, or pairs of texts, are new: each once, and none that is known or held out."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa

from kd_keras.augment.overlap import Overlaps, plain
from kd_keras.augment.parts import NO_ROW, Made
from kd_keras.augment.sentences import sentences
from kd_keras.augment.settings import UnlabeledSettings
from kd_keras.common.columns import DigestSet
from kd_keras.tasks import Rows
from kd_keras.tasks.carve import normalised
from kd_keras.text.words import split_words

# One text, or the two of a pair.
Row = tuple[str, ...]
_FOUND = pa.schema({"number": pa.int64(), "text": pa.string(), "text_b": pa.string()})


def texts_of(rows: Rows) -> Iterable[Row]:
    return zip(rows.text, strict=True) if rows.text_b is None else zip(rows.text, rows.text_b, strict=True)


def digests(rows: Sequence[Row], settings: UnlabeledSettings) -> np.ndarray:
    """uint64[rows]: equal for texts that differ only in case, punctuation and space, and for the same two in either
    order. They depend on the seed."""
    seed = str(settings.unlabeled_seed).encode()[:64]
    each = (b"\0".join(sorted(normalised(plain(text)) for text in row)) for row in rows)
    found = b"".join(hashlib.blake2b(one, digest_size=8, key=seed).digest() for one in each)
    return np.frombuffer(found, "<u8")


class NewTexts:
    """Makes a part of documents, or of pairs: their texts, each once, and none that is known.

    A text that overlaps with dev or test is left out. So is a pair if both of its texts do: tasks of questions and
    answers have some texts in train and in dev.

    Args:
      known: the digests of what is known.
      held_out: the texts of dev and test.
      tagging: documents are sentences already.
    """

    def __init__(self, settings: UnlabeledSettings, known: DigestSet, held_out: Sequence[Sequence[str]], tagging: bool):
        self.settings, self._known = settings, known
        self._split = bool(settings.split_sentences) and not tagging
        self._overlaps = Overlaps(held_out)

    def __call__(self, documents: Sequence[str] | Sequence[Row]) -> Made:
        counts = Counter(texts=0, length=0, repeats=0)
        numbers: list[int] = []
        rows: list[Row] = []
        for document in documents:
            for row in self._rows(document):
                counts["texts"] += 1
                if self.settings.min_words <= sum(map(self._words, row)) <= self.settings.max_words:
                    numbers.append(counts["texts"])
                    rows.append(row)
                else:
                    counts["length"] += 1
        found, first = np.unique(digests(rows, self.settings), return_index=True)
        new = ~self._known.has(found)
        found, first = found[new], first[new]
        counts["repeats"] += len(rows) - len(first)
        order = np.sort(first)
        overlap = np.ones(len(order), bool)
        for side in zip(*(rows[i] for i in order.tolist()), strict=True):
            overlap &= self._overlaps(side)
        left = order[~overlap]
        place = np.full(len(rows), NO_ROW)
        place[left] = np.arange(len(left))
        kept = [rows[i] for i in left.tolist()]
        made = {
            "number": [numbers[i] for i in left.tolist()],
            "text": [row[0] for row in kept],
            "text_b": [row[1] if len(row) > 1 else None for row in kept],
        }
        return Made(pa.table(made, schema=_FOUND), found, place[first], counts)

    def _rows(self, document: str | Row) -> Iterable[Row]:
        if not isinstance(document, str):
            return (document,)
        return zip(sentences(document) if self._split else (document,), strict=True)

    def _words(self, text: str) -> int:
        count = len(text.split())
        if count < self.settings.min_words and not text.isascii():  # Chinese, Japanese or Thai has no spaces
            return len(split_words(text))
        return count
