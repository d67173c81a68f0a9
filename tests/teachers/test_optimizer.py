"""The one-pass AdamW against tf_keras' own, update by update: dense and sparse gradients, decay, clipping, a schedule."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from kd_keras.teachers.optimizer import FusedAdamW, WarmupLinear


@pytest.mark.parametrize("clip", [0.05, 100.0])
def test_it_ends_where_tf_keras_ends(clip):
    draw = np.random.default_rng(0)
    first = {"table": draw.normal(size=(9, 4)), "kernel": draw.normal(size=(4, 3)), "bias": draw.normal(size=3)}
    ended = {}
    for cls in (tf_keras.optimizers.AdamW, FusedAdamW):
        variables = {n: tf.Variable(v, dtype=tf.float32, name=n) for n, v in first.items()}
        optimizer = cls(WarmupLinear(0.05, 3, 12), weight_decay=0.1, global_clipnorm=clip, epsilon=1e-6)
        optimizer.exclude_from_weight_decay(var_names=["bias"])
        optimizer.build(list(variables.values()))

        @tf.function
        def update(rows, values, kernel, bias, optimizer=optimizer, variables=variables):
            table = tf.IndexedSlices(values, rows, dense_shape=(9, 4))
            optimizer.apply_gradients(zip((table, kernel, bias), variables.values(), strict=True))

        draw = np.random.default_rng(1)
        for _ in range(8):
            # A row that comes twice, and rows that never come.
            rows = tf.constant([2, 5, 2, *draw.integers(0, 7, 2)])
            update(rows, *(tf.constant(draw.normal(size=s), tf.float32) for s in ((5, 4), (4, 3), (3,))))
        ended[cls] = {n: v.numpy() for n, v in variables.items()}
    for name, want in ended[tf_keras.optimizers.AdamW].items():
        np.testing.assert_allclose(ended[FusedAdamW][name], want, rtol=1e-5, atol=1e-6)
        assert np.abs(want - first[name]).max() > 0.01, "it must move to prove something"
