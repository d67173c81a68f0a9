"""Brings targets and weights into the shape of the logits or losses. If that would lose something, the error has both
shapes.

Arithmetic would broadcast silently: labels of shape (n, 1) against n scores give n · n losses. Shapes that are known
before the first batch are checked then, which costs nothing later.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import keras
import tensorflow as tf
from keras import ops


class Targets(dict):
    """``y`` after :func:`targets`. It need not be checked again."""


def targets(
    y: Mapping[str, Any], outputs: Mapping[str, Any], names: Iterable[str], label_sets: bool = False
) -> Targets:
    """``y`` with "label" and "teacher_logits", if in ``names``, in the shape of the student's logits.

    Args:
      y: targets by name; targets that are not in ``names`` do not change.
      outputs: the student's, with "logits": float[batch, outputs] or float[batch, time, tags].
      names: the targets that are used.
      label_sets: whether "label" is a set of labels for each row.

    Raises:
      ValueError: a shape does not fit.

    >>> targets({"label": [[1], [0]]}, {"logits": tf.zeros((2, 3))}, ["label"])["label"].shape
    TensorShape([2])
    """
    if isinstance(y, Targets):
        return y
    checked = Targets(y)
    if "label" in names:
        checked["label"] = (sets if label_sets else labels)(y["label"], outputs["logits"])
    if "teacher_logits" in names:
        logits = outputs["logits"]
        advice = (
            f"expected {_text(logits.shape)}, one logit for each of the student's outputs; give the student as many "
            "outputs as the teacher has labels, or choose the teacher's columns"
        )
        checked["teacher_logits"] = like(y["teacher_logits"], logits, 'y["teacher_logits"]', "the logits", advice)
    return checked


def labels(value: Any, logits: Any) -> tf.Tensor:
    """A label for each row, or token, of ``logits``.

    Args:
      value: [batch] or [batch, 1]; for tokens [batch, time] or [batch, time, 1].
      logits: float[batch, outputs] or float[batch, time, tags].

    Raises:
      ValueError: any other shape, such as one-hot labels.

    >>> labels([[0.0, 1.0, 0.0]], tf.zeros((1, 3)))
    Traceback (most recent call last):
    ValueError: y["label"] has the shape (1, 3) and the logits (1, 3): expected int label ids (a regression: scores) \
