"""Sentences of words with tags, as files have them: before schemes, types and numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

# What would part words in a row's text or in a file of columns.
_BREAKS = re.compile("[ \t\n\r\v\f]")
NO_BREAK = "\u00a0"


@dataclass
class Sentence:
    """One sentence of a file.

    Attributes:
      number: in the file, from 0; one that cannot be used keeps its number for itself.
      words: as the file has them.
      tags: as the file writes them, one a word; None: it has none.
      places: where each word is, for errors ("line 7"), or where all of them are.
    """

    number: int
    words: list[str]
    tags: list[str] | None
    places: Sequence[int] | str

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
