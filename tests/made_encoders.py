"""Tiny checkpoints of every family that works as a teacher, as transformers itself writes them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

WORDS = ("good", "fine", "lovely", "bad", "dull", "awful", "a", "film", "the", "plot", "is", "and", "very", ".")
TEXT = [f"{a} {b} {c}" for a in WORDS for b in WORDS for c in WORDS[::3]]
SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32,
         "max_position_embeddings": 40, "initializer_range": 0.3}  # fmt: skip
DISTILBERT = {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32, "max_position_embeddings": 40,
              "initializer_range": 0.3}  # fmt: skip
OTHERS = {
    "distilbert": DISTILBERT,
    "electra": SIZES | {"embedding_size": 8},
    "roberta": SIZES | {"type_vocab_size": 1},
    "xlm-roberta": SIZES | {"type_vocab_size": 1},
    "mpnet": SIZES,
    "albert": SIZES | {"embedding_size": 8},
}
HEADS = {False: "SequenceClassification", True: "TokenClassification"}


def bpe(folder: Path) -> int:
    """vocab.json and merges.txt; the number of pieces."""
    from tokenizers import ByteLevelBPETokenizer

    made = ByteLevelBPETokenizer()
    made.train_from_iterator(TEXT, 330, 2, False, ["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    made.save_model(str(folder))
    return made.get_vocab_size()


def unigram(folder: Path, special: list[str], cls: str, sep: str, lowercase: bool) -> int:
    """tokenizer.json as SentencePiece's is converted."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

    made = Tokenizer(models.Unigram())
    made.normalizer = normalizers.Sequence([normalizers.NFKC(), *([normalizers.Lowercase()] if lowercase else [])])
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=60, special_tokens=special, unk_token="<unk>", show_progress=False)
    made.train_from_iterator(TEXT, trainer)
    ids = [(token, made.token_to_id(token)) for token in (cls, sep)]
    between = f"{sep} {sep}" if cls == "<s>" else sep
    made.post_processor = processors.TemplateProcessing(
        f"{cls} $A {sep}", f"{cls} $A {between} $B:1 {sep}:1", special_tokens=ids
    )
    made.save(str(folder / "tokenizer.json"))
    return made.get_vocab_size()


def wordpiece(folder: Path, before: list[str], behind: list[str]) -> int:
    letters = sorted({c for word in WORDS for c in word})
    pieces = [*before, *WORDS[:-1], *letters, *(f"##{c}" for c in letters), "[", "]", "/", "<", ">", *behind]
    pieces = list(dict.fromkeys(pieces))
    (folder / "vocab.txt").write_text("".join(f"{p}\n" for p in pieces), encoding="utf-8")
    return len(pieces)


def write_tokenizer(kind: str, folder: Path) -> int:
    """The tokenizer's files of a family; the number of pieces."""
    if kind == "roberta":
        return bpe(folder)
    if kind == "xlm-roberta":
        return unigram(folder, ["<s>", "<pad>", "</s>", "<unk>", "<mask>"], "<s>", "</s>", False)
    if kind == "albert":
        return unigram(folder, ["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"], "[CLS]", "[SEP]", True)
    bert = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    if kind == "mpnet":
        return wordpiece(folder, ["<s>", "<pad>", "</s>", "<unk>", *bert], ["<mask>"])
    return wordpiece(folder, bert, [])


def write_encoder(kind: str, folder: Path, labels: int = 2, tagging: bool = False, **config: object) -> Path:
    """A folder that transformers' own TensorFlow class of ``kind`` has saved, with its tokenizer."""
    import tf_keras
    import transformers

    folder.mkdir(parents=True, exist_ok=True)
    pieces = write_tokenizer(kind, folder)
    made = transformers.AutoConfig.for_model(kind, vocab_size=pieces, num_labels=labels, **OTHERS[kind] | config)
    tf_keras.utils.set_random_seed(3)
    model = getattr(transformers, f"TFAutoModelFor{HEADS[tagging]}").from_config(made)
    model.build_in_name_scope()
    model.save_pretrained(folder, safe_serialization=True)
    return folder


def change_json(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | changes), encoding="utf-8")


@pytest.fixture(scope="session")
def encoder_folder(tmp_path_factory):
    """(kind, tagging=False) → a tiny checkpoint; read only."""
    made: dict = {}

    def make(kind: str, tagging: bool = False) -> Path:
        key = kind, tagging
        if key not in made:
            folder = tmp_path_factory.mktemp(f"{kind}-{tagging}")
            made[key] = write_encoder(kind, folder, 3 if tagging else 2, tagging)
        return made[key]

    return make
