"""Labels, logits and weights in every shape and form that fit takes; losses against NumPy."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from kd_keras.distill.distiller import Distiller
from kd_keras.distill.objectives import HardLabels, LogitMSE

DRAW = np.random.default_rng(0)
ROWS, CLASSES = 12, 3
X = DRAW.normal(size=(ROWS, 4)).astype(np.float32)
LABEL = DRAW.integers(0, CLASSES, ROWS).astype(np.int32)
LABEL[[1, 6, 11]] = -1
GOLD = LABEL >= 0
TEACHER = DRAW.normal(size=(ROWS, CLASSES)).astype(np.float32)
WEIGHT = DRAW.uniform(0.5, 2, ROWS).astype(np.float32)
Y = {"label": LABEL, "teacher_logits": TEACHER}
BY_CLASS = {0: 0.5, 2: 4.0}
EACH = np.where(LABEL == 0, 0.5, np.where(LABEL == 2, 4.0, 1.0))
KERNEL, BIAS = DRAW.normal(size=(4, CLASSES)), DRAW.normal(size=CLASSES)
LOGITS = X.astype(np.float64) @ KERNEL + BIAS
HARD = (np.log(np.exp(LOGITS).sum(-1, keepdims=True)) - LOGITS)[np.arange(ROWS), np.maximum(LABEL, 0)]
SQUARES = ((LOGITS - TEACHER) ** 2).mean(-1)


def dense(activation=None):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(CLASSES, activation)])
    model.set_weights([KERNEL, BIAS])
    return model


@pytest.fixture(scope="module")
def distiller():
    """Compiled once; a rate of 0, so the losses are those of ``LOGITS``."""
    made = Distiller(dense(), [HardLabels(0.25), LogitMSE(0.75)])
    made.compile(keras.optimizers.SGD(0.0))
    return made


def sets(*parts, size=ROWS):
    return tf.data.Dataset.from_tensor_slices(parts).batch(size)


def expected(hard_weight=1.0, soft_weight=1.0, rows=slice(None)):
    """loss_hard and loss_mse with a weight for each row."""
    hard, soft = (np.broadcast_to(w, ROWS) for w in (hard_weight * GOLD, soft_weight))
    return {
        "loss_hard": (HARD * hard)[rows].sum() / hard[rows].sum(),
        "loss_mse": (SQUARES * soft)[rows].sum() / soft[rows].sum(),
        "accuracy": (LOGITS.argmax(-1) == LABEL)[rows][GOLD[rows]].mean(),
    }


def check(logs, want, prefix=""):
    want = want | {"loss": 0.25 * want["loss_hard"] + 0.75 * want["loss_mse"]}
    got = {name: np.ravel(logs[prefix + name])[-1] for name in want}
    assert got == pytest.approx(want, rel=1e-5)


@pytest.mark.parametrize(
    ("label", "logits"),
    [
        (LABEL.astype(np.float32), TEACHER.astype(np.float64)),
        (LABEL[:, None], TEACHER),
        (LABEL.astype(np.int64)[:, None], TEACHER[:, None]),
    ],
)
def test_an_axis_of_one_changes_no_loss(distiller, label, logits):
    """Formerly (n, 1) labels met n logits in n · n ways, and (n, 1, c) logits the same."""
    y = {"label": label, "teacher_logits": logits}
    check(distiller.fit(X, y, batch_size=ROWS, verbose=0).history, expected())
    check(distiller.fit(sets(X, y), verbose=0).history, expected())


@pytest.mark.parametrize(
    ("y", "weight", "says"),
    [
        (Y | {"label": np.eye(CLASSES)[LABEL]}, None, r"\(12, 3\) and the logits \(12, 3\): expected int label ids"),
        (Y | {"teacher_logits": TEACHER[:, :1]}, None, r"\(12, 1\) and the logits \(12, 3\): expected \(12, 3\)"),
        (Y | {"teacher_logits": TEACHER[:, :2]}, None, r"\(12, 2\) and the logits \(12, 3\): expected \(12, 3\)"),
        (Y | {"teacher_logits": TEACHER[:, 0]}, None, r"\(12,\) and the logits \(12, 3\): expected \(12, 3\)"),
        (Y, TEACHER, r"sample_weight has the shape \(12, 3\) and the losses \(12,\): expected one weight for each row"),
        ((LABEL, TEACHER), None, "y is a tuple of 2: expected labels, or a dict"),
    ],
)
def test_what_would_broadcast_is_refused(y, weight, says):
    distiller = Distiller(dense(), [HardLabels(0.25), LogitMSE(0.75)])
    distiller.compile("sgd", run_eagerly=True)
    with pytest.raises(ValueError, match=says):
        distiller.evaluate(X, y, sample_weight=weight, batch_size=ROWS, verbose=0)


def test_one_hot_labels_beside_logits_alone_are_refused_for_the_accuracy():
    distiller = Distiller(dense())
    distiller.compile("sgd", run_eagerly=True)
    with pytest.raises(ValueError, match="expected int label ids"):
        distiller.evaluate(X, Y | {"label": np.eye(CLASSES)[LABEL]}, verbose=0)


def test_a_live_teacher_of_another_shape_is_refused():
    distiller = Distiller(dense(), teacher=lambda x: tf.reduce_mean(x[:, :CLASSES], 0, keepdims=True))
    distiller.compile("sgd")
    with pytest.raises(ValueError, match=r"\(1, 3\) and the logits \(12, 3\)"):
        distiller.evaluate(X, LABEL, batch_size=ROWS, verbose=0)


def test_sample_weights_beside_a_dict(distiller):
    want, column = expected(WEIGHT, WEIGHT), WEIGHT[:, None]
    whole = {"batch_size": ROWS, "verbose": 0}
    logs = distiller.fit(X, Y, sample_weight=WEIGHT, validation_data=(X, Y, column), **whole).history
    check(logs, want)
    check(logs, want, "val_")
    check(distiller.evaluate(X, Y, sample_weight=WEIGHT, return_dict=True, **whole), want)
    check(distiller.fit(sets(X, Y, column), verbose=0).history, want)
    check(distiller.train_on_batch(X, Y, column, return_dict=True), want)


def test_sample_weights_of_one_target_each(distiller):
    weights = {"label": WEIGHT, "teacher_logits": 1 / WEIGHT}
    check(distiller.fit(X, Y, sample_weight=weights, batch_size=ROWS, verbose=0).history, expected(WEIGHT, 1 / WEIGHT))
    with pytest.raises(
        ValueError, match='sample_weight has "label" and y "label", "teacher_logits": expected the same'
    ):
        distiller.evaluate(sets(X, Y, {"label": WEIGHT}), verbose=0)


def test_weights_of_labels_hold_for_a_live_teacher_too():
    distiller = Distiller(dense(), [HardLabels(0.25), LogitMSE(0.75)], teacher=lambda x: tf.constant(TEACHER))
    distiller.compile("sgd")
    logs = distiller.evaluate(X, {"label": LABEL}, ROWS, 0, WEIGHT, return_dict=True)
    check(logs, expected(WEIGHT, WEIGHT))


def test_class_weights_beside_a_dict(distiller):
    """Rows without a label count 1, and so do labels that are not named."""
    columns, want = Y | {"label": LABEL[:, None]}, expected(EACH, EACH)
    logs = distiller.fit(X, Y, ROWS, class_weight=BY_CLASS, validation_data=(X, Y), verbose=0).history
    check(logs, want)
    check(logs, expected(), "val_")
    check(distiller.fit(sets(X, columns), class_weight=BY_CLASS, verbose=0).history, want)
    check(distiller.train_on_batch(X, columns, class_weight=BY_CLASS, return_dict=True), want)


def test_class_weights_multiply_sample_weights(distiller):
    both, one = expected(EACH * WEIGHT, EACH * WEIGHT), {"class_weight": BY_CLASS, "verbose": 0}
    check(distiller.fit(X, Y, sample_weight=WEIGHT[:, None], batch_size=ROWS, **one).history, both)
    check(distiller.fit(sets(X, Y, WEIGHT), **one).history, both)
    weights = {"label": WEIGHT, "teacher_logits": np.ones(ROWS)}
    logs = distiller.fit(X, Y, sample_weight=weights, batch_size=ROWS, **one).history
    check(logs, expected(EACH * WEIGHT, EACH))


def test_class_weights_are_of_the_rows_that_train(distiller):
    """Keras splits off the last rows; these are measured as they are."""
    logs = distiller.fit(X, Y, class_weight=BY_CLASS, validation_split=0.5, batch_size=ROWS, verbose=0).history
    check(logs, expected(EACH, EACH, slice(6)))
    check(logs, expected(rows=slice(6, None)), "val_")


def test_class_weights_beside_labels_alone_know_rows_without_one():
    distiller = Distiller(dense(), [HardLabels()])
    distiller.compile(keras.optimizers.SGD(0.0))
    want = expected(EACH)["loss_hard"]
    for data in ((X, LABEL), (sets(X, LABEL),)):
        logs = distiller.fit(*data, class_weight=BY_CLASS, verbose=0).history
        assert logs["loss"] == pytest.approx([want], rel=1e-5)


@pytest.mark.parametrize(
    ("y", "class_weight", "says"),
    [
        (Y, {0: 1.0, 7: 2.0}, "a weight for 7, but the student has 3 outputs: expected label ids from 0 to 2"),
        (Y, {"positive": 2.0}, "a weight for 'positive'"),
        ({"teacher_logits": TEACHER}, BY_CLASS, 'class_weight: y has teacher_logits: expected "label" among them'),
    ],
)
def test_class_weights_that_mean_nothing_are_refused(distiller, y, class_weight, says):
    with pytest.raises(ValueError, match=says):
        distiller.fit(X, y, class_weight=class_weight, verbose=0)


def test_class_weights_of_scores_are_refused():
    distiller = Distiller(keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)]))
    distiller.compile("sgd")
    with pytest.raises(ValueError, match="the student has one output, a score, which has no classes"):
        distiller.fit(X, WEIGHT, class_weight={0: 1.0}, verbose=0)


def test_tokens_have_labels_logits_and_weights_of_their_own():
    """A tagger's logits are float[batch, time, tags]; a row's weight is that of its tokens."""
    time = 5
    ids = keras.Input((None,), dtype="int32", name="ids")
    model = keras.Model({"ids": ids}, {"logits": keras.layers.Embedding(9, CLASSES)(ids)})
    x, labels = DRAW.integers(0, 9, (ROWS, time)), DRAW.integers(-1, CLASSES, (ROWS, time))
    teacher, weights = DRAW.normal(size=(ROWS, time, CLASSES)), DRAW.uniform(0, 2, (ROWS, time))
    logits = np.array(model.layers[-1].embeddings, np.float64)[x]
    log = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    hard = -np.take_along_axis(log, np.maximum(labels, 0)[..., None], -1)[..., 0]
    soft = ((logits - teacher) ** 2).mean(-1)
    each = np.where(labels == 0, 0.5, np.where(labels == 2, 4.0, 1.0))
    distiller = Distiller(model, [HardLabels(0.25), LogitMSE(0.75)])
    distiller.compile(keras.optimizers.SGD(0.0))
    y = {"label": labels, "teacher_logits": teacher}
    rows = np.repeat(weights[:, :1], time, 1)
    for given, whole in ((weights, weights * each), (weights[:, 0], rows * each), (weights[:, :1], rows * each)):
        logs = distiller.fit({"ids": x}, y, ROWS, sample_weight=given, class_weight=BY_CLASS, verbose=0).history
        gold = whole * (labels >= 0)
        assert logs["loss_hard"] == pytest.approx([(hard * gold).sum() / gold.sum()], rel=1e-5)
        assert logs["loss_mse"] == pytest.approx([(soft * whole).sum() / whole.sum()], rel=1e-5)
