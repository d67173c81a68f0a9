"""The parts that all tokenizers share: ids of texts, a vocabulary with [PAD] = 0, and the inputs of a BERT for texts
and pairs."""

from __future__ import annotations

import collections
import copy
import functools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from kd_keras.common import files
from kd_keras.common.columns import batched
from kd_keras.common.errors import UserError
from kd_keras.text.token_ids import TokenIds
from kd_keras.text.truncation import HEAD, cut, ends
from kd_keras.text.windows import Windows, windows, word_pieces

PAD, UNK, CLS, SEP, MASK = "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"
SPECIAL = (PAD, UNK, CLS, SEP, MASK)
# The inputs of a Hugging Face BERT.
BERT_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
CHUNK = 20_000


class Tokenizer:
    """Texts → TokenIds. Subclasses give ``kind``, ``_encode`` and ``config``."""

    kind: str

    def __init__(self, vocab: Sequence[str], max_length: int, lowercase: bool, truncation: str = HEAD):
        if not vocab or vocab[0] != PAD or UNK not in vocab:
            raise UserError(f"vocabulary: expected {PAD} on line 1 and {UNK} on another line")
        self.vocab = list(vocab)
        self.max_length = max_length
        self.lowercase = lowercase
        ends(max_length, truncation)  # a tokenizer.json may have any value here
        self.truncation = truncation
        self.index = {piece: i for i, piece in enumerate(self.vocab)}
        if len(self.index) != len(self.vocab):
            twice = next(p for p, n in collections.Counter(self.vocab).items() if n > 1)
            raise UserError(f"vocabulary: {twice!r} occurs on two lines; expected each entry once")

    def __len__(self) -> int:
        return len(self.vocab)

    @property
    def unk_id(self) -> int:
        return self.index[UNK]

    def tokenize(self, text: str) -> list[str]:
        """The pieces of one text, as the student sees them."""
        return [self.vocab[i] for i in self.encode([text])[0]]

    def encode(self, texts: Sequence[str]) -> TokenIds:
        """Ids without [CLS] and [SEP], at most ``max_length`` for each text. An empty text has none."""
        return TokenIds.of(row for chunk in batched(texts, CHUNK) for row in self._encode(chunk))

    def _encode(self, texts: Sequence[str]) -> Iterable[Sequence[int]]:
        raise NotImplementedError

    def save(self, vocab_path: Path, config_path: Path) -> None:
        files.write_text(vocab_path, "".join(p + "\n" for p in self.vocab))
        config = {"kind": self.kind, "max_length": self.max_length, "lowercase": self.lowercase}
        files.write_json(config_path, config | self.extra_config())

    def extra_config(self) -> dict[str, Any]:
        """More entries of ``tokenizer.json``. The head is not written, as older files do not have it."""
        return {} if self.truncation == HEAD else {"truncation": self.truncation}

    def fingerprint(self) -> str:
        """Equal for tokenizers that give every text the same ids."""
        return files.hash_of(self.kind, self.vocab, self.max_length, self.lowercase, self.extra_config())


class BackedTokenizer(Tokenizer):
    """A tokenizer whose ``_backend`` is one of the package tokenizers."""

    # The model's inputs, and the id of the padding piece.
    inputs: tuple[str, ...] = BERT_INPUTS
    pad_id = 0
    _backend: Any
    _space: int | None = None  # the piece that is only a space

    @property
    def _words(self) -> Any:
        """The backend that splits single words."""
        return self._backend

    @functools.cached_property
    def around(self) -> tuple[list[int], list[int], list[int]]:
        """Ids before a text, between the two texts of a pair, and at the end."""
        cls, sep = [self.index[CLS]], [self.index[SEP]]
        return cls, sep, sep

    def like(self, max_length: int, truncation: str | None = None) -> Self:
        """A tokenizer with another length, or truncation if one is given. It shares this one's backend."""
        truncation = truncation or self.truncation
        ends(max_length, truncation)
        made = copy.copy(self)
        made.max_length, made.truncation = max_length, truncation
        return made

    def _encode(self, texts: Sequence[str]) -> Iterable[Sequence[int]]:
        for e in self._backend.encode_batch(list(texts), add_special_tokens=False):
            yield cut(e.ids, self.max_length, self.truncation)

    def encode_for_bert(self, texts: Sequence[str], texts_b: Sequence[str] | None = None) -> tuple[TokenIds, list[int]]:
        """[CLS] text [SEP] (text_b [SEP]) of at most ``max_length`` pieces. A pair loses the end of its longer text
        first.

        RoBERTa and its relatives have two [SEP] between the texts of a pair.

        Returns:
          ids, and for each row the length of its first segment, with [CLS] and [SEP].

        Raises:
          UserError: pairs are given, and ``truncation`` is not "head".
        """
        if texts_b is not None and self.truncation != HEAD:
            raise UserError(f"truncation {self.truncation!r}: works only for single texts; use {HEAD} for pairs")
        before, between, behind = self.around
        room = self.max_length - len(before) - len(behind) - (0 if texts_b is None else len(between))
        first: list[int] = []

        def rows() -> Iterator[list[int]]:
            for chunk in range(0, len(texts), CHUNK):
                a = self._backend.encode_batch(list(texts[chunk : chunk + CHUNK]), add_special_tokens=False)
                if texts_b is None:
                    for e in a:
                        row = [*before, *cut(e.ids, room, self.truncation), *behind]
                        first.append(len(row))
                        yield row
                    continue
                b = self._backend.encode_batch(list(texts_b[chunk : chunk + CHUNK]), add_special_tokens=False)
                for e, f in zip(a, b, strict=True):
                    ids, ids_b = _truncate_longest_first(e.ids, f.ids, room)
                    first.append(len(before) + len(ids) + len(between))
                    yield [*before, *ids, *between, *ids_b, *behind]

        return TokenIds.of(rows()), first

    def laid_out(
        self, ids: TokenIds, first: Sequence[int] | np.ndarray, rows: np.ndarray, multiple: int = 1
    ) -> dict[str, np.ndarray]:
        """``inputs`` of the chosen rows, int32[len(rows), time] each.

        Args:
          ids, first: as :meth:`encode_for_bert` gives them.
          rows: indices.
          multiple: time is rounded up to a multiple of this.
        """
        padded = ids.padded(rows, multiple)
        steps = np.arange(padded.shape[1])
        inside = steps < ids.lengths[rows][:, None]
        types = inside & (steps >= np.asarray(first)[rows][:, None])
        each = (np.where(inside, padded, self.pad_id), inside, types)
        return {name: a.astype(np.int32) for name, a in zip(BERT_INPUTS, each, strict=True) if name in self.inputs}

    def windows(self, texts: Sequence[Sequence[str]], for_bert: bool = False) -> Windows:
        """Windows of at most ``max_length`` pieces over rows of words, for a model that tags tokens.

        Args:
          for_bert: whether each window begins with [CLS] and ends with [SEP]; they count as pieces.
        """
        first, last = (self.index[CLS], self.index[SEP]) if for_bert else (None, None)
        rows = (w for some in batched(texts, CHUNK) for w in word_pieces(self._words, some, self.unk_id, self._space))
        return windows(rows, self.max_length - 2 * for_bert, first, last)


def _truncate_longest_first(a: list[int], b: list[int], room: int) -> tuple[list[int], list[int]]:
    surplus = len(a) + len(b) - room
    if surplus <= 0:
        return a, b
    half = room // 2
    if len(a) <= half:
        return a, b[: room - len(a)]
    if len(b) <= half:
        return a[: room - len(b)], b
    return a[: room - half], b[:half]
