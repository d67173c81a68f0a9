"""Words as a tagger's file reads them. Imports no TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence

from kd_keras.common.errors import UserError
from kd_keras.text.tokenizers import Tokenizer, WordPiece
from kd_keras.text.windows import Windows


def word_windows(tokenizer: Tokenizer, words: Sequence[Sequence[str]], length: int | None = None) -> Windows:
    """The windows of the words of texts.

    Args:
      tokenizer: the student's.
      words: the words of each text.
      length: how many pieces a file reads. None: as many as the student's tokenizer allows.

    Raises:
      UserError: the tokenizer has no word pieces.
    """
    if not isinstance(tokenizer, WordPiece):
        raise UserError(f"tokenizer {tokenizer.kind!r}: cannot be used by a tagger; expected word pieces")
    room = min(tokenizer.max_length, length or tokenizer.max_length)
    return tokenizer.like(room).windows(words)
