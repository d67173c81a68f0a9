"""The contract of every student of texts, each against one written in NumPy; taggers have test_tagger.py."""

from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np
import pytest
from fresh import assert_answers_alone

from kd_keras.common.errors import UserError
from kd_keras.students.bilstm import STUDENTS, build_student, flops_per_token, parameters
from kd_keras.students.settings import ENCODERS, READS_PAIRS, TAGGERS, StudentSettings

VOCAB, CLASSES = 20, 3
SMALL = StudentSettings(embedding_size=6, hidden_size=5, dense_size=7)
MATRIX = np.random.default_rng(0).normal(size=(VOCAB, 6)).astype(np.float32)
FIRST = np.array([[3, 4, 5, 6], [7, 8, 0, 0], [0, 0, 0, 0], [9, 0, 0, 0]], np.int32)
SECOND = np.array([[5, 4, 3, 11, 12], [7, 8, 9, 0, 0], [3, 0, 0, 0, 0], [0, 0, 0, 0, 0]], np.int32)

SHAPES = [("last", "nonstatic"), ("max", "multichannel"), ("last", "static"), ("mean", "nonstatic")]
OF_TEXTS = [name for name in STUDENTS.names() if name not in TAGGERS + ENCODERS]
CASES = [(s, *shape) for s in OF_TEXTS for shape in SHAPES]


def case_settings(case) -> StudentSettings:
    return replace(SMALL, **dict(zip(("student", "pooling", "channels"), case, strict=True)))


@pytest.fixture(params=CASES, ids="-".join, scope="module")
def settings(request):
    return case_settings(request.param)


@pytest.fixture(scope="module")
def model(settings):
    """For looking at, not for training."""
    return build(settings)


def build(settings, outputs=CLASSES, seed=1):
    """A student whose weights are all random: at their first values biases would hide their mistakes."""
    model = build_student(settings, MATRIX, outputs, seed, pair=READS_PAIRS[settings.student])
    draw = np.random.default_rng(seed)
    for w in model.trainable_weights:  # a trainable channel is then no longer equal to the static one
        w.assign(draw.normal(size=w.shape, scale=0.5))
    return model


def inputs(settings, first=FIRST, second=SECOND) -> dict[str, np.ndarray]:
    return {"ids_a": first, "ids_b": second} if READS_PAIRS[settings.student] else {"ids": first}


def answers(model, x, training=False) -> dict[str, np.ndarray]:
    return {k: np.array(v) for k, v in model(x, training=training).items()}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm_states(x, kernel, recurrent, bias):
    """Hidden states of one text, float64[time, units]; gates in Keras' order: input, forget, cell, output."""
    units = recurrent.shape[0]
    h, c, states = np.zeros(units), np.zeros(units), []
    for step in x:
        z = step @ kernel + h @ recurrent + bias
        i, f, g, o = (z[n * units : (n + 1) * units] for n in range(4))
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        states.append(h)
    return np.array(states).reshape(-1, units)


def encode_by_hand(w, settings, row):
    """The vector of one unpadded text."""
    x = w["embeddings/embeddings"][row]
    if settings.channels == "multichannel":
        x = np.concatenate([x, MATRIX[row]], axis=1)
    parts = []
    for direction in ("forward", "backward"):
        k, r, b = (w[f"bilstm/{direction}_lstm/lstm_cell/{n}"] for n in ("kernel", "recurrent_kernel", "bias"))
        states = lstm_states(x if direction == "forward" else x[::-1], k, r, b)
        if not len(row):
            parts.append(np.zeros(r.shape[0]))
        else:
            pooled = {"last": lambda s: s[-1], "max": lambda s: s.max(0), "mean": lambda s: s.mean(0)}
            parts.append(pooled[settings.pooling](states))
    return np.concatenate(parts)


def by_hand(model, settings, rows):
    """Sentence, hidden and logits of one text, or of a pair."""
    w = {v.path: np.array(v, np.float64) for v in model.weights}
    sentence, *other = (encode_by_hand(w, settings, row[row > 0]) for row in rows)
    if other:
        u, (v,) = sentence, other
        sentence = np.concatenate([u, v, u * v, np.abs(u - v)])
    hidden = np.maximum(sentence @ w["dense/kernel"] + w["dense/bias"], 0)
    return sentence, hidden, hidden @ w["logits/kernel"] + w["logits/bias"]


