"""A vocabulary of word pieces of a student's own, learned from the text that it trains on."""

from __future__ import annotations

import collections
from collections.abc import Iterable

from kd_keras.common.columns import batched
from kd_keras.common.errors import UserError
from kd_keras.text.tokenizers import MASK, SPECIAL, WordPiece

# A character seen less often is more likely a slip, or of another language, than worth a place.
MIN_COUNT = 5


def trained_wordpiece(
    texts: Iterable[str], size: int, max_length: int, lowercase: bool = False, min_count: int = MIN_COUNT
) -> WordPiece:
    """A WordPiece of the pieces that are most useful for ``texts``; the same for the same texts in any order.

    Every character that the texts have ``min_count`` times is a piece, and one that goes on with a word where it can
    stand inside one, so that any word of such characters has pieces, seen or not.

    Args:
      texts: what the student trains on.
      size: most pieces, [PAD] and its like included.
      max_length: of the student, in pieces.
      lowercase: whether capitals and accents are taken away; for names they are worth keeping.
      min_count: a character seen less often becomes [UNK], and its word with it.

    Raises:
      UserError: the characters alone are more than ``size``.
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
    # Ideographs and punctuation are words by themselves: nothing goes on with them.
    first = [*SPECIAL, *kept, *(f"##{c}" for c in kept if len(split(f"a{c}a")) == 1)]
    if len(first) > size:
        raise UserError(
            f"--vocab_size={size}: the special tokens and the characters of the text alone are {len(first)} pieces; "
            "take more"
        )
    known = set(kept)
    backend = Backend(models.WordPiece())
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    # The trainer numbers characters in the order in which it meets them, which is another each time, and breaks ties
    # by these numbers; those it is given have their places. A pair must be seen twice to be worth a piece.
    trainer = trainers.WordPieceTrainer(
        vocab_size=size, min_frequency=2, special_tokens=first, initial_alphabet=[], show_progress=False
    )
    repeated = (f"{word} " * count for word, count in sorted(words.items()) if known.issuperset(word))
    backend.train_from_iterator(batched(repeated, 1000), trainer)
    index = backend.get_vocab()
    return WordPiece(sorted(index, key=index.__getitem__), max_length, lowercase)
