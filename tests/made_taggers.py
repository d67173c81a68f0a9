"""Taggers made in code, without training, and run folders of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kd_keras.common import files
from kd_keras.common.layout import RunLayout
from kd_keras.common.ragged import Ragged
from kd_keras.tasks import Rows, Task
from kd_keras.tasks.records import iob2
from kd_keras.text.tokenizers import SPECIAL, WordPiece
from kd_keras.text.windows import Windows, windows

TYPES = ("LOC", "PER")
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
OTHER = "ßéñçøאבגדהшлка日本東京🙂-.,'’"
WORDS = ("Paris", "Ada", "is", "in", "the", "river", "##ton", "##ing", "##er", "Mary", "said")
VOCAB = (*SPECIAL, *LETTERS, *OTHER, *(f"##{c}" for c in LETTERS + OTHER), *WORDS)
# What a phone's user types: nothing, one word, far more than a window, and scripts of every kind.
ODD = (
    "",
    "Paris",
    "a",
    "Ada Paris 🙂 said",
    "\u200b",
    "Ada \u200d in \u200f Paris",
    "שלום דהג אבא",
    "日本東京 is in the 東京",
    "the Marying river-Adaton said Öland",
    " ".join(["Mary", "said", "Paris", "is", "in", "Adaington"] * 84),
)


def random_tagger(vocab: int, tags: int, seed: int = 3, dense: int = 9):
    """The layers of the students' tagger with random weights; ``dense`` 0 leaves that layer out."""
    import keras

    draw = np.random.default_rng(seed)
    ids = keras.Input((None,), dtype="int32", name="ids")
    x = keras.layers.Embedding(vocab, 12, mask_zero=True, name="embeddings")(ids)
    lstm = keras.layers.LSTM(17, return_sequences=True, name="lstm")
    states = keras.layers.Bidirectional(lstm, name="bilstm")(x)
    hidden = keras.layers.Dense(dense, activation="relu", name="dense")(states) if dense else states
    model = keras.Model({"ids": ids}, {"logits": keras.layers.Dense(tags, name="logits")(hidden), "hidden": hidden})
    for w in model.weights:
        w.assign(draw.normal(size=w.shape, scale=0.7))
    return model


def made_windows(tokenizer: WordPiece, texts, length: int) -> Windows:
    """By a way of their own: each word is a text to the tokenizer."""
    reader = tokenizer.like(1000)
    rows = []
    for text in texts:
        pieces = reader.encode(text.split(" ") if text else [])
        rows.append([pieces[i].tolist() or [tokenizer.unk_id] for i in range(len(pieces))])
    return windows(rows, length)


def keras_tags(model, some: Windows) -> np.ndarray:
    """float32[words, tags]; windows of one length together, so that there is no padding."""
    out = np.zeros((int(some.words.sum()), model.output["logits"].shape[-1]), np.float32)
    for length in np.unique(some.ids.lengths):
        chosen = np.flatnonzero(some.ids.lengths == length)
        x = {"ids": np.stack([some.ids[i] for i in chosen])}
        some.collect(out, chosen, np.array(model(x, training=False)["logits"]))
    return out


@pytest.fixture(scope="session")
def tagger_tokenizer() -> WordPiece:
    return WordPiece(VOCAB, 12, lowercase=False)


@pytest.fixture(scope="session")
def tagger_task() -> Task:
    # The metrics of taggings are registered elsewhere; rows without gold need none.
    return Task("names", "tagging", iob2(TYPES), "entity_f1", ("entity_f1", "conlleval_f1"))


@pytest.fixture(scope="session")
def make_tagger_run(tmp_path_factory, tagger_tokenizer, tagger_task):
    """(seed=3) → folder and Keras student of a run of a tagger."""

    def make(seed: int = 3) -> tuple[Path, object]:
        layout = RunLayout(tmp_path_factory.mktemp("tagger"))
        model = random_tagger(len(tagger_tokenizer), len(tagger_task.labels), seed)
        model.save(layout.student)
        tagger_tokenizer.save(layout.vocab, layout.tokenizer)
        files.write_json(layout.task, tagger_task.to_json())
        return layout.root, model

    return make


def tagged_rows(texts, tags=None) -> Rows:
    """``tags``: a list of ints for each text; none of rows without gold."""
    given = tags or [[] for _ in texts]
    label = Ragged.cut(
        np.array([t for row in given for t in row], np.int32), np.array([len(row) for row in given], np.int64)
    )
    return Rows([f"r-{i}" for i in range(len(texts))], list(texts), None, label)
