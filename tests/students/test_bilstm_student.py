"""The contract of every student, and the BiLSTM against one written in NumPy."""

from __future__ import annotations

import json
from dataclasses import replace

import keras
import numpy as np
import pytest

from kd_keras.common.errors import UserError
from kd_keras.students.bilstm import STUDENTS, build_student, flops_per_token, parameters
from kd_keras.students.settings import StudentSettings

VOCAB, CLASSES = 20, 3
SMALL = StudentSettings(embedding_size=6, hidden_size=5, dense_size=7)
MATRIX = np.random.default_rng(0).normal(size=(VOCAB, 6)).astype(np.float32)
IDS = np.array([[3, 4, 5, 6], [7, 8, 0, 0], [0, 0, 0, 0], [9, 0, 0, 0]], np.int32)

STUDENTS_AND_POOLINGS = [(s, p) for s in STUDENTS.names() for p in ("last", "max")]


@pytest.fixture(params=STUDENTS_AND_POOLINGS, ids="-".join)
def settings(request):
    return replace(SMALL, student=request.param[0], pooling=request.param[1])


def build(settings, seed=1):
    model = build_student(settings, MATRIX, CLASSES, seed)
    draw = np.random.default_rng(seed)
    for w in model.trainable_weights:  # biases too: at 0 they would hide their mistakes
        if "embeddings" not in w.path:
            w.assign(draw.normal(size=w.shape, scale=0.5))
    return model


def answers(model, ids) -> dict[str, np.ndarray]:
    return {k: np.array(v) for k, v in model({"ids": ids}, training=False).items()}


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


def by_hand(model, settings, row):
    """Sentence, hidden and logits of one unpadded text."""
    w = {v.path: np.array(v, np.float64) for v in model.trainable_weights}
    x = w["embeddings/embeddings"][row]
    parts = []
    for direction in ("forward", "backward"):
        k, r, b = (w[f"bilstm/{direction}_lstm/lstm_cell/{n}"] for n in ("kernel", "recurrent_kernel", "bias"))
        states = lstm_states(x if direction == "forward" else x[::-1], k, r, b)
        if not len(row):
            parts.append(np.zeros(r.shape[0]))
        else:
            parts.append(states[-1] if settings.pooling == "last" else states.max(0))
    sentence = np.concatenate(parts)
    hidden = np.maximum(sentence @ w["dense/kernel"] + w["dense/bias"], 0)
    return sentence, hidden, hidden @ w["logits/kernel"] + w["logits/bias"]


def test_every_output_agrees_with_numpy(settings):
    model = build(settings)
    got = answers(model, IDS)
    assert {k: v.shape for k, v in got.items()} == {"logits": (4, 3), "hidden": (4, 7), "sentence": (4, 10)}
    for n, row in enumerate(IDS):
        sentence, hidden, logits = by_hand(model, settings, row[row > 0])
        np.testing.assert_allclose(got["sentence"][n], sentence, atol=1e-5)
        np.testing.assert_allclose(got["hidden"][n], hidden, atol=1e-5)
        np.testing.assert_allclose(got["logits"][n], logits, atol=1e-5)


def test_more_padding_changes_nothing(settings):
    model = build(settings)
    short, long = answers(model, IDS), answers(model, np.pad(IDS, ((0, 0), (0, 11))))
    alone = answers(model, IDS[1:2, :2])
    for name in short:
        np.testing.assert_allclose(short[name], long[name], atol=1e-6)
        np.testing.assert_allclose(short[name][1:2], alone[name], atol=1e-6)


def test_a_text_of_padding_alone_gets_finite_answers(settings):
    got = answers(build(settings), np.zeros((2, 1), np.int32))
    assert all(np.isfinite(v).all() for v in got.values()) and not got["sentence"].any()


def test_order_and_every_token_matter(settings):
    model = build(settings)
    got = answers(model, np.array([[3, 4, 5], [5, 4, 3], [3, 6, 5], [3, 4, 7]]))["logits"]
    assert len({tuple(r) for r in got.round(4)}) == 4


def test_the_first_embeddings_are_the_given_matrix(settings):
    assert (np.array(build_student(settings, MATRIX, 2, 1).get_layer("embeddings").embeddings) == MATRIX).all()


