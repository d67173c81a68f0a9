"""Names of labels and languages for pictures: short, different, and in letters that a font has.

Some names get their number instead: those that cannot be told apart, and those whose letters no font has. "#12" is the
twelfth name. A task's label has the same line in labels.txt. So no name is drawn as empty boxes.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import Any

from kd_keras.common.figures import can_draw
from kd_keras.common.markdown import width

NAME, INCHES = 26, 0.075  # columns of a drawn name, and the approximate width of one
# These fonts draw a box for each letter, or have formula symbols in place of letters.
_NO_LETTERS = ("Last Resort", "cm", "STIX")
_LEFT_TO_RIGHT = "\u200e"


def shortened(names: Sequence[str], most: int = NAME) -> list[str]:
    """Names of at most ``most`` columns, cut in the middle. Names that look the same end with their number.

    Example:
      >>> shortened(["short", "x" * 9 + "1" + "x" * 9, "x" * 9 + "2" + "x" * 9], 12)
      ['short', 'xxxx…xxxx #2', 'xxxx…xxxx #3']
    """
    names = [" ".join(name.split()) for name in names]
    kept = [_drawable(name) for name in names]
    short = [_cut(name, "", most) for name in kept]
    times = Counter(short)
    return [
        _cut(left, f" #{n}", most).strip() if times[cut] > 1 or left != _visible(name) else cut
        for n, (name, left, cut) in enumerate(zip(names, kept, short, strict=True), 1)
    ]


def numbered(names: Sequence[str], most: int = NAME) -> bool:
    """Whether :func:`shortened` gives a name its number. Then the table beside the picture needs it too."""
    if not can_draw():
        return False
    short = enumerate(zip(names, shortened(names, most), strict=True), 1)
    return any(cut.endswith(f"#{n}") and not name.endswith(f"#{n}") for n, (name, cut) in short)


def look(names: Sequence[str]) -> dict[str, Any]:
    """Settings for matplotlib: the fonts that have the letters, and no formula between $ signs."""
    import matplotlib

    fonts = dict.fromkeys(font for name in names for c in name if (font := _font(ord(c))))
    return {"parse_math": False, "fontfamily": [*matplotlib.rcParams["font.family"], *fonts]}


def arrow(gold: str, predicted: str) -> str:
    """gold → predicted. The order stays the same in Arabic and Hebrew, whose letters would reverse it."""
    turned = any(unicodedata.bidirectional(c) in ("R", "AL") for c in gold + predicted)
    mark = _LEFT_TO_RIGHT if turned else ""
    return f"{mark}{gold} → {mark}{predicted}"


def _cut(name: str, end: str, most: int) -> str:
    if width(name) + len(end) <= most:
        return name + end
    kept = (most - 1 - len(end)) * len(name) // max(width(name), 1)
    return name[: kept - kept // 2] + "…" + name[len(name) - kept // 2 :] + end


def _visible(name: str) -> str:
    """The name without invisible marks, which no font has."""
    return "".join(c for c in name if unicodedata.category(c) != "Cf" or _font(ord(c)) is not None)


def _drawable(name: str) -> str:
    """The part of a name that fonts can draw. Empty if no letter is left."""
    left = " ".join("".join(c for c in name if _font(ord(c)) is not None).split())
    return left if left == _visible(name) or any(c.isalpha() for c in left) else ""


@cache
def _font(code: int) -> str | None:
    """The font family that has a character. "" is matplotlib's own. None if no installed font has it."""
    from matplotlib import font_manager

    return next((name for name, path in _fonts() if font_manager.get_font(path).get_char_index(code)), None)


@cache
def _fonts() -> list[tuple[str, str]]:
    """(family, file): matplotlib's own font with the name "", then installed upright fonts, Noto first."""
    from matplotlib import font_manager

    own = font_manager.findfont(font_manager.FontProperties())
    others = sorted(
        (not font.name.startswith("Noto Sans"), font.name, font.fname)
        for font in font_manager.fontManager.ttflist
        if font.style == "normal" and font.weight in (400, "normal", "regular") and font.fname != own
        and not font.name.startswith(_NO_LETTERS)
    )  # fmt: skip
    return [("", own), *((name, path) for _, name, path in others if _opens(path))]


def _opens(path: str) -> bool:
    """Whether the font's file still exists: matplotlib remembers deleted fonts."""
    from matplotlib import font_manager

    try:
        font_manager.get_font(path)
    except (OSError, RuntimeError):
        return False
    return True
