"""The BiLSTM encoder and its classifier (Tang et al. 2019, section 3.1).

Every layer is built in, so ``keras.saving.load_model`` needs none of this code.
"""

from __future__ import annotations

import re

import keras
import numpy as np
from keras import ops

from kd_keras.common.registry import Registry
from kd_keras.students.settings import StudentSettings

STUDENTS: Registry = Registry("student")


def bilstm(settings: StudentSettings, matrix: np.ndarray, outputs: int) -> keras.Model:
    """A single-sentence classifier.

    Args:
      settings: the shape.
      matrix: float32[vocab, embedding_size], the first embeddings.
      outputs: number of classes.

    Returns:
      A functional model {"ids": int32[batch, time]} → {"logits": float32[batch, outputs],
      "hidden": float32[batch, dense_size], "sentence": float32[batch, 2 · hidden_size]}.
      0 is padding; more of it changes nothing.
    """
    ids = keras.Input((None,), dtype="int32", name="ids")
    sentence = encode(ids, settings, matrix)
    dropped = keras.layers.Dropout(settings.dropout, name="sentence_dropout")(sentence)
    hidden = keras.layers.Dense(settings.dense_size, activation="relu", name="dense")(dropped)
    logits = keras.layers.Dense(outputs, name="logits")(hidden)
    return keras.Model({"ids": ids}, {"logits": logits, "hidden": hidden, "sentence": sentence}, name="student")


STUDENTS.register("bilstm", bilstm)


def encode(ids: keras.KerasTensor, settings: StudentSettings, matrix: np.ndarray) -> keras.KerasTensor:
    """int32[batch, time] → the sentence vector, float32[batch, 2 · hidden_size]."""
    x = keras.layers.Embedding(
        matrix.shape[0],
        matrix.shape[1],
        embeddings_initializer=keras.initializers.Constant(0.0),
        mask_zero=True,
        trainable=settings.train_embeddings,
        name="embeddings",
    )
    embedded = x(ids)
    x.embeddings.assign(matrix)
    # A dropped word has an all-zero vector: the student learns not to hang on single words.
    embedded = keras.layers.Dropout(settings.word_dropout, noise_shape=(None, None, 1), name="word_dropout")(embedded)
    embedded = keras.layers.Dropout(settings.embedding_dropout, name="embedding_dropout")(embedded)
    lstm = keras.layers.LSTM(settings.hidden_size, return_sequences=settings.pooling == "max", name="lstm")
    states = keras.layers.Bidirectional(lstm, merge_mode="concat", name="bilstm")(embedded)
    if settings.pooling == "last":
        return states
    mask = ops.expand_dims(ops.cast(ops.not_equal(ids, 0), "float32"), -1)
    # States lie in (-1, 1), so padding at -2 never wins; a text of nothing but padding gives 0.
    best = ops.max(states * mask - 2.0 * (1.0 - mask), axis=1)
    return best * ops.max(mask, axis=1)


def build_student(settings: StudentSettings, matrix: np.ndarray, outputs: int, seed: int) -> keras.Model:
    """The student named by ``settings.student``; ``seed`` draws its weights and its dropout."""
    keras.utils.set_random_seed(seed)
    return STUDENTS.get(settings.student)(settings, matrix, outputs)


def parameters(model: keras.Model) -> dict[str, int]:
    """Trainable values, in all and without embeddings (Tang et al. count the latter)."""
    embedding = sum(int(np.prod(w.shape)) for w in model.weights if re.search(r"embeddings?(/|$)", w.path))
    total = sum(int(np.prod(w.shape)) for w in model.weights)
    return {"parameters": total, "parameters_without_embeddings": total - embedding}


def flops_per_token(settings: StudentSettings) -> int:
    """Multiply-adds × 2 of the BiLSTM for one token: where nearly all of a student's time goes."""
    gates = 4 * settings.hidden_size
    return 2 * 2 * gates * (settings.embedding_size + settings.hidden_size)
