"""Objectives against NumPy, in doubles, with formulas written out again."""

from __future__ import annotations

import doctest
import importlib
from math import erf

import keras
import numpy as np
import pytest

from kd_keras.common.errors import UserError
from kd_keras.distill.objectives import (
    OBJECTIVES,
    Contrast,
    HardLabels,
    LogitKL,
    LogitMSE,
    Representation,
    Similarities,
    TeacherLabels,
    mixture,
)

DRAW = np.random.default_rng(0)
LOGITS = DRAW.normal(size=(6, 3), scale=2).astype(np.float32)
TEACHER = DRAW.normal(size=(6, 3), scale=2).astype(np.float32)
LABEL = np.array([0, 2, -1, 1, -1, 0], np.int32)
WEIGHT = np.array([1.0, 0.5, 2.0, 0.0, 3.0, 1.5], np.float32)
SENTENCE = DRAW.normal(size=(6, 5)).astype(np.float32)
HIDDEN = DRAW.normal(size=(6, 4)).astype(np.float16)
Y = {"label": LABEL, "teacher_logits": TEACHER, "teacher_hidden": HIDDEN}
OUT = {"logits": LOGITS, "sentence": SENTENCE}


def log_softmax(x):
    x = x.astype(np.float64)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def cross_entropy(labels):
    return -log_softmax(LOGITS)[np.arange(6), labels]


def kl(temperature):
    p, q = log_softmax(TEACHER / temperature), log_softmax(LOGITS / temperature)
    return temperature**2 * (np.exp(p) * (p - q)).sum(-1)


def representation(distance, activation="linear"):
    """The objective with weights of its own, and its losses."""
    objective = Representation(1.0, distance, 4, activation)
    objective.build({"sentence": keras.KerasTensor((None, 5))})
    kernel, bias = DRAW.normal(size=(5, 4)), DRAW.normal(size=4)
    objective.projection.set_weights([kernel, bias])
    found, wanted = SENTENCE.astype(np.float64) @ kernel + bias, HIDDEN.astype(np.float64)
    if activation == "gelu":
        found = found * 0.5 * (1 + np.array([[erf(v / np.sqrt(2)) for v in row] for row in found]))
    if distance == "mse":
        losses = ((found - wanted) ** 2).mean(-1)
    elif distance == "cosine":
        losses = 1 - (found * wanted).sum(-1) / np.linalg.norm(found, axis=-1) / np.linalg.norm(wanted, axis=-1)
    else:
        p, q = log_softmax(wanted), log_softmax(found)
        losses = (np.exp(p) * (p - q)).sum(-1)
    return objective, losses, np.ones(6)


def in_batch(make):
    """Similarities or Contrast with weights of its own, and its losses."""
    objective = make(units=4)
    objective.build({"sentence": keras.KerasTensor((None, 5))})
    kernel, bias = DRAW.normal(size=(5, 4)), DRAW.normal(size=4)
    objective.projection.set_weights([kernel, bias])
    found, wanted = SENTENCE.astype(np.float64) @ kernel + bias, HIDDEN.astype(np.float64)
    found, wanted = (v / np.linalg.norm(v, axis=-1, keepdims=True) for v in (found, wanted))
    if make is Similarities:
        gaps = (found @ found.T - wanted @ wanted.T) ** 2
        return objective, (gaps.sum(-1) - np.diag(gaps)) / 5, np.ones(6)
    return objective, -np.diag(log_softmax(found @ wanted.T / 0.05)), np.ones(6)


