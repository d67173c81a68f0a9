"""Reads the tokenizer of a checkpoint whose vocabulary is not BERT's. Imports no TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kd_keras.common import files
from kd_keras.common.errors import UserError
from kd_keras.teachers.families import Family
from kd_keras.text.base import MASK, SPECIAL
from kd_keras.text.file_tokenizer import FileTokenizer, of_merges, of_pieces
from kd_keras.text.tokenizers import read_vocab

VOCABULARIES = ("vocab.txt", "vocab.json", "merges.txt")
_KEYS = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
# This class follows tokenizer.json. Other classes of transformers follow tokenizer_config.json.
_BACKEND_CLASS = "PreTrainedTokenizerFast"
_SENTENCEPIECE = ("sentencepiece.bpe.model", "spiece.model")


def read_own(
    where: str, folder: Path, family: Family, settings: Mapping[str, Any], special: Mapping[str, Any], backend: dict
) -> FileTokenizer:
    """The tokenizer of the checkpoint in ``folder``.

    Args:
      where: for errors.
      settings, special, backend: tokenizer_config.json, special_tokens_map.json and tokenizer.json; {} if there is
        none.

    Raises:
      UserError: there is no tokenizer, or it is not supported.
    """
    tokens = {
        name: _content(settings.get(key)) or _content(special.get(key)) or usual
        for name, key, usual in zip(SPECIAL, _KEYS, family.tokens, strict=True)
    }
    source, content = _found(where, folder, settings, tokens, backend)
    content = _set(content, settings)
    try:
        names = tokens if _has(content, tokens[MASK]) else {k: v for k, v in tokens.items() if k != MASK}
        made = FileTokenizer(content, names, 1 << 30)
    except UserError as e:
        raise UserError(f"{where}/{source} {e}") from None
    except (KeyError, TypeError, AttributeError) as e:
        raise UserError(f"{where}/{source} is not a tokenizer.json (a part is missing or wrong: {e})") from None
    if family.first_position and made.pad_id != family.pads:
        raise UserError(
            f"{where}/{source} has {tokens[SPECIAL[0]]} as number {made.pad_id}, but positions of {family.kind} are "
            f"counted for {family.pads}; use another checkpoint"
        )
    return made


def longest(settings: Mapping[str, Any]) -> int | None:
    """The most tokens of a text, from tokenizer_config.json. None if it does not say."""
    found = settings.get("model_max_length")
    return int(found) if isinstance(found, int | float) and 0 < found < 1e9 else None


def _content(token: Any) -> Any:
    return token.get("content") if isinstance(token, dict) else token


def _found(
    where: str, folder: Path, settings: Mapping[str, Any], tokens: Mapping[str, str], backend: dict
) -> tuple[str, dict[str, Any]]:
    if backend:
        return "tokenizer.json", backend
    pieces, numbers, merges = (folder / name for name in VOCABULARIES)
    if numbers.is_file() and merges.is_file():
        lines = [line.rstrip("\r\n") for line in files.utf8_lines(merges)]
        return numbers.name, of_merges(files.read_json(numbers), lines, tokens)
    if pieces.is_file():
        return pieces.name, of_pieces(read_vocab(pieces), settings.get("do_lower_case", True) is not False, tokens)
    if file := next((name for name in _SENTENCEPIECE if (folder / name).is_file()), None):
        raise UserError(
            f"{where} has {file} but no tokenizer.json; make it with transformers: "
            "AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)"
        )
    raise UserError(f"{where} has no tokenizer; expected tokenizer.json, vocab.json with merges.txt, or vocab.txt")


def _set(content: dict[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """``content`` with the changes that transformers' own class for the checkpoint makes."""
    if settings.get("tokenizer_class") == _BACKEND_CLASS:
        return content
    made = dict(content)
    normalizer, split = content.get("normalizer"), content.get("pre_tokenizer")
    if isinstance(normalizer, dict) and normalizer.get("type") == "BertNormalizer":
        said = {"lowercase": settings.get("do_lower_case"), "strip_accents": settings.get("strip_accents")}
        made["normalizer"] = normalizer | {key: value for key, value in said.items() if value is not None}
    if isinstance(split, dict) and split.get("type") == "ByteLevel":
        made["pre_tokenizer"] = split | {"add_prefix_space": settings.get("add_prefix_space", False) is True}
    return made


def _has(content: Mapping[str, Any], piece: str) -> bool:
    vocab = content["model"]["vocab"]
    known = piece in vocab if isinstance(vocab, dict) else any(p == piece for p, _ in vocab)
    return known or any(t.get("content") == piece for t in content.get("added_tokens") or [])
