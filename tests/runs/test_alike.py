"""New pairs are drawn so that the teacher gives each label as often as the training rows have it."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from kd_keras.augment.settings import UnlabeledSettings
from kd_keras.runs.alike import about_pairs, alike, are_drawn
from kd_keras.tasks import Columns, Task


@pytest.mark.parametrize(
    ("label", "said", "counts"),
    [
        ([0] * 36 + [1] * 64, [0] * 186 + [1] * 1585, [186, 330]),
        ([0] * 50 + [1] * 50 + [-1] * 9, [0] * 10 + [1] * 500, [10, 10]),
        ([0, 1, 2], [0] * 5 + [1] * 7, [0, 0, 0]),
        ([0, 2, 2, 2], [0] * 5 + [1] * 70 + [2] * 6, [2, 0, 6]),
        ([0, 1], [], [0, 0]),
    ],
    ids=["rare", "no gold", "never said", "never gold", "none"],
)
def test_each_label_has_the_share_of_train(label, said, counts):
    label, said = np.array(label), np.array(said, int)
    order = np.random.default_rng(0).permutation(len(said))
    logits = np.eye(len(counts))[said[order]].reshape(-1, len(counts))
    kept = alike(label, logits)
    assert np.bincount(said[order][kept], minlength=len(counts)).tolist() == counts
    assert (kept == alike(label, logits)).all()


def test_only_new_pairs_of_classes_are_drawn():
    columns = Columns(("a",), "b")
    pair = Task("custom", "pair", ("no", "yes"), columns=columns)
    score = Task("custom", "regression", (), "pearson", ("pearson",), columns=columns)
    single = Task("custom", "single", ("no", "yes"))

    def drawn(task, **more):
        return are_drawn(SimpleNamespace(task=task, unlabeled=UnlabeledSettings(**({"unlabeled": "task"} | more))))

    assert drawn(pair) and not drawn(score) and not drawn(single)
    assert not drawn(pair, unlabeled="none", unlabeled_files="more.csv") and not drawn(pair, unlabeled_files="more.csv")


def test_the_screen_says_how_many():
    job = SimpleNamespace(data=SimpleNamespace(train=SimpleNamespace(label=np.array([0, 1]))))
    assert about_pairs(job, np.eye(2)[[0, 1, 1]])[0].startswith("new pairs: 2 of 3 are learned from")
