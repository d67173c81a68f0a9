"""Optimizers for students, whose weights are nearly all embeddings.

Keras' Adam is a chain of operations on whole arrays. Over millions of embedding values each one is a pass through
memory. TensorFlow's own kernel makes the same update in one pass, which saves about a tenth of a student's update.
``benchmarks/optimizer_step.py`` times both.
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
import tensorflow as tf

from kd_keras.distill.settings import TrainSettings


class _Fused:
    """Mixin: makes Adam's update, and the average of the weights, in one pass each. The results equal Keras' own."""

    def update_step(self, gradient, variable, learning_rate):
        # On this backend ``variable`` is a tf.Variable.
        step = tf.cast(self.iterations.value + 1, variable.dtype)
        index = self._get_variable_index(variable)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=tf.pow(tf.cast(self.beta_1, variable.dtype), step),
            beta2_power=tf.pow(tf.cast(self.beta_2, variable.dtype), step),
            lr=tf.cast(learning_rate, variable.dtype),
            beta1=tf.cast(self.beta_1, variable.dtype),
            beta2=tf.cast(self.beta_2, variable.dtype),
            epsilon=tf.cast(self.epsilon, variable.dtype),
            grad=tf.convert_to_tensor(gradient),
        )

    def _update_model_variables_moving_average(self, trainable_variables):
        if self.use_ema:
            # The first update sets the average to the weights themselves.
            keep = self.ema_momentum * tf.cast(self.iterations.value != 0, tf.float32)
            for variable, average in zip(trainable_variables, self._model_variables_moving_average, strict=True):
                average.value.assign_add((variable.value - average.value) * (1.0 - keep))


class _ByVariable:
    """Mixin: a factor of the learning rate for each variable, in the order of ``build``. Without factors all are 1."""

    factors: Sequence[float] = ()

    def update_step(self, gradient, variable, learning_rate):
        factor = self.factors[self._get_variable_index(variable)] if self.factors else 1.0
        super().update_step(gradient, variable, learning_rate if factor == 1.0 else learning_rate * factor)


class FusedAdam(_ByVariable, _Fused, keras.optimizers.Adam):
    """``keras.optimizers.Adam``, faster."""


class FusedAdamW(_ByVariable, _Fused, keras.optimizers.AdamW):
    """``keras.optimizers.AdamW``, faster."""


class Adadelta(_ByVariable, keras.optimizers.Adadelta):
    """``keras.optimizers.Adadelta``, with factors."""


def make_optimizer(settings: TrainSettings, steps: int, learning_rate: float) -> keras.optimizers.Optimizer:
    """Adam, AdamW or Adadelta with the schedule of ``settings`` over ``steps``."""
    rate: float | keras.optimizers.schedules.LearningRateSchedule = learning_rate
    if settings.schedule == "cosine":
        warmup = int(steps * settings.warmup)
        rate = keras.optimizers.schedules.CosineDecay(
            learning_rate / 100 if warmup else learning_rate,
            max(1, steps - warmup),
            alpha=0.0,
            warmup_target=learning_rate if warmup else None,
            warmup_steps=warmup,
        )
    common = {"global_clipnorm": settings.clip}
    if settings.ema:
        # A short run averages over a tenth of its updates. Otherwise the first weights would count too much.
        common |= {"use_ema": True, "ema_momentum": max(0.0, min(settings.ema, 1.0 - 10.0 / steps))}
    if settings.optimizer == "adadelta":
        return Adadelta(rate, rho=0.95, **common)
    if settings.optimizer == "adamw":
        return FusedAdamW(rate, weight_decay=settings.weight_decay, **common)
    return FusedAdam(rate, **common)
