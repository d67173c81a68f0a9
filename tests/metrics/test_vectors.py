"""Cosines and neighbours, against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.neighbors import NearestNeighbors

from kd_keras.metrics import score
from kd_keras.metrics.vectors import cosine, cosines, neighbours, unit


def vectors(rows: int, width: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, width)).astype(np.float32)


def by_sklearn(teacher: np.ndarray, student: np.ndarray, count: int) -> float:
    near = []
    for x in (teacher, student):
        found = NearestNeighbors(n_neighbors=count + 1, metric="cosine", algorithm="brute").fit(x)
        near.append([set(row) - {n} for n, row in enumerate(found.kneighbors(x, return_distance=False).tolist())])
    return float(np.mean([len(a & b) / count for a, b in zip(*near, strict=True)]))


@pytest.mark.parametrize("rows", [40, 700])  # in one part, and in two
@pytest.mark.parametrize("count", [1, 10])
def test_neighbours_are_scikit_learns(rows, count):
    teacher = vectors(rows, 12, 1)
    student = np.concatenate([teacher[:, :7], vectors(rows, 3, 2)], axis=1)  # of another width
    got = neighbours(teacher, student, count)
    assert got == pytest.approx(by_sklearn(teacher, student, count)) and 0.05 < got < 0.95


def test_neighbours_at_their_ends():
    x = vectors(30, 5, 3)
    assert neighbours(x, 3 * x) == 1.0
    assert neighbours(x[:4], x[3::-1]) == 1.0, "of so few texts all are neighbours"
    assert neighbours(x[:1], x[:1]) == 1.0


def test_cosines_are_scikit_learns():
    a, b = vectors(20, 6, 4), vectors(20, 6, 5)
    want = np.diag(cosine_similarity(a, b))
    np.testing.assert_allclose(cosines(a, b), want, atol=1e-6)
    assert cosine(a, b) == pytest.approx(want.mean(), abs=1e-6)
    assert np.isfinite(unit(np.zeros((2, 3)))).all()


def test_score_takes_vectors_for_labels():
    teacher, student = vectors(25, 4, 6), vectors(25, 4, 7)
    teacher[3] = np.nan  # a text without a vector has no say
    found = score(("neighbours", "cosine"), teacher, student)
    rest = np.delete(np.arange(25), 3)
    assert found["cosine"] == pytest.approx(cosine(teacher[rest], student[rest]))
    assert found["neighbours"] == neighbours(teacher[rest], student[rest])
