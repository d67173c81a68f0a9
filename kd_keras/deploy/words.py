"""Words as a tagger's file reads them; no TensorFlow import."""

from __future__ import annotations

from collections.abc import Sequence

from kd_keras.common.errors import UserError
from kd_keras.text.tokenizers import Tokenizer, WordPiece
from kd_keras.text.windows import Windows


def word_windows(tokenizer: Tokenizer, words: Sequence[Sequence[str]], length: int | None = None) -> Windows:
    """The windows of the words of some texts.

    Args:
      tokenizer: the student's.
      words: of each text.
      length: pieces that a file reads; None: as many as the student's tokenizer allows.

    Raises:
      UserError: the tokenizer does not tell pieces from words.
    """
    if not isinstance(tokenizer, WordPiece):
        raise UserError(f"tokenizer {tokenizer.kind!r}: a tagger reads word pieces")
    room = min(tokenizer.max_length, length or tokenizer.max_length)
    return tokenizer.like(room).windows(words)
