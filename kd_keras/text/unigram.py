"""Unigram (SentencePiece), the tokenizer of multilingual BERTs: the most likely pieces of each word (Kudo 2018).

Here the vocabulary begins with BERT's five special pieces. A checkpoint may name and place them in another way.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from kd_keras.common.columns import batched
from kd_keras.common.errors import UserError
from kd_keras.text.base import CHUNK
from kd_keras.text.tokenizers import CLS, MASK, PAD, SEP, SPECIAL, UNK, BackedTokenizer
from kd_keras.text.truncation import HEAD
from kd_keras.text.windows import without_space

SPACE = "\u2581"
# BERT's name → the names that checkpoints use.
_NAMES = {PAD: ("<pad>", PAD), UNK: ("<unk>", UNK), CLS: ("<s>", CLS), SEP: ("</s>", SEP), MASK: ("<mask>", MASK)}
# No text has this character after the normalizer, so no text holds a special piece.
_NOWHERE = "\x00"


class Unigram(BackedTokenizer):
    """Splits text into its most likely pieces.

    Args:
      pieces: in the order of their ids, special ones first: [PAD], [UNK], [CLS], [SEP] and perhaps [MASK].
      scores: log probability of each.
      parts: "normalizer" and "pre_tokenizer" of a tokenizer.json.
      max_length, truncation: as for every tokenizer.
    """

    kind = "unigram"

    def __init__(
        self,
        pieces: Sequence[str],
        scores: Sequence[float],
        parts: Mapping[str, Any],
        max_length: int,
        truncation: str = HEAD,
    ):
        super().__init__(pieces, max_length, False, truncation)
        self.scores, self.parts = list(scores), dict(parts)
        self._backend = self._made(True)
        self._space = self.index.get(SPACE)

    @cached_property
    def _inside(self) -> Any:
        """The backend that splits the inside of a word. It is made at its first use, as that takes time."""
        return self._made(False)

    def _made(self, prefixed: bool) -> Any:
        from tokenizers import Tokenizer as Backend

        special = self._specials()
        names = [MASK if p == MASK else _NOWHERE + p if n < special else p for n, p in enumerate(self.vocab)]
        split = dict(self.parts["pre_tokenizer"])
        if not prefixed:
            split |= {"add_prefix_space": False, "prepend_scheme": "never"}
        model = {"type": "Unigram", "unk_id": self.unk_id, "vocab": list(zip(names, self.scores, strict=True))}
        whole = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "post_processor": None,
                 "decoder": None, "normalizer": self.parts["normalizer"], "pre_tokenizer": split,
                 "model": model}  # fmt: skip
        made = Backend.from_str(json.dumps(whole))
        # Augmented text holds [MASK]. It is the only special piece that a text can hold.
        if MASK in self.index:
            made.add_special_tokens([MASK])
        return made

    def _specials(self) -> int:
        return 5 if MASK in self.index else 4

    def pieces_of(self, text: str, begins: bool) -> list[int]:
        """The ids of a string, at the beginning of a word or inside one."""
        ids = (self._backend if begins else self._inside).encode(text, add_special_tokens=False).ids
        return without_space(text, ids, self._space)

    def splitting(self) -> dict[str, Any]:
        """For keys: the settings that decide how text is split."""
        return {"tokenizer": self.kind}

    def extra_config(self) -> dict[str, Any]:
        return super().extra_config() | {"scores": self.scores, "parts": self.parts}

    def to_json(self) -> dict[str, Any]:
        """A tokenizer.json for transformers."""
        added = [
            {"id": n, "content": p, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
             "special": True}
            for n, p in enumerate(self.vocab[: self._specials()])
        ]  # fmt: skip
        ends = {name: {"id": name, "ids": [self.index[name]], "tokens": [name]} for name in (CLS, SEP)}
        single = [{"SpecialToken": {"id": CLS, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                  {"SpecialToken": {"id": SEP, "type_id": 0}}]  # fmt: skip
        pair = [*single, {"Sequence": {"id": "B", "type_id": 1}}, {"SpecialToken": {"id": SEP, "type_id": 1}}]
        return {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": added,
            "normalizer": self.parts["normalizer"],
            "pre_tokenizer": self.parts["pre_tokenizer"],
            "post_processor": {"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": ends},
            "decoder": self.parts["pre_tokenizer"],
            "model": {"type": "Unigram", "unk_id": self.unk_id,
                      "vocab": [list(p) for p in zip(self.vocab, self.scores, strict=True)]},
        }  # fmt: skip


def read_unigram(where: str, backend: Mapping) -> tuple[list[str], list[float], dict[str, Any], np.ndarray]:
    """Pieces and scores in our order, the other parts, and each piece's id in the file.

    Args:
      where: the name of the file, for errors.
      backend: a tokenizer.json whose model is Unigram.

    Raises:
      UserError: it is not like SentencePiece's files.
    """
    model, split = backend["model"], backend.get("pre_tokenizer") or {}
    pairs = model.get("vocab")
    if not isinstance(pairs, list) or not all(
        isinstance(p, list) and len(p) == 2 and isinstance(p[0], str) and isinstance(p[1], int | float) for p in pairs
    ):
        raise UserError(f"{where}: expected a Unigram vocabulary of pairs [piece, score]")
    if split.get("type") != "Metaspace":
        raise UserError(f"{where}: has a pre_tokenizer of type {split.get('type')}, expected Metaspace")
    number = {piece: n for n, (piece, _) in enumerate(pairs)}
    found = {ours: next((number[n] for n in names if n in number), None) for ours, names in _NAMES.items()}
    if lacking := [name for name, at in found.items() if at is None and name != MASK]:
        raise UserError(f"{where}: the vocabulary has no {', '.join(_NAMES[name][0] for name in lacking)}")
    if model.get("unk_id") != found[UNK]:
        raise UserError(f"{where}: unk_id is {model.get('unk_id')}, but {_NAMES[UNK][0]} is number {found[UNK]}")
    special = [(name, at) for name in SPECIAL if (at := found[name]) is not None]
    taken = {at for _, at in special}
    rest = [n for n in range(len(pairs)) if n not in taken]
    pieces = [name for name, _ in special] + [pairs[n][0] for n in rest]
    scores = [0.0] * len(special) + [float(pairs[n][1]) for n in rest]
    parts = {"normalizer": backend.get("normalizer"), "pre_tokenizer": dict(split)}
    return pieces, scores, parts, np.array([*(at for _, at in special), *rest], np.int64)


def used_pieces(tokenizer: BackedTokenizer, texts: Iterable[str]) -> np.ndarray:
    """The ids of a Unigram that ``texts`` use, of its special pieces, and of single characters, in their order.

    A vocabulary that is cut to these pieces splits ``texts`` as the whole one does, as it keeps their most likely
    pieces. It spells other text in smaller pieces.
    """
    wanted = np.zeros(len(tokenizer), bool)
    wanted[[tokenizer.index[name] for name in SPECIAL if name in tokenizer.index]] = True
    uncut = tokenizer.like(1 << 30)
    # No piece crosses a space, so each word is split once.
    words = dict.fromkeys(word for text in texts for word in text.split(" "))
    for chunk in batched(words, CHUNK):
        wanted[uncut.encode(chunk).values] = True
    wanted |= np.fromiter((len(p.removeprefix(SPACE)) <= 1 for p in tokenizer.vocab), bool, len(tokenizer))
    return np.flatnonzero(wanted)
