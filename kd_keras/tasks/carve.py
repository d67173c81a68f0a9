"""Draws a dev (or test) split from train: by a fixed seed, by label, and never one text on both sides."""

from __future__ import annotations

import numpy as np

from kd_keras.common.errors import UserError
from kd_keras.common.ragged import Ragged
from kd_keras.common.seeds import rng
from kd_keras.tasks.rows import Rows

# The run's --seed does not matter here: all runs of a task have the same dev split.
SPLIT_SEED = 20190328  # the date of Tang et al., arXiv 1903.12136

_NO_WORD = bytes(b for b in range(128) if not chr(b).isalnum())
_NOT_ASCII = bytes(range(128, 256))


def normalised(text: str, ascii_only: bool = False) -> bytes:
    """``text`` in lower case without ASCII punctuation and spaces. Texts with equal results count as the same.

    The result is bytes, as it is fast to drop characters from them. ``ascii_only`` drops all other characters too.
    """
    raw = text.lower().encode()
    return raw.translate(None, _NO_WORD + _NOT_ASCII if ascii_only else _NO_WORD) or raw


def carve(rows: Rows, fraction: float, task: str, split: str = "dev") -> tuple[Rows, Rows]:
    """Splits off about ``fraction`` of each label's rows. A tagging task splits by language, several labels a text by
    the rarest.

    Rows with the same normalized text stay on one side, and so do a pair and the swapped pair. The draw depends on
    ``task``, ``split`` and the rows alone.

    Returns:
      (the rest, the split), each in the file's order.

    Raises:
      UserError: too few rows for a split.
    """
    groups: dict[bytes, list[int]] = {}
    for i, text in enumerate(rows.text):
        key = normalised(text)
        if rows.text_b is not None:
            key = b"\t".join(sorted((key, normalised(rows.text_b[i]))))
        groups.setdefault(key, []).append(i)
    strata: dict[int, list[list[int]]] = {}
    of_row = _strata(rows)
    for members in groups.values():
        strata.setdefault(int(of_row[members[0]]), []).append(members)
    generator = rng(SPLIT_SEED, f"{split} split", task)
    picked: list[int] = []
    for _, stratum in sorted(strata.items()):
        if len(stratum) < 2:  # training needs a label's only text
            continue
        target = max(1, round(fraction * sum(map(len, stratum))))
        taken = 0
        for g in generator.permutation(len(stratum))[:-1]:  # at least one text stays
            if taken >= target:
                break
            picked += stratum[g]
            taken += len(stratum[g])
    if not picked:
        what = "language" if isinstance(rows.label, Ragged) else "label"
        raise UserError(
            f"task {task}: {len(rows)} rows are too few to draw a {split} split from "
            f"(each {what} needs two different texts, or give --{split}_file)"
        )
    rest = np.setdiff1d(np.arange(len(rows)), picked)
    return rows.take(rest), rows.take(sorted(picked))


def _strata(rows: Rows) -> np.ndarray:
    """int[rows]: the stratum of each row: its label, the rarest of several labels (−1 if it has none), 0 for scores.

    For a tagging task: the language.
    """
    label = rows.label
    if isinstance(label, Ragged):
        return np.unique(list(rows.group or [""] * len(rows)), return_inverse=True)[1]
    if label.ndim == 1:
        return label if np.issubdtype(label.dtype, np.integer) else np.zeros(len(label), np.int64)
    has = label > 0
    rarest = np.where(has, has.sum(0), len(label) + 1).argmin(1)
    return np.where(has.any(1), rarest, -1)
