"""The fused optimizers against Keras' own, on dense and on sparse gradients."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from kd_keras.distill.optimizers import FusedAdam, FusedAdamW, make_optimizer
from kd_keras.distill.settings import TrainSettings

PAIRS = [(FusedAdam, keras.optimizers.Adam), (FusedAdamW, keras.optimizers.AdamW)]


def steps(optimizer, count: int, sparse: bool) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Weights after ``count`` updates, and after the average has been put in their place."""
    draw = np.random.default_rng(0)
    weights = [keras.Variable(draw.normal(size=s).astype("float32")) for s in ((7, 3), (4,))]
    optimizer.build(weights)

    @tf.function
    def update(rows, values, dense):
        slices = tf.IndexedSlices(values, rows, (7, 3))
        optimizer.apply([slices if sparse else tf.convert_to_tensor(slices), dense], weights)

    for _ in range(count):
        # Row 2 comes twice, rows 5 and 6 never: sums and silent rows both count.
        values, dense = draw.normal(size=(4, 3)), draw.normal(size=4)
        update(tf.constant([2, 0, 2, 4]), tf.constant(values, tf.float32), tf.constant(dense, tf.float32))
    plain = [w.numpy() for w in weights]
    optimizer.finalize_variable_values(weights)
    return plain, [w.numpy() for w in weights]


@pytest.mark.parametrize("clip", [None, 0.5])
@pytest.mark.parametrize(("fused", "own"), PAIRS)
def test_the_update_is_that_of_keras(fused, own, clip):
    rate = keras.optimizers.schedules.CosineDecay(0.1, 20)
    options = {"global_clipnorm": clip, "use_ema": True, "ema_momentum": 0.7}
    plain, averaged = steps(fused(rate, **options), 6, sparse=True)
    # Without clipping Keras squares the slices of a row that comes twice one by one: its dense update is the definition.
    # With it, the norm is that of the slices, and they are added up before the update.
    reference = steps(own(rate, **options), 6, sparse=clip is not None)
    for got, wanted in zip((plain, averaged), reference, strict=True):
        for a, b in zip(got, wanted, strict=True):
            np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6)
    assert np.abs(plain[0] - averaged[0]).max() > 1e-3, "an average that equals the weights would prove nothing"


def test_settings_choose_the_optimizer():
    made = {n: make_optimizer(TrainSettings(optimizer=n), 100, 0.01) for n in ("adam", "adamw", "adadelta")}
    assert isinstance(made["adam"], FusedAdam) and isinstance(made["adamw"], FusedAdamW)
    assert made["adadelta"].rho == 0.95
    assert made["adam"].ema_momentum == pytest.approx(0.9), "a short run averages over a tenth of itself"
    assert not make_optimizer(TrainSettings(ema=0.0), 100, 0.01).use_ema
