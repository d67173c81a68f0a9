"""Windows of long sentences: each word decided once, where it has most context."""

import numpy as np
import pytest

from kd_keras.text.windows import PerPiece, windows


def rows(seed: int = 0) -> list[list[list[int]]]:
    draw = np.random.default_rng(seed)
    return [
        [draw.integers(5, 99, draw.integers(1, 5)).tolist() for _ in range(draw.integers(0, 50))] for _ in range(60)
    ]


@pytest.mark.parametrize("room", [3, 4, 9, 20, 500])
def test_every_word_has_one_answer_that_of_its_first_piece(room):
    """Fault 1 of the paper's code: words beyond the length limit had none, and went from gold too."""
    some = rows()
    made = windows(some, room, 1, 2)
    first = np.array([word[0] for row in some for word in row])
    assert sorted(made.word.flat().tolist()) == list(range(len(first)))
    assert made.ids.lengths.max() <= room + 2
    out = np.zeros((len(first), 1), np.int64)
    for start in range(0, len(made), 7):
        chosen = np.arange(start, min(start + 7, len(made)))
        made.collect(out, chosen, made.ids.padded(chosen)[:, :, None])
    np.testing.assert_array_equal(out[:, 0], first)
    assert made.words.tolist() == [len(row) for row in some]
    assert made.long_rows == sum(sum(min(len(w), room) for w in row) > room for row in some)


def test_a_word_is_decided_where_it_has_most_context():
    made = windows([[[n] for n in range(20)]], 8)
    spans = [made.ids[w].tolist() for w in range(len(made))]
    for w, span in enumerate(spans):
        for word in made.word[w].tolist():
            context = min(word - span[0] if span[0] else 99, span[-1] - word if span[-1] < 19 else 99)
            others = [min(word - s[0] if s[0] else 99, s[-1] - word if s[-1] < 19 else 99) for s in spans if word in s]
            assert context == max(others)


def test_targets_stand_at_first_pieces_and_nowhere_else():
    some = rows(1)
    made = windows(some, 12, 1, 2)
    first = np.array([word[0] for row in some for word in row])
    targets = made.of_words(first, -1)
    chosen = np.arange(0, len(made), 3)
    ids = made.ids.padded(chosen)
    laid = targets.padded(chosen, ids.shape[1])
    assert ((laid == -1) | (laid == ids)).all() and (laid >= 0).sum() == made.at.lengths[chosen].sum()


def test_parts_are_joined_in_their_order():
    parts = [windows(rows(seed), 9) for seed in (2, 3)]
    firsts = [np.array([w[0] for row in rows(seed) for w in row]) for seed in (2, 3)]
    joined = PerPiece.concatenate([p.of_words(f, -1) for p, f in zip(parts, firsts, strict=True)])
    where = len(parts[0]) + 2
    alone = parts[1].of_words(firsts[1], -1).padded(np.array([2]), 9)
    np.testing.assert_array_equal(joined.padded(np.array([where]), 9), alone)
    np.testing.assert_array_equal(joined.take(np.array([where])).padded(np.array([0]), 9), alone)


def test_a_row_without_words_has_no_window():
    made = windows([[], [[5]], []], 4)
    assert len(made) == 1 and made.words.tolist() == [0, 1, 0]
    assert made.rows(np.zeros((1, 2)))[2].shape == (0, 2)


def test_a_word_of_more_pieces_than_a_window_loses_its_last():
    made = windows([[[1, 2, 3, 4, 5]], [[6]]], 3)
    assert made.ids[0].tolist() == [1, 2, 3] and made.word.flat().tolist() == [0, 1]


def test_every_window_decides_a_word_and_knows_its_row():
    some = [[[n] for n in range(10)] + [list(range(14))], [[1]], [], [[n] for n in range(40)]]
    made = windows(some, 14)
    assert made.word.lengths.min() > 0
    row = np.repeat(np.arange(4), made.words)
    assert [row[made.word[w][0]] for w in range(len(made))] == made.row.tolist()
    assert set(made.row.tolist()) == {0, 1, 3}
