"""The contract of taggers, against one written in NumPy."""

from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np
import pytest
from fresh import assert_answers_alone

from kd_keras.common.errors import UserError
from kd_keras.common.ragged import Ragged
from kd_keras.students.bilstm import build_student, flops_per_token, parameters
from kd_keras.students.inference import load_student, predict_tags
from kd_keras.students.inputs import student_windows, word_targets
from kd_keras.students.settings import StudentSettings, student_name
from kd_keras.students.weights import student_weights
from kd_keras.tasks import Rows
from kd_keras.tasks.rows import no_tags
from kd_keras.text.tokenizers import SPECIAL, WordPiece

VOCAB, TAGS = 20, 5
SMALL = StudentSettings(embedding_size=6, hidden_size=5, dense_size=7)
MATRIX = np.random.default_rng(0).normal(size=(VOCAB, 6)).astype(np.float32)
IDS = np.array([[3, 4, 5, 6], [7, 8, 0, 0], [0, 0, 0, 0], [9, 0, 0, 0]], np.int32)
REAL = IDS > 0
SHAPES = {"dense": SMALL, "no dense": replace(SMALL, dense_size=0), "static": replace(SMALL, channels="static"),
          "multichannel": replace(SMALL, channels="multichannel")}  # fmt: skip


def build(settings, seed=1):
    """All weights random: at their first values biases would hide their mistakes."""
    model = build_student(settings, MATRIX, TAGS, seed, tagging=True)
    draw = np.random.default_rng(seed)
    for w in model.trainable_weights:
        w.assign(draw.normal(size=w.shape, scale=0.5))
    return model


@pytest.fixture(scope="module", params=SHAPES.values(), ids=SHAPES)
def settings(request):
    return request.param


@pytest.fixture(scope="module")
def model(settings):
    return build(settings)


def answers(model, ids, training=False):
    return {k: np.array(v) for k, v in model({"ids": ids}, training=training).items()}


def states_by_hand(x, kernel, recurrent, bias):
    units = recurrent.shape[0]
    h, c, states = np.zeros(units), np.zeros(units), []
    for step in x:
        i, f, g, o = np.split(step @ kernel + h @ recurrent + bias, 4)
        i, f, o = (1 / (1 + np.exp(-v)) for v in (i, f, o))
        c = f * c + i * np.tanh(g)
        h = o * np.tanh(c)
        states.append(h)
    return np.array(states)


def by_hand(model, settings, row):
    """Hidden and logits of each token of one unpadded text."""
    w = {v.path: np.array(v, np.float64) for v in model.weights}
    x = w["embeddings/embeddings"][row]
    if settings.channels == "multichannel":
        x = np.concatenate([x, MATRIX[row]], axis=1)
    ways = []
    for name, turn in (("forward", 1), ("backward", -1)):
        cell = (w[f"bilstm/{name}_lstm/lstm_cell/{n}"] for n in ("kernel", "recurrent_kernel", "bias"))
        ways.append(states_by_hand(x[::turn], *cell)[::turn])
    hidden = np.concatenate(ways, axis=1)
    if settings.dense_size:
        hidden = np.maximum(hidden @ w["dense/kernel"] + w["dense/bias"], 0)
    return hidden, hidden @ w["logits/kernel"] + w["logits/bias"]


def test_every_output_agrees_with_numpy(settings, model):
    got = answers(model, IDS)
    assert {k: v.shape for k, v in got.items()} == {"logits": (4, 4, 5), "hidden": (4, 4, settings.dense_size or 10)}
    for n, row in enumerate(IDS):
        if row.any():
            for name, want in zip(("hidden", "logits"), by_hand(model, settings, row[row > 0]), strict=True):
                np.testing.assert_allclose(got[name][n, : len(want)], want, atol=1e-5)
    assert np.isfinite(got["logits"]).all()