def test_every_output_agrees_with_numpy(settings, model):
    x = inputs(settings)
    got = answers(model, x)
    width = 40 if settings.student == "siamese" else 10
    assert {k: v.shape for k, v in got.items()} == {"logits": (4, 3), "hidden": (4, 7), "sentence": (4, width)}
    for n, rows in enumerate(zip(*x.values(), strict=True)):
        for name, want in zip(("sentence", "hidden", "logits"), by_hand(model, settings, rows), strict=True):
            np.testing.assert_allclose(got[name][n], want, atol=1e-5)


def test_more_padding_changes_nothing(settings, model):
    short = answers(model, inputs(settings))
    for more in ((11, 0), (0, 3), (2, 7)):
        wide = [np.pad(ids, ((0, 0), (0, n))) for ids, n in zip((FIRST, SECOND), more, strict=True)]
        for name, got in answers(model, inputs(settings, *wide)).items():
            np.testing.assert_allclose(got, short[name], atol=1e-6)
    for name, alone in answers(model, inputs(settings, FIRST[1:2, :2], SECOND[1:2, :3])).items():
        np.testing.assert_allclose(alone, short[name][1:2], atol=1e-6)


def test_a_text_of_padding_alone_gets_finite_answers(settings, model):
    got = answers(model, inputs(settings, np.zeros((2, 1), np.int32), np.zeros((2, 1), np.int32)))
    assert all(np.isfinite(v).all() for v in got.values()) and not got["sentence"].any()


def test_order_and_every_token_of_every_text_matter(settings, model):
    texts, same = np.array([[3, 4, 5], [5, 4, 3], [3, 6, 5], [3, 4, 7]]), np.full((4, 3), 9)
    asked = [inputs(settings, texts, same)]
    if "ids_b" in asked[0]:
        asked.append(inputs(settings, same, texts))
    for x in asked:
        assert len({tuple(r) for r in answers(model, x)["logits"].round(4)}) == 4


def test_the_first_embeddings_are_the_given_matrix(settings):
    fresh = build_student(settings, MATRIX, 2, 1, pair=READS_PAIRS[settings.student])
    layers = [la for la in fresh.layers if isinstance(la, keras.layers.Embedding)]
    assert [la.name for la in layers] == ["embeddings", "embeddings_static"][: len(layers)]
    assert len(layers) == (2 if settings.channels == "multichannel" else 1)
    assert all((np.array(la.embeddings) == MATRIX).all() for la in layers)


def test_a_seed_draws_all_weights(settings):
    pair = READS_PAIRS[settings.student]
    a, b, c = (build_student(settings, MATRIX, CLASSES, s, pair).get_weights() for s in (1, 1, 2))
    assert all((x == y).all() for x, y in zip(a, b, strict=True))
    assert any((x != y).any() for x, y in zip(a, c, strict=True))


def test_one_update_moves_every_weight_but_the_static_channel(settings):
    model = build(replace(settings, dropout=0.0, embedding_dropout=0.0, word_dropout=0.0))
    before = model.get_weights()
    every = np.arange(1, VOCAB, dtype=np.int32)[None]
    trainer = keras.Model(model.input, model.output["logits"])
    # Eager, as making a graph takes longer than one step.
    loss = keras.losses.SparseCategoricalCrossentropy(True)
    trainer.compile(optimizer=keras.optimizers.SGD(1.0), loss=loss, run_eagerly=True)
    trainer.fit(inputs(settings, every, every[:, ::-1]), np.array([1]), verbose=0)
    still = {"static": "embeddings/", "multichannel": "embeddings_static/", "nonstatic": "none"}[settings.channels]
    for old, new, weight in zip(before, model.get_weights(), model.weights, strict=True):
        moved = bool((old != new).any())
        assert moved != weight.path.startswith(still), f"{weight.path}: {'moved' if moved else 'did not learn'}"


def test_dropout_is_for_training_only(settings, model):
    x = inputs(settings, np.tile(FIRST[:1], (8, 1)), np.tile(SECOND[:1], (8, 1)))
    assert np.ptp(answers(model, x, training=True)["logits"], axis=0).max() > 1e-3
    assert np.ptp(answers(model, x)["logits"], axis=0).max() < 1e-6


