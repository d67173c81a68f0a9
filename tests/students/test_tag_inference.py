"""A tagger's logits of words: each from its first piece, in the window that decides it."""

from __future__ import annotations

import numpy as np
import pytest

from kd_keras.students.inference import predict_tags
from kd_keras.text.windows import windows


@pytest.fixture(scope="module")
def tagger():
    """Random weights, and states of both directions, so that neighbours and padding would show."""
    import keras

    draw = np.random.default_rng(5)
    ids = keras.Input((None,), dtype="int32", name="ids")
    x = keras.layers.Embedding(30, 6, mask_zero=True, name="embeddings")(ids)
    hidden = keras.layers.Bidirectional(keras.layers.LSTM(4, return_sequences=True))(x)
    model = keras.Model({"ids": ids}, {"logits": keras.layers.Dense(5)(hidden), "hidden": hidden})
    for w in model.trainable_weights:
        w.assign(draw.normal(size=w.shape))
    return model


@pytest.mark.parametrize("batch_size", [1, 3, 512])
def test_every_word_has_the_logits_of_its_first_piece(tagger, batch_size):
    draw = np.random.default_rng(1)
    rows = [[draw.integers(1, 30, draw.integers(1, 4)).tolist() for _ in range(n)] for n in (3, 0, 1, 40, 7, 0)]
    some = windows(rows, 8)
    assert some.long_rows >= 1
    want = np.full((51, 5), np.nan, np.float32)
    for n in range(len(some)):
        logits = tagger({"ids": some.ids[n][None]})["logits"].numpy()[0]
        for at, word in zip(some.at[n], some.word[n], strict=True):
            want[word] = logits[at]
    got = predict_tags(tagger, some, batch_size)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, want, atol=1e-5)
    assert some.rows(got).lengths.tolist() == [3, 0, 1, 40, 7, 0]


def test_nothing_has_no_logits(tagger):
    assert predict_tags(tagger, windows([[], []], 8)).shape == (0, 5)
    assert predict_tags(tagger, windows([], 8)).shape == (0, 5)
