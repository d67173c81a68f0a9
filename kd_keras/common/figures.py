"""matplotlib's Figure, where matplotlib is installed; elsewhere pictures are left out."""

from __future__ import annotations

import re
from typing import Any

try:
    from matplotlib.figure import Figure
except ImportError:
    Figure: Any = None

_PICTURE = re.compile(r"^!\[(.+)\]\(.+\)$", re.MULTILINE)


def can_draw() -> bool:
    """Whether there is matplotlib."""
    return Figure is not None


def as_drawn(markdown: str) -> str:
    """``markdown`` as it is where there is matplotlib; elsewhere a sentence stands in each picture's place."""
    if can_draw():
        return markdown
    return _PICTURE.sub(r"(Left out, as matplotlib was not installed: \1.)", markdown)
