"""Targets and weights in the shape of what they meet, and every other shape refused with both shapes."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from kd_keras.distill import shapes

DRAW = np.random.default_rng(0)
ROWS, TIME, CLASSES = 4, 5, 3
LOGITS, SCORES = tf.zeros((ROWS, CLASSES)), tf.zeros((ROWS, 1))
TAGS = tf.zeros((ROWS, TIME, CLASSES))
LABEL, TAG = DRAW.integers(0, CLASSES, ROWS), DRAW.integers(0, CLASSES, (ROWS, TIME))
TEACHER, TEACHER_TAGS = DRAW.normal(size=(ROWS, CLASSES)), DRAW.normal(size=(ROWS, TIME, CLASSES))
WEIGHT, TAG_WEIGHT = DRAW.uniform(1, 2, ROWS), DRAW.uniform(1, 2, (ROWS, TIME))
TEACHER_LOGITS = "teacher_logits"


def one(name, value, logits):
    return shapes.targets({name: value}, {"logits": logits}, [name])[name]


@pytest.mark.parametrize(
    ("name", "value", "logits", "want"),
    [
        ("label", LABEL, LOGITS, LABEL),
        ("label", LABEL[:, None], LOGITS, LABEL),
        ("label", LABEL.astype(np.float32)[:, None], SCORES, LABEL),
        ("label", LABEL[:1], LOGITS[:1], LABEL[:1]),
        ("label", TAG, TAGS, TAG),
        ("label", TAG[..., None], TAGS, TAG),
        (TEACHER_LOGITS, TEACHER, LOGITS, TEACHER),
        (TEACHER_LOGITS, TEACHER[:, None], LOGITS, TEACHER),
        (TEACHER_LOGITS, TEACHER[:, 0], SCORES, TEACHER[:, :1]),
        (TEACHER_LOGITS, TEACHER[:, None, :1], SCORES, TEACHER[:, :1]),
        (TEACHER_LOGITS, TEACHER_TAGS, TAGS, TEACHER_TAGS),
    ],
)
def test_what_has_one_meaning_is_taken(name, value, logits, want):
    """With shapes that are known, and, as in ``fit``, with a number of rows that is not."""
    np.testing.assert_array_equal(one(name, value, logits), want)
    unknown = tf.function(
        lambda value, logits: one(name, value, logits),
        input_signature=[
            tf.TensorSpec((None, *value.shape[1:]), value.dtype),
            tf.TensorSpec((None, *logits.shape[1:]), tf.float32),
        ],
    )
    np.testing.assert_array_equal(unknown(value, logits), want)


REFUSED = [
    ("label", np.eye(CLASSES)[LABEL], LOGITS, "(4, 3)", "(4, 3)", "expected int label ids.*of shape (4,) or (4, 1)"),
    ("label", LABEL[:, None, None], LOGITS, "(4, 1, 1)", "(4, 3)", "argmax(axis=-1)"),
    ("label", LABEL[:1], LOGITS, "(1,)", "(4, 3)", "expected int label ids"),
    ("label", LABEL[0], LOGITS[:1], "()", "(1, 3)", "expected int label ids"),
    ("label", LABEL, TAGS, "(4,)", "(4, 5, 3)", "of shape (4, 5) or (4, 5, 1)"),
    ("label", TAG, LOGITS, "(4, 5)", "(4, 3)", "expected int label ids"),
    (TEACHER_LOGITS, TEACHER[:, :1], LOGITS, "(4, 1)", "(4, 3)", "as many outputs as the teacher has labels"),
    (TEACHER_LOGITS, TEACHER[:, :2], LOGITS, "(4, 2)", "(4, 3)", "expected (4, 3)"),
    (TEACHER_LOGITS, TEACHER[:, 0], LOGITS, "(4,)", "(4, 3)", "expected (4, 3)"),
    (TEACHER_LOGITS, TEACHER[:1], LOGITS, "(1, 3)", "(4, 3)", "expected (4, 3)"),
    (TEACHER_LOGITS, TEACHER[..., None], LOGITS, "(4, 3, 1)", "(4, 3)", "expected (4, 3)"),
    (TEACHER_LOGITS, TEACHER, SCORES, "(4, 3)", "(4, 1)", "expected (4, 1)"),
    (TEACHER_LOGITS, TEACHER, TAGS, "(4, 3)", "(4, 5, 3)", "expected (4, 5, 3)"),
]


@pytest.mark.parametrize(("name", "value", "logits", "found", "others", "says"), REFUSED)
def test_any_other_shape_is_refused_with_both_shapes(name, value, logits, found, others, says):
    with pytest.raises(ValueError) as error:
        one(name, value, logits)
    message = str(error.value)
    assert f'y["{name}"] has the shape {found} and the logits {others}: ' in message
    assert all(part in message for part in says.split(".*"))


def test_a_target_that_no_objective_uses_is_left_as_it_is():
    odd = np.eye(CLASSES)[LABEL]
    checked = shapes.targets({"label": odd, "teacher_logits": TEACHER}, {"logits": LOGITS}, ["teacher_logits"])
    assert checked["label"] is odd and checked["teacher_logits"].shape == (ROWS, CLASSES)


@pytest.mark.parametrize(
    ("value", "spec", "jit"),
    [
        (TEACHER[:1], (None, CLASSES), False),  # would serve every row
        (TEACHER[:1], (None, CLASSES), True),
        (TEACHER[:, :1], (None, None), False),  # would serve every class
        (TEACHER[:, :1], (None, None), True),
        (TEACHER.T, None, False),  # XLA sees as many values as expected
    ],
)
def test_what_is_known_of_a_shape_only_at_run_time_is_checked_there(value, spec, jit):
    """XLA leaves assertions out, but reshapes."""
    call = tf.function(
        lambda value, logits: one(TEACHER_LOGITS, value, logits) - logits,
        input_signature=[tf.TensorSpec(spec, tf.float64), tf.TensorSpec((None, CLASSES), tf.float64)],
        jit_compile=jit,
    )
    logits = tf.zeros((ROWS, CLASSES), tf.float64)
    with pytest.raises(tf.errors.InvalidArgumentError) as error:
        call(value, logits)
    if not jit:
        assert f"has the shape] [{' '.join(map(str, value.shape))}] [and the logits] [4 3]" in str(error.value)
    np.testing.assert_array_equal(call(TEACHER, logits), TEACHER)


@pytest.mark.parametrize(
    ("value", "losses", "want"),
    [
        (WEIGHT, WEIGHT, WEIGHT),
        (WEIGHT[:, None], WEIGHT, WEIGHT),
        (TAG_WEIGHT, TAG_WEIGHT, TAG_WEIGHT),
        (TAG_WEIGHT[..., None], TAG_WEIGHT, TAG_WEIGHT),
        (WEIGHT, TAG_WEIGHT, np.repeat(WEIGHT[:, None], TIME, 1)),
        (WEIGHT[:, None], TAG_WEIGHT, np.repeat(WEIGHT[:, None], TIME, 1)),
    ],
)
def test_a_weight_for_each_row_or_token(value, losses, want):
    np.testing.assert_array_equal(shapes.weights(value, tf.constant(losses)), want)


@pytest.mark.parametrize(
    ("value", "losses", "says"),
    [
        (
            TEACHER,
            WEIGHT,
            r"\(4, 3\) and the losses \(4,\): expected one weight for each row, of shape \(4,\) or \(4, 1\)$",
        ),
        (WEIGHT[:1], WEIGHT, r"\(1,\) and the losses \(4,\)"),
        (TAG_WEIGHT[:, :2], TAG_WEIGHT, r"\(4, 2\) and the losses \(4, 5\).*or one for each token, of shape \(4, 5\)"),
        (WEIGHT[:1], TAG_WEIGHT, r"\(1,\) and the losses \(4, 5\)"),
    ],
)
def test_another_number_of_weights_is_refused(value, losses, says):
    with pytest.raises(ValueError, match=r"sample_weight has the shape " + says):
        shapes.weights(value, tf.constant(losses))


def test_half_precision_becomes_float32_and_nothing_else_changes():
    kinds = {"a": tf.float16, "b": tf.bfloat16, "c": tf.float32, "d": tf.float64, "e": tf.int32}
    full = shapes.full_precision({name: tf.ones(2, kind) for name, kind in kinds.items()})
    assert [t.dtype for t in full.values()] == [tf.float32, tf.float32, tf.float32, tf.float64, tf.int32]
