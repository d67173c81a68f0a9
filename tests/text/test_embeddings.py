"""First values of the embedding matrix against linear algebra done by hand."""

from __future__ import annotations

import gzip

import numpy as np
import pytest

from kd_keras.common.errors import UserError
from kd_keras.text.embeddings import from_teacher, from_vectors, random_matrix


def teacher_matrix(rows: int = 40, rank: int = 12, width: int = 24) -> np.ndarray:
    draw = np.random.default_rng(0)
    return (draw.normal(size=(rows, rank)) @ draw.normal(size=(rank, width)) + 0.5).astype(np.float32)


def cosines(matrix: np.ndarray) -> np.ndarray:
    unit = matrix / np.linalg.norm(matrix, axis=1, keepdims=True)
    return unit @ unit.T


CHOSEN = [0, 5, 3, *range(10, 35)]


@pytest.mark.parametrize("width", [12, 13, 24, 30])
def test_a_width_of_the_rank_or_more_keeps_every_angle(width):
    matrix = teacher_matrix()
    got = from_teacher(matrix, CHOSEN, width)
    centred = matrix[CHOSEN] - matrix[CHOSEN].mean(0)
    assert got.shape == (len(CHOSEN), width) and got.dtype == np.float32
    np.testing.assert_allclose(cosines(got[1:]), cosines(centred[1:]), atol=1e-4)
    assert not got[0].any()
    assert not got[:, 24:].any(), "what the teacher does not have is 0"


def test_a_smaller_width_is_the_best_approximation_of_that_rank():
    matrix, width = teacher_matrix(), 5
    got = from_teacher(matrix, CHOSEN, width, scale=0.3)[1:]
    centred = (matrix[CHOSEN] - matrix[CHOSEN].mean(0))[1:].astype(np.float64)
    u, s, _ = np.linalg.svd(centred, full_matrices=False)
    best = u[:, :width] * s[:width]
    best *= 0.3 / best.std()
    np.testing.assert_allclose(got @ got.T, best @ best.T, atol=1e-4)  # the axes' signs are free
    assert got.std() == pytest.approx(0.3, rel=1e-4)


def test_random_values_are_seeded_and_padding_is_zero():
    a = random_matrix(50, 8, seed=1)
    assert (a == random_matrix(50, 8, seed=1)).all() and (a[1:] != random_matrix(50, 8, seed=2)[1:]).any()
    assert not a[0].any() and np.abs(a).max() <= 0.05 and a[1:].std() > 0.02


VOCAB = ["[PAD]", "[UNK]", "[MASK]", "film", "dull", "unseen"]
LINES = "film 0.5 -1 2e0\nother 1 1 1\ndull 3 0.25 0\n"


@pytest.mark.parametrize("header", ["", "3 3\n"])
@pytest.mark.parametrize("pack", ["", ".gz"])
def test_vectors_of_a_file(tmp_path, header, pack):
    path = tmp_path / f"v.txt{pack}"
    raw = (header + LINES).encode()
    path.write_bytes(gzip.compress(raw) if pack else raw)
    matrix, found = from_vectors(path, VOCAB, seed=1)
    assert found == 2 and matrix.shape == (6, 3) and matrix.dtype == np.float32
    assert matrix[3].tolist() == [0.5, -1, 2] and matrix[4].tolist() == [3, 0.25, 0]
    assert not matrix[0].any()
    rest = matrix[[1, 2, 5]]
    assert rest.min() >= -1 and rest.max() <= 3 and len(np.unique(rest)) == 9
    assert (matrix == from_vectors(path, VOCAB, seed=1)[0]).all()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("film 1 2 3\ndull 1 2\n", "line 2: expected a word and 3 numbers, found 2 numbers"),
        ("film 1 2 3\ndull 1 2 3 4\n", "line 2: expected a word and 3 numbers, found 4 numbers"),
        ("film 1 x 3\n", "line 1: expected numbers after the word"),
        ("3 3\nfilm 1 2 3\ndull 1 2 None\n", "line 3: expected numbers"),
        ("else 1 2 3\n", "holds no word of the vocabulary"),
        ("", "holds no word of the vocabulary"),
        ("film 1 nan 3\n", "line 1: expected numbers"),
        ("film 1 inf 3\n", "line 1: expected numbers"),
    ],
)
def test_a_file_of_vectors_that_is_wrong_names_the_line(tmp_path, content, message):
    path = tmp_path / "v.txt"
    path.write_text(content)
    with pytest.raises(UserError, match=f"--vectors: .*v.txt.*{message}"):
        from_vectors(path, VOCAB, seed=1)
    with pytest.raises(UserError, match="--vectors: no such file"):
        from_vectors(tmp_path / "none.txt", VOCAB, seed=1)
