"""Stand-in until branch g1's file is here: writes columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from kd_keras.tasks.rows import Rows, words_of


def conll_lines(rows: Rows, tags: Iterable[Sequence[str]]) -> Iterator[str]:
    """Word, tab and tag a line, a blank line behind each row."""
    for text, row in zip(rows.text, tags, strict=True):
        for word, tag in zip(words_of(text), row, strict=True):
            yield f"{word}\t{tag}\n"
        yield "\n"
