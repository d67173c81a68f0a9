"""How text becomes ids: WordPiece on a (cut-down) BERT vocabulary, or words by a regular expression.

Both number their vocabulary from [PAD] = 0. They keep ``max_length`` tokens of a text: its head, or what ``truncation``
says. They are saved as ``vocab.txt`` (one entry a line) and ``tokenizer.json``.
"""

from __future__ import annotations

import collections
import functools
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kd_keras.common import files
from kd_keras.common.columns import batched
from kd_keras.common.errors import UserError
from kd_keras.text.base import (
    BERT_INPUTS,
    CHUNK,
    CLS,
    MASK,
    PAD,
    SEP,
    SPECIAL,
    UNK,
    BackedTokenizer,
    Tokenizer,
)
from kd_keras.text.characters import ALL, ASCII
from kd_keras.text.truncation import HEAD, cut

__all__ = ["BERT_INPUTS", "CLS", "MASK", "PAD", "RE2_WORD_DELIMITER", "SEP", "SPECIAL", "UNK", "WORD_DELIMITER",
           "BackedTokenizer", "Tokenizer", "WordPiece", "Words", "always_kept", "cut_wordpiece", "load_tokenizer",
           "made_tokenizer", "read_vocab", "word_vocab"]  # fmt: skip

WORD_DELIMITER = r"[^\w']+"
# The same rule for RE2 (TensorFlow, MediaPipe). Its \w is ASCII; Python's \w has all letters and numbers.
RE2_WORD_DELIMITER = r"[^\p{L}\p{N}_']+"


class WordPiece(BackedTokenizer):
    """BERT's tokenizer: clean, lower-case and strip accents, split at punctuation, longest match first.

    ``strip_accents`` (None: as ``lowercase``) and ``tokenize_chinese_chars`` mean what they mean in transformers'
    BertTokenizerFast.

    A vocabulary that is cut to the pieces of a text splits that text in the same way. The longest match is still there,
    and still the longest.
    """

    kind = "wordpiece"

    def __init__(
        self,
        vocab: Sequence[str],
        max_length: int,
        lowercase: bool = True,
        truncation: str = HEAD,
        strip_accents: bool | None = None,
        tokenize_chinese_chars: bool = True,
    ):
        super().__init__(vocab, max_length, lowercase, truncation)
        from tokenizers import Tokenizer as Backend
        from tokenizers import models, normalizers, pre_tokenizers

        self._backend = Backend(models.WordPiece(self.index, unk_token=UNK))
        self.strip_accents = lowercase if strip_accents is None else strip_accents
        self.tokenize_chinese_chars = tokenize_chinese_chars
        self._backend.normalizer = normalizers.BertNormalizer(
            lowercase=lowercase, strip_accents=self.strip_accents, handle_chinese_chars=tokenize_chinese_chars
        )
        self._backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        # Augmented text says [MASK]. A text that says [PAD] or [SEP] means just these letters.
        if MASK in self.index:
            self._backend.add_special_tokens([MASK])

    @property
    def wordpiece(self) -> WordPiece:
        """A WordPiece that splits in the same way and has BERT's order of ids: here this one."""
        return self

    def splitting(self) -> dict[str, bool]:
        """Settings of transformers' BertTokenizer, by its names, that do not follow from ``lowercase``."""
        accents = {} if self.strip_accents == self.lowercase else {"strip_accents": self.strip_accents}
        chinese = {} if self.tokenize_chinese_chars else {"tokenize_chinese_chars": False}
        return accents | chinese

    def extra_config(self) -> dict[str, Any]:
        return super().extra_config() | self.splitting()

    def like(self, max_length: int, truncation: str | None = None, vocab: Sequence[str] | None = None) -> WordPiece:
        """This tokenizer with another length, and with another truncation or vocabulary if they are given."""
        if vocab is None:
            return super().like(max_length, truncation)
        return WordPiece(vocab, max_length, self.lowercase, truncation or self.truncation, **self.splitting())

    def pieces_of(self, text: str, begins: bool) -> list[int]:
        """The ids of a string, at the beginning of a word or inside one."""
        whole = self.index.get(self.normalized(text) if begins else "##" + self.normalized(text))
        return [whole] if whole is not None else self._backend.encode(text, add_special_tokens=False).ids

    @functools.cached_property
    def begins(self) -> np.ndarray:
        """bool[vocab]: pieces that begin a word. Pieces inside a word, [PAD], [CLS] and [SEP] do not.

        Two such tokenizers with one normalization find the same words in a text, even if their pieces differ.
        """
        return np.array([not p.startswith("##") and p not in (PAD, CLS, SEP) for p in self.vocab])

    def normalized(self, text: str) -> str:
        """``text`` as it is split: cleaned, and if ``lowercase``, in small letters without accents."""
        return self._backend.normalizer.normalize_str(text)


