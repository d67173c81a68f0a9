"""Uneven classes: weights against scikit-learn, the metric that selects, and what a small dev split lacks."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from kd_keras.common.errors import UserError
from kd_keras.tasks import Rows, Task, TaskData
from kd_keras.tasks.balance import balanced, lacking, metric_for

METRICS = ("accuracy", "macro_f1")


def rows_of(labels, split: str = "train") -> Rows:
    n = len(labels)
    return Rows([f"r-{i}" for i in range(n)], [f"{split} {i}" for i in range(n)], None, np.asarray(labels, np.int32))


def task_of(*labels: str, name: str = "custom") -> Task:
    return Task(name, "single", labels, metrics=METRICS)


def test_balanced_weights_are_scikit_learns_and_count_one_on_average():
    labels = np.array([0] * 88 + [1] * 12)
    task, notes = balanced(task_of("ham", "spam"), rows_of(labels), "balanced")
    np.testing.assert_allclose(
        task.class_weights, compute_class_weight("balanced", classes=np.array([0, 1]), y=labels), rtol=1e-5
    )
    assert np.mean(np.array(task.class_weights)[labels]) == pytest.approx(1, abs=1e-5)
    assert notes == ["class weights: ham 0.568, spam 4.17"]


def test_weights_by_hand_keep_their_ratio_and_a_class_without_rows_gets_no_infinity():
    task, _ = balanced(task_of("a", "b"), rows_of([0, 0, 0, 1]), "1,5")
    assert task.class_weights[1] / task.class_weights[0] == pytest.approx(5, rel=1e-5)
    task, _ = balanced(task_of("a", "b", "c"), rows_of([0, 0, 0, 1]), "balanced")
    assert np.isfinite(task.class_weights).all()
    assert balanced(task_of("a", "b"), rows_of([0, 1]), "none")[0].class_weights is None


@pytest.mark.parametrize("text", ["1", "1,2,3", "1,x", "-1,1", "0,0", "nan,1", ""])
def test_other_weights_are_refused_by_name(text):
    with pytest.raises(UserError, match=f"--class_weights={text}: expected none, balanced, or 2 numbers"):
        balanced(task_of("a", "b"), rows_of([0, 1]), text)


def test_a_class_of_over_seventy_percent_is_selected_by_macro_f1():
    task, notes = metric_for(task_of("ham", "spam"), rows_of([0] * 71 + [1] * 29), None)
    assert (task.metric, task.metrics[0], task.chosen_metric) == ("macro_f1", "macro_f1", True)
    assert notes[0].startswith("classes are uneven: 'ham' has 71% of the training rows")
    for train, name, asked in (([0] * 70 + [1] * 30, "custom", None), ([0] * 90 + [1] * 10, "sst2", None),
                               ([0] * 90 + [1] * 10, "custom", "accuracy")):  # fmt: skip
        task, notes = metric_for(task_of("ham", "spam", name=name), rows_of(train), asked)
        assert (task.metric, notes) == ("accuracy", [])


def test_a_metric_that_does_not_fit_is_refused():
    with pytest.raises(UserError, match="--metric=pearson: task custom has labels; expected one of accuracy, f1"):
        metric_for(task_of("a", "b"), rows_of([0, 1]), "pearson")
    with pytest.raises(UserError, match="--metric=f1: is F1 of the second of two labels, but custom has 3"):
        metric_for(task_of("a", "b", "c"), rows_of([0, 1, 2]), "f1")


def test_a_dev_split_that_lacks_a_class_or_is_smaller_than_the_labels_is_said():
    task = task_of("a", "b", "c")
    found = lacking(TaskData(task, rows_of([0, 1, 1]), rows_of([0, 2], "dev"), "", []))
    assert found == [
        "dev: only 2 rows, so dev scores say little; give --dev_file=FILE with more",
        "train: has no row of 1 of 3 labels (c)",
        "dev: has no row of 1 of 3 labels (b)",
    ]
    assert lacking(TaskData(task, rows_of([0, 1, 2]), rows_of([0, 1, 2] * 4, "dev"), "", [])) == []
