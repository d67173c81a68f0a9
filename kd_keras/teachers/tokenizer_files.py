"""A checkpoint's tokenizer as its files describe it: followed exactly, or refused by name. Imports no TensorFlow.

vocab.txt or tokenizer.json has the pieces. tokenizer_config.json, and then tokenizer.json, say how text is split.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from kd_keras.common import files
from kd_keras.common.errors import UserError
from kd_keras.teachers.families import family_of
from kd_keras.teachers.own_tokenizer import longest, read_own
from kd_keras.text.base import BERT_INPUTS
from kd_keras.text.file_tokenizer import FileTokenizer, cut_content
from kd_keras.text.tokenizers import CLS, MASK, PAD, SEP, SPECIAL, UNK, WordPiece, read_vocab
from kd_keras.text.truncation import HEAD
from kd_keras.text.unigram import Unigram, read_unigram, used_pieces

SETTINGS = "tokenizer_config.json"
BACKEND = "tokenizer.json"
_SPECIAL_MAP, _ADDED = "special_tokens_map.json", "added_tokens.json"
OPTIONAL = (SETTINGS, BACKEND, _SPECIAL_MAP, _ADDED)

# Classes of transformers that equal BertTokenizer under another name.
_CLASSES = {
    f"{name}Tokenizer{fast}" for name in ("Bert", "DistilBert", "Electra", "MobileBert") for fast in ("", "Fast")
}
# This class follows tokenizer.json.
_BACKEND_CLASS = "PreTrainedTokenizerFast"
_NAMES = {"pad_token": PAD, "unk_token": UNK, "cls_token": CLS, "sep_token": SEP, "mask_token": MASK}
# Settings of BertTokenizer and its subclasses → the only value that is supported.
_FIXED = {
    "do_basic_tokenize": True, "do_word_tokenize": True, "do_subword_tokenize": True, "clean_text": True,
    "word_tokenizer_type": "basic", "subword_tokenizer_type": "wordpiece", "wordpieces_prefix": "##",
}  # fmt: skip
# If more than this share of the pieces has capitals, text keeps its case.
_CASED = 0.01


@dataclass(frozen=True)
class TokenizerFiles:
    """What the files say.

    Attributes:
      pieces: the vocabulary. A piece's index is its id.
      lowercase, strip_accents, tokenize_chinese_chars: as in ``WordPiece``.
      longest: the most tokens of a text, or None if the files do not say.
      notes: what the screen should say.
      unigram: a Unigram's scores of pieces and its other parts. None for a WordPiece.
      rows: the row of the checkpoint's embeddings for each piece. None: the piece's own number.
      own: a tokenizer that is neither BERT's WordPiece nor its Unigram.
      inputs: the inputs of the checkpoint's model.
    """

    pieces: tuple[str, ...]
    lowercase: bool
    strip_accents: bool | None = None
    tokenize_chinese_chars: bool = True
    longest: int | None = None
    notes: tuple[str, ...] = ()
    unigram: tuple[tuple[float, ...], Mapping[str, Any]] | None = None
    rows: np.ndarray | None = None
    own: FileTokenizer | None = None
    inputs: tuple[str, ...] = BERT_INPUTS

    def tokenizer(self, max_length: int, truncation: str = HEAD) -> WordPiece | Unigram | FileTokenizer:
        made = self._made(max_length, truncation)
        made.inputs = self.inputs
        return made

    def _made(self, max_length: int, truncation: str) -> WordPiece | Unigram | FileTokenizer:
        if self.own is not None:
            return self.own.like(max_length, truncation)
        if self.unigram is not None:
            return Unigram(self.pieces, *self.unigram, max_length, truncation)
        return WordPiece(
            self.pieces, max_length, self.lowercase, truncation, self.strip_accents, self.tokenize_chinese_chars
        )

    @property
    def is_wordpiece(self) -> bool:
        """Whether a student can use its pieces. Phones know only WordPiece."""
        return self.unigram is None if self.own is None else self.own.is_wordpiece

    @property
    def is_cut(self) -> bool:
        """Whether :meth:`cut` leaves pieces out. It does for a Unigram, whose vocabulary mostly has many languages."""
        return self.unigram is not None or (self.own is not None and self.own.model["type"] == "Unigram")

    def splitting(self) -> dict[str, Any]:
        """For keys: how text is split, if ``lowercase`` alone does not say it."""
        return {"tokenizer": Unigram.kind} if self.unigram is not None else self.tokenizer(3).splitting()

    def cut(self, texts: Iterable[str]) -> TokenizerFiles:
        """A Unigram with only the pieces that ``texts`` use (:func:`used_pieces`)."""
        if self.own is not None:
            if not self.is_cut:
                return self
            kept = used_pieces(self.own, texts)
            own = FileTokenizer(cut_content(self.own.content, kept), self.own.names, 1 << 30)
            return replace(self, pieces=tuple(own.vocab), own=own, rows=kept if self.rows is None else self.rows[kept])
        if self.unigram is None or self.rows is None:
            return self
        kept = used_pieces(self.tokenizer(512), texts)
        scores, parts = self.unigram
        return replace(
            self, pieces=tuple(self.pieces[i] for i in kept), unigram=(tuple(scores[i] for i in kept), parts),
            rows=self.rows[kept],
        )  # fmt: skip


def read_tokenizer(what: str, folder: Path, config: Mapping) -> TokenizerFiles:
    """The tokenizer of the checkpoint in ``folder``.

    Args:
      what: for errors: "--teacher=NAME".
      config: the checkpoint's config.json.

    Raises:
      UserError: there is none, its kind is not the model's, or a setting is not supported.
    """
    settings, special, added = (_object(folder / name) for name in (SETTINGS, _SPECIAL_MAP, _ADDED))
    backend = _object(folder / BACKEND)
    where, family = f"{what}: {folder}", family_of(config)
    kind = _dict(backend.get("model")).get("type")
    if not family.wordpiece or (family.kind != "bert" and kind in ("BPE", "Unigram")):
        own = read_own(where, folder, family, settings, special, backend)
        return TokenizerFiles(tuple(own.vocab), own.lowercase, longest=longest(settings), own=own, inputs=family.inputs)
    if kind == "Unigram":
        pieces, scores, parts, rows = read_unigram(f"{where}/{BACKEND}", backend)
        return TokenizerFiles(
            tuple(pieces), False, longest=longest(settings), unigram=(tuple(scores), parts), rows=rows
        )
    _check_class(where, settings, config, bool(backend))
    for key, followed in _FIXED.items():
        if settings.get(key) not in (None, followed):
            raise UserError(f"{where}/{SETTINGS} says {key} {settings[key]!r}; only {followed!r} is supported")
    _check_special(where, settings, special)
    normalizer = _checked_normalizer(f"{where}/{BACKEND}", backend) if backend else {}
    pieces = _pieces(where, folder, backend)
    _check_added(where, pieces, settings, special, added, backend)
    lowercase, notes = _lowercase(settings, normalizer, pieces)

    def said(key: str, old: str, default: bool | None) -> Any:
        value = settings[key] if key in settings else normalizer.get(old, default)
        return default if value is None else value

    return TokenizerFiles(
        pieces, lowercase, said("strip_accents", "strip_accents", None),
        bool(said("tokenize_chinese_chars", "handle_chinese_chars", True)),
        longest(settings), notes, inputs=family.inputs,
    )  # fmt: skip


def _object(path: Path) -> dict:
    if not path.is_file():
        return {}
    value = files.read_json(path)
    if not isinstance(value, dict):
        raise UserError(f"{path}: expected a JSON object")
    return value


def _check_class(where: str, settings: Mapping, config: Mapping, has_backend: bool) -> None:
    for place, said in ((SETTINGS, settings), ("config.json", config)):
        name = said.get("tokenizer_class")
        if name is None:
            continue
        if name not in _CLASSES and not (name == _BACKEND_CLASS and has_backend):
            raise UserError(
                f"{where}/{place} says tokenizer_class {name!r}, which splits text differently from BertTokenizer; use "
                "a checkpoint with BERT's own WordPiece"
            )
        return


def _dict(value: Any) -> dict:
    return value if isinstance(value, dict) else {}


def _content(token: Any) -> Any:
    return token.get("content") if isinstance(token, dict) else token


def _check_special(where: str, settings: Mapping, special: Mapping) -> None:
    for key, expected in _NAMES.items():
        said = _content(settings.get(key, special.get(key)))
        if said not in (None, expected):
            raise UserError(f"{where} says {key} {said!r}; only {expected} is supported")


def _check_added(
    where: str, pieces: tuple[str, ...], settings: Mapping, special: Mapping, added: Mapping, backend: Mapping
) -> None:
    """Refuses added tokens except BERT's five. They would be cut out of a text before it is split."""
    decoder = _dict(settings.get("added_tokens_decoder"))
    tokens = [
        *added,
        *(_content(t) for t in decoder.values()),
        *(_content(t) for t in backend.get("added_tokens") or []),
        *(_content(t) for said in (settings, special) for t in said.get("additional_special_tokens") or []),
        *(_content(t) for t in settings.get("never_split") or []),
    ]
    if others := [str(t) for t in dict.fromkeys(tokens) if t not in SPECIAL]:
        raise UserError(
            f"{where}: the tokenizer has added tokens, which are not supported: {', '.join(others[:5])}"
            f"{', …' if len(others) > 5 else ''}; use a checkpoint without them"
        )
    ids = [(token, i) for token, i in added.items()]
    ids += [(_content(t), int(i)) for i, t in decoder.items() if str(i).isdecimal()]
    ids += [(_content(t), t.get("id")) for t in backend.get("added_tokens") or [] if isinstance(t, dict)]
    for token, number in ids:
        if number != pieces.index(token):
            raise UserError(
                f"{where}: {token} is added as number {number}, but is number {pieces.index(token)} in the vocabulary"
            )


