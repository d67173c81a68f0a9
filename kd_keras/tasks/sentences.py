"""Sentences of words with tags as files have them, before schemes and numbers apply."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kd_keras.common.files import PathLike, tail
from kd_keras.tasks.tables import BadRows

# White space that would split a word in a row's text or in a file of columns.
_BREAKS = re.compile("[ \t\n\r\v\f]")
NO_BREAK = "\u00a0"
_PREFIX = re.compile(r"([a-z]{2,8}(?:-[a-z]+)*):")  # Wikipedia's codes: "simple", "be-x-old"
_NEARLY_ALL = 0.99
_LOOKED_AT = 1000  # sentences; if most of their words have no prefix, the others are not checked


@dataclass
class Sentence:
    """One sentence of a file.

    Attributes:
      number: number in the file, from 0. A sentence that cannot be used keeps its number.
      words: as the file has them.
      tags: as the file writes them, one for each word; None if it has none.
      places: the place of each word, or of all of them, for errors ("line 7").
      text, spans: the text that was split into words, and each word's (start, end); None if the file has words.
      language: the prefix of each word ("en:Paris"); see :func:`unprefixed`.
    """

    number: int
    words: list[str]
    tags: list[str] | None
    places: Sequence[int] | str
    text: str | None = None
    spans: list[tuple[int, int]] | None = None
    language: str = ""

    def place(self, word: int) -> str:
        """The place of a word, for errors."""
        if isinstance(self.places, str):
            return f"{self.places}, word {word + 1} ({self.words[word]!r})"
        return f"line {self.places[word]}"


def in_one_piece(word: str) -> str:
    """``word`` with its white space as no-break spaces. An empty word becomes one no-break space.

    Words are joined by spaces and written in columns, so they may hold no other white space. A tokenizer treats both
    spaces alike.

    >>> in_one_piece("New York"), in_one_piece("")
    ('New\\xa0York', '\\xa0')
    """
    return _BREAKS.sub(NO_BREAK, word) or NO_BREAK


def all_whole(words: Sequence[str]) -> bool:
    """Whether :func:`in_one_piece` would change no word."""
    return "" not in words and not _BREAKS.search("".join(words))


def are_prefixed(sentences: Iterable[Sentence]) -> bool:
    """Whether nearly all words begin with their sentence's language, as in WikiANN ("en:Paris")."""
    words = prefixed = 0
    for n, s in enumerate(sentences, 1):
        words += len(s.words)
        prefixed += _prefix(s.words)[1]
        if n == _LOOKED_AT and prefixed < words / 2:
            return False
    return bool(words) and prefixed >= _NEARLY_ALL * words


def _prefix(words: Sequence[str]) -> tuple[str, int]:
    """The prefix of most words, and the number of words that have it."""
    found = Counter(m[0] for m in map(_PREFIX.match, words) if m)
    return found.most_common(1)[0] if found else ("", 0)


def unprefixed(path: PathLike, s: Sentence, bad: BadRows) -> Sentence | None:
    """A sentence without the prefixes. If a word has none, ``bad`` is told and the result is None."""
    prefix = _prefix(s.words)[0]
    n = next((n for n, word in enumerate(s.words) if not (prefix and word.startswith(prefix))), None)
    if n is not None:
        bad.report(
            f"{path}, {s.place(n)}: expected a word that begins with its language, such as {prefix or 'en:'}, as "
            f"nearly all do; found {tail(s.words[n])!r}"
        )
        return None
    s.words, s.language = [word[len(prefix) :] for word in s.words], prefix[:-1]
    return s


def prefix_notes(languages: Iterable[str]) -> list[str]:
    """The note on prefixes that were removed."""
    found = sorted({name for name in languages if name})
    return [f"words begin with their language, which is removed ({tail(', '.join(found), 60)})"] if found else []
