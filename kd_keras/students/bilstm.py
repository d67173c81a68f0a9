"""BiLSTM students of sentences and of pairs (Tang et al. 2019, section 3.1), and the size and cost of students."""

from __future__ import annotations

import re

import keras
import numpy as np
from keras import ops

from kd_keras.common.registry import Registry
from kd_keras.students.encoder import Encoder
from kd_keras.students.settings import StudentSettings, student_name
from kd_keras.students.tagger import tagger
from kd_keras.students.universal import universal

STUDENTS: Registry = Registry("student")


def bilstm(settings: StudentSettings, matrix: np.ndarray, outputs: int) -> keras.Model:
    """A student of single sentences.

    Args:
      settings: the shape.
      matrix: float32[vocab, width], the first embeddings.
      outputs: number of classes; 1 for a regression.

    Returns:
      A functional model {"ids": int32[batch, time]} → {"logits": float32[batch, outputs],
      "hidden": float32[batch, dense_size, or the width of "sentence" if dense_size is 0], "sentence": float32[batch,
      2 · hidden_size, or sentence_size]}.
      0 is padding, and more padding changes nothing.
    """
    ids = keras.Input((None,), dtype="int32", name="ids")
    sentence = Encoder(settings, matrix)(ids)
    return keras.Model({"ids": ids}, _head(sentence, settings, outputs), name="student")


def siamese(settings: StudentSettings, matrix: np.ndarray, outputs: int) -> keras.Model:
    """A student of pairs. One encoder reads both texts, u and v, and the head sees [u; v; u ⊙ v; |u − v|].

    Tang et al. 2019, section 3.1 and figure 2. Swapping the texts swaps u and v, and may change the answer.

    Args: as :func:`bilstm`.

    Returns:
      A functional model {"ids_a": int32[batch, time], "ids_b": int32[batch, time of its own]} → "logits" and "hidden"
      as :func:`bilstm`, and "sentence": float32[batch, 4 · the width of a text's], the four features side by side. It
        stands for the pair, as "sentence" of a single text stands for the text.
    """
    ids = {name: keras.Input((None,), dtype="int32", name=name) for name in ("ids_a", "ids_b")}
    encoder = Encoder(settings, matrix)
    u, v = (encoder(i) for i in ids.values())
    pair = keras.layers.Concatenate(name="pair")([u, v, u * v, ops.abs(u - v)])
    return keras.Model(ids, _head(pair, settings, outputs), name="student")


STUDENTS.register("bilstm", bilstm)
STUDENTS.register("siamese", siamese)
STUDENTS.register("tagger", tagger)
STUDENTS.register("universal", universal)


def _head(sentence: keras.KerasTensor, settings: StudentSettings, outputs: int) -> dict[str, keras.KerasTensor]:
    dropped = keras.layers.Dropout(settings.dropout, name="sentence_dropout")(sentence)
    hidden = dropped
    if settings.dense_size:
        hidden = keras.layers.Dense(settings.dense_size, activation="relu", name="dense")(dropped)
    logits = keras.layers.Dense(outputs, name="logits")(hidden)
    return {"logits": logits, "hidden": hidden, "sentence": sentence}


def build_student(
    settings: StudentSettings, matrix: np.ndarray, outputs: int, seed: int, pair: bool = False, tagging: bool = False
) -> keras.Model:
    """The student for sentences, for pairs or for tags.

    >>> import numpy as np
    >>> matrix = np.random.default_rng(0).normal(size=(1000, 16)).astype(np.float32)
    >>> student = build_student(StudentSettings(embedding_size=16, hidden_size=8), matrix, outputs=3, seed=1)
    >>> student({"ids": np.array([[5, 7, 0]])})["logits"].shape
    TensorShape([1, 3])

    Args:
      settings: the shape. ``settings.student`` names the student; if it is None, ``pair`` and ``tagging`` choose.
      matrix: float32[vocab, width], the first embeddings.
      outputs: number of classes, or tags; 1 for a regression.
      seed: draws the weights and the dropout.
      pair: whether a row is two texts.
      tagging: whether each word has a label.

    Raises:
      UserError: ``settings.student`` does not read such rows.
    """
    build = STUDENTS.get(student_name(settings, pair, tagging))
    keras.utils.set_random_seed(seed)
    return build(settings, matrix, outputs)


def parameters(model: keras.Model) -> dict[str, int]:
    """The number of all weights, frozen ones included, and the number without embeddings (Tang et al. count the
    latter)."""
    embedding = sum(int(np.prod(w.shape)) for w in model.weights if re.search(r"embeddings?(/|$)", w.path))
    total = sum(int(np.prod(w.shape)) for w in model.weights)
    return {"parameters": total, "parameters_without_embeddings": total - embedding}


def flops_per_token(settings: StudentSettings, width: int | None = None, tags: int | None = None) -> int:
    """Multiply-adds × 2 for one token of one text. It counts the BiLSTM, which takes nearly all of a student's time.

    Args:
      settings: the shape.
      width: width of one channel of the embeddings; ``settings.width()`` if not given.
      tags: number of a tagger's tags. Its last layers run for each token, so they are counted.
    """
    gates = 4 * settings.hidden_size
    channels = 2 if settings.channels == "multichannel" else 1
    flops = 2 * 2 * gates * (channels * (width or settings.width()) + settings.hidden_size)
    if tags is None:
        return flops
    states, dense = 2 * settings.hidden_size, settings.dense_size
    return flops + 2 * (states * dense + (dense or states) * tags)