class Words(Tokenizer):
    """Words between delimiters. A word outside the vocabulary becomes [UNK]."""

    kind = "words"

    def __init__(
        self,
        vocab: Sequence[str],
        max_length: int,
        lowercase: bool = True,
        delimiter: str = WORD_DELIMITER,
        truncation: str = HEAD,
    ):
        super().__init__(vocab, max_length, lowercase, truncation)
        self.delimiter = delimiter
        self._split = re.compile(delimiter).split

    def words(self, text: str) -> list[str]:
        """The words of a text. The mask of augmented text is a word."""
        if MASK in text:
            first, *rest = text.split(MASK)
            return self.words(first) + [w for part in rest for w in (MASK, *self.words(part))]
        return [w for w in self._split(text.lower() if self.lowercase else text) if w]

    def _encode(self, texts: Sequence[str]) -> Iterable[Sequence[int]]:
        unk = self.unk_id
        for text in texts:
            yield [self.index.get(w, unk) for w in cut(self.words(text), self.max_length, self.truncation)]

    def extra_config(self) -> dict[str, Any]:
        return {"delimiter": self.delimiter} | super().extra_config()


def load_tokenizer(vocab_path: Path, config_path: Path) -> Tokenizer:
    """The tokenizer that :meth:`Tokenizer.save` wrote."""
    files.require_file(vocab_path, "vocabulary")
    config = files.read_json(files.require_file(config_path, "tokenizer"))
    return made_tokenizer(read_vocab(vocab_path), config, config_path)


def made_tokenizer(vocab: Sequence[str], config: Any, said_in: Path) -> Tokenizer:
    """The tokenizer of a configuration that was read from ``said_in``. Raises UserError if it is no such
    configuration."""
    config = dict(config) if isinstance(config, dict) else {}
    kinds = {"wordpiece": WordPiece, "words": Words}
    kind = config.pop("kind", None)
    if kind not in kinds:
        raise UserError(f"{said_in}: expected a kind of {' or '.join(kinds)}, found {kind!r}")
    try:
        return kinds[kind](vocab, **config)
    except TypeError as e:
        raise UserError(f"{said_in}: {e}") from None


def read_vocab(path: Path) -> list[str]:
    """One entry a line; the line number, from 0, is the id."""
    return [line.rstrip("\r\n") for line in files.utf8_lines(path)]


def always_kept(vocab: Sequence[str], size: int | None, characters: str = ALL) -> list[str]:
    """The pieces that :func:`cut_wordpiece` always keeps: the special tokens and single characters. With all of these,
    no word that ``vocab`` can spell becomes unknown; with ``ASCII``, no such word of ASCII does.

    Raises:
      UserError: there are more than ``size`` such pieces.
    """
    single = [p for p in vocab if len(p.removeprefix("##")) == 1]
    kept = [*SPECIAL, *(p for p in single if characters == ALL or p.isascii())]
    if size is not None and size < len(kept):
        fewer = f", or --vocab_characters={ASCII}" if characters == ALL else ""
        raise UserError(
            f"--vocab_size={size}: the special tokens and single characters alone are {len(kept)} pieces; use a "
            f"higher value{fewer}"
        )
    return kept


def cut_wordpiece(
    whole: WordPiece,
    texts: Iterable[str],
    max_length: int,
    size: int | None = None,
    truncation: str = HEAD,
    characters: str = ALL,
) -> WordPiece:
    """``whole`` cut down to the pieces that ``texts`` use, with single characters kept.

    Args:
      whole: the teacher's tokenizer.
      texts: the transfer set.
      max_length: the student's, in pieces.
      size: keeps at most this many pieces, special ones and characters included. The rarest go first. Their words are
        split into smaller pieces, down to characters, and do not become unknown.
      truncation: the student's.
      characters: ``ALL`` keeps every single character. ``ASCII`` keeps those; others stay if ``texts`` often use them.
    """
    counts: collections.Counter[int] = collections.Counter()
    uncut = whole.like(1 << 30)
    for chunk in batched(texts, CHUNK):
        counts.update(uncut.encode(chunk).values.tolist())
    kept = always_kept(whole.vocab, size, characters)
    taken = set(kept)
    # The teacher's order, by frequency in its corpus, breaks ties.
    by_count = sorted((i for i in counts if whole.vocab[i] not in taken), key=lambda i: (-counts[i], i))
    if size is not None:
        by_count = by_count[: size - len(kept)]
    return whole.like(max_length, truncation, kept + [whole.vocab[i] for i in by_count])


def word_vocab(
    texts: Iterable[str], max_length: int, size: int | None = None, min_count: int = 2, truncation: str = HEAD
) -> Words:
    """A vocabulary: [PAD], [UNK], [MASK], then the most frequent words that ``texts`` have at least ``min_count``
    times."""
    splitter = Words([PAD, UNK], max_length)
    counts: collections.Counter[str] = collections.Counter()
    for text in texts:
        counts.update(splitter.words(text))
    del counts[MASK]  # it is already in the vocabulary
    words = [w for w, n in sorted(counts.items(), key=lambda wn: (-wn[1], wn[0])) if n >= min_count]
    head = [PAD, UNK, MASK]
    kept = words[: None if size is None else max(0, size - len(head))]
    return Words(head + kept, max_length, truncation=truncation)