SURE = np.exp(log_softmax(TEACHER)).max(-1)
GOLD = (LABEL >= 0).astype(float)
FILLED = np.where(LABEL >= 0, LABEL, TEACHER.argmax(-1))
SQUARES = ((LOGITS.astype(np.float64) - TEACHER) ** 2).mean(-1)
CASES = {
    "hard": (HardLabels(), cross_entropy(np.maximum(LABEL, 0)), GOLD),
    "hard, teacher fills in": (HardLabels(unlabelled="teacher"), cross_entropy(FILLED), np.ones(6)),
    "mse": (LogitMSE(), SQUARES, np.ones(6)),
    "kl at 1": (LogitKL(temperature=1.0), kl(1.0), np.ones(6)),
    "kl at 4": (LogitKL(temperature=4.0), kl(4.0), np.ones(6)),
    "teacher's labels": (TeacherLabels(), cross_entropy(TEACHER.argmax(-1)), np.ones(6)),
    "sure labels": (
        TeacherLabels(confidence=float(np.median(SURE))),
        cross_entropy(TEACHER.argmax(-1)),
        (np.median(SURE) <= SURE).astype(float),
    ),
    "representation, mse": representation("mse"),
    "representation, cosine": representation("cosine"),
    "representation, kl": representation("kl", "gelu"),
    "similarities": in_batch(Similarities),
    "contrast": in_batch(Contrast),
}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_agrees_with_numpy(case, weighted):
    objective, losses, weights = CASES[case]
    weights = weights * WEIGHT if weighted else weights
    got = float(objective(Y, OUT, WEIGHT if weighted else None))
    assert got == pytest.approx((losses * weights).sum() / weights.sum(), rel=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_no_weight_at_all_is_a_loss_of_zero(case):
    assert float(CASES[case][0](Y, OUT, np.zeros(6, np.float32))) == 0.0


def test_a_batch_without_gold_labels_has_no_hard_loss():
    assert float(HardLabels()({"label": np.full(6, -1)}, OUT)) == 0.0


@pytest.mark.parametrize("objective", [LogitMSE(), LogitKL()])
def test_equal_logits_are_the_minimum(objective):
    assert float(objective({"teacher_logits": LOGITS}, OUT)) == pytest.approx(0.0, abs=1e-6)
    assert float(objective(Y, OUT)) > 0.1


def test_kl_looks_at_differences_of_logits_and_mse_at_logits():
    shifted = {"teacher_logits": LOGITS + 5}
    assert float(LogitKL()(shifted, OUT)) == pytest.approx(0.0, abs=1e-5)
    assert float(LogitMSE()(shifted, OUT)) == pytest.approx(25.0, rel=1e-4)


@pytest.mark.parametrize(
    "objective",
    [HardLabels(0.25, "teacher"), LogitMSE(0.5), LogitKL(0.75, temperature=3.0), TeacherLabels(0.1, 0.7)],
    ids=lambda o: o.title,
)
def test_serialization_round_trip(objective):
    loaded = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(objective))
    assert type(loaded) is type(objective) and loaded.get_config() == objective.get_config()
    assert loaded.needs == objective.needs and OBJECTIVES.get(objective.title) is type(objective)
    assert float(loaded(Y, OUT)) == float(objective(Y, OUT))


def test_a_representation_is_written_without_its_projection():
    made = Representation(0.5, "kl", 7, "gelu")
    loaded = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(made))
    assert loaded.get_config() == {"weight": 0.5, "distance": "kl", "units": 7, "activation": "gelu"}
    assert not loaded.projection.built and OBJECTIVES.get("representation") is Representation


def test_what_looks_at_a_whole_batch_is_written_and_refuses_tokens():
    made = Contrast(0.5, 4, "hidden", 0.1)
    loaded = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(made))
    assert loaded.get_config() == {"weight": 0.5, "units": 4, "state": "hidden", "temperature": 0.1}
    assert Similarities(units=4).get_config() == {"weight": 1.0, "units": 4}
    with pytest.raises(ValueError, match="objective similarities: expected a vector for each row"):
        Similarities(units=4)({"teacher_hidden": np.ones((2, 3, 4))}, {"sentence": np.ones((2, 3, 5), np.float32)})


def test_a_row_alone_has_no_neighbours_and_no_rivals():
    for make in (Similarities, Contrast):
        assert float(make(units=4)({"teacher_hidden": HIDDEN[:1]}, {"sentence": SENTENCE[:1]})) == 0.0


