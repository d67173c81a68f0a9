"""Students of vectors in the Distiller, and layers that learn at a rate of their own."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from kd_keras.distill.distiller import Distiller
from kd_keras.distill.loop import DevSet, Training
from kd_keras.distill.objectives import Contrast, HardLabels, LogitMSE, Representation, Similarities, TokenStates
from kd_keras.distill.optimizers import make_optimizer
from kd_keras.distill.recipes import baseline, recipe, stages, warmed
from kd_keras.distill.settings import RecipeSettings, TrainSettings
from kd_keras.distill.stages import Stage, TrainingSet, run_stages
from kd_keras.metrics.vectors import cosine, unit
from kd_keras.students.inference import predict
from kd_keras.students.settings import StudentSettings, WarmSettings
from kd_keras.students.universal import universal, without_states
from kd_keras.text.token_ids import TokenIds

SHAPE = StudentSettings(embedding_size=6, hidden_size=5, pooling="mean", embedding_dropout=0, word_dropout=0, dropout=0)
MATRIX = np.random.default_rng(0).normal(size=(20, 6)).astype(np.float32)
ROWS, SIZE = 40, 4
IDS = {"ids": TokenIds.of([np.random.default_rng(n).integers(1, 20, 1 + n % 6).tolist() for n in range(ROWS)])}
# What can be learned: a line of the mean of a text's embeddings.
TARGET = unit(
    np.stack([MATRIX[IDS["ids"][n]].mean(0) for n in range(ROWS)]) @ np.random.default_rng(9).normal(size=(6, SIZE))
)


@pytest.mark.parametrize(
    ("objective", "by_hand"),
    [
        (Representation(units=SIZE, state="vector"), lambda v, t: ((v - t) ** 2).mean(-1)),
        (Representation(distance="cosine", units=SIZE, state="vector"), lambda v, t: 1 - (v * t).sum(-1)),
        (
            Similarities(units=SIZE, state="vector"),
            lambda v, t: (((v @ v.T - t @ t.T) ** 2) * (1 - np.eye(len(v)))).sum(-1) / (len(v) - 1),
        ),
        (
            Contrast(units=SIZE, state="vector", temperature=0.1),
            lambda v, t: -np.diag((x := v @ t.T / 0.1) - np.log(np.exp(x).sum(-1, keepdims=True))),
        ),
    ],
    ids=["mse", "cosine", "similarities", "contrast"],
)
def test_the_vector_itself_is_learnt(objective, by_hand):
    student = universal(SHAPE, MATRIX, SIZE)
    distiller = Distiller(student, [objective])
    assert objective.projection is None and distiller.projections == []
    v = predict(student, IDS).astype(np.float64)
    got = float(objective({"teacher_hidden": TARGET}, {"vector": v.astype(np.float32)}))
    assert got == pytest.approx(by_hand(v, TARGET.astype(np.float64)).mean(), rel=1e-4)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(objective))
    assert again.get_config() == objective.get_config() and again.projection is None
    with pytest.raises(ValueError, match="the student's vector .* expected the teacher's vectors to have units=4"):
        objective({"teacher_hidden": np.zeros((3, 5), np.float32)}, {"vector": np.zeros((3, 4), np.float32)})


def test_states_of_words_are_learnt_where_a_word_begins():
    student = universal(SHAPE, MATRIX, SIZE, states=True)
    objective, draw = TokenStates(units=3), np.random.default_rng(1)
    distiller = Distiller(student, [objective, Representation(distance="cosine", units=SIZE, state="vector")])
    x = IDS["ids"].padded(np.arange(ROWS))
    word = (draw.random(x.shape) < 0.5) * (x > 0) * 1.0
    y = {"teacher_states": draw.normal(size=(*x.shape, 3)), "word": word, "teacher_hidden": TARGET}
    y = {name: value.astype(np.float32) for name, value in y.items()}
    outputs = student({"ids": x})
    kernel, bias = (v.numpy() for v in objective.projection.weights)
    gaps = ((outputs["hidden"].numpy() @ kernel + bias - y["teacher_states"]) ** 2).mean(-1)
    assert float(objective(y, outputs)) == pytest.approx((gaps * word).sum() / word.sum(), rel=1e-4)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(objective))
    assert again.get_config() == objective.get_config()

    distiller.compile(optimizer=keras.optimizers.Adam(0.02))
    before = distiller.evaluate(x, y, verbose=0, return_dict=True)
    after = distiller.fit(x, y, epochs=15, verbose=0).history
    assert all(after[f"loss_{n}"][-1] < before[f"loss_{n}"] for n in ("tokens", "representation"))
    plain = without_states(student)
    assert set(plain.output) == {"vector", "sentence"}
    np.testing.assert_array_equal(predict(plain, IDS), predict(student, IDS))


def test_plain_fit_brings_it_to_the_teacher():
    student = universal(SHAPE, MATRIX, SIZE)
    before = cosine(TARGET, predict(student, IDS))
    distiller = Distiller(student, [Representation(distance="cosine", units=SIZE, state="vector")])
    distiller.compile(optimizer=keras.optimizers.Adam(0.02))
    x = IDS["ids"].padded(np.arange(ROWS))
    history = distiller.fit(x, {"teacher_hidden": TARGET}, epochs=15, verbose=0).history
    assert list(history) == ["loss"], "a vector is neither right nor wrong"
    assert cosine(TARGET, predict(student, IDS)) > before + 0.3


def test_it_wants_objectives_that_read_vectors():
    student = universal(SHAPE, MATRIX, SIZE)
    with pytest.raises(ValueError, match="returns a vector and no logits: expected objectives"):
        Distiller(student)
    with pytest.raises(ValueError, match='reads "logits", but the student returns "vector", "sentence"'):
        Distiller(student, [LogitMSE()])


def test_dev_chooses_by_neighbours(tmp_path):
    student = universal(SHAPE, MATRIX, SIZE)
    dev = DevSet({"ids": IDS["ids"].take(np.arange(20))}, TARGET[:20], ("neighbours", "cosine"))
    loss = (Representation(distance="cosine", units=SIZE, state="vector"),)
    stage = Stage("universal", loss, TrainingSet(IDS, {"teacher_hidden": TARGET}), 12, 0.02, rounds=4)
    history = run_stages(student, [stage], Training(dev, TrainSettings(batch_size=8), tmp_path))
    assert len(history["epochs"]) == 4 and history["best"] == max(e["dev_neighbours"] for e in history["epochs"])
    best = next(e for e in history["epochs"] if e["step"] == history["best_step"])
    assert cosine(TARGET[:20], predict(student, {"ids": IDS["ids"].take(np.arange(20))})) == pytest.approx(
        best["dev_cosine"]
    )


@pytest.mark.parametrize("name", ["adam", "adamw", "adadelta"])
def test_a_factor_scales_a_variables_update(name):
    settings = TrainSettings(optimizer=name, schedule="constant", weight_decay=0.0, ema=0.0, clip=1e6)

    def moved(factors):
        variables = [keras.Variable(np.zeros(3, np.float32)) for _ in range(2)]
        optimizer = make_optimizer(settings, 10, 0.1)
        optimizer.factors = factors
        optimizer.build(variables)
        gradient = keras.ops.convert_to_tensor(np.array([1.0, -2.0, 0.5], np.float32))
        optimizer.apply([gradient, gradient], variables)
        return [np.array(v) for v in variables]

    slow, plain = moved([0.25, 1.0])
    np.testing.assert_allclose(slow, 0.25 * plain, rtol=1e-4)
    np.testing.assert_array_equal(plain, moved(())[0])
    assert np.abs(plain).min() > 1e-6


def test_layers_taken_over_learn_slowly_thaw_or_stay():
    data = TrainingSet(IDS, {"label": np.zeros(ROWS, np.int32)})
    steps = baseline()
    cold = stages(warmed(steps, WarmSettings()), data, data, 100, 10, 0.01)
    assert cold[0].slow == () and "slow" not in cold[0].describe(), "keys of students stay what they were"

    (slow,) = stages(warmed(steps, WarmSettings(student_from="RUN", student_rate=0.2)), data, data, 100, 10, 0.01)
    assert slow.trainable is None and slow.describe()["slow_rate"] == 0.2
    factors = {path: slow.factor(path) for path in ("embeddings/embeddings", "bilstm/forward_lstm/x", "dense/kernel")}
    assert factors == {"embeddings/embeddings": 0.2, "bilstm/forward_lstm/x": 0.2, "dense/kernel": 1.0}

    (still,) = warmed(steps, WarmSettings(student_from="RUN", student_rate=0.0))
    assert still.trainable == ("dense", "logits")

    thaw = WarmSettings(student_from="RUN", student_unfreeze=True)
    head, bilstm, whole = stages(warmed(steps, thaw), data, data, 100, 10, 0.01)
    assert (head.trainable, bilstm.trainable, whole.trainable) == (
        ("dense", "logits"),
        ("dense", "logits", "bilstm"),
        None,
    )
    assert head.steps + bilstm.steps + whole.steps == pytest.approx(100, abs=2) and whole.slow_rate == 0.3
    staged = warmed(recipe(RecipeSettings(recipe="staged"), units=3), thaw)
    assert sum(step.share for step in staged) == pytest.approx(1)
    assert isinstance(staged[-1].objectives[0], HardLabels)
