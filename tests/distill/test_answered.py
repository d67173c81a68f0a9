"""Objectives where the teacher left rows out, against NumPy."""

from __future__ import annotations

import doctest

import keras
import numpy as np
import pytest

from kd_keras.distill import answered
from kd_keras.distill.answered import Answered, where_answered
from kd_keras.distill.objectives import HardLabels, HardScores, LogitKL, LogitMSE, TeacherLabels, mixture
from kd_keras.distill.recipes import Step

DRAW = np.random.default_rng(0)
TEACHER, STUDENT = DRAW.normal(size=(6, 3)).astype(np.float32), DRAW.normal(size=(6, 3)).astype(np.float32)
LABEL = np.array([0, 1, 2, 2, 1, -1], np.int32)
GAPS = np.array([1, 4])
GIVEN = np.delete(np.arange(6), GAPS)


def with_gaps():
    teacher = TEACHER.copy()
    teacher[GAPS] = np.nan
    return {"label": LABEL, "teacher_logits": teacher}


def cross_entropy(rows):
    log_p = STUDENT - np.log(np.exp(STUDENT).sum(1, keepdims=True))
    return -log_p[rows, LABEL[rows]]


def test_its_examples_run():
    assert doctest.testmod(answered).failed == 0 and doctest.testmod(answered).attempted


def test_each_row_counts_the_same_in_one_part_or_the_other():
    (step,) = where_answered([Step("distilled", mixture(0.25))], HardLabels)
    total = sum(
        o.weight * float(o(with_gaps(), {"logits": keras.ops.convert_to_tensor(STUDENT)})) for o in step.objectives
    )
    squares = ((TEACHER - STUDENT) ** 2).mean(1)[GIVEN].sum() / 6
    gold, untaught = cross_entropy(np.arange(5)).mean(), cross_entropy(GAPS).sum() / 6
    assert total == pytest.approx(0.25 * gold + 0.75 * squares + 0.75 * untaught, rel=1e-5)


@pytest.mark.parametrize("others", [1, 31])
def test_a_row_without_an_answer_counts_as_one_beside_any_others(others):
    import tensorflow as tf

    teacher = np.full((1 + others, 3), np.nan, np.float32)
    teacher[1:] = TEACHER[0]
    y = {"label": np.array([2] + [-1] * others, np.int32), "teacher_logits": teacher}  # others: text without a label
    logits = tf.Variable(np.zeros((1 + others, 3), np.float32))
    (step,) = where_answered([Step("distilled", mixture(0.0))], HardLabels)
    with tf.GradientTape() as tape:
        loss = sum(o.weight * o(y, {"logits": tf.convert_to_tensor(logits)}) for o in step.objectives)
    gold = tape.gradient(loss, logits).numpy()[0] * (1 + others)
    np.testing.assert_allclose(gold, [1 / 3, 1 / 3, -2 / 3], atol=1e-6)


def test_without_gaps_it_is_the_objective_itself():
    y = {"label": LABEL, "teacher_logits": TEACHER}
    outputs = {"logits": keras.ops.convert_to_tensor(STUDENT)}
    for objective in (LogitMSE(), LogitKL(), TeacherLabels(confidence=0.4)):
        assert float(Answered(objective)(y, outputs)) == pytest.approx(float(objective(y, outputs)), rel=1e-6)
    assert float(Answered(HardLabels(), answered=False)(y, outputs)) == 0


def test_rows_that_the_teacher_left_out_move_nothing_of_its_part():
    import tensorflow as tf

    logits = tf.Variable(STUDENT)
    with tf.GradientTape() as tape:
        loss = Answered(LogitMSE())(with_gaps(), {"logits": tf.convert_to_tensor(logits)})
    gradient = tape.gradient(loss, logits).numpy()
    assert np.isfinite(gradient).all() and not gradient[GAPS].any() and gradient[GIVEN].all()


def test_scores_too():
    y = {"label": np.array([1.0, 2.0], np.float32), "teacher_logits": np.array([[3.0], [np.nan]], np.float32)}
    (step,) = where_answered([Step("distilled", mixture(0.0, regression=True))], HardScores)
    outputs = {"logits": keras.ops.zeros((2, 1))}
    assert [float(o(y, outputs)) for o in step.objectives] == [4.5, 2.0]


def test_it_is_saved_and_loaded_with_what_it_holds():
    one = Answered(HardLabels(0.5, class_weights=[1.0, 2.0, 3.0]), answered=False)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(one))
    assert repr(again) == repr(one) and again.get_config() == one.get_config() and again.weight == 0.5