@pytest.mark.parametrize("more", [0, 5, 100])
def test_more_padding_changes_nothing(model, more):
    """Fault 5 of the paper's code: padding was read as text."""
    short, wide = answers(model, IDS), answers(model, np.pad(IDS, ((0, 0), (0, more))))
    for name in short:
        np.testing.assert_allclose(wide[name][:, :4][REAL], short[name][REAL], atol=1e-6)
    alone = answers(model, IDS[1:2, :2])
    np.testing.assert_allclose(alone["logits"][0], short["logits"][1, :2], atol=1e-6)


def test_both_neighbours_of_a_token_matter(model):
    texts = np.array([[3, 4, 5], [6, 4, 5], [3, 4, 7], [3, 8, 5]])
    assert len({tuple(r) for r in answers(model, texts)["logits"][:, 1].round(5)}) == 4


def test_dropout_is_for_training_only(model):
    x = np.tile(IDS[:1], (8, 1))
    assert np.ptp(answers(model, x, training=True)["logits"], axis=0).max() > 1e-3
    assert np.ptp(answers(model, x)["logits"], axis=0).max() < 1e-6


def test_one_update_moves_every_weight_but_the_static_channel(settings):
    model = build(replace(settings, dropout=0.0, embedding_dropout=0.0, word_dropout=0.0))
    before, every = model.get_weights(), np.arange(1, VOCAB, dtype=np.int32)[None]
    trainer = keras.Model(model.input, model.output["logits"])
    loss = keras.losses.SparseCategoricalCrossentropy(True)
    trainer.compile(optimizer=keras.optimizers.SGD(1.0), loss=loss, run_eagerly=True)
    trainer.fit({"ids": every}, np.arange(VOCAB - 1)[None] % TAGS, verbose=0)
    still = {"static": "embeddings/", "multichannel": "embeddings_static/", "nonstatic": "none"}[settings.channels]
    for old, new, weight in zip(before, model.get_weights(), model.weights, strict=True):
        assert bool((old != new).any()) != weight.path.startswith(still), weight.path


def test_parameters_and_multiply_adds_agree_with_the_formula(settings, model):
    width = 12 if settings.channels == "multichannel" else 6
    dense = 10 * settings.dense_size + settings.dense_size
    last = settings.dense_size or 10
    without = 2 * 4 * 5 * (width + 5 + 1) + dense + last * TAGS + TAGS
    assert parameters(model)["parameters_without_embeddings"] == without
    kernels = 2 * 4 * 5 * (width + 5) + 10 * settings.dense_size + last * TAGS
    assert flops_per_token(settings, tags=TAGS) == 2 * kernels


def test_it_is_saved_and_opened_without_the_package(tmp_path, run_python):
    want = {}
    for name, settings in SHAPES.items():
        model = build(settings)
        model.save(tmp_path / f"{name}.keras")
        want[name] = answers(model, IDS)["logits"].tolist()
    np.testing.assert_array_equal(answers(load_student(tmp_path / "dense.keras"), IDS)["logits"], want["dense"])
    assert_answers_alone(run_python, tmp_path, {name: {"ids": IDS} for name in want}, want)


def test_its_weights_as_arrays():
    model = build(SMALL)
    weights = student_weights(model)
    assert weights.tagging and weights.pooling == "last" and weights.inputs == ("ids",) and weights.outputs == TAGS
    assert weights.dense[0].shape == (10, 7)
    sentence = student_weights(build_student(replace(SMALL, pooling="max"), MATRIX, 2, 1))
    assert sentence.pooling == "max" and not sentence.tagging
    assert student_weights(build(SHAPES["no dense"])).dense is None


TOKENIZER = WordPiece([*SPECIAL, "a", "b", "c", "d", "##a", "##b", "##c", "##d", *"efghijk"], 4, lowercase=False)
ROWS = Rows(["r0", "r1", "r2", "r3"], ["ab c", "", "a bcd d a b c", "d"], None, no_tags(4))


