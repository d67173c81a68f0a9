"""The kinds of encoder that a checkpoint may be: their sizes, the names of their weights, their inputs.

The names are those of transformers' PyTorch models behind a prefix. Imports no TensorFlow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from kd_keras.text.base import BERT_INPUTS

Shapes = dict[str, tuple[int | None, ...]]

# Matrices whose number of rows comes from the weights instead of config.json: key of config.json → name.
ROWS = {
    "vocab_size": "embeddings.word_embeddings.weight",
    "max_position_embeddings": "embeddings.position_embeddings.weight",
    "type_vocab_size": "embeddings.token_type_embeddings.weight",
}
POOLER = ("pooler.dense.weight", "pooler.dense.bias")
# A classifier that is one matrix. A classifier of words is one in every family.
CLASSIFIER = ("classifier.weight", "classifier.bias")
_DENSE = ("classifier.dense.weight", "classifier.dense.bias")
_OUT = ("classifier.out_proj.weight", "classifier.out_proj.bias")
_PLAIN = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072}
# Names of special tokens, like BERT's [PAD], [UNK], [CLS], [SEP], [MASK].
_BERT_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_ROBERTA_TOKENS = ("<pad>", "<unk>", "<s>", "</s>", "<mask>")


@dataclass(frozen=True)
class Family:
    """What a checkpoint of one ``model_type`` is made of.

    Attributes:
      kind: the model_type in config.json.
      base: what transformers calls the encoder inside a classifier.
      shapes: sizes of a configuration → the encoder's tensors, name → shape. None: the weights decide.
      defaults: size → its value if config.json lacks it.
      keys: size → its key in config.json, if that is another.
      features: weight and bias of the layer that the classifier of texts reads, if [CLS] is read.
      linear: weight and bias of the classifier of texts.
      pooler: weight and bias that files of this family have, even if they are not read.
      inputs: the model's.
      first_position: number of the first token's position.
      tokens: names of its special tokens.
      wordpiece: whether its vocabulary is usually BERT's.
      called: parts of names that distinguish this family from others.
    """

    kind: str
    base: str
    shapes: Callable[[Mapping[str, int]], Shapes]
    defaults: Mapping[str, int] = field(default_factory=lambda: _PLAIN)
    keys: Mapping[str, str] = field(default_factory=dict)
    features: tuple[str, str] = POOLER
    linear: tuple[str, str] = CLASSIFIER
    pooler: tuple[str, ...] = POOLER
    inputs: tuple[str, ...] = BERT_INPUTS
    first_position: int = 0
    tokens: tuple[str, ...] = _BERT_TOKENS
    wordpiece: bool = False
    called: tuple[str, ...] = ()

    def size(self, config: Mapping, key: str) -> int:
        """The value of ``key`` in a configuration. ``key`` is a name of BERT's configuration."""
        return config.get(self.keys.get(key, key)) or self.defaults[key]

    def sizes(self, config: Mapping) -> dict[str, int]:
        return {key: self.size(config, key) for key in self.defaults}

    @property
    def rows(self) -> dict[str, str]:
        """The part of ``ROWS`` that this family has."""
        names = self.shapes(self.sizes({}))
        return {key: name for key, name in ROWS.items() if name in names}

    @property
    def shown(self) -> str:
        """The name in messages."""
        return "BERT" if self.kind == "bert" else self.kind

    @property
    def features_name(self) -> str:
        """The name in messages of the layer that turns [CLS] into the classifier's input."""
        name = self.features[0].removesuffix(".weight")
        return "pooler" if name.startswith("pooler") else name

    @property
    def pads(self) -> int:
        """The number of the padding piece, if positions are counted without it."""
        return self.first_position - 1


def _dense(name: str, outputs: int, inputs: int) -> Shapes:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def _norm(name: str, width: int) -> Shapes:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def _embeddings(width: int, types: bool = True) -> Shapes:
    names = list(ROWS.values())[: 3 if types else 2]
    return {**{name: (None, width) for name in names}, **_norm("embeddings.LayerNorm", width)}


def _layer(
    at: str, sizes: Mapping[str, int], attention: Sequence[str], inner: tuple[str, str], norms: tuple[str, str]
) -> Shapes:
    """A layer of any Transformer: attention matrices, the two feed-forward matrices, and two norms."""
    width, wide, found = sizes["hidden_size"], sizes["intermediate_size"], {}
    for name in attention:
        found |= _dense(at + name, width, width)
    found |= _dense(at + inner[0], wide, width) | _dense(at + inner[1], width, wide)
    for name in norms:
        found |= _norm(at + name, width)
    return found


def _layers(sizes: Mapping[str, int]) -> Shapes:
    """BERT's layers. RoBERTa and ELECTRA have the same."""
    attention = [f"attention.{name}" for name in ("self.query", "self.key", "self.value", "output.dense")]
    inner, norms = ("intermediate.dense", "output.dense"), ("attention.output.LayerNorm", "output.LayerNorm")
    found: Shapes = {}
    for n in range(sizes["num_hidden_layers"]):
        found |= _layer(f"encoder.layer.{n}.", sizes, attention, inner, norms)
    return found


