"""Pairs without labels: those of a user's files, and new ones of a task's own texts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from kd_keras.common.files import tail
from kd_keras.common.progress import progress
from kd_keras.common.reading import text_lines
from kd_keras.common.seeds import rng
from kd_keras.tasks import Rows, Task
from kd_keras.tasks.cells import read_cell
from kd_keras.tasks.dialect import format_of
from kd_keras.tasks.file_settings import FileSettings
from kd_keras.tasks.readers import PAIR_COLUMNS, text_columns
from kd_keras.tasks.tables import BadRows, check_column, open_table

# Texts of the other side beside each text, and the texts of a side among which they are looked for.
NEAREST, MOST = 10, 30_000
_BLOCK = 256  # texts that are compared at a time


def read_pairs(path: Path, task: Task, bad: BadRows, how: FileSettings) -> Iterator[tuple[str, str]]:
    """The pairs of a table, in the columns that the training file has, or of plain text with a tab in each line."""
    form = format_of(path, how, (*task.columns.text, *(a for a, _ in PAIR_COLUMNS)))
    if form is None:
        for number, line in enumerate(text_lines(path, how.encoding), start=1):
            first, _, second = (part.strip() for part in line.rstrip("\r\n").partition("\t"))
            if first and second and "\t" not in second:
                yield first, second
            elif first or second:
                found = tail(line.strip())
                bad.report(f"{path}, line {number}: expected two texts with a tab between, found {found!r}")
        return
    columns = text_columns(path, None, None, task.columns, how)
    names, records = open_table(path, bad, form=form, how=how)
    for flag, name in (*(("--text_column", n) for n in columns.text), ("--text_b_column", columns.text_b)):
        check_column(path, name, names, flag)
    for _, line, values in records:
        cells = [read_cell(path, line, values, name, bad) for name in (*columns.text, columns.text_b)]
        if None not in cells and any(cells):
            yield " ".join(cells[:-1]), cells[-1]


def recombined(train: Rows) -> Iterator[tuple[str, str]]:
    """New pairs of the texts of ``train``: each first text beside the second texts most like it, and each second text
    beside first ones.

    Thakur et al. 2021, "Augmented SBERT: Data Augmentation Method for Improving Bi-Encoders for Pairwise Sentence
    Scoring Tasks", section 3.1: a model that reads two texts apart learns more from pairs of texts that share words
    than from random ones. They take BM25; TF-IDF is in its place here.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    a, b = (_each_once(texts) for texts in (train.text, train.text_b))
    # Words of any script. A text that has only signs is like none.
    found = TfidfVectorizer(sublinear_tf=True, token_pattern=r"(?u)\w+", dtype=np.float32).fit([*a, *b, "a"])
    x, y = found.transform(a), found.transform(b)
    with progress(len(a) + len(b), "pairing texts", "texts") as bar:
        yield from ((a[i], b[j]) for i, j in _nearest(x, y, bar) if a[i] != b[j])
        yield from ((a[i], b[j]) for j, i in _nearest(y, x, bar) if a[i] != b[j])


def _each_once(texts: Any) -> list[str]:
    once = list(dict.fromkeys(texts))
    if len(once) <= MOST:
        return once
    return [once[i] for i in np.sort(rng(0, "pairs").permutation(len(once))[:MOST]).tolist()]


def _nearest(x: Any, y: Any, bar: progress) -> Iterator[tuple[int, int]]:
    """(row of x, row of y) for the ``NEAREST`` rows of y with the highest product, of those with any."""
    for start in range(0, x.shape[0], _BLOCK):
        products = (x[start : start + _BLOCK] @ y.T).tocsr()
        for n in range(products.shape[0]):
            part = slice(products.indptr[n], products.indptr[n + 1])
            at, how_much = products.indices[part], products.data[part]
            best = np.lexsort((at, -how_much))[:NEAREST]
            yield from ((start + n, j) for j in at[best].tolist())
        bar.update(products.shape[0])
