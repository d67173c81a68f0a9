"""Finds the words of a text. Span files and predictions on raw text use the same splitter."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

# Scripts without spaces between words. In their data sets (PAN-X) each character is a word. PAN-X splits Burmese at its
# spaces.
_ALONE = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1780, 0x17FF),  # Khmer
    (0x2E80, 0x2FDF),  # radicals
    (0x3005, 0x3007),
    (0x3021, 0x30FF),  # with kana
    (0x31F0, 0x31FF),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0xFF66, 0xFF9F),
    (0x1B000, 0x1B16F),
    (0x20000, 0x3FFFF),
)
# Their punctuation.
_WIDE = ((0x3000, 0x303F), (0xFF00, 0xFF65))
# In no word, as white space: of no width, of byte order, and marks that say in which direction text is written.
_UNSEEN = frozenset("\u200b\ufeff\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_JOINER, _APOSTROPHES = "\u200d", "'\u2019"
_ELIDED = re.compile(r"(?:[cdjlmnst]|qu|un|(?:d|n|s|qu|a|co)?e?a?ll|quest)", re.IGNORECASE)
_ENCLITIC = re.compile(rf"[{_APOSTROPHES}](?:s|t|d|m|ll|re|ve)(?!\w)", re.IGNORECASE)
_LETTER = re.compile(r"[^\W\d_]")


@lru_cache(maxsize=1 << 14)
def _kind(c: str) -> str:
    """The role of a character: "mark" joins the character before it, "word" joins other "word"s, "alone" and "point"
    join nothing."""
    code = ord(c)
    if c.isspace() or c in _UNSEEN:
        return "space"
    category = unicodedata.category(c)
    if category[0] == "M" or category == "Cf" or 0x1F3FB <= code <= 0x1F3FF:
        return "mark"
    if category[0] in "LN" or c == "_":
        return "alone" if any(low <= code <= high for low, high in _ALONE) else "word"
    return "point"


def is_space(c: str) -> bool:
    """Whether a character belongs to no word: white space, zero width, a mark of byte order or direction."""
    return _kind(c) == "space"


def stands_close(word: str) -> bool:
    """Whether text has no space before ``word``, as its script has no spaces.

    >>> [stands_close(word) for word in ("東", "。", "Rome", ".")]
    [True, True, False, False]
    """
    return any(low <= ord(word[0]) <= high for low, high in (*_ALONE, *_WIDE))


def split_words(text: str) -> list[tuple[int, int]]:
    """The words of ``text``, first to last, as (start, end): ``text[start:end]`` is the word.

    White space and marks of direction (U+200E, U+200F, …) separate words. Each other character is in exactly one word.
    A punctuation character is a word, except inside numbers (3.14), names (Jean-Luc, AT&T) and initials (U.S., J.
    Smith). 's is a word, and so is l' before another word. Chinese, Japanese, Thai, Lao and Khmer are split by
    character. Marks and emoji stay whole.

    >>> [text[a:b] for text in ["It's 3.14, l'Europe 東京"] for a, b in split_words(text)]
    ['It', "'s", '3.14', ',', "l'", 'Europe', '東', '京']
    """
    found: list[tuple[int, int]] = []
    start, kind, at = -1, "", 0  # the open word: its start (−1 if none is open) and its kind

    def close(end: int) -> None:
        nonlocal start
        if start >= 0:
            found.append((start, end))
        start = -1

    while at < len(text):
        c = text[at]
        now = _kind(c)
        if now == "space":
            close(at)
        elif start < 0:
            start, kind = at, now
        elif kind == "mark" and now in ("word", "alone"):  # a mark after nothing
            kind = now
        elif now == "mark" or _goes_on(text, start, at, kind, now):
            pass
        elif now == "point" and kind == "word" and (size := _inner(text, start, at)):
            if size < 0:  # an elided word ends with its apostrophe
                close(at + 1)
            elif size > 1:  # 's and similar endings
                close(at)
                start, kind, at = at, "word", at + size - 1
        else:
            close(at)
            start, kind = at, now
        at += 1
    close(len(text))
    return found


def _goes_on(text: str, start: int, at: int, kind: str, now: str) -> bool:
    """Whether a character that is no mark belongs to the open word, by the kinds of both."""
    if now == "point":
        flag = "\U0001f1e6" <= text[at] <= "\U0001f1ff" and "\U0001f1e6" <= text[at - 1] <= "\U0001f1ff"
        return kind == "point" and (text[at - 1] == _JOINER or (flag and at - start == 1))
    return now == kind == "word"


def _inner(text: str, start: int, at: int) -> int:
    """How punctuation relates to the open word: 1 is a part of it, −1 its end, over 1 a word of that length, 0 none of
    these."""
    c, before, after = text[at], text[at - 1], text[at + 1 : at + 2]
    goes_on = bool(after) and _kind(after) == "word"
    if c in _APOSTROPHES:
        if enclitic := _ENCLITIC.match(text, at):
            return len(enclitic[0])
        if goes_on and _ELIDED.fullmatch(text, start, at):
            return -1
        return int(goes_on)
    if c in "-\u2010\u2011&":
        return int(goes_on)
    if c in ".,:" and before.isdigit() and after.isdigit():
        return 1
    if c == "." and _LETTER.match(before):
        if at - start > 1:  # U.S, whose points were taken for initials so far
            return int(text[at - 2] == "." == text[start + 1] and bool(_LETTER.match(text[start])))
        inner = text[at + 2 : at + 3] == "." and after.isalpha()
        initial = before.isupper() and after == " " and text[at + 2 : at + 3].isupper()
        return int(inner or initial)
    return 0


def spaced(text: str) -> str:
    """The words of a text, joined by one space, as rows of a tagging task have them.

    >>> spaced("Ada, in London.")
    'Ada , in London .'
    """
    return " ".join(text[a:b] for a, b in split_words(text))
