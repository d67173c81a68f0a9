"""First values of the embedding matrix against linear algebra done by hand."""

from __future__ import annotations

import numpy as np
import pytest

from kd_keras.common.errors import UserError
from kd_keras.text.embeddings import from_pieces, from_teacher, from_vectors, random_matrix, teacher_pieces


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


def vectors_file(path, rows: dict[str, list[float]]):
    path.write_text("".join(f"{w} {' '.join(map(str, v))}\n" for w, v in rows.items()), encoding="utf-8")
    return path


def test_words_of_a_file_get_its_vectors_and_others_seeded_ones_of_its_range(tmp_path):
    path = vectors_file(tmp_path / "v.txt", {"film": [0.5, -1, 2], "other": [9, 9, 9], "dull": [3, 0.25, 0]})
    matrix, coverage = from_vectors(path, VOCAB, seed=1)
    assert matrix.shape == (6, 3) and matrix.dtype == np.float32
    assert matrix[3].tolist() == [0.5, -1, 2] and matrix[4].tolist() == [3, 0.25, 0]
    assert not matrix[0].any()
    rest = matrix[[1, 2, 5]]
    assert rest.min() >= -1 and rest.max() <= 3 and len(np.unique(rest)) == 9
    assert (matrix == from_vectors(path, VOCAB, seed=1)[0]).all()
    assert (matrix[1] != from_vectors(path, VOCAB, seed=2)[0][1]).all()
    assert (coverage.found, coverage.words, coverage.tokens) == (2, 3, None)
    assert str(coverage) == "2 of 3 words have a vector (66.7%)"


def test_unknown_words_are_as_loud_as_known_ones(tmp_path):
    """Published vectors have a few values far out: words drawn over their whole range would drown the others."""
    known = np.random.default_rng(0).normal(size=(200, 40)) + 0.3
    known[0, 0], known[1, 1] = 30.0, -30.0
    words = [f"w{n}" for n in range(400)]
    path = vectors_file(tmp_path / "v.txt", {w: v.tolist() for w, v in zip(words, known, strict=False)})
    matrix, _ = from_vectors(path, ["[PAD]", *words], seed=1)
    assert matrix[201:].std() == pytest.approx(known.std(), rel=0.05)
    assert matrix[201:].mean() == pytest.approx(known.mean(), abs=0.05)


CASED = {"Film": [1, 1], "FILM": [2, 2], "film": [3, 3], "Dull": [5, 5], "DULL": [6, 6]}


def test_an_exact_form_is_preferred_and_else_the_first_of_another_case(tmp_path):
    path = vectors_file(tmp_path / "v.txt", CASED)
    matrix, coverage = from_vectors(path, VOCAB, seed=1)
    assert matrix[3].tolist() == [3, 3] and matrix[4].tolist() == [5, 5] and coverage.found == 2
    cased, coverage = from_vectors(path, [*VOCAB, "Film"], seed=1)
    assert cased[3].tolist() == [3, 3] and cased[6].tolist() == [1, 1]
    assert coverage.found == 2, "a vocabulary with capitals takes exact forms only"


def test_coverage_of_running_tokens(tmp_path):
    path = vectors_file(tmp_path / "v.txt", {"film": [1, 2]})
    by_word = from_vectors(path, VOCAB, 1, counts={"film": 6, "dull": 1, "not in the vocabulary": 3})[1]
    assert by_word.tokens == pytest.approx(0.6)
    assert str(by_word) == "1 of 3 words have a vector (33.3%; 60.0% of the text's tokens)"
    by_id = from_vectors(path, VOCAB, 1, counts=np.array([100, 2, 0, 6, 0, 2]))[1]
    assert by_id.tokens == pytest.approx(0.6), "padding is no token, an unknown word is one"
    assert from_vectors(path, VOCAB, 1, counts={})[1].tokens == 0


def test_vectors_without_a_word_of_the_vocabulary_are_refused(tmp_path):
    path = vectors_file(tmp_path / "v.txt", {"else": [1, 2], "[MASK]": [1, 2]})
    with pytest.raises(UserError, match=r"--vectors: .*v.txt: has no word of the vocabulary \(such as film, dull, uns"):
        from_vectors(path, VOCAB, seed=1)


STUDENT = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "film", "##s", "dull", "s"]


def ids_of(text: str, begins: bool) -> list[int]:
    return {"film": [7], "s": [11], "dull": [3, 21]}[text]


@pytest.mark.parametrize("width", [2, 5, 30])
def test_a_piece_of_ones_own_begins_at_the_mean_of_the_teachers_pieces(width):
    """Fault 11 of the paper's code: rows were those of another order, and no width but a smaller one worked."""
    matrix = teacher_matrix()
    got = from_pieces(matrix, teacher_pieces(STUDENT, ids_of), width, scale=0.3)
    means = np.stack([matrix[7], matrix[11], (matrix[3] + matrix[21]) / 2, matrix[11]]).astype(np.float64)
    centred = means - means.mean(0)
    u, s, _ = np.linalg.svd(centred, full_matrices=False)
    best = (u * s)[:, :width]
    assert got.shape == (9, width) and got.dtype == np.float32 and not got[:5].any()
    gram = got[5:] @ got[5:].T
    np.testing.assert_allclose(gram / gram.max(), best @ best.T / (best @ best.T).max(), atol=1e-4)
    assert (got[6] == got[8]).all(), "##s is spelled s"


def test_a_vocabulary_that_the_teacher_knows_nothing_of_is_zero():
    assert not from_pieces(teacher_matrix(), teacher_pieces(STUDENT, lambda text, begins: []), 4).any()
