"""Learns a student's own vocabulary of word pieces from its training text."""

from __future__ import annotations

import collections
from collections.abc import Iterable

from kd_keras.common.columns import batched
from kd_keras.common.errors import UserError
from kd_keras.text.tokenizers import MASK, SPECIAL, WordPiece

# A rarer character is most likely a typo or from another language.
MIN_COUNT = 5


def trained_wordpiece(
    texts: Iterable[str], size: int, max_length: int, lowercase: bool = False, min_count: int = MIN_COUNT
) -> WordPiece:
    """A WordPiece of the most useful pieces for ``texts``. The order of the texts changes nothing.

    Every character that occurs ``min_count`` times is a piece. If it can stand inside a word, it is also a piece that
    continues one. So any word of such characters has pieces, even an unseen word.

    Args:
      texts: the student's training text.
      size: at most this many pieces, special ones such as [PAD] included.
      max_length: the student's, in pieces.
      lowercase: whether to remove capitals and accents. Keep them to find names.
      min_count: a rarer character becomes [UNK], and so does its word.

    Raises:
      UserError: there are more than ``size`` characters.
    """
    from tokenizers import Tokenizer as Backend
    from tokenizers import models, pre_tokenizers, trainers

    normalized = WordPiece(SPECIAL, max_length, lowercase).normalized
    parts = pre_tokenizers.BertPreTokenizer().pre_tokenize_str

    def split(text: str) -> list[str]:
        return [word for word, _ in parts(normalized(text))]

    words: collections.Counter[str] = collections.Counter()
    for text in texts:
        words.update(split(text.replace(MASK, " ")))
    characters: collections.Counter[str] = collections.Counter()
    for word, count in words.items():
        for c in word:
            characters[c] += count
    kept = sorted(c for c, count in characters.items() if count >= min_count)
    # Each ideograph and punctuation mark is a word of its own, so none continues a word.
    first = [*SPECIAL, *kept, *(f"##{c}" for c in kept if len(split(f"a{c}a")) == 1)]
    if len(first) > size:
        raise UserError(
            f"--vocab_size={size}: the special tokens and the characters of the text alone are {len(first)} pieces; "
            f"use a higher value"
        )
    known = set(kept)
    backend = Backend(models.WordPiece())
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    # The trainer numbers characters in a random order and breaks ties by these numbers. Characters that it is given
    # have fixed places. A pair must occur twice to become a piece.
    trainer = trainers.WordPieceTrainer(
        vocab_size=size, min_frequency=2, special_tokens=first, initial_alphabet=[], show_progress=False
    )
    repeated = (f"{word} " * count for word, count in sorted(words.items()) if known.issuperset(word))
    backend.train_from_iterator(batched(repeated, 1000), trainer)
    index = backend.get_vocab()
    return WordPiece(sorted(index, key=index.__getitem__), max_length, lowercase)
