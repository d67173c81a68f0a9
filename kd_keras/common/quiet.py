"""Native libraries', converters' and interpreters' notes kept off the screen."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def native_notes_held(most: int = 0) -> Iterator[None]:
    """Holds back what native libraries write to file descriptor 2, which no setting turns off.

    Where something fails it is shown: its last ``most`` bytes, 0 being all. Ctrl-C is no failure.
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
    """Holds back native notes and Python's warnings; the end of the notes is shown where something fails."""
    with native_notes_held(most=2000), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
