"""A tokenizer that follows a tokenizer.json: BPE, Unigram or WordPiece, with the checkpoint's own ids.

Two things differ from the file. Text never holds special tokens: "</s>" in a text means these letters. The mask is
called [MASK], as in augmented text.
"""

from __future__ import annotations

import copy
import functools
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kd_keras.common import files
from kd_keras.common.errors import UserError
from kd_keras.text.base import CLS, MASK, PAD, SEP, SPECIAL, UNK, BackedTokenizer
from kd_keras.text.tokenizers import WordPiece
from kd_keras.text.truncation import HEAD, ends
from kd_keras.text.unigram import SPACE
from kd_keras.text.windows import without_space

# No text has this character, so no text holds a name that begins with it.
_NOWHERE = "\x00"
# Settings of a WordPiece that a student can have too.
_FOLLOWED = {"continuing_subword_prefix": "##", "max_input_chars_per_word": 100}


class FileTokenizer(BackedTokenizer):
    """Splits text as the package tokenizers does by a tokenizer.json.

    ``vocab`` has BERT's names for special tokens, each with the file's own id.

    Args:
      content: the file's JSON.
      names: [PAD], [UNK], [CLS], [SEP] and perhaps [MASK] → its name in the file.
      max_length, truncation: as for every tokenizer.

    Raises:
      UserError: ``content`` is no tokenizer, or does not place [CLS] and [SEP].
    """

    kind = "file"

    def __init__(self, content: Mapping[str, Any], names: Mapping[str, str], max_length: int, truncation: str = HEAD):
        ends(max_length, truncation)
        self.content, self.names = content, dict(names)
        self.max_length, self.truncation = max_length, truncation
        self.model = content["model"]
        numbers = _made(content).get_vocab(with_added_tokens=True)
        if lacking := [said for name, said in self.names.items() if said not in numbers]:
            raise UserError(f"has no {', '.join(lacking)} in its vocabulary")
        own = {said: name for name, said in self.names.items()}
        self.vocab = [f"{_NOWHERE}{n}" for n in range(max(numbers.values()) + 1)]
        for piece, number in numbers.items():
            self.vocab[number] = own.get(piece, _NOWHERE + piece if piece in SPECIAL else piece)
        self.index = {piece: n for n, piece in enumerate(self.vocab)}
        self.pad_id = self.index[PAD]
        self.around = _layout(content, self.index)
        self._plain = _without_specials(content, own)
        self._backend = _made(self._plain)
        normalizer = self._backend.normalizer
        self.lowercase = normalizer is not None and normalizer.normalize_str("A") == "a"
        self._space = self.index.get(SPACE) if self.model["type"] == "Unigram" else None

    @functools.cached_property
    def _words(self) -> Any:
        return _made(_prefixed(self._plain, True))

    @functools.cached_property
    def _inside(self) -> Any:
        """The backend that splits the inside of a word."""
        return _made(_prefixed(self._plain, False))

    def pieces_of(self, text: str, begins: bool) -> list[int]:
        """The ids of a string, at the beginning of a word or inside one."""
        if self.model["type"] == "WordPiece":
            normalizer = self._backend.normalizer
            plain = text if normalizer is None else normalizer.normalize_str(text)
            whole = self.index.get(plain if begins else self.model.get("continuing_subword_prefix", "##") + plain)
            return [whole] if whole is not None else self._backend.encode(text, add_special_tokens=False).ids
        ids = (self._words if begins else self._inside).encode(text, add_special_tokens=False).ids
        return without_space(text, ids, self._space)

    @functools.cached_property
    def begins(self) -> np.ndarray:
        """bool[vocab] of a WordPiece; see :class:`kd_keras.text.tokenizers.WordPiece`."""
        return np.array([not p.startswith("##") and p not in (PAD, CLS, SEP) for p in self.vocab])

    @property
    def is_wordpiece(self) -> bool:
        """Whether BERT's WordPiece splits text the same way, so that a student can have these pieces."""
        model, normalizer = self.model, self.content.get("normalizer") or {}
        kinds = (model["type"], normalizer.get("type"), (self.content.get("pre_tokenizer") or {}).get("type"))
        return (
            kinds == ("WordPiece", "BertNormalizer", "BertPreTokenizer")
            and all(model.get(key, value) == value for key, value in _FOLLOWED.items())
            and normalizer.get("clean_text", True) is True
        )

    @functools.cached_property
    def wordpiece(self) -> WordPiece:
        """A WordPiece with the same pieces in BERT's order: [PAD] is 0."""
        says = self.content["normalizer"]
        rest = [p for p in self.vocab if p not in SPECIAL and not p.startswith(_NOWHERE)]
        return WordPiece(
            [*SPECIAL, *rest], self.max_length, bool(says.get("lowercase")), self.truncation, says.get("strip_accents"),
            says.get("handle_chinese_chars", True),
        )  # fmt: skip

    def splitting(self) -> dict[str, Any]:
        return {"tokenizer": self.kind, "content": self._hash}

    @functools.cached_property
    def _hash(self) -> str:
        return files.hash_of(self.content, self.names)

    def to_json(self) -> dict[str, Any]:
        """The tokenizer.json for transformers."""
        return dict(self.content) | {"truncation": None, "padding": None}

    def extra_config(self) -> dict[str, Any]:
        return super().extra_config() | self.splitting()


