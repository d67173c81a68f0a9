"""Finds texts that share runs of words with dev or test.

Brown et al. 2020, "Language Models are Few-Shot Learners", appendix C: 13 words in a row, or the whole of a shorter
text, down to 8 words. Shorter matches are common phrases.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from kd_keras.common.columns import DigestSet, batched_texts

SHORTEST, LONGEST = 8, 13
_WORD = re.compile(r"\w+")
# The same sentence, tokenized ("does n't", "it 's") or not.
_SPLIT_OFF = re.compile(r"(?<!\s)\s+(?=(?:n't|'(?:s|m|d|re|ve|ll))\b)")
_QUOTES = str.maketrans("‘’‚‛“”„–—", "''''\"\"\"--")


def plain(text: str) -> str:
    """``text`` with ASCII quotes and dashes, and other signs in Unicode's compatibility form."""
    return text if text.isascii() else unicodedata.normalize("NFKC", text.translate(_QUOTES))


def words(text: str) -> list[str]:
    """Lower-case words; "does n't" and "doesn’t" are the same word."""
    text = plain(text).lower()
    if "'" in text:
        text = _SPLIT_OFF.sub("", text).replace("'", "")
    return _WORD.findall(text)


class Overlaps:
    """Tells which texts share 13 words in a row with a text of ``held_out``, or hold a whole one of 8 to 12 words.

    It needs 16 bytes of memory for each word of ``held_out``.
    """

    def __init__(self, held_out: Iterable[Sequence[str]]):
        # A run is looked up only if its first words match. Otherwise all lengths would be tried everywhere.
        self._heads, self._runs = DigestSet(), DigestSet()
        for texts in held_out:
            for some in batched_texts(texts, 10_000, 1_000_000):  # a run is a tuple until it is hashed
                found = [run for text in some for run in _runs(words(text))]
                self._heads.add(_hashes(run[:SHORTEST] for run in found))
                self._runs.add(_hashes(found))

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """bool[texts]: whether each text overlaps."""
        split = [words(text) for text in texts]
        heads = [max(0, len(w) - SHORTEST + 1) for w in split]
        hits = self._heads.has(
            _hashes(tuple(w[i : i + SHORTEST]) for w, n in zip(split, heads, strict=True) for i in range(n))
        )
        owner, first = np.repeat(np.arange(len(split)), heads), np.cumsum([0, *heads])
        out = np.zeros(len(split), bool)
        for at in np.flatnonzero(hits):
            text = owner[at]
            rest = split[text][at - first[text] :][:LONGEST]
            tries = [tuple(rest[:n]) for n in range(SHORTEST, len(rest) + 1)]
            out[text] |= self._runs.has(_hashes(tries)).any()
        return out


def _runs(found: list[str]) -> Iterator[tuple[str, ...]]:
    length = min(LONGEST, len(found))
    if length >= SHORTEST:
        for start in range(len(found) - length + 1):
            yield tuple(found[start : start + length])


def _hashes(runs: Iterable[tuple[str, ...]]) -> np.ndarray:
    # Python's own hash differs between processes, but is so fast that all of IMDB takes seconds.
    return np.fromiter(map(hash, runs), np.int64).view(np.uint64)