def test_predictions_are_one_a_word_in_the_order_of_the_rows():
    """Fault 13 of the paper's code, and windows: each word has the logits of its first piece in the window it is in."""
    model, windows = build(SMALL), student_windows(TOKENIZER, ROWS)
    assert len(windows) > 3, "the third row is longer than the student reads"
    got = predict_tags(model, windows, batch_size=2)
    assert got.shape == (9, TAGS) and windows.rows(got).lengths.tolist() == [2, 0, 6, 1]
    seen = set()
    for n in range(len(windows)):
        alone = answers(model, windows.ids[n][None])["logits"][0]
        for word, at in zip(windows.word[n], windows.at[n], strict=True):
            np.testing.assert_allclose(got[word], alone[at], atol=1e-5)
            seen.add(int(word))
    assert seen == set(range(9))
    np.testing.assert_allclose(got, predict_tags(model, windows), atol=1e-5)


def test_no_rows_have_no_predictions():
    nothing = student_windows(TOKENIZER, ROWS.take([1]))
    assert predict_tags(build(SMALL), nothing).shape == (0, TAGS)


def test_targets_stand_at_the_first_piece_of_each_word():
    """Fault 5: padding and later pieces have no label, no teacher's values, and count nothing."""
    windows = student_windows(TOKENIZER, ROWS)
    label = Ragged.cut(np.array([1, 2, 3], np.int32), np.array([2, 0, 0, 1]))
    logits = Ragged.cut(np.arange(18.0).reshape(9, 2).astype(np.float32), windows.words)
    # Rows that share their values, in another order than the words.
    vectors = np.arange(9, dtype=np.float16)[:, None]
    hidden = Ragged(vectors, np.array([7, 0, 1, 0]), windows.words)
    y = word_targets(windows, label, logits, hidden)
    assert set(y) == {"word", "label", "teacher_logits", "teacher_hidden"}
    every = np.arange(len(windows))
    padded = {k: v.padded(every, 6) for k, v in y.items()}
    assert padded["word"].sum() == 9 and padded["teacher_hidden"].dtype == np.float16
    nowhere = padded["word"] == 0
    assert (padded["label"][nowhere] == -1).all() and not padded["teacher_logits"][nowhere].any()
    assert padded["label"][0].tolist() == [1, -1, 2, -1, -1, -1], "the second piece of the first word has none"
    assert (padded["label"][every[1:-1]] == -1).all(), "the row without gold"
    for n in every:
        for word, at in zip(windows.word[n], windows.at[n], strict=True):
            assert padded["teacher_logits"][n, at].tolist() == [2 * word, 2 * word + 1]
            assert padded["teacher_hidden"][n, at, 0] == [7, 8, 1, 2, 3, 4, 5, 6, 0][word]


@pytest.mark.parametrize("lengths", [[1, 0, 0, 1], [2, 0, 5, 1]])
def test_a_row_with_another_number_of_tags_than_words_is_refused(lengths):
    windows = student_windows(TOKENIZER, ROWS)
    label = Ragged.cut(np.zeros(sum(lengths), np.int32), np.array(lengths))
    with pytest.raises(ValueError, match="label: rows of"):
        word_targets(windows, label)
    with pytest.raises(ValueError, match="teacher_logits: rows of"):
        word_targets(windows, no_tags(4), Ragged.cut(np.zeros((sum(lengths), 2)), np.array(lengths)))


def test_a_tagging_gets_a_tagger_and_nothing_else_does():
    assert student_name(StudentSettings(), False, tagging=True) == "tagger"
    for asked, pair, tagging, message in [
        ({"student": "bilstm"}, False, True, "--student=bilstm: does not tag words, .* expected tagger, or leave"),
        ({"student": "tagger"}, False, False, "--student=tagger: does not read single sentences, .* expected bilstm"),
        ({"student": "tagger"}, True, False, "--student=tagger: does not read pairs, .* expected siamese"),
        ({"pooling": "max"}, False, True, "--pooling=max: a tagger has no pooling"),
        ({"tokenizer": "words", "embeddings": "random"}, False, True, "--tokenizer=words: a tagger reads pieces"),
    ]:
        with pytest.raises(UserError, match=message):
            student_name(StudentSettings(**asked), pair, tagging)
