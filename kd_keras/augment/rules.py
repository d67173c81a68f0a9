"""The rules of Tang et al. 2019, section 3.3: pure functions of words and a generator.

For each word one uniform draw X decides: X < p_mask masks it; p_mask ≤ X < p_mask + p_pos puts in its place a word
of the same part of speech, drawn from that tag's unigram distribution over the training text; else it stays.
Then, with p_ng, only an n-gram is kept, n uniform in 1 … max_ngram.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

# The teacher's [MASK]; the student's tokenizer knows it too.
MASK_WORD = "[MASK]"
# Words with their inner apostrophes, and every other visible sign by itself.
_WORD = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]")


@dataclass(frozen=True)
class Split:
    """A text as words and what stands between them, so that what no rule touches stays as it was.

    Attributes:
      words: the words and signs.
      gaps: what follows each word, up to the next; the last one is "".
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
        """``words`` (this split's, changed) from ``start`` to ``end``."""
        pieces = [word + gap for word, gap in zip(words[start:end], self.gaps[start : end - 1], strict=False)]
        return "".join([*pieces, words[end - 1]])


class Lexicon:
    """Words by part of speech, drawn as often as the training text has them.

    Args:
      tagged: (word, tag) of every running word.
    """

    def __init__(self, tagged: Iterable[tuple[str, str]]):
        counts: dict[str, dict[str, int]] = {}
        for word, tag in tagged:
            words = counts.setdefault(tag, {})
            words[word] = words.get(word, 0) + 1
        self.words = {tag: list(words) for tag, words in counts.items()}
        self._sums = {tag: np.cumsum(list(words.values())) for tag, words in counts.items()}

    def draw(self, tag: str, u: float) -> str:
        """The word at share ``u`` (0 ≤ u < 1) of the tag's running words; it may be the one it replaces."""
        sums = self._sums[tag]
        return self.words[tag][int(np.searchsorted(sums, u * sums[-1], side="right"))]


@dataclass(frozen=True)
class Chances:
    """p_mask, p_pos, p_ng and the longest n-gram; a rule that is left out has chance 0."""

    mask: float
    pos: float
    ngram: float
    max_ngram: int = 5


def vary(
    split: Split, tags: Sequence[str], lexicon: Lexicon, chances: Chances, draw: np.random.Generator
) -> tuple[str, str]:
    """One new text and the rules that changed it ("mask+ngram"; "" where none did).

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
    # Drawn always, so that one rule's constants do not move another rule's draws.
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
