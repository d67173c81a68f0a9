"""Weights of rows: ``sample_weight`` and ``class_weight`` of Keras' ``fit``, with a dict of targets.

Keras has one target for each loss. It copies an array of sample weights to every key of a dict ``y``, and it refuses
``class_weight``. Here an objective reads several targets, so a row has one weight for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf

from kd_keras.distill import shapes

# A key of y, so that Keras shuffles and splits it with the rows. Objectives never see it.
CLASS_WEIGHT = "class_weight"


def by_class(class_weight: Mapping[int, float], classes: int) -> Callable[[Any], dict]:
    """Makes a function that turns ``y`` into a dict with the class weights of its rows.

    Args:
      class_weight: {label: weight}; other labels, and rows without a label (−1), have 1.
      classes: number of the student's outputs.

    Returns:
      A function of ``y``: labels, or a dict with "label".

    Raises:
      ValueError: the student lacks a label or is a regression; the function raises if ``y`` has no labels.

    >>> by_class({1: 5.0}, 3)(tf.constant([0, 1, -1]))["class_weight"].numpy().tolist()
    [1.0, 5.0, 1.0]
    """
    if classes == 1:
        raise ValueError("class_weight: the student has one output, a score, which has no classes; use sample_weight")
    unknown = sorted(set(class_weight) - set(range(classes)))
    if unknown:
        raise ValueError(
            f"class_weight has a weight for {', '.join(map(repr, unknown))}, but the student has {classes} outputs: "
            f"expected label ids from 0 to {classes - 1}"
        )
    each = [float(class_weight.get(n, 1.0)) for n in range(classes)]

    def weigh(y: Any) -> dict:
        y = y if isinstance(y, dict) else {} if y is None else {"label": y}
        if "label" not in y:
            raise ValueError(f'class_weight: y has {", ".join(sorted(y)) or "nothing"}: expected "label" among them')
        label = tf.cast(tf.convert_to_tensor(y["label"]), tf.int32)
        weight = tf.where(label < 0, 1.0, tf.gather(tf.constant(each), tf.clip_by_value(label, 0, classes - 1)))
        return y | {CLASS_WEIGHT: weight}

    return weigh


def spread(y: Any, sample_weight: Any) -> Any:
    """Copies an array of weights to each key of a dict ``y``, as Keras needs it. Anything else is unchanged.

    Keras does the same, but refuses weights of tokens.

    >>> spread({"label": [0], "teacher_logits": [[1.0]]}, [2.0])
    {'label': [2.0], 'teacher_logits': [2.0]}
    """
    if not isinstance(y, dict) or sample_weight is None:
        return sample_weight
    if isinstance(sample_weight, dict):
        return sample_weight | {k: v for k, v in y.items() if k == CLASS_WEIGHT}
    return dict.fromkeys(y, sample_weight)


def combined(sample_weight: Any, class_weight: Any) -> Any:
    """The product of both weights, if both are given.

    Args:
      sample_weight: a tensor, [batch], [batch, 1] or [batch, time], a dict of them, or None.
      class_weight: [batch] or [batch, time], or None.

    >>> combined(tf.constant([[2.0], [3.0]]), tf.constant([1.0, 5.0])).numpy().tolist()
    [2.0, 15.0]
    """
    if class_weight is None or sample_weight is None:
        return class_weight if sample_weight is None else sample_weight
    return keras.tree.map_structure(lambda w: shapes.weights(w, class_weight) * class_weight, sample_weight)


def for_target(sample_weight: Any, needs: tuple[str, ...]) -> Any:
    """From weights by target, takes those of the first target that an objective needs.

    A live teacher's target is not in ``y`` and has no weight, so it takes the label's.

    >>> for_target({"label": "a", "teacher_logits": "b"}, ("teacher_logits",))
    'b'
    """
    if not isinstance(sample_weight, dict):
        return sample_weight
    return next((sample_weight[k] for k in (*needs, "label", *sample_weight) if k in sample_weight), None)
