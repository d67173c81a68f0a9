"""Anybody's student: outputs, inputs, precision and compilation; losses against NumPy."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from kd_keras.distill.distiller import Distiller
from kd_keras.distill.objectives import HardLabels, HardScores, LogitKL, LogitMSE, Objective, Representation

DRAW = np.random.default_rng(0)
ROWS, CLASSES = 12, 3
A, B = DRAW.normal(size=(ROWS, 4)).astype(np.float32), DRAW.normal(size=(ROWS, 2)).astype(np.float32)
LABEL = DRAW.integers(0, CLASSES, ROWS).astype(np.int32)
TEACHER = DRAW.normal(size=(ROWS, CLASSES)).astype(np.float32)
Y = {"label": LABEL, "teacher_logits": TEACHER}
KERNEL, BIAS = DRAW.normal(size=(6, CLASSES)), DRAW.normal(size=CLASSES)
LOGITS = np.concatenate([A, B], 1).astype(np.float64) @ KERNEL + BIAS


def student(output="tensor", inputs="list", names=("a", "b")):
    """One Dense layer with the weights above, whose logits are ``LOGITS``."""
    first, second = keras.Input((4,), name=names[0]), keras.Input((2,), name=names[1])
    both = keras.layers.Concatenate()([first, second])
    logits = keras.layers.Dense(CLASSES, name="logits")(both)
    outputs = {
        "tensor": logits,
        "list of one": [logits],
        "dict": {"logits": logits},
        "more": {"sentence": both, "logits": logits},
        "list": [logits, both],
        "unnamed": {"out": logits},
        "one number": keras.ops.sum(logits, -1),
    }[output]
    given = [first, second] if inputs == "list" else dict(zip(names, (first, second), strict=True))
    model = keras.Model(given, outputs)
    model.get_layer("logits").set_weights([KERNEL, BIAS])
    return model


def numpy_loss():
    """0.5 · CE(gold) + 0.5 · MSE(logits)."""
    log = LOGITS - np.log(np.exp(LOGITS).sum(-1, keepdims=True))
    return 0.5 * -log[np.arange(ROWS), LABEL].mean() + 0.5 * ((LOGITS - TEACHER) ** 2).mean()


def numpy_descent(rate, size, epochs):
    """Losses by epoch, then kernel and bias, after gradient descent on ``numpy_loss``."""
    x, kernel, bias, losses = np.concatenate([A, B], 1).astype(np.float64), KERNEL, BIAS, []
    for _ in range(epochs):
        total = 0.0
        for start in range(0, ROWS, size):
            rows = slice(start, start + size)
            count = len(x[rows])
            logits = x[rows] @ kernel + bias
            chances = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
            gold = np.eye(CLASSES)[LABEL[rows]]
            gap = logits - TEACHER[rows]
            total += 0.5 * (-np.log((chances * gold).sum(-1)) + (gap**2).mean(-1)).sum()
            slope = 0.5 * (chances - gold + 2 * gap / CLASSES) / count
            kernel, bias = kernel - rate * x[rows].T @ slope, bias - rate * slope.sum(0)
        losses.append(total / ROWS)
    return losses, kernel, bias


def loss_of(model, x, optimizer="sgd", **settings):
    distiller = Distiller(model, alpha=0.5)
    distiller.compile(optimizer, **settings)
    return distiller.evaluate(x, Y, batch_size=5, verbose=0, return_dict=True)["loss"]


@pytest.mark.parametrize("output", ["tensor", "list of one", "dict", "more"])
def test_a_tensor_or_a_dict_is_what_a_student_returns(output):
    model = student(output)
    assert loss_of(model, {"a": A, "b": B}) == pytest.approx(numpy_loss(), rel=1e-5)
    got = Distiller(model).predict({"a": A, "b": B}, verbose=0)
    got = got["logits"] if isinstance(got, dict) else got
    np.testing.assert_allclose(got, LOGITS, atol=1e-5)


@pytest.mark.parametrize("inputs", ["list", "dict"])
@pytest.mark.parametrize(
    "x",
    [{"a": A, "b": B}, {"more": A, "b": B, "a": A}, [A, B], (A, B)],
    ids=["dict", "dict with more", "list", "tuple"],
)
@pytest.mark.filterwarnings("error:.*structure of `inputs`")
def test_several_inputs_by_name_or_in_order(inputs, x):
    assert loss_of(student(inputs=inputs), x, run_eagerly=True) == pytest.approx(numpy_loss(), rel=1e-5)


@pytest.mark.filterwarnings("error:.*structure of `inputs`")
@pytest.mark.parametrize("kind", ["tensor", "dict", "sequential"])
@pytest.mark.parametrize("x", [A, [A], {"a": A}], ids=["array", "list", "dict"])
def test_a_single_input_by_itself(kind, x):
    a = keras.Input((4,), name="a")
    dense = keras.layers.Dense(CLASSES)
    model = (
        keras.Sequential([a, dense])
        if kind == "sequential"
        else keras.Model(a if kind == "tensor" else {"a": a}, dense(a))
    )
    distiller = Distiller(model)
    distiller.compile("sgd", run_eagerly=True)
    want = ((A @ np.array(dense.kernel) - TEACHER) ** 2).mean()
    assert distiller.evaluate(x, Y, verbose=0, return_dict=True)["loss"] == pytest.approx(want, rel=1e-5)


def test_inputs_that_lists_cannot_order_are_asked_for_by_name():
    """They were given as b, a; Keras would take them as a, b."""
    with pytest.raises(ValueError, match='alphabetical order: expected a dict with "b", "a"'):
        loss_of(student(inputs="dict", names=("b", "a")), [A, B], run_eagerly=True)


def test_an_input_that_is_missing_is_named():
    with pytest.raises(ValueError, match='x has "a", "c", but the student\'s inputs are "b", "a": give x these names'):
        loss_of(student(names=("b", "a")), {"a": A, "c": B}, run_eagerly=True)


class Plain(keras.Model):
    def call(self, x):
        return x


class Reads(Objective):
    title, reads = "reads", ("logits", "hidden")


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Distiller(student("list")), "returns a list of 2 outputs: expected one tensor"),
        (lambda: Distiller(student("unnamed")), 'returns "out": expected "logits" among them'),
        (lambda: Distiller(student("one number")), r"logits have the shape \(None,\): expected \(batch, outputs\)"),
        (lambda: Distiller(Plain()), r"the student is a Plain without known inputs.*keras.Model\(inputs, model"),
        (
            lambda: Distiller(student(), [Representation()]),
            'representation reads "sentence", but the student returns "logits"',
        ),
        (
            lambda: Distiller(student("more"), [Reads()]),
            'reads reads "hidden", but the student returns "sentence", "logits"',
        ),
        (lambda: Distiller(student(), [HardScores()]), "objective score: the student has 3 outputs: expected one"),
        (
            lambda: Distiller(student(), [HardLabels(class_weights=[1, 2])]),
            "2 class_weights, but the student has 3 outputs",
        ),
    ],
)
def test_a_student_that_does_not_fit_is_refused_when_it_is_given(make, says):
    with pytest.raises(ValueError, match=says):
        make()


def scorer():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    return model, A @ np.array(model.layers[0].kernel)[:, 0]


@pytest.mark.parametrize("objective", [HardLabels(), LogitKL()])
def test_one_output_is_no_distribution(objective):
    with pytest.raises(
        ValueError, match=f"objective {objective.title}: the student has one output.*give it two outputs"
    ):
        Distiller(scorer()[0], [objective])


def test_one_output_is_a_regression_by_itself():
    """Gold scores, some missing, all in the shape (n, 1), which formerly met (n,)."""
    model, found = scorer()
    gold, teacher = DRAW.normal(size=ROWS).astype(np.float32), DRAW.normal(size=ROWS).astype(np.float32)
    gold[::4] = np.nan
    distiller = Distiller(model, alpha=0.25)
    distiller.compile("sgd", run_eagerly=True)
    want = 0.25 * np.nanmean((found - gold) ** 2) + 0.75 * ((found - teacher) ** 2).mean()
    for labels, logits in ((gold, teacher), (gold[:, None], teacher[:, None])):
        logs = distiller.evaluate(A, {"label": labels, "teacher_logits": logits}, verbose=0, return_dict=True)
        assert logs["loss"] == pytest.approx(want, rel=1e-5) and "accuracy" not in logs


@pytest.mark.parametrize(
    "settings",
    [{"steps_per_execution": 4}, {"jit_compile": True}, {"jit_compile": "auto"}],
    ids=lambda s: str(*s.items()),
)
def test_compiled_in_other_ways_it_learns_the_same(settings):
    """Batches of 5, 5 and 2 rows, three epochs, against gradient descent in NumPy."""
    model = student()
    distiller = Distiller(model, alpha=0.5)
    distiller.compile(keras.optimizers.SGD(0.1), **settings)
    logs = distiller.fit([A, B], Y, batch_size=5, shuffle=False, epochs=3, verbose=0).history
    assert distiller.jit_compile is (settings.get("jit_compile") is True), "not compiled as asked"
    losses, kernel, bias = numpy_descent(0.1, 5, 3)
    np.testing.assert_allclose(logs["loss"], losses, rtol=1e-4)
    np.testing.assert_allclose(model.get_layer("logits").kernel, kernel, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(model.get_layer("logits").bias, bias, rtol=1e-3, atol=1e-5)


@pytest.fixture
def policy(request):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_dtype_policy(before)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"], indirect=True)
def test_mixed_precision_has_losses_in_float32(policy):
    """The loss is NumPy's of the half precision logits, but without further rounding; float16 is scaled."""
    objectives = [HardLabels(0.5), LogitMSE(0.25), LogitKL(0.25), Representation(0.1, units=5)]
    distiller = Distiller(student("more"), objectives)
    y = Y | {"teacher_hidden": DRAW.normal(size=(ROWS, 5)).astype(np.float32)}
    outputs = distiller({"a": A, "b": B})
    assert outputs["logits"].dtype == policy.removeprefix("mixed_")
    assert all(o(y, outputs).dtype == tf.float32 for o in objectives)
    logits = np.array(outputs["logits"]).astype(np.float64)
    assert float(objectives[1](y, outputs)) == pytest.approx(((logits - TEACHER) ** 2).mean(), rel=1e-6)
    distiller.compile("adam")
    assert isinstance(distiller.optimizer, keras.optimizers.LossScaleOptimizer) == (policy == "mixed_float16")
    before = [np.array(v) for v in distiller.trained_variables]
    logs = distiller.fit({"a": A, "b": B}, y, epochs=2, verbose=0).history
    assert logs["loss"][1] < logs["loss"][0]
    assert all((b != np.array(v)).any() for b, v in zip(before, distiller.trained_variables, strict=True))