def _bert(sizes: Mapping[str, int]) -> Shapes:
    return _embeddings(sizes["hidden_size"]) | _layers(sizes)


def _electra(sizes: Mapping[str, int]) -> Shapes:
    width, small = sizes["hidden_size"], sizes["embedding_size"]
    between = {} if small == width else _dense("embeddings_project", width, small)
    return _embeddings(small) | between | _layers(sizes)


def _distilbert(sizes: Mapping[str, int]) -> Shapes:
    attention = [f"attention.{name}" for name in ("q_lin", "k_lin", "v_lin", "out_lin")]
    inner, norms = ("ffn.lin1", "ffn.lin2"), ("sa_layer_norm", "output_layer_norm")
    found = _embeddings(sizes["hidden_size"], types=False)
    for n in range(sizes["num_hidden_layers"]):
        found |= _layer(f"transformer.layer.{n}.", sizes, attention, inner, norms)
    return found


def _mpnet(sizes: Mapping[str, int]) -> Shapes:
    attention = [f"attention.attn.{name}" for name in "qkvo"]
    inner, norms = ("intermediate.dense", "output.dense"), ("attention.LayerNorm", "output.LayerNorm")
    bias = (sizes["relative_attention_num_buckets"], sizes["num_attention_heads"])
    found = _embeddings(sizes["hidden_size"], types=False) | {"encoder.relative_attention_bias.weight": bias}
    for n in range(sizes["num_hidden_layers"]):
        found |= _layer(f"encoder.layer.{n}.", sizes, attention, inner, norms)
    return found


def _albert(sizes: Mapping[str, int]) -> Shapes:
    attention = [f"attention.{name}" for name in ("query", "key", "value", "dense")]
    inner, norms = ("ffn", "ffn_output"), ("attention.LayerNorm", "full_layer_layer_norm")
    width, small = sizes["hidden_size"], sizes["embedding_size"]
    found = _embeddings(small) | _dense("encoder.embedding_hidden_mapping_in", width, small)
    for group in range(sizes["num_hidden_groups"]):
        for n in range(sizes["inner_group_num"]):
            at = f"encoder.albert_layer_groups.{group}.albert_layers.{n}."
            found |= _layer(at, sizes, attention, inner, norms)
    return found


_ELECTRA = {"hidden_size": 256, "num_hidden_layers": 12, "num_attention_heads": 4, "intermediate_size": 1024,
            "embedding_size": 128}  # fmt: skip
_ALBERT = {"hidden_size": 4096, "num_hidden_layers": 12, "num_attention_heads": 64, "intermediate_size": 16384,
           "embedding_size": 128, "num_hidden_groups": 1, "inner_group_num": 1}  # fmt: skip
_DISTILBERT_KEYS = {"hidden_size": "dim", "num_hidden_layers": "n_layers", "num_attention_heads": "n_heads",
                    "intermediate_size": "hidden_dim"}  # fmt: skip
_ALBERT_POOLER = ("pooler.weight", "pooler.bias")
_TWO = BERT_INPUTS[:2]

BERT = Family("bert", "bert", _bert, wordpiece=True)
FAMILIES = {family.kind: family for family in (
    BERT,
    Family("distilbert", "distilbert", _distilbert, _PLAIN | {"num_hidden_layers": 6}, _DISTILBERT_KEYS,
           ("pre_classifier.weight", "pre_classifier.bias"), pooler=(), inputs=_TWO, wordpiece=True),
    Family("electra", "electra", _electra, _ELECTRA, features=_DENSE, linear=_OUT, pooler=(), wordpiece=True,
           called=("electra",)),
    Family("roberta", "roberta", _bert, features=_DENSE, linear=_OUT, inputs=_TWO, first_position=2,
           tokens=_ROBERTA_TOKENS, called=("roberta",)),
    Family("xlm-roberta", "roberta", _bert, features=_DENSE, linear=_OUT, inputs=_TWO, first_position=2,
           tokens=_ROBERTA_TOKENS, called=("roberta", "xlm_roberta", "xlmroberta")),
    Family("mpnet", "mpnet", _mpnet, _PLAIN | {"relative_attention_num_buckets": 32}, features=_DENSE, linear=_OUT,
           inputs=_TWO, first_position=2, tokens=("<pad>", "[UNK]", "<s>", "</s>", "<mask>"), called=("mpnet",)),
    Family("albert", "albert", _albert, _ALBERT, features=_ALBERT_POOLER, pooler=_ALBERT_POOLER,
           tokens=("<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]")),
)}  # fmt: skip


def family_of(config: Mapping) -> Family:
    """The family of a config.json that :func:`kd_keras.teachers.config_file.check_config` accepted."""
    return FAMILIES[config["model_type"]]
