"""Takes rows part by part, so that memory does not grow with a file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext

from kd_keras.common.progress import progress
from kd_keras.tasks import Rows

ROWS = 8192


def in_parts(rows: Rows, what: str) -> Iterator[Rows]:
    """The rows in order, at most ``ROWS`` at a time. If there are more, the screen shows how far it is.

    >>> from kd_keras.tasks import Task
    >>> [len(part) for part in in_parts(Task("toy", "single", ("a", "b")).rows(["good", "bad"]), "predicting")]
    [2]

    Args:
      rows: of whole texts, which may be on disk.
      what: is done, for people.
    """
    with progress(len(rows), what, "texts") if len(rows) > ROWS else nullcontext() as bar:
        for start in range(0, len(rows), ROWS):
            part = slice(start, start + ROWS)
            text_b = None if rows.text_b is None else rows.text_b[part]
            some = Rows(rows.ids[part], rows.text[part], text_b, rows.label[part])
            yield some
            if bar is not None:
                bar.update(len(some))
