"""Scores are learned with mean 0 and deviation 1, and given in the file's own scale."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from kd_keras.tasks import Rows, Task
from kd_keras.tasks.scale import scaled, standard, unscaled

TASK = Task("custom", "regression", (), "pearson", ("pearson", "spearman"))
PRICES = np.random.default_rng(0).normal(30_000, 4_000, 50).astype(np.float32)


def rows(label: np.ndarray) -> Rows:
    return Rows([str(n) for n in range(len(label))], ["text"] * len(label), None, label)


def test_the_scale_is_that_of_the_scores_there_are():
    some = np.concatenate([PRICES, [np.nan, np.nan]]).astype(np.float32)
    task = scaled(TASK, rows(some))
    want = StandardScaler().fit(PRICES.astype(np.float64)[:, None])
    assert task.scale == pytest.approx((want.mean_[0], want.scale_[0]))
    got = standard(task, some)
    np.testing.assert_allclose(got[:-2], want.transform(PRICES.astype(np.float64)[:, None])[:, 0], atol=1e-5)
    assert np.isnan(got[-2:]).all() and got.dtype == np.float32
    assert task.learned_by()["scale"] == list(task.scale), "a teacher of another scale is another teacher"


@pytest.mark.parametrize(
    ("task", "label"),
    [
        (replace(TASK, name="stsb"), PRICES),
        (Task("custom", "single", ("a", "b")), np.array([0, 1], np.int32)),
        (TASK, np.full(3, 2.5, np.float32)),
        (TASK, np.full(3, np.nan, np.float32)),
    ],
    ids=["a registered task", "classes", "one score", "no score"],
)
def test_other_tasks_have_none(task, label):
    assert scaled(task, rows(label)) == task and standard(task, label) is label and task.learned_by() == {}


def test_a_last_layer_that_learned_standard_scores_gives_the_files_own():
    task, made = scaled(TASK, rows(PRICES)), np.random.default_rng(1)
    x = made.normal(size=(7, 5)).astype(np.float32)
    kernel, bias = made.normal(size=(5, 1)).astype(np.float32), np.array([0.3], np.float32)
    own_kernel, own_bias = unscaled(task, kernel, bias)
    np.testing.assert_allclose(standard(task, x @ own_kernel + own_bias), x @ kernel + bias, atol=1e-4)
    assert unscaled(TASK, kernel, bias) == (kernel, bias)
