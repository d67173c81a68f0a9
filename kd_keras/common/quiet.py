"""Keeps the notes of native libraries, converters and interpreters off the screen."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def native_notes_held(most: int = 0) -> Iterator[None]:
    """Holds back what native libraries write to file descriptor 2. No setting turns it off.

    If the block fails, the last ``most`` bytes are shown; 0 shows all. Ctrl-C is no failure.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as notes:
        os.dup2(notes.fileno(), 2)
        try:
            yield
        except Exception:
            notes.seek(0)
            os.write(kept, notes.read()[-most:])
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """Holds back native notes and Python's warnings. If the block fails, the end of the notes is shown."""
    with native_notes_held(most=2000), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