def test_a_seed_draws_all_weights(settings):
    a, b, c = (build_student(settings, MATRIX, CLASSES, s).get_weights() for s in (1, 1, 2))
    assert all((x == y).all() for x, y in zip(a, b, strict=True))
    assert any((x != y).any() for x, y in zip(a, c, strict=True))


def test_one_update_moves_every_weight(settings):
    model = build(replace(settings, dropout=0.0, embedding_dropout=0.0, word_dropout=0.0))
    before = model.get_weights()
    model.compile(
        optimizer=keras.optimizers.SGD(1.0), loss={"logits": keras.losses.SparseCategoricalCrossentropy(True)}
    )
    every = np.arange(1, VOCAB, dtype=np.int32)[None]
    y = {"logits": np.array([1])}
    keras.Model(model.inputs, {"logits": model.output["logits"]})
    trainer = keras.Model(model.input, {"logits": model.output["logits"]})
    trainer.compile(optimizer=keras.optimizers.SGD(1.0), loss=keras.losses.SparseCategoricalCrossentropy(True))
    trainer.fit({"ids": every}, y, verbose=0)
    for old, new, weight in zip(before, model.get_weights(), model.weights, strict=True):
        assert (old != new).any(), f"{weight.path} did not learn"


def test_dropout_is_for_training_only(settings):
    model = build(settings)
    ids = np.tile(IDS[:1], (8, 1))
    assert np.ptp(np.array(model({"ids": ids}, training=True)["logits"]), axis=0).max() > 1e-3
    assert np.ptp(answers(model, ids)["logits"], axis=0).max() < 1e-6


def test_word_dropout_takes_whole_words():
    model = build(replace(SMALL, word_dropout=0.5, embedding_dropout=0.0))
    until = keras.Model(model.inputs, model.get_layer("embedding_dropout").output)
    x = np.array(until({"ids": np.full((40, 10), 3, np.int32)}, training=True))
    gone = ~x.any(-1)
    assert 0.35 < gone.mean() < 0.65 and (x[~gone] != 0).all()
    assert gone.any(0).all() and gone.any(1).all(), "each word of each text has its own chance"
    np.testing.assert_allclose(x[~gone], np.tile(2 * MATRIX[3], ((~gone).sum(), 1)), rtol=1e-5)


@pytest.mark.parametrize("pooling", ["last", "max"])
def test_parameters_agree_with_the_formula(pooling):
    model = build_student(replace(SMALL, pooling=pooling), MATRIX, CLASSES, 1)
    without = 2 * 4 * 5 * (6 + 5 + 1) + (10 * 7 + 7) + (7 * 3 + 3)
    assert parameters(model) == {"parameters": without + VOCAB * 6, "parameters_without_embeddings": without}
    # Tang et al. 2019, section 4.2: 300-d vectors, 150 units, 200 dense units, two classes.
    assert flops_per_token(StudentSettings()) == 2 * 2 * 4 * 150 * (300 + 150)


def test_saved_students_load_in_a_fresh_process_after_importing_the_package(tmp_path, run_python):
    """Both poolings in one process, as starting one takes seconds."""
    want = {}
    for student, pooling in STUDENTS_AND_POOLINGS:
        model = build(replace(SMALL, student=student, pooling=pooling))
        model.save(tmp_path / f"{student}-{pooling}.keras")
        want[f"{student}-{pooling}"] = answers(model, IDS)["logits"].tolist()
    code = (
        "import sys, json, pathlib, kd_keras, keras, numpy as np\n"
        f"ids = np.array({IDS.tolist()}, 'int32')\n"
        "print(json.dumps({p.stem: keras.saving.load_model(p)({'ids': ids})['logits'].numpy().tolist()\n"
        "                  for p in pathlib.Path(sys.argv[1]).glob('*.keras')}))\n"
        "assert not [m for m in sys.modules if m.startswith('kd_keras.')], 'more than the package was needed'\n"
    )
    done = run_python("-c", code, tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    got = json.loads(done.stdout)
    assert got.keys() == want.keys()
    for name in want:
        np.testing.assert_allclose(got[name], want[name], atol=1e-6)


def test_an_unknown_student_is_refused():
    with pytest.raises(UserError, match="--student=bilst: expected one of bilstm. Did you mean bilstm"):
        StudentSettings(student="bilst")
    with pytest.raises(UserError, match="unknown student 'x'"):
        STUDENTS.get("x")