@pytest.mark.parametrize("policy", ["mixed_float16"], indirect=True)
def test_a_student_in_float16_is_scaled_whatever_the_policy_is_now(policy, tmp_path):
    """A loaded model has the policy of today, its layers have theirs."""
    student().save(tmp_path / "student.keras")
    keras.config.set_dtype_policy("float32")
    distiller = Distiller(keras.saving.load_model(tmp_path / "student.keras"))
    distiller.compile("adam")
    assert isinstance(distiller.optimizer, keras.optimizers.LossScaleOptimizer)


def test_a_distiller_around_a_plain_student_is_saved_whole(tmp_path):
    """Student, projection, objectives and the optimizer's state: the next update is the same."""
    x, y = {"a": A, "b": B}, Y | {"teacher_hidden": DRAW.normal(size=(ROWS, 5)).astype(np.float32)}
    distiller = Distiller(student("more"), [LogitMSE(0.5), Representation(0.5, units=5)])
    distiller.compile(keras.optimizers.Adam(0.05))
    distiller.fit(x, y, verbose=0)
    distiller.save(tmp_path / "distiller.keras")
    again = keras.saving.load_model(tmp_path / "distiller.keras")
    for one in (distiller, again):
        one.fit(x, y, shuffle=False, verbose=0)
    for a, b in zip(distiller.trained_variables, again.trained_variables, strict=True):
        np.testing.assert_allclose(np.array(a), np.array(b), atol=1e-6, err_msg=a.path)
    np.testing.assert_allclose(
        distiller.predict(x, verbose=0)["logits"], again.predict(x, verbose=0)["logits"], atol=1e-6
    )
