"""Rows that say the same text twice: in two splits, or with two labels. Own files often have them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from kd_keras.tasks.carve import normalised
from kd_keras.tasks.rows import Rows


def in_train(train: Rows, rows: Rows, split: str) -> list[str]:
    """A note if texts of ``rows`` are training texts too: their scores then say little of new text.

    >>> rows = Rows(["a", "b"], ["Good film!", "dull"], None, np.zeros(2, np.int32))
    >>> in_train(rows, rows.take([0]), "dev")
    ['dev: 1 of 1 text is also in train, so its scores say little of new text']
    """
    known = set(_texts(train))
    count = sum(text in known for text in _texts(rows))
    if not count:
        return []
    are = "text is" if len(rows) == 1 else "texts are"
    return [f"{split}: {count:,} of {len(rows):,} {are} also in train, so its scores say little of new text"]


def contradictions(train: Rows) -> list[str]:
    """A note if rows of one text have different labels."""
    if not isinstance(train.label, np.ndarray) or train.label.ndim != 1 or train.label.dtype.kind == "f":
        return []
    of_text: dict[bytes, set[int]] = {}
    for text, label in zip(_texts(train), train.label.tolist(), strict=True):
        if label >= 0:
            of_text.setdefault(text, set()).add(label)
    count = sum(len(of_text.get(text, ())) > 1 for text in _texts(train))
    return [f"train: {count:,} rows have the text of another row with another label"] if count else []


def _texts(rows: Rows) -> Iterator[bytes]:
    if rows.text_b is None:
        return map(normalised, rows.text)
    return (normalised(a) + b"\t" + normalised(b) for a, b in zip(rows.text, rows.text_b, strict=True))
