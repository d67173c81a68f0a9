"""The rules of Tang et al. 2019, section 3.3: pure functions of words and a generator.

For each word one uniform draw X decides. X < p_mask masks it. p_mask ≤ X < p_mask + p_pos replaces it by a word of the
same part of speech, drawn from that tag's unigram distribution over the training text. Otherwise it stays. Then, with
probability p_ng, only an n-gram is kept, n uniform in 1 … max_ngram.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

# The teacher's [MASK]. The student's tokenizer has it too.
MASK_WORD = "[MASK]"
# A word with its inner apostrophes, or any other visible sign alone.
_WORD = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]")


@dataclass(frozen=True)
class Split:
    """A text as words and the gaps between them, so that unchanged parts stay as they were.

    Attributes:
      words: the words and signs.
      gaps: the text after each word, up to the next one; the last gap is "".
    """

    words: tuple[str, ...]
    gaps: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> Split:
        found = list(_WORD.finditer(text))
        ends = [m.start() for m in found[1:]]
        gaps = [text[m.end() : end] for m, end in zip(found, ends, strict=False)]
        return cls(tuple(m.group() for m in found), (*gaps, "")[: len(found)])

    def join(self, words: Sequence[str], start: int, end: int) -> str:
        """Joins ``words`` (this split's, changed) from ``start`` to ``end`` into a text."""
        pieces = [word + gap for word, gap in zip(words[start:end], self.gaps[start : end - 1], strict=False)]
        return "".join([*pieces, words[end - 1]])


class Lexicon:
    """Words by part of speech, drawn by their frequency in the training text.

    Args:
      tagged: (word, tag) of every word of the text.
    """

    def __init__(self, tagged: Iterable[tuple[str, str]]):
        counts: dict[str, dict[str, int]] = {}
        for word, tag in tagged:
            words = counts.setdefault(tag, {})
            words[word] = words.get(word, 0) + 1
        self.words = {tag: list(words) for tag, words in counts.items()}
        self._sums = {tag: np.cumsum(list(words.values())) for tag, words in counts.items()}

    def draw(self, tag: str, u: float) -> str:
        """The word at share ``u`` (0 ≤ u < 1) of all words with the tag. It may be the replaced word itself."""
        sums = self._sums[tag]
        return self.words[tag][int(np.searchsorted(sums, u * sums[-1], side="right"))]


@dataclass(frozen=True)
class Chances:
    """p_mask, p_pos, p_ng and the longest n-gram. A rule that is not used has chance 0."""

    mask: float
    pos: float
    ngram: float
    max_ngram: int = 5


def vary(
    split: Split, tags: Sequence[str], lexicon: Lexicon, chances: Chances, draw: np.random.Generator
) -> tuple[str, str]:
    """One new text, and the rules that changed it ("mask+ngram"; "" if none did).

    Args:
      split: a text of at least one word.
      tags: part of speech of each word.
    """
    size = len(split.words)
    x, u = draw.random(size), draw.random(size)
    words = list(split.words)
    masked = np.flatnonzero(x < chances.mask)
    replaced = np.flatnonzero((x >= chances.mask) & (x < chances.mask + chances.pos))
    for i in masked.tolist():
        words[i] = MASK_WORD
    for i in replaced.tolist():
        words[i] = lexicon.draw(tags[i], u[i])
    start, end = 0, size
    # Always drawn, so that one rule's constants do not change another rule's draws.
    keep, n, where = draw.random(), int(draw.integers(1, chances.max_ngram + 1)), draw.random()
    if keep < chances.ngram and n < size:
        start = int(where * (size - n + 1))
        end = start + n
    rules = [
        name
        for name, fired in (
            ("mask", any(start <= i < end for i in masked.tolist())),
            ("pos", any(start <= i < end and words[i] != split.words[i] for i in replaced.tolist())),
            ("ngram", end - start < size),
        )
        if fired
    ]
    return split.join(words, start, end), "+".join(rules)