def _checked_normalizer(path: str, backend: Mapping) -> Mapping:
    """The normalizer of a tokenizer.json, if it is BERT's. UserError if it is another."""
    model, normalizer, split = (_dict(backend.get(k)) for k in ("model", "normalizer", "pre_tokenizer"))
    kinds = {"model": model, "normalizer": normalizer, "pre_tokenizer": split}
    for (part, said), expected in zip(kinds.items(), ("WordPiece", "BertNormalizer", "BertPreTokenizer"), strict=True):
        found = said.get("type", "WordPiece" if part == "model" and "max_input_chars_per_word" in said else None)
        if found != expected:
            raise UserError(f"{path}: has a {part} of type {found}, expected {expected}")
    fixed = {"unk_token": UNK, "continuing_subword_prefix": "##", "max_input_chars_per_word": 100}
    for said, wanted in ((model, fixed), (normalizer, {"clean_text": True})):
        for key, followed in wanted.items():
            if said.get(key, followed) != followed:
                raise UserError(f"{path}: says {key} {said[key]!r}; only {followed!r} is supported")
    return normalizer


def _pieces(where: str, folder: Path, backend: Mapping) -> tuple[str, ...]:
    text, inside = folder / "vocab.txt", None
    if backend:
        numbers = backend["model"].get("vocab")
        if not isinstance(numbers, dict) or sorted(numbers.values()) != list(range(len(numbers))):
            raise UserError(f"{where}/{BACKEND}: expected a vocabulary numbered from 0 without gaps")
        inside = tuple(sorted(numbers, key=numbers.__getitem__))
    if text.is_file():
        pieces, source = tuple(read_vocab(text)), text
        if inside is not None and inside != pieces:
            at = next((i for i, (a, b) in enumerate(zip(pieces, inside, strict=False)) if a != b), None)
            differ = f"{len(pieces):,} and {len(inside):,} pieces" if at is None else (
                f"number {at} is {pieces[at]!r} and {inside[at]!r}")  # fmt: skip
            raise UserError(f"{where}: vocab.txt and {BACKEND} differ ({differ}); remove the wrong one")
    elif inside is not None:
        pieces, source = inside, folder / BACKEND
    else:
        raise UserError(f"{where} has no vocab.txt and no {BACKEND}; expected the folder of a BERT checkpoint")
    lacking = [token for token in SPECIAL if token not in pieces]
    if lacking or pieces[0] != PAD:
        raise UserError(
            f"{where}: the vocabulary in {source.name} "
            + (f"has no {', '.join(lacking)}" if lacking else f"has {PAD} as number {pieces.index(PAD)}, expected 0")
        )
    if len(set(pieces)) != len(pieces):
        number = next(n for n, piece in enumerate(pieces) if pieces.index(piece) != n)
        raise UserError(f"{source}, line {number + 1}: {pieces[number]!r} stands on two lines; expected one")
    return pieces


def _lowercase(settings: Mapping, normalizer: Mapping, pieces: tuple[str, ...]) -> tuple[bool, tuple[str, ...]]:
    """Whether text is lower-cased, and a note if the vocabulary contradicts or decides it."""
    capitals = [p for p in pieces if p not in SPECIAL and not p.startswith("[unused") and p != p.lower()]
    cased = len(capitals) > _CASED * len(pieces)
    lowercase = settings.get("do_lower_case")
    if lowercase is None:
        lowercase = normalizer.get("lowercase")
    if lowercase is None:
        if not cased:
            return True, ()
        return False, (
            f"no file says do_lower_case; the vocabulary has capitals ({capitals[0]}), so text keeps its case",
        )
    if lowercase and cased:
        return True, (
            f"do_lower_case is true, so {len(capitals):,} pieces with capitals ({capitals[0]}, …) are never read; for "
            f"a cased checkpoint write false into {SETTINGS}",
        )
    if not lowercase and not capitals:
        return False, (
            "do_lower_case is false and no piece has a capital, so words with capitals are unknown; for an uncased "
            f"checkpoint write true into {SETTINGS}",
        )
    return bool(lowercase), ()
