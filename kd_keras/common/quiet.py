"""Converters' and interpreters' notes kept off the screen."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator

from kd_keras.common.cli import native_notes_held


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """Holds back native notes and Python's warnings; the end of the notes is shown where something fails."""
    with native_notes_held(most=2000), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
