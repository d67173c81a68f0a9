"""Rows as a student reads them."""

from __future__ import annotations

from kd_keras.tasks import Rows
from kd_keras.text.token_ids import TokenIds
from kd_keras.text.tokenizers import Tokenizer


def student_ids(tokenizer: Tokenizer, rows: Rows) -> dict[str, TokenIds]:
    """{"ids"} of sentences; {"ids_a", "ids_b"} of pairs."""
    if rows.text_b is None:
        return {"ids": tokenizer.encode(rows.text)}
    return {"ids_a": tokenizer.encode(rows.text), "ids_b": tokenizer.encode(rows.text_b)}


def join_ids(parts: list[dict[str, TokenIds]]) -> dict[str, TokenIds]:
    """The rows of all parts, one after the other."""
    return {name: TokenIds.concatenate([p[name] for p in parts]) for name in parts[0]}
