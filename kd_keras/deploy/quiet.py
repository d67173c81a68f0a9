"""Native libraries' notes kept off the screen."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """Holds back what is written to file descriptor 2, and warnings; the end of it is shown where something fails."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as notes, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        os.dup2(notes.fileno(), 2)
        try:
            yield
        except BaseException:
            notes.seek(0)
            os.write(kept, notes.read()[-2000:])
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
