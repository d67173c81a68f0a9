"""The one exception that is written for users."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """An error that the user can fix. Commands print it as one line and exit with 2.

    Say what was wrong, where (file, line, column, flag), what was expected, and what to do.
    """


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """' Did you mean X?' for a name close to a known one, else ''."""
    close = difflib.get_close_matches(name.lower(), list(known), n=3, cutoff=0.5)
    return f" Did you mean {' or '.join(close)}?" if close else ""