def cut_content(content: Mapping[str, Any], kept: np.ndarray) -> dict[str, Any]:
    """The tokenizer.json of a Unigram with only the pieces ``kept``. They are numbered from 0, in their order."""
    made, new = copy.deepcopy(dict(content)), {int(old): n for n, old in enumerate(kept)}
    vocab = made["model"]["vocab"]
    made["model"]["vocab"] = [vocab[i] for i in kept.tolist() if i < len(vocab)]
    made["model"]["unk_id"] = new[made["model"]["unk_id"]]
    made["added_tokens"] = [t | {"id": new[t["id"]]} for t in made.get("added_tokens") or [] if t["id"] in new]
    return made | {"post_processor": _renumbered(made["post_processor"], new)}


def _renumbered(said: dict[str, Any], new: Mapping[int, int]) -> dict[str, Any]:
    made = dict(said)
    for end in ("cls", "sep"):
        if isinstance(made.get(end), list):
            made[end] = [made[end][0], new[made[end][1]]]
    if "special_tokens" in made:
        made["special_tokens"] = {
            name: token | {"ids": [new[i] for i in token["ids"]]} for name, token in made["special_tokens"].items()
        }
    if "processors" in made:
        made["processors"] = [_renumbered(part, new) for part in made["processors"]]
    return made


def _made(content: Mapping[str, Any]) -> Any:
    from tokenizers import Tokenizer as Backend

    try:
        made = Backend.from_str(json.dumps(content))
    except Exception as e:  # the package raises bare Exceptions
        raise UserError(f"is not a tokenizer ({str(e).splitlines()[0]})") from None
    made.no_padding()
    made.no_truncation()
    return made


def _layout(content: Mapping[str, Any], index: Mapping[str, int]) -> tuple[list[int], list[int], list[int]]:
    """The ids before a text, between two texts, and at the end."""
    parts = (content.get("post_processor") or {}).get("processors") or [content.get("post_processor") or {}]
    cls, sep = [index[CLS]], [index[SEP]]
    for part in parts:
        if part.get("type") == "RobertaProcessing":
            return cls, sep * 2, sep
        if part.get("type") == "BertProcessing":
            return cls, sep, sep
        if part.get("type") == "TemplateProcessing":
            ids, found = {k: t["ids"] for k, t in part["special_tokens"].items()}, ([], [], [])
            at = 0
            for item in part["pair"]:
                if "Sequence" in item:
                    at += 1
                else:
                    found[min(at, 2)].extend(ids[item["SpecialToken"]["id"]])
            if at == 2 and found[0] == cls and found[2] == sep and found[1] and set(found[1]) == set(sep):
                return found
    raise UserError("expected a post_processor that puts [CLS] before a text and [SEP] behind it")


