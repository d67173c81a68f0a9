"""Sentences of words with tags, as files have them: before schemes, types and numbers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kd_keras.common.files import PathLike, tail
from kd_keras.tasks.tables import BadRows

# What would part words in a row's text or in a file of columns.
_BREAKS = re.compile("[ \t\n\r\v\f]")
NO_BREAK = "\u00a0"
_PREFIX = re.compile(r"([a-z]{2,3}(?:-[a-z]+)*):")
_NEARLY_ALL = 0.99
_LOOKED_AT = 1000  # sentences; if most of their words have no prefix, the others are not asked


@dataclass
class Sentence:
    """One sentence of a file.

    Attributes:
      number: in the file, from 0; one that cannot be used keeps its number for itself.
      words: as the file has them.
      tags: as the file writes them, one a word; None: it has none.
      places: where each word is, for errors ("line 7"), or where all of them are.
      text, spans: what the words were split from, and (start, end) of each; None where the file has words.
      language: with which each word began ("en:Paris"), see :func:`unprefixed`.
    """

    number: int
    words: list[str]
    tags: list[str] | None
    places: Sequence[int] | str
    text: str | None = None
    spans: list[tuple[int, int]] | None = None
    language: str = ""

    def place(self, word: int) -> str:
        """Where a word is."""
        if isinstance(self.places, str):
            return f"{self.places}, word {word + 1} ({self.words[word]!r})"
        return f"line {self.places[word]}"


def in_one_piece(word: str) -> str:
    """``word`` with no-break spaces for white space; one stands for a word that is empty.

    Words are joined by spaces and written in columns; for a tokenizer both spaces are the same.

    >>> in_one_piece("New York"), in_one_piece("")
    ('New\\xa0York', '\\xa0')
    """
    return _BREAKS.sub(NO_BREAK, word) or NO_BREAK


def all_whole(words: Sequence[str]) -> bool:
    """Whether :func:`in_one_piece` would leave all ``words`` as they are."""
    return "" not in words and not _BREAKS.search("".join(words))


def are_prefixed(sentences: Iterable[Sentence]) -> bool:
    """Whether nearly all words begin with the language of their sentence, as WikiANN's do ("en:Paris")."""
    words = prefixed = 0
    for n, s in enumerate(sentences, 1):
        words += len(s.words)
        prefixed += _prefix(s.words)[1]
        if n == _LOOKED_AT and prefixed < words / 2:
            return False
    return bool(words) and prefixed >= _NEARLY_ALL * words


def _prefix(words: Sequence[str]) -> tuple[str, int]:
    """What most words begin with, and how many do."""
    found = Counter(m[0] for m in map(_PREFIX.match, words) if m)
    return found.most_common(1)[0] if found else ("", 0)


def unprefixed(path: PathLike, s: Sentence, bad: BadRows) -> Sentence | None:
    """A sentence of such a file without the prefixes; None, and ``bad`` is told, where a word has none."""
    prefix = _prefix(s.words)[0]
    n = next((n for n, word in enumerate(s.words) if not (prefix and word.startswith(prefix))), None)
    if n is not None:
        bad.report(
            f"{path}, {s.place(n)}: expected a word that begins with its language, {prefix or 'en:'} for example, as "
            f"nearly all do; found {tail(s.words[n])!r}"
        )
        return None
    s.words, s.language = [word[len(prefix) :] for word in s.words], prefix[:-1]
    return s


def prefix_notes(languages: Iterable[str]) -> list[str]:
    """What to say of prefixes that were taken off."""
    found = sorted({name for name in languages if name})
    return [f"words begin with their language, which is taken off ({tail(', '.join(found), 60)})"] if found else []
