"""Odd strings, the same each time, and the characters of Unicode."""

from __future__ import annotations

import sys
import unicodedata

import numpy as np

# Odd texts are made of these ranges of code points.
_RANGES = (
    (0x20, 0x7E), (0x20, 0x7E), (0x61, 0x7A), (0xA0, 0x17F),  # ASCII, Latin with accents
    (0x300, 0x36F), (0x370, 0x3FF), (0x400, 0x4FF), (0x590, 0x6FF), (0x900, 0x97F), (0xE00, 0xE7F),  # marks, scripts
    (0x0, 0x1F), (0x7F, 0x9F), (0x2000, 0x206F), (0xFE00, 0xFE0F),  # controls, spaces, joiners, variation selectors
    (0x3040, 0x30FF), (0x4E00, 0x4FFF), (0xAC00, 0xAD00), (0x20000, 0x20100), (0x2B800, 0x2B940),  # CJK, Hangul
    (0x1F300, 0x1F6FF), (0x1F1E6, 0x1F1FF), (0x1D400, 0x1D500), (0xE000, 0xE010), (0xFFF0, 0xFFFD),  # emoji, private
)  # fmt: skip
_PIECES = (
    "[MASK]", "[UNK]", "[PAD]", "[mask]", "don't", "co-operate", "naïve", "ΟΔΟΣ", "İstanbul", "straße", "ﬁ", "e\u0301",
    "\U0001f469\U0001f3fd\u200d\U0001f680", "\r\n", "\t", " ", " ", " ", " ", "...", "##ing", "x" * 99, "x" * 100,
    "x" * 101, "é" * 101,
)  # fmt: skip


def odd(count: int = 10_000, seed: int = 1) -> list[str]:
    """Strings of accents, combining marks, CJK, emoji, control characters and very long words."""
    draw = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        low, high = _RANGES[draw.integers(len(_RANGES))]
        parts = []
        for _ in range(draw.integers(1, 30)):
            kind = draw.random()
            if kind < 0.2:
                parts.append(_PIECES[draw.integers(len(_PIECES))])
            else:
                if kind < 0.5:
                    low, high = _RANGES[draw.integers(len(_RANGES))]
                parts.append("".join(map(chr, draw.integers(low, high + 1, draw.integers(1, 6)))))
        found.append("".join(parts))
    return found


def characters() -> list[str]:
    """The characters of this Python's Unicode, but only one in seven of large scripts (from U+3400).

    One in 97 of the other code points is in it too.
    NUL and the halves of surrogate pairs are left out, because no text has them.
    """

    def taken(c: int) -> bool:
        kind = unicodedata.category(chr(c))
        return c % 97 == 0 or (kind not in ("Cn", "Co", "Cs") and (kind != "Lo" or c < 0x3400 or c % 7 == 0))

    return [chr(c) for c in range(1, sys.maxunicode + 1) if not 0xD800 <= c <= 0xDFFF and taken(c)]
