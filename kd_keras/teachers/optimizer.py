"""AdamW for the teacher, in one pass over its weights.

tf_keras writes the update as a chain of whole-array operations, about thirty passes through memory. TensorFlow's own
kernel makes the same update in one. Half of a small BERT is embeddings, whose only work in an update this is. So it is
a good part of an update's time, which ``benchmarks/finetune_step.py`` measures.
"""

from __future__ import annotations

import tensorflow as tf
import tf_keras


class FusedAdamW(tf_keras.optimizers.AdamW):
    """``tf_keras.optimizers.AdamW``: the same results, but faster."""

    def update_step(self, gradient, variable):
        index = self._index_dict[self._var_key(variable)]
        step = tf.cast(self.iterations + 1, variable.dtype)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].handle,
            v=self._velocities[index].handle,
            beta1_power=tf.pow(tf.cast(self.beta_1, variable.dtype), step),
            beta2_power=tf.pow(tf.cast(self.beta_2, variable.dtype), step),
            lr=tf.cast(self.learning_rate, variable.dtype),
            beta1=tf.cast(self.beta_1, variable.dtype),
            beta2=tf.cast(self.beta_2, variable.dtype),
            epsilon=tf.cast(self.epsilon, variable.dtype),
            # As in tf_keras, embeddings of absent pieces decay too, so a dense gradient costs nothing more.
            grad=tf.convert_to_tensor(gradient),
        )


class WarmupLinear(tf_keras.optimizers.schedules.LearningRateSchedule):
    """0 → ``peak`` over ``warmup`` steps, then linearly to 0 at ``total``."""

    def __init__(self, peak: float, warmup: int, total: int):
        self.peak, self.warmup, self.total = peak, warmup, total

    def __call__(self, step):
        step = tf.cast(step, tf.float32) + 1.0
        rise = step / max(1, self.warmup)
        fall = (self.total + 1 - step) / max(1, self.total + 1 - self.warmup)
        return self.peak * tf.maximum(0.0, tf.minimum(rise, fall))

    def get_config(self):
        return {"peak": self.peak, "warmup": self.warmup, "total": self.total}
