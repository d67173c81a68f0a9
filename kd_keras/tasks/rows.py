"""Rows: text with labels, and stable names."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import repeat

import numpy as np

from kd_keras.common.files import hash_of_columns
from kd_keras.common.ragged import Ragged


@dataclass(frozen=True)
class Rows:
    """Text with labels. Index ``i`` of every member is the same row.

    Rows do not change: :meth:`take` and ``dataclasses.replace`` make new ones. So :meth:`fingerprint` and
    :meth:`text_hashes`, which read all rows, are computed once.

    >>> rows = Rows(["a", "b"], ["good film", "bad film"], None, np.array([1, 0], np.int32))
    >>> rows.take([1]).text
    ['bad film']

    Attributes:
      ids: stable names, unique in a task's train and dev, such as "train-17". Strings may be a list, or a column on
        disk (common/columns.py).
      text: the sentence, or the first of a pair. In a tagging task, its words with one space between; see
        :func:`words_of`.
      text_b: the second of a pair, or None.
      label: int32[n], -1 without a gold label; read-only. A regression has float32[n], with NaN. Several labels a text
        are int32[n, labels] of 0 and 1, with a row of -1. A tagging task has ragged int32, a tag for each word, and no
        tags for a row without gold.
      group: the group in which a row is reported (its language), or None.

    Raises:
      ValueError: members have different lengths.
    """

    ids: Sequence[str]
    text: Sequence[str]
    text_b: Sequence[str] | None
    label: np.ndarray | Ragged
    group: Sequence[str] | None = None

    def __post_init__(self) -> None:
        members = (self.ids, self.text, self.label, *(m for m in (self.text_b, self.group) if m is not None))
        if len(sizes := set(map(len, members))) != 1:
            raise ValueError(f"members of Rows differ in length: {sorted(sizes)}")
        if not isinstance(self.label, Ragged):
            object.__setattr__(
                self, "label", _read_only(self.label.view())
            )  # the caller may still change its own array

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, indices: Sequence[int] | np.ndarray) -> Rows:
        """The rows at ``indices``, in that order."""
        where = np.asarray(indices, dtype=np.int64)
        pick = where.tolist()

        def taken(member: Sequence[str] | None) -> list[str] | None:
            return None if member is None else [member[i] for i in pick]

        return Rows(
            ids=[self.ids[i] for i in pick],
            text=[self.text[i] for i in pick],
            text_b=taken(self.text_b),
            label=self.label.take(where) if isinstance(self.label, Ragged) else self.label[where],
            group=taken(self.group),
        )

    def fingerprint(self) -> str:
        """16 hex digits that change when an id, a text, a label or the order changes."""
        return self._fingerprint

    def text_hashes(self, part: slice | None = None) -> np.ndarray:
        """uint64[rows], read-only: :func:`text_hash` of each row, as a number.

        Args:
          part: of the rows; those of a part alone are not kept in memory.
        """
        if part is None:
            return self._text_hashes
        if "_text_hashes" in self.__dict__:
            return self._text_hashes[part]
        return text_hashes(self.text[part], None if self.text_b is None else self.text_b[part])

    @cached_property
    def _fingerprint(self) -> str:
        label = (self.label.flat(), self.label.lengths) if isinstance(self.label, Ragged) else (self.label,)
        return hash_of_columns(self.ids, self.text, self.text_b, *label)

    @cached_property
    def _text_hashes(self) -> np.ndarray:
        return text_hashes(self.text, self.text_b)


def words_of(text: str) -> list[str]:
    """The words of a row of a tagging task: the parts between spaces. An empty text has none.

    >>> words_of("Paris is large"), words_of("")
    (['Paris', 'is', 'large'], [])
    """
    return text.split(" ") if text else []


def text_hash(text: str, text_b: str | None = None) -> str:
    """16 hex digits; a pair's second text counts.

    >>> text_hash("a", "b") != text_hash("a") != text_hash("a", "")
    True
    """
    return _text_digest(text, text_b).hex()


def text_hashes(texts: Sequence[str], texts_b: Iterable[str | None] | None = None) -> np.ndarray:
    """uint64[n], read-only: :func:`text_hash` of each text, or pair, as a number."""
    hashes = (int.from_bytes(_text_digest(a, b)) for a, b in zip(texts, texts_b or repeat(None), strict=False))
    return _read_only(np.fromiter(hashes, np.uint64, len(texts)))


def _text_digest(text: str, text_b: str | None) -> bytes:
    joined = text if text_b is None else f"{text}\x1f{text_b}"
    return hashlib.sha256(joined.encode("utf-8", "surrogatepass")).digest()[:8]


def _read_only(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array


def has_label(rows: Rows) -> np.ndarray:
    """bool[rows]: whether a row has a gold label."""
    return is_gold(rows.label)


def is_gold(label: np.ndarray | Ragged) -> np.ndarray:
    """bool[rows]: whether a row has a label, a set of labels, tags, or a vector.

    >>> is_gold(np.array([[1, 0], [-1, -1], [0, 0]])).tolist()
    [True, False, True]
    """
    if isinstance(label, Ragged):
        return label.lengths > 0
    if label.dtype.kind == "f":
        return np.isfinite(label) if label.ndim == 1 else np.isfinite(label).all(1)
    return label >= 0 if label.ndim == 1 else (label >= 0).all(1)


def no_labels(like: np.ndarray | Ragged, count: int) -> np.ndarray | Ragged:
    """``count`` missing labels of the kind of ``like``: NaN, −1, a row of −1, or no tags.

    >>> no_labels(np.zeros((5, 2), np.int32), 1).tolist()
    [[-1, -1]]
    """
    if isinstance(like, Ragged):
        return no_tags(count)
    none = np.array(np.nan if like.dtype.kind == "f" else -1, like.dtype)
    return np.broadcast_to(none, (count, *like.shape[1:]))  # of millions of rows: no memory


def no_tags(count: int) -> Ragged:
    """Tags of ``count`` rows without gold."""
    return Ragged.cut(np.zeros(0, np.int32), np.zeros(count, np.int64))
