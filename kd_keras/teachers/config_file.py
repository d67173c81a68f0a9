"""What a checkpoint's config.json says, and what of it is refused. Imports no TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping

from kd_keras.common.errors import UserError
from kd_keras.teachers.families import FAMILIES


def check_config(where: str, config: object) -> None:
    """UserError if a config.json is of an unknown model, or of one that would be read differently from its training."""
    kind = config.get("model_type") if isinstance(config, dict) else None
    if not isinstance(config, dict) or kind not in FAMILIES:
        raise UserError(f"{where} has model_type {kind!r}; expected one of {', '.join(FAMILIES)}")
    family = FAMILIES[kind]
    named = {key: family.keys.get(key, key) for key in family.defaults}
    sizes = {key: config.get(name, family.defaults[key]) for key, name in named.items()}
    if wrong := next((k for k, n in sizes.items() if not isinstance(n, int) or isinstance(n, bool) or n < 1), None):
        raise UserError(f"{where} has {named[wrong]} {sizes[wrong]!r}; expected a whole number over 0")
    width, heads = sizes["hidden_size"], sizes["num_attention_heads"]
    if width % heads:
        names = named["hidden_size"], named["num_attention_heads"]
        raise UserError(f"{where} has {names[0]} {width}; expected a multiple of {names[1]} {heads}")
    if family.first_position and config.get("pad_token_id", family.pads) != family.pads:
        raise UserError(
            f"{where} has pad_token_id {config['pad_token_id']!r}, but positions of {kind} are counted for "
            f"{family.pads}; use another checkpoint"
        )
    followed = {"position_embedding_type": "absolute", "is_decoder": False, "add_cross_attention": False}
    for key, value in followed.items():
        if config.get(key) not in (None, value):
            raise UserError(f"{where} has {key} {config[key]!r}; only {value!r} is supported: use another checkpoint")


def label_names(config: Mapping) -> list[str] | None:
    """The names of outputs in a config.json, from id2label or label2id."""
    pairs = config.get("id2label")
    if not isinstance(pairs, dict):
        turned = config.get("label2id")
        pairs = {i: label for label, i in turned.items()} if isinstance(turned, dict) else {}
    try:
        numbered = {int(i): str(label) for i, label in pairs.items()}
    except (TypeError, ValueError):
        return None
    return [numbered[i] for i in range(len(numbered))] if sorted(numbered) == list(range(len(numbered))) else None
