"""A teacher's forward pass as a TFLite file's content."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import tensorflow as tf

from kd_keras.common.quiet import silent


def to_tflite(
    answer: Callable[..., dict[str, tf.Tensor]],
    signature: Mapping[str, tf.TensorSpec],
    weights: Sequence[tf.Variable],
    int8_weights: bool,
) -> bytes:
    """The file's content.

    Args:
      answer: tensors by name → the outputs by name.
      signature: of the tensors; a size of None may be another in each call.
      weights: what ``answer`` reads.
      int8_weights: whether matrices are int8, and what they are multiplied with is rounded to int8 row by row.
    """
    with silent():

        def outputs(**batch: tf.Tensor) -> dict[str, tf.Tensor]:
            return answer(**batch)

        function = tf.function(outputs, autograph=False).get_concrete_function(**signature)
        # The weights alone: given the model, the converter would save it whole and trace every layer again.
        holder = tf.Module()
        holder.weights = weights
        converter = tf.lite.TFLiteConverter.from_concrete_functions([function], holder)
        if int8_weights:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        return converter.convert()
