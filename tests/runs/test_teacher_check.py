"""What is looked at before long work: a teacher made weak on purpose, flat logits, a class that is never called."""

from __future__ import annotations

import numpy as np
import pytest

from kd_keras.common.errors import UserError
from kd_keras.metrics.spread import standard_error
from kd_keras.runs.teacher_check import check_teacher
from kd_keras.tasks import Task

TASK = Task("four", "single", tuple(f"label-{n}" for n in range(4)))


def logits_of(called, sure=6.0) -> np.ndarray:
    return sure * np.eye(4)[np.asarray(called)]


@pytest.fixture(scope="module")
def gold() -> np.ndarray:
    return np.arange(400) % 4


def right(gold, share: float) -> np.ndarray:
    """Calls the right label for the first ``share`` of the rows, the next one for the others."""
    wrong = np.arange(len(gold)) >= share * len(gold)
    return np.where(wrong, (gold + 1) % 4, gold)


def test_a_teacher_under_the_floor_stops_the_run_with_numbers_and_flags(gold):
    args = (TASK, gold, logits_of(right(gold, 0.5)), logits_of(right(gold, 0.8)))
    with pytest.raises(UserError, match=r"dev accuracy 50.00, below the 80.00 .* --allow_weak_teacher") as error:
        check_teacher(*args, allowed=False)
    assert "--teacher_epochs" in str(error.value) and "\n" not in str(error.value)
    (note,) = check_teacher(*args, allowed=True)
    assert "50.00" in note and "80.00" in note


def test_within_the_standard_error_it_is_a_note_and_over_it_nothing(gold):
    few = gold[:40]
    near = check_teacher(TASK, few, logits_of(right(few, 0.775)), logits_of(right(few, 0.8)), False)
    assert len(near) == 1 and "within its standard error" in near[0]
    assert check_teacher(TASK, gold, logits_of(gold), logits_of(right(gold, 0.8)), False) == []
    assert check_teacher(TASK, gold, logits_of(gold), None, False) == []


def test_a_teacher_of_scores_has_the_floor_too():
    """So far a teacher that learned nothing of its prices passed in silence."""
    task = Task("prices", "regression", (), "pearson", ("pearson",))
    label = 50_000 + 1000 * np.linspace(0, 5, 200)
    noise = np.random.default_rng(0).normal(size=(2, 200, 1))
    weak, floor = noise[0], label[:, None] + 1000 * noise[1]
    with pytest.raises(UserError, match=r"the teacher has dev pearson -?\d\.\d\d, below the 8\d\.\d\d of a linear"):
        check_teacher(task, label, weak, floor, False)
    assert len(check_teacher(task, label, weak, floor, True)) == 1
    assert check_teacher(task, label, floor, weak, False) == check_teacher(task, label, floor, None, False) == []


def test_rows_without_gold_do_not_count(gold):
    label = np.where(np.arange(400) < 200, gold, -1)
    assert check_teacher(TASK, label, logits_of(right(gold, 0.5)), logits_of(gold), False) == []


def test_a_class_that_is_never_called_and_flat_logits_are_said(gold):
    (note,) = check_teacher(TASK, gold, logits_of(np.minimum(gold, 2)), None, False)
    assert note.startswith("the teacher never gives 1 of 4 labels on dev (label-3)")
    (note,) = check_teacher(TASK, gold, logits_of(gold, sure=0.1), None, False)
    assert "mean highest probability on dev is 0.27 over 4 labels" in note


def test_the_standard_error_of_an_accuracy_is_that_of_a_share(gold):
    found = standard_error("accuracy", gold, logits_of(right(gold, 0.8)))
    assert found == pytest.approx(np.sqrt(0.8 * 0.2 / 400), rel=0.1)
    assert standard_error("accuracy", gold, logits_of(gold)) == 0


def test_of_several_labels_a_text_one_that_is_never_given_is_said():
    task = Task("many", "multilabel", ("a", "b", "c"), "micro_f1", ("micro_f1",))
    gold = np.tile([[1, 0, 1], [0, 1, 0]], (50, 1))
    logits = np.where(gold > 0, 4.0, -4.0)
    assert check_teacher(task, gold, logits, None, False) == []
    logits[:, 2] = -4.0
    (note,) = check_teacher(task, gold, logits, None, False)
    assert note.startswith("the teacher never gives 1 of 3 labels on dev (c)")
    with pytest.raises(UserError, match="dev micro_f1 80.00, below the 100.00"):
        check_teacher(task, gold, logits, np.where(gold > 0, 4.0, -4.0), False)