@pytest.mark.parametrize("channels", ["nonstatic", "multichannel"])
def test_word_dropout_takes_whole_words(channels):
    model = build(replace(SMALL, student="bilstm", word_dropout=0.5, embedding_dropout=0.0, channels=channels))
    until = keras.Model(model.inputs, model.get_layer("embedding_dropout").output)
    x = np.array(until({"ids": np.full((40, 10), 3, np.int32)}, training=True))
    gone = ~x.any(-1)
    assert 0.35 < gone.mean() < 0.65 and (x[~gone] != 0).all()
    assert gone.any(0).all() and gone.any(1).all(), "each word of each text has its own chance"
    vector = np.concatenate([np.array(la.embeddings)[3] for la in model.layers if hasattr(la, "embeddings")])
    np.testing.assert_allclose(x[~gone], np.tile(2 * vector, ((~gone).sum(), 1)), rtol=1e-5)


@pytest.mark.parametrize("pooling", ["last", "max", "mean"])
def test_a_siamese_student_reads_both_texts_with_the_same_weights(pooling):
    model = build(replace(SMALL, student="siamese", pooling=pooling))
    one = answers(model, {"ids_a": FIRST, "ids_b": SECOND})["sentence"]
    other = answers(model, {"ids_a": SECOND, "ids_b": FIRST})["sentence"]
    np.testing.assert_allclose(other[:, :10], one[:, 10:20], atol=1e-6)
    np.testing.assert_allclose(other[:, 10:20], one[:, :10], atol=1e-6)
    np.testing.assert_allclose(other[:, 20:], one[:, 20:], atol=1e-6)
    twice = answers(model, {"ids_a": FIRST, "ids_b": FIRST})["sentence"]
    assert not twice[:, 30:].any() and (twice[:, :10] == twice[:, 10:20]).all()


@pytest.mark.parametrize("student", OF_TEXTS)
def test_one_output_is_a_regression(student):
    settings = replace(SMALL, student=student, dropout=0.0, embedding_dropout=0.0, word_dropout=0.0)
    model = build(settings, outputs=1)
    x = inputs(settings)
    assert answers(model, x)["logits"].shape == (4, 1)
    trainer = keras.Model(model.input, model.output["logits"])
    trainer.compile(optimizer=keras.optimizers.Adam(0.02), loss="mse", run_eagerly=True)
    losses = trainer.fit(x, np.array([[0.0], [1.5], [-2.0], [4.0]]), epochs=12, verbose=0).history["loss"]
    assert losses[-1] < losses[0] / 2


@pytest.mark.parametrize(("student", "texts"), [("bilstm", 1), ("siamese", 4)])
@pytest.mark.parametrize(
    ("channels", "width", "copies"), [("nonstatic", 6, 1), ("static", 6, 1), ("multichannel", 12, 2)]
)
def test_parameters_agree_with_the_formula(student, texts, channels, width, copies):
    pair = READS_PAIRS[student]
    model = build_student(replace(SMALL, channels=channels), MATRIX, CLASSES, 1, pair)
    without = 2 * 4 * 5 * (width + 5 + 1) + (texts * 10 * 7 + 7) + (7 * 3 + 3)
    embedding = copies * VOCAB * 6
    assert parameters(model) == {"parameters": without + embedding, "parameters_without_embeddings": without}


def test_multiply_adds_of_a_token():
    # Tang et al. 2019, section 4.2: 300-d vectors, 150 units; two channels make 600-d.
    assert flops_per_token(StudentSettings()) == 2 * 2 * 4 * 150 * (300 + 150)
    assert flops_per_token(StudentSettings(channels="multichannel")) == 2 * 2 * 4 * 150 * (600 + 150)
    assert flops_per_token(StudentSettings(), width=50) == 2 * 2 * 4 * 150 * (50 + 150)


def test_saved_students_load_in_a_fresh_process_without_the_package(tmp_path, run_python):
    want, asked = {}, {}
    for case in CASES:
        settings, name = case_settings(case), "-".join(case)
        model = build(settings)
        model.save(tmp_path / f"{name}.keras")
        asked[name] = inputs(settings)
        want[name] = answers(model, inputs(settings))["logits"].tolist()
    assert_answers_alone(run_python, tmp_path, asked, want)


def test_an_unknown_student_is_refused():
    with pytest.raises(
        UserError, match="--student=bilst: expected one of bilstm, siamese, tagger, universal. Did you mean bilstm"
    ):
        StudentSettings(student="bilst")
    with pytest.raises(UserError, match="unknown student 'x'"):
        STUDENTS.get("x")
