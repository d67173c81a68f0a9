"""The Distiller in plain compile and fit, its logs against NumPy."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from kd_keras.distill.distiller import Distiller
from kd_keras.distill.objectives import HardLabels, LogitKL, LogitMSE
from kd_keras.students.bilstm import build_student
from kd_keras.students.settings import StudentSettings

DRAW = np.random.default_rng(0)
ROWS, TIME, CLASSES = 10, 5, 3
IDS = DRAW.integers(1, 20, (ROWS, TIME)).astype(np.int32)
TEACHER = DRAW.normal(size=(ROWS, CLASSES)).astype(np.float32)
LABEL = np.array([0, 1, 2, -1, 0, 1, 2, 2, -1, 0], np.int32)
WEIGHT = DRAW.uniform(0.5, 2, ROWS).astype(np.float32)
STILL = StudentSettings(embedding_size=4, hidden_size=3, dense_size=5, dropout=0, embedding_dropout=0, word_dropout=0)


@pytest.fixture
def student():
    matrix = DRAW.normal(size=(20, 4)).astype(np.float32)
    return build_student(STILL, matrix, CLASSES, seed=1)


def batches(*parts, size=4):
    return tf.data.Dataset.from_tensor_slices(parts).batch(size)


def everything(with_label=True):
    y = {"teacher_logits": TEACHER} | ({"label": LABEL} if with_label else {})
    return batches({"ids": IDS}, y)


def logits_of(student):
    return np.array(student({"ids": IDS})["logits"], np.float64)


def numpy_losses(logits):
    log = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    hard = -log[np.arange(ROWS), np.maximum(LABEL, 0)]
    return hard, ((logits - TEACHER) ** 2).mean(-1)


def test_logged_losses_are_those_of_numpy(student):
    """One batch, a rate of 0: the losses of the weights as they are."""
    distiller = Distiller(student, alpha=0.25)
    distiller.compile(optimizer=keras.optimizers.SGD(0.0))
    one = batches({"ids": IDS}, {"label": LABEL, "teacher_logits": TEACHER}, size=ROWS)
    logs = distiller.fit(one, validation_data=one, epochs=2, verbose=0).history
    logits = logits_of(student)
    hard, mse = numpy_losses(logits)
    gold = LABEL >= 0
    want = {
        "loss_hard": hard[gold].mean(),
        "loss_mse": mse.mean(),
        "loss": 0.25 * hard[gold].mean() + 0.75 * mse.mean(),
        "accuracy": (logits.argmax(-1) == LABEL)[gold].mean(),
    }
    want |= {f"val_{k}": v for k, v in want.items()}
    assert set(logs) == set(want)
    for name, value in want.items():
        assert logs[name] == pytest.approx([value, value], rel=1e-5), name
    assert distiller.evaluate(one, verbose=0, return_dict=True)["loss"] == pytest.approx(want["loss"], rel=1e-5)


def test_short_batches_count_by_their_rows(student):
    distiller = Distiller(student)  # alpha 0: the teacher's logits alone
    distiller.compile(optimizer=keras.optimizers.SGD(0.0))
    logs = distiller.fit(everything(), verbose=0).history
    assert set(logs) == {"loss", "accuracy"}, "one objective is the loss itself"
    assert logs["loss"][0] == pytest.approx(numpy_losses(logits_of(student))[1].mean(), rel=1e-5)


def test_sample_weights_are_honoured(student):
    distiller = Distiller(student, alpha=0.5)
    distiller.compile(optimizer=keras.optimizers.SGD(0.0))
    one = batches({"ids": IDS}, {"label": LABEL, "teacher_logits": TEACHER}, WEIGHT, size=ROWS)
    logs = distiller.fit(one, verbose=0).history
    hard, mse = numpy_losses(logits_of(student))
    w = WEIGHT * (LABEL >= 0)
    assert logs["loss_hard"][0] == pytest.approx((hard * w).sum() / w.sum(), rel=1e-5)
    assert logs["loss_mse"][0] == pytest.approx((mse * WEIGHT).sum() / WEIGHT.sum(), rel=1e-5)


def test_a_step_follows_the_gradient_of_the_whole_loss(student):
    """One update of SGD against the gradient taken here, and weights of 0 move nothing."""
    with tf.GradientTape() as tape:
        out = student({"ids": IDS})["logits"]
        gold = tf.constant(LABEL >= 0)
        hard = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(LABEL[LABEL >= 0], out[gold]))
        loss = 0.3 * hard + 0.7 * tf.reduce_mean((out - TEACHER) ** 2)
    variables = student.trainable_variables
    grads = tape.gradient(loss, [v.value for v in variables])
    want = [np.array(v) - 0.1 * np.array(tf.convert_to_tensor(g)) for v, g in zip(variables, grads, strict=True)]
    distiller = Distiller(student, alpha=0.3)
    distiller.compile(optimizer=keras.optimizers.SGD(0.1))
    distiller.fit(batches({"ids": IDS}, {"label": LABEL, "teacher_logits": TEACHER}, size=ROWS), verbose=0)
    for v, value in zip(variables, want, strict=True):
        np.testing.assert_allclose(np.array(v), value, atol=1e-5, err_msg=v.path)


def live_teacher():
    teacher = keras.Sequential([keras.layers.Embedding(20, CLASSES), keras.layers.GlobalAveragePooling1D()])
    teacher(IDS)
    teacher.layers[0].embeddings.assign(DRAW.normal(size=(20, CLASSES)))
    return teacher


def test_a_live_teacher_equals_its_logits_written_down_and_is_left_alone(student):
    teacher = live_teacher()
    twin = keras.models.clone_model(student)
    twin.set_weights(student.get_weights())
    before = teacher.get_weights()

    class Answer:
        def __init__(self, logits):
            self.logits = logits

    calls = [
        lambda x: teacher(x["other"]),
        lambda x: {"logits": teacher(x["other"])},
        lambda x: Answer(teacher(x["other"])),
    ]
    written = batches({"ids": IDS}, {"label": LABEL, "teacher_logits": np.array(teacher(IDS))})
    lived = batches({"ids": IDS, "other": IDS}, LABEL)
    one = Distiller(twin, alpha=0.5)
    one.compile(optimizer=keras.optimizers.Adam(0.01))
    want = one.fit(written, epochs=3, verbose=0).history
    start = student.get_weights()
    for call in calls:
        student.set_weights(start)
        two = Distiller(student, alpha=0.5, teacher=call)
        two.compile(optimizer=keras.optimizers.Adam(0.01))
        got = two.fit(lived, epochs=3, verbose=0).history
        assert got["loss"] == pytest.approx(want["loss"], rel=1e-5) and got["loss"][0] > got["loss"][-1] > 0
        for a, b in zip(student.get_weights(), twin.get_weights(), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-5)
    assert all((a == b).all() for a, b in zip(before, teacher.get_weights(), strict=True))


def test_only_the_student_has_weights(student):
    teacher = live_teacher()
    distiller = Distiller(student, teacher=teacher)
    ours = {id(v) for v in student.variables}
    assert {id(v) for v in distiller.trainable_variables} == {id(v) for v in student.trainable_variables}
    assert not {id(v) for v in teacher.variables} & {id(v) for v in distiller.variables}
    assert ours <= {id(v) for v in distiller.variables}


def test_a_frozen_layer_stays(student):
    student.get_layer("embeddings").trainable = False
    before = np.array(student.get_layer("embeddings").embeddings)
    dense = np.array(student.get_layer("dense").kernel)
    distiller = Distiller(student)
    distiller.compile(optimizer=keras.optimizers.SGD(0.5))
    distiller.fit(everything(), verbose=0)
    assert (before == np.array(student.get_layer("embeddings").embeddings)).all()
    assert (dense != np.array(student.get_layer("dense").kernel)).any()


def test_plain_labels_are_enough_for_hard_labels(student):
    distiller = Distiller(student, alpha=1.0)
    distiller.compile(optimizer=keras.optimizers.Adam(0.05))
    keep = LABEL >= 0
    logs = distiller.fit({"ids": IDS[keep]}, LABEL[keep], batch_size=8, epochs=60, verbose=0).history
    assert logs["loss"][-1] < 0.3 * logs["loss"][0] and logs["accuracy"][-1] == 1.0
    assert (
        np.array(distiller.predict({"ids": IDS[keep]}, verbose=0)["logits"]).argmax(-1).tolist() == LABEL[keep].tolist()
    )


@pytest.mark.parametrize(
    ("objectives", "y", "missing"),
    [
        ([LogitMSE()], LABEL, "teacher_logits"),
        ([HardLabels()], {"teacher_logits": TEACHER}, "label"),
        ([HardLabels(), LogitKL()], {"other": LABEL}, "label, teacher_logits"),
    ],
)
def test_a_target_that_is_missing_is_named(student, objectives, y, missing):
    distiller = Distiller(student, objectives)
    distiller.compile(optimizer="sgd")
    with pytest.raises(ValueError, match=rf"the objectives need {missing} \(give it in the data, or pass teacher"):
        distiller.fit(batches({"ids": IDS}, y), verbose=0)


def test_no_objective_is_refused(student):
    with pytest.raises(ValueError, match="at least one objective"):
        Distiller(student, [])


def test_a_distiller_survives_serialization(student, tmp_path):
    distiller = Distiller(student, [HardLabels(0.25), LogitKL(0.75, temperature=3.0)])
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(distiller))
    assert [repr(o) for o in again.objectives] == [repr(o) for o in distiller.objectives]
    assert [w.shape for w in again.student.weights] == [w.shape for w in student.weights]
