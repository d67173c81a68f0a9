"""What a checkpoint's config.json says, and what of it cannot be followed (no TensorFlow import here)."""

from __future__ import annotations

from collections.abc import Mapping

from kd_keras.common.errors import UserError
from kd_keras.teachers.weights import DEFAULTS


def check_config(where: str, config: object) -> None:
    """UserError where a config.json is of another model, or of a BERT that is read otherwise than it was trained."""
    if not isinstance(config, dict) or config.get("model_type") != "bert":
        kind = config.get("model_type") if isinstance(config, dict) else None
        raise UserError(f"{where} says model_type {kind!r}, expected 'bert'")
    sizes = {key: config.get(key, default) for key, default in DEFAULTS.items()}
    if wrong := next((k for k, n in sizes.items() if not isinstance(n, int) or isinstance(n, bool) or n < 1), None):
        raise UserError(f"{where} says {wrong} {sizes[wrong]!r}, expected a whole number over 0")
    width, heads = sizes["hidden_size"], sizes["num_attention_heads"]
    if width % heads:
        raise UserError(f"{where} says hidden_size {width}, which num_attention_heads {heads} does not divide")
    followed = {"position_embedding_type": "absolute", "is_decoder": False, "add_cross_attention": False}
    for key, value in followed.items():
        if config.get(key) not in (None, value):
            raise UserError(f"{where} says {key} {config[key]!r}; only {value!r} is followed: take another checkpoint")


def label_names(config: Mapping) -> list[str] | None:
    """The names of outputs in a config.json, as id2label or label2id has them."""
    pairs = config.get("id2label")
    if not isinstance(pairs, dict):
        turned = config.get("label2id")
        pairs = {i: label for label, i in turned.items()} if isinstance(turned, dict) else {}
    try:
        numbered = {int(i): str(label) for i, label in pairs.items()}
    except (TypeError, ValueError):
        return None
    return [numbered[i] for i in range(len(numbered))] if sorted(numbered) == list(range(len(numbered))) else None