of shape (1,) or (1, 1); for one-hot labels use argmax(axis=-1)
    """
    rows = tuple(logits.shape)[:-1]
    expected = (
        f"expected int label ids (a regression: scores) of shape {_text(rows)} or {_text((*rows, 1))}; "
        "for one-hot labels use argmax(axis=-1)"
    )
    return _fitted(value, logits, len(rows), len(rows), ('y["label"]', "the logits", expected))


def sets(value: Any, logits: Any) -> tf.Tensor:
    """A set of labels for each row of ``logits``.

    Args:
      value: [batch, outputs], 1 if the row has the label, else 0; a row of −1 if the labels are unknown.
      logits: float[batch, outputs].

    Raises:
      ValueError: any other shape, such as label ids.
    """
    expected = f"expected {_text(logits.shape)}, 0 or 1 for each of the labels"
    return like(value, logits, 'y["label"]', "the logits", expected)


def like(value: Any, other: Any, name: str, others: str, expected: str) -> tf.Tensor:
    """``value`` in the shape of ``other``.

    Args:
      value: in that shape, or [batch, 1, …] with one more axis, or [batch] if ``other`` is [batch, 1].
      other: the tensor that it is compared with.
      name: name of ``value``, for the error.
      others: name of ``other``.
      expected: what was expected and what to do.

    Raises:
      ValueError: any other shape.

    >>> like([1.0, 2.0], tf.zeros((2, 1)), "scores", "logits", "…").shape
    TensorShape([2, 1])
    """
    return _fitted(value, other, len(other.shape), 1, (name, others, expected))


def weights(value: Any, losses: Any, name: str = "sample_weight") -> tf.Tensor:
    """A weight for each of ``losses``, in their shape and dtype.

    Args:
      value: [batch] or [batch, 1]; for tokens also [batch, time] or [batch, time, 1].
      losses: float[batch], or float[batch, time] for tokens, which take the weight of their row.
      name: name of ``value``, for the error.

    Raises:
      ValueError: any other shape.

    >>> weights([[1], [3]], tf.zeros(2)).numpy().tolist()
    [1.0, 3.0]
    """
    value = ops.cast(ops.convert_to_tensor(value), losses.dtype)
    rows, axes = tuple(losses.shape), len(losses.shape)
    expected = f"expected one weight for each row, of shape {_text(rows[:1])} or {_text((*rows[:1], 1))}"
    if axes > 1:
        expected += f", or one for each token, of shape {_text(rows)}"
    words = (name, "the losses", expected)
    found = None if value.shape.rank is None else tuple(value.shape)
    if axes == 2 and found is not None and (len(found) == 1 or found[1:] == (1,)):
        # Spread, not broadcast, as their sum divides the loss.
        return ops.expand_dims(_fitted(value, losses, 1, 1, words), 1) * ops.ones_like(losses)
    if axes == 2 and (found is None or found[1:] == (None,)):
        # Rows or tokens, which Keras may trace as one. The product fails for any third length.
        spread = tf.reshape(value, (tf.shape(losses)[0], -1)) * ops.ones_like(losses)
        return _fitted(spread, losses, axes, axes, words)
    return _fitted(value, losses, axes, axes, words)


def accuracy(label: Any, logits: Any, label_sets: bool = False) -> tuple[tf.Tensor, tf.Tensor]:
    """Which rows or tokens are right, and which have a label.

    Args:
      label: int[batch] or [batch, time]; with ``label_sets`` [batch, outputs] of 0 and 1. Below 0 if there is none.
      logits: float[…, outputs].

    Returns:
      float32, both in the shape of the rows or tokens: 1 if the best logit is the label's (for sets: the share of right
        labels), and 1 if there is a label.

    >>> right, gold = accuracy([1, 0, -1], tf.constant([[0.0, 2.0], [1.0, 3.0], [0.0, 1.0]]))
    >>> right.numpy().tolist(), gold.numpy().tolist()
    ([1.0, 0.0, 0.0], [1.0, 1.0, 0.0])
    """
    label = tf.convert_to_tensor(label)
    if label_sets:
        same = tf.cast(tf.equal(logits > 0, tf.cast(label, tf.float32) > 0), tf.float32)
        return tf.reduce_mean(same, -1), tf.cast(tf.reduce_all(label >= 0, -1), tf.float32)
    right = tf.equal(tf.argmax(logits, -1, tf.int32), tf.cast(label, tf.int32))
    return tf.cast(right, tf.float32), tf.cast(label >= 0, tf.float32)


def full_precision(outputs: Mapping[str, Any]) -> dict[str, Any]:
    """Turns outputs in float16 and bfloat16 into float32, as sums over classes and rows lose too much in half
    precision.

    >>> full_precision({"logits": tf.zeros((1, 2), tf.float16)})["logits"].dtype
    tf.float32
    """
    tensors = {name: ops.convert_to_tensor(value) for name, value in outputs.items()}
    half = {n: t for n, t in tensors.items() if keras.backend.standardize_dtype(t.dtype) in ("float16", "bfloat16")}
    return tensors | {name: ops.cast(tensor, "float32") for name, tensor in half.items()}


def _fitted(value: Any, other: Any, axes: int, spare: int, words: tuple[str, str, str]) -> tf.Tensor:
    """``value`` in the shape of the first ``axes`` axes of ``other``. Axis ``spare`` may be an extra one of size 1."""
    value = ops.convert_to_tensor(value)
    want = tuple(other.shape)[:axes]
    found = want if value.shape.rank is None else tuple(value.shape)
    shape, known = found, value.shape.rank is not None
    if len(found) == axes + 1 and found[spare] in (1, None):
        shape, known = found[:spare] + found[spare + 1 :], known and found[spare] == 1
    elif len(found) == axes - 1 and axes == len(other.shape) and want[-1] == 1:
        shape = (*found, 1)
    name, others, expected = words
    if len(shape) != axes or any(None not in (a, b) and a != b for a, b in zip(shape, want, strict=True)):
        raise ValueError(f"{name} has the shape {_text(found)} and {others} {_text(other.shape)}: {expected}")
    if known and None not in shape + want:
        return value if shape == found else ops.reshape(value, shape)
    size = tf.shape(other)[:axes]
    fits = tf.equal(tf.shape(value)[0], size[0])
    if not known or None in shape[1:] + want[1:]:
        fits = tf.logical_and(fits, tf.equal(tf.size(value), tf.reduce_prod(size)))
    said = [f"{name} has the shape", tf.shape(value), f"and {others}", tf.shape(other), f": {expected}"]
    with tf.control_dependencies([tf.debugging.Assert(fits, said)]):
        # XLA drops the assertion, but reshaping still fails for another number of values.
        return tf.reshape(value, size)


def _text(shape: Iterable[int | None]) -> str:
    """(None, 3) → "(batch, 3)"."""
    sizes = [("batch" if n == 0 else "any") if size is None else str(size) for n, size in enumerate(shape)]
    return f"({sizes[0]},)" if len(sizes) == 1 else f"({', '.join(sizes)})"