def _without_specials(content: Mapping[str, Any], own: Mapping[str, str]) -> dict[str, Any]:
    """``content`` with names for special tokens that no text holds; the mask is [MASK]."""
    made = copy.deepcopy(dict(content))
    added = made.get("added_tokens") or []
    special = {*own, *(t["content"] for t in added if t.get("special"))}

    def renamed(piece: str) -> str:
        if own.get(piece) == MASK:
            return MASK
        return _NOWHERE + piece if piece in special or piece == MASK else piece

    model = made["model"]
    vocab = model["vocab"]
    if isinstance(vocab, dict):
        model["vocab"] = {renamed(piece): number for piece, number in vocab.items()}
    else:
        model["vocab"] = [[renamed(piece), score] for piece, score in vocab]
    if isinstance(model.get("unk_token"), str):
        model["unk_token"] = renamed(model["unk_token"])
    made["added_tokens"] = [t | {"content": renamed(t["content"])} for t in added]
    mask = next((piece for piece, name in own.items() if name == MASK), None)
    if mask is not None and all(t["content"] != MASK for t in made["added_tokens"]):
        number = _made(content).token_to_id(mask)
        made["added_tokens"].append(
            {"id": number, "content": MASK, "single_word": False, "lstrip": False, "rstrip": False,
             "normalized": False, "special": True}
        )  # fmt: skip
    return made | {"post_processor": None, "padding": None, "truncation": None}


def _prefixed(content: Mapping[str, Any], on: bool) -> dict[str, Any]:
    """``content``, changed so that each string begins a word, or each goes on inside one."""

    def changed(part: Any) -> Any:
        if not isinstance(part, dict):
            return part
        if part.get("type") == "ByteLevel":
            return part | {"add_prefix_space": on}
        if part.get("type") == "Metaspace":
            return part | {"add_prefix_space": on, "prepend_scheme": "always" if on else "never"}
        if "pretokenizers" in part:
            return part | {"pretokenizers": [changed(p) for p in part["pretokenizers"]]}
        return part

    return {**content, "pre_tokenizer": changed(content.get("pre_tokenizer"))}


def of_pieces(pieces: Sequence[str], lowercase: bool, tokens: Mapping[str, str]) -> dict[str, Any]:
    """The tokenizer.json of a vocab.txt whose special tokens are not BERT's."""
    from tokenizers import Tokenizer as Backend
    from tokenizers import models, normalizers, pre_tokenizers

    numbers = {piece: n for n, piece in enumerate(pieces)}
    made = Backend(models.WordPiece(numbers, unk_token=tokens[UNK]))
    made.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return _with_ends(made, tokens)


def of_merges(numbers: Mapping[str, int], merges: Sequence[str], tokens: Mapping[str, str]) -> dict[str, Any]:
    """The tokenizer.json of vocab.json and merges.txt, a byte-level BPE."""
    from tokenizers import Tokenizer as Backend
    from tokenizers import models, pre_tokenizers

    pairs = [tuple(line.split(" ")) for line in merges if line and not line.startswith("#version")]
    made = Backend(models.BPE(dict(numbers), pairs, continuing_subword_prefix="", end_of_word_suffix=""))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return _with_ends(made, tokens)


def _with_ends(made: Any, tokens: Mapping[str, str]) -> dict[str, Any]:
    from tokenizers import AddedToken, processors

    known = [said for said in tokens.values() if made.token_to_id(said) is not None]
    made.add_special_tokens([AddedToken(t, lstrip=t == tokens[MASK], normalized=False, special=True) for t in known])
    ends_of = [(tokens[name], made.token_to_id(tokens[name]) or 0) for name in (SEP, CLS)]
    made.post_processor = processors.RobertaProcessing(*ends_of)
    return json.loads(made.to_str())
