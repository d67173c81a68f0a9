"""Objectives of several labels a text, against NumPy and TensorFlow's own."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import expit

from kd_keras.common.errors import UserError
from kd_keras.distill.distiller import Distiller
from kd_keras.distill.multilabel import BinaryKL, BinaryLabels, BinaryTeacherLabels
from kd_keras.distill.objectives import LogitMSE, mixture
from kd_keras.distill.recipes import baseline, recipe
from kd_keras.distill.settings import RecipeSettings

DRAW = np.random.default_rng(2)
LOGITS, TEACHER = (DRAW.normal(size=(6, 4), scale=3).astype(np.float32) for _ in range(2))
GOLD = (DRAW.random((6, 4)) < 0.4).astype(np.int32)
GOLD[4:] = -1
OUT = {"logits": tf.constant(LOGITS)}


def binary(chance, logits):
    return np.array(tf.nn.sigmoid_cross_entropy_with_logits(np.float32(chance), logits))


def test_gold_labels_are_binary_cross_entropy():
    want = binary(GOLD[:4], LOGITS[:4]).mean()
    assert float(BinaryLabels()({"label": GOLD}, OUT)) == pytest.approx(want, rel=1e-5)
    filled = np.where(GOLD < 0, TEACHER > 0, GOLD)
    got = BinaryLabels(unlabelled="teacher")({"label": GOLD, "teacher_logits": TEACHER}, OUT)
    assert float(got) == pytest.approx(binary(filled, LOGITS).mean(), rel=1e-5)


def test_class_weights_count_rows_that_have_the_label():
    weights = np.float32([3.0, 1.0, 0.5, 2.0])
    want = np.array(tf.nn.weighted_cross_entropy_with_logits(np.float32(GOLD[:4]), LOGITS[:4], weights)).mean()
    assert float(BinaryLabels(class_weights=weights)({"label": GOLD}, OUT)) == pytest.approx(want, rel=1e-5)


def test_teacher_labels_count_where_the_teacher_is_sure():
    y = {"teacher_logits": TEACHER}
    each = binary(TEACHER > 0, LOGITS)
    assert float(BinaryTeacherLabels()(y, OUT)) == pytest.approx(each.mean(), rel=1e-5)
    sure = np.maximum(expit(TEACHER), 1 - expit(TEACHER)) >= 0.9
    assert 0 < sure.sum() < sure.size
    assert float(BinaryTeacherLabels(confidence=0.9)(y, OUT)) == pytest.approx(each[sure].mean(), rel=1e-5)


@pytest.mark.parametrize("t", [1.0, 2.0, 5.0])
def test_kl_of_each_labels_two_chances(t):
    p, q = expit(TEACHER.astype(float) / t), expit(LOGITS.astype(float) / t)
    want = t * t * (p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))).mean()
    assert float(BinaryKL(temperature=t)({"teacher_logits": TEACHER}, OUT)) == pytest.approx(want, rel=1e-4)
    assert float(BinaryKL(temperature=t)({"teacher_logits": LOGITS}, OUT)) == pytest.approx(0, abs=1e-5)


def test_extreme_logits_stay_finite():
    far = {"logits": tf.constant([[1e4, -1e4]])}
    y = {"label": np.array([[0, 1]]), "teacher_logits": np.array([[-1e4, 1e4]], np.float32)}
    for objective in (BinaryLabels(), BinaryTeacherLabels(), BinaryKL()):
        assert np.isfinite(float(objective(y, far)))


@pytest.mark.parametrize("label", [np.zeros(6, np.int32), np.zeros((6, 3), np.int32)])
def test_other_shapes_are_refused_with_both(label):
    with pytest.raises(ValueError, match=r'y\["label"\] has the shape .* and the logits \(6, 4\): expected .*0 or 1'):
        BinaryLabels()({"label": label}, OUT)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: BinaryLabels(unlabelled="guess"), "expected unlabelled to be skip or teacher"),
        (lambda: BinaryTeacherLabels(confidence=1.0), "expected a confidence from 0 to under 1"),
        (lambda: BinaryKL(temperature=0), "expected a temperature over 0"),
    ],
)
def test_settings_without_a_meaning(make, message):
    with pytest.raises(UserError, match=message):
        make()


def test_mixture_and_recipes_take_the_binary_ones():
    assert [o.title for o in mixture(0.5, "kl", multilabel=True)] == ["binary", "binary_kl"]
    assert [o.title for o in mixture(0.5, multilabel=True)] == ["binary", "mse"]
    titles = {
        name: [o.title for step in recipe(RecipeSettings(recipe=name), multilabel=True) for o in step.objectives]
        for name in ("soft", "hard", "joint", "staged", "staged_unfreeze")
    }
    assert titles["hard"] == ["binary_teacher_labels"] and titles["joint"][1] == "binary"
    assert titles["staged"][-1] == titles["staged_unfreeze"][-1] == "binary"
    assert "hard" not in sum(titles.values(), []) and baseline(multilabel=True)[0].objectives[0].title == "binary"


def student():
    inputs = keras.Input((5,))
    return keras.Model(inputs, keras.layers.Dense(3)(inputs))


def test_fit_learns_label_sets_and_logs_their_accuracy():
    keras.utils.set_random_seed(1)
    x = DRAW.normal(size=(256, 5)).astype(np.float32)
    gold = (x[:, :3] > 0.5).astype(np.int32)
    label = gold.copy()
    label[200:] = -1
    model = Distiller(student(), [BinaryLabels(0.5, unlabelled="teacher"), LogitMSE(0.5)])
    model.compile(optimizer=keras.optimizers.Adam(0.05))
    y = {"label": label, "teacher_logits": 4.0 * (x[:, :3] - 0.5)}
    history = model.fit(x, y, epochs=20, verbose=0, validation_split=0.2).history
    assert history["binary_accuracy"][-1] > 0.95 > history["binary_accuracy"][0] and "accuracy" not in history
    assert ((model.student.predict(x, verbose=0) > 0) == gold).mean() > 0.95


def test_label_sets_go_with_any_binary_objective():
    y = {"label": np.zeros((8, 3), np.int32), "teacher_logits": np.ones((8, 3), np.float32)}
    for objective in (BinaryKL(), BinaryTeacherLabels()):
        model = Distiller(student(), [objective])
        model.compile(optimizer="adam")
        assert "binary_accuracy" in model.fit(np.zeros((8, 5)), y, verbose=0).history


def test_class_weight_of_fit_is_refused():
    model = Distiller(student(), [BinaryLabels()])
    model.compile(optimizer="adam")
    with pytest.raises(ValueError, match="class_weight: a row with several labels has no class"):
        model.fit(np.zeros((4, 5)), np.zeros((4, 3)), class_weight={0: 2.0}, verbose=0)
    with pytest.raises(ValueError, match="class_weight: a row with several labels has no class"):
        model.train_on_batch(np.zeros((4, 5)), np.zeros((4, 3)), class_weight={0: 2.0})


def test_a_student_with_its_objectives_comes_back_from_its_config():
    model = Distiller(student(), [BinaryLabels(0.5, class_weights=[1, 2, 3]), BinaryKL(0.5, 3.0)])
    again = Distiller.from_config(model.get_config())
    assert [o.get_config() for o in again.objectives] == [o.get_config() for o in model.objectives]
