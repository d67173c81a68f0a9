"""Linear models against scikit-learn called by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from kd_keras.metrics.linear import constant, probe, tfidf
from kd_keras.tasks import Rows


def rows_of(texts, labels, texts_b=None) -> Rows:
    return Rows([f"r-{n}" for n in range(len(texts))], list(texts), texts_b, np.asarray(labels, np.int32))


@pytest.mark.parametrize("classes", [2, 4])
def test_the_probe_is_scikit_learns_on_vectors_of_mean_length_one(classes):
    draw = np.random.default_rng(0)
    labels = draw.integers(0, classes, 120)
    vectors = 3 * (draw.normal(size=(120, 8)) + np.eye(8)[labels])
    found = probe(vectors, labels, classes, c=2.0)
    length = np.linalg.norm(vectors, axis=1).mean()
    want = LogisticRegression(C=2.0, max_iter=1000, tol=1e-3).fit(vectors / length, labels)
    logits = found.logits(vectors)
    e = np.exp(logits - logits.max(1, keepdims=True))
    np.testing.assert_allclose(e / e.sum(1, keepdims=True), want.predict_proba(vectors / length), atol=1e-4)


def test_rows_without_a_label_teach_nothing_and_classes_without_a_row_are_never_called():
    draw = np.random.default_rng(1)
    vectors, labels = draw.normal(size=(60, 5)), np.array([0, 3, -1] * 20)
    found = probe(vectors, labels, 5)
    again = probe(vectors[labels >= 0], labels[labels >= 0], 5)
    np.testing.assert_allclose(found.kernel, again.kernel)
    assert set(found.logits(vectors).argmax(1)) <= {0, 3}


def test_tfidf_learns_words_pairs_and_signs():
    texts = ["a good film", "a bad film", "so good", "so bad"] * 10
    train = rows_of(texts, [1, 0, 1, 0] * 10)
    out = tfidf(train, {"dev": rows_of(["good !", "bad", "", "?"], [1, 0, 0, 0])}, 3)["dev"]
    assert out.shape == (4, 3) and np.isfinite(out).all()
    assert out[:2].argmax(1).tolist() == [1, 0] and (out.argmax(1) != 2).all(), "class 2 has no row"
    # Of a pair neither text tells the label alone: whether they share their word does.
    words = ["red", "blue", "green", "black"]
    pairs = [(a, b) for a in words for b in words] * 8
    labels = [int(a == b) for a, b in pairs]
    data = rows_of([a for a, _ in pairs], labels, [b for _, b in pairs])
    assert (tfidf(data, {"dev": data}, 2)["dev"].argmax(1) == labels).all()


def test_scores_are_learned_by_ridge_regression_in_their_own_scale():
    texts = [f"{a} {b}" for a in ("bad", "fair", "good") for b in ("film", "book", "play", "song")] * 5
    score = np.array([("bad", "fair", "good").index(t.split()[0]) for t in texts], np.float32)
    missing = np.where(np.arange(60) % 7 == 0, np.nan, score)
    train, dev = (Rows([f"r-{n}" for n in range(60)], texts, None, y.astype(np.float32)) for y in (missing, score))
    (plain,) = tfidf(train, {"dev": dev}, 0).values()
    assert plain.shape == (60, 1) and np.abs(plain[:, 0] - score).max() < 0.3
    (price,) = tfidf(replace(train, label=50_000 + 1000 * train.label), {"dev": dev}, 0).values()
    np.testing.assert_allclose(price, 50_000 + 1000 * plain, atol=5)


def test_constant_is_the_most_frequent_label():
    train = rows_of(["x"] * 5, [2, 2, 0, -1, -1])
    assert constant(train, 3, 4).argmax(1).tolist() == [2, 2, 2]
