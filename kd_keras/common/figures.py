"""matplotlib's Figure, if matplotlib is installed. Otherwise pictures are left out."""

from __future__ import annotations

import re
from typing import Any

try:
    from matplotlib.figure import Figure
except ImportError:
    Figure: Any = None

_PICTURE = re.compile(r"^!\[(.+)\]\(.+\)$", re.MULTILINE)


def can_draw() -> bool:
    """Whether matplotlib is installed."""
    return Figure is not None


def as_drawn(markdown: str) -> str:
    """``markdown`` unchanged if matplotlib is installed. Otherwise a sentence replaces each picture."""
    if can_draw():
        return markdown
    return _PICTURE.sub(r"(Left out, as matplotlib was not installed: \1.)", markdown)