@pytest.mark.parametrize(
    ("arguments", "titles"),
    [
        ((0.0,), [("mse", 1.0)]),
        ((1.0,), [("hard", 1.0)]),
        ((0.25,), [("hard", 0.25), ("mse", 0.75)]),
        ((0.5, "kl", 3.0), [("hard", 0.5), ("kl", 0.5)]),
    ],
)
def test_a_mixture_weighs_its_parts(arguments, titles):
    parts = mixture(*arguments)
    assert [(p.title, p.weight) for p in parts] == titles
    if len(arguments) == 3:
        assert parts[1].temperature == 3.0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: mixture(1.5), "--alpha=1.5: expected a number from 0 to 1"),
        (lambda: mixture(float("nan")), "--alpha=nan"),
        (lambda: mixture(0.5, "mze"), "unknown objective 'mze'.*Did you mean mse"),
        (lambda: LogitMSE(-1), "objective mse: expected a weight of at least 0"),
        (lambda: LogitKL(temperature=0), "objective kl: expected a temperature over 0"),
        (lambda: TeacherLabels(confidence=1.0), "expected a confidence from 0 to under 1"),
        (lambda: Contrast(temperature=-1), "objective contrast: expected a temperature over 0, found -1"),
        (lambda: Representation(distance="l1"), "expected a distance of mse, cosine, kl, found 'l1'"),
        (lambda: HardLabels(unlabelled="guess"), "expected unlabelled to be skip or teacher"),
    ],
)
def test_what_makes_no_sense_is_refused(make, message):
    with pytest.raises(UserError, match=message):
        make()


def test_classes_that_weigh_more_count_more():
    """Gold rows alone, and with the teacher's label where there is none; as scikit-learn's sample weights would."""
    each = np.array([0.5, 2.0, 3.0])
    gold = LABEL >= 0
    losses = cross_entropy(np.maximum(LABEL, 0))
    want = (losses * each[LABEL] * gold).sum() / (each[LABEL] * gold).sum()
    objective = HardLabels(class_weights=each)
    assert float(objective(Y, OUT)) == pytest.approx(want, rel=1e-5)
    called = np.where(gold, LABEL, TEACHER.argmax(-1))
    want = (cross_entropy(called) * each[called]).sum() / each[called].sum()
    assert float(HardLabels(unlabelled="teacher", class_weights=each)(Y, OUT)) == pytest.approx(want, rel=1e-5)
    again = HardLabels.from_config(objective.get_config())
    assert again.class_weights == [0.5, 2.0, 3.0] and float(again(Y, OUT)) == float(objective(Y, OUT))
    assert "class_weights" not in HardLabels().get_config(), "keys of students of before stay"


@pytest.mark.parametrize("module", ["distiller", "objective", "objectives", "representation", "row_weights", "shapes"])
def test_the_examples_in_docstrings_run(module):
    done = doctest.testmod(importlib.import_module(f"kd_keras.distill.{module}"))
    assert done.attempted > 0 and done.failed == 0


@pytest.mark.parametrize("extra", [None, WEIGHT[:, None]])
def test_columns_count_as_rows(extra):
    """(n, 1) labels and weights, and (n, 1, c) logits, against NumPy; they used to broadcast to n · n."""
    y = {"label": LABEL[:, None], "teacher_logits": TEACHER[:, None]}
    for case in ("hard", "hard, teacher fills in", "mse", "kl at 4", "sure labels"):
        objective, losses, weights = CASES[case]
        weights = weights if extra is None else weights * WEIGHT
        assert float(objective(y, OUT, extra)) == pytest.approx((losses * weights).sum() / weights.sum(), rel=1e-5), (
            case
        )


class Odd(LogitMSE):
    """An objective of one's own that forgets what ``rows`` returns; never registered."""

    def __init__(self, losses, weights):
        super().__init__()
        self.returned = losses, weights

    def rows(self, y, outputs):
        return self.returned


@pytest.mark.parametrize(
    ("losses", "weights", "says"),
    [
        (np.float32(1.0), None, r"losses of shape \(\) and no weights: expected one loss"),
        (WEIGHT[:, None], WEIGHT, r"losses of shape \(6, 1\) and weights of shape \(6,\)"),
        (WEIGHT, WEIGHT[:, None], r"losses of shape \(6,\) and weights of shape \(6, 1\)"),
    ],
)
def test_rows_that_would_broadcast_are_refused(losses, weights, says):
    with pytest.raises(ValueError, match="objective mse: rows returned " + says):
        Odd(losses, weights)(Y, OUT)


def test_teacher_vectors_of_another_width_are_refused():
    with pytest.raises(ValueError, match=r"\(6, 4\) and the projection \(6, 9\): expected .* to have units=9 values"):
        Representation(units=9)(Y, OUT)
