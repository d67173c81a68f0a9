"""What auto comes to for a student, and what a run says of itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kd_keras.augment.settings import AugmentSettings, UnlabeledSettings
from kd_keras.augment.unlabeled import split_like
from kd_keras.common.errors import UserError
from kd_keras.distill.settings import RecipeSettings, TrainSettings
from kd_keras.runs.auto import decided, mix, training
from kd_keras.tasks import Columns, Rows, Task

SINGLE = Task("custom", "single", ("a", "b"))
PAIR = Task("custom", "pair", ("a", "b"), columns=Columns(text_b="text_b"))
SCORE = Task("custom", "regression", (), "pearson", ("pearson",))
GOLD = np.arange(200) % 2


def logits_of(right: float, sure: float = 4.0) -> np.ndarray:
    called = np.where(np.arange(200) < right * 200, GOLD, 1 - GOLD)
    return sure * np.eye(2)[called]


def test_labels_of_single_texts_get_joint_and_what_is_given_is_followed():
    auto = decided(RecipeSettings(), SINGLE)
    assert (auto.recipe, auto.alpha, auto.representation_weight, auto.chosen) == ("joint", 0.0, 5.0, True)
    assert decided(auto, SINGLE) == auto, "twice is once"
    for task in (PAIR, SCORE):
        assert decided(RecipeSettings(), task).recipe == "soft"
    for given in ({"alpha": 0.0}, {"alpha": 0.5}, {"soft": "kl"}, {"recipe": "soft"}, {}):
        found = decided(RecipeSettings(**given), SINGLE, "none" if given else "augmentation")
        assert (found.recipe, found.chosen, found.representation_weight) == ("soft", False, 1.0), given
        assert found.alpha == given.get("alpha", 0.0)
    assert decided(RecipeSettings(recipe="joint"), SINGLE).representation_weight == 1.0


def test_a_teacher_barely_over_the_floor_is_mixed_with_gold_labels():
    auto = decided(RecipeSettings(), SINGLE)
    how, (said,) = mix(auto, "accuracy", GOLD, logits_of(0.81), logits_of(0.80))
    assert (how.recipe, how.alpha) == ("soft", 0.5) and "81.00" in said and "80.00" in said
    how, (said,) = mix(auto, "accuracy", GOLD, logits_of(0.95), logits_of(0.80))
    assert (how.recipe, how.alpha) == ("joint", 0.0) and "joint" in said
    assert how.chosen and "is better than the linear model" in said
    how, (said,) = mix(auto, "accuracy", GOLD, logits_of(0.95), None)
    assert how.recipe == "joint" and not how.chosen and "linear" not in said, "nothing says how good it is"
    how, _ = mix(auto, "accuracy", GOLD, logits_of(0.95, sure=0.1), None)
    assert how.soft == "kl" and not how.chosen
    how, _ = mix(auto, "accuracy", GOLD, logits_of(0.95, sure=0.1), logits_of(0.80))
    assert (how.soft, how.temperature) == ("kl", 1.0), "squared errors of flat logits teach little"
    by_hand = decided(RecipeSettings(recipe="soft"), SINGLE)
    assert mix(by_hand, "accuracy", GOLD, logits_of(0.5), logits_of(0.80)) == (by_hand, [])


@pytest.mark.parametrize(
    ("teacher", "floor", "recipe"),
    [(26, 25, "joint"), (23, 25, "soft")],
    ids=["a row better", "two rows worse"],
)
def test_thirty_rows_do_not_show_a_teacher_weak_that_is_usually_strong(teacher, floor, recipe):
    few, auto = np.r_[:30], decided(RecipeSettings(), SINGLE)
    mine, least = (4.0 * np.eye(2)[np.where(few < right, GOLD[few], 1 - GOLD[few])] for right in (teacher, floor))
    how, (said,) = mix(auto, "accuracy", GOLD[few], mine, least)
    assert how.recipe == recipe and "30 rows" in said
    assert ("is likely better" in said) == (recipe == "joint")


@pytest.mark.parametrize(("rows", "updates"), [(100, 1200), (15_000, 1770), (100_000, 2500), (1_000_000, 7813)])
def test_a_student_has_enough_updates_and_not_too_many(rows, updates):
    found = training(TrainSettings(), rows)
    per_epoch = -(-rows // 128)
    assert round(found.epochs * per_epoch) == updates
    assert round(found.epochs * found.evals_per_epoch) == 12 and found.patience == 5
    assert found.learning_rate == 3e-3
    assert training(replace(TrainSettings(), optimizer="adadelta"), rows).learning_rate == 1.0
    by_hand = TrainSettings(epochs=2.0, learning_rate=1e-3)
    assert training(by_hand, rows) == by_hand


def test_more_text_is_made_where_there_is_little():
    auto = AugmentSettings()
    assert (auto.decided(270, True).augment, auto.decided(270, True).n_iter) == ("all", 20)
    assert auto.decided(3_000, True).n_iter == 4 and auto.decided(10**6, True).n_iter == 1
    assert (auto.decided(270, False).augment, auto.decided(270, False).n_iter) == ("none", 20)
    by_hand = AugmentSettings(augment="mask", n_iter=3.0).decided(270, True)
    assert (by_hand.augment, by_hand.n_iter) == ("mask", 3) and isinstance(by_hand.n_iter, int)
    with pytest.raises(UserError, match=r"--n_iter=1.5: expected a whole number or auto"):
        AugmentSettings(n_iter=1.5)


def test_general_text_comes_only_where_nothing_is_given():
    found = UnlabeledSettings().decided(True)
    assert (found.unlabeled, found.max_unlabeled, found.wanted) == ("general", 60_000, True)
    assert not UnlabeledSettings().wanted and not UnlabeledSettings().decided(False).wanted
    mine = UnlabeledSettings(unlabeled_files="mine.txt").decided(True)
    assert mine.unlabeled == "none" and mine.wanted
    assert UnlabeledSettings(unlabeled="none").decided(True).unlabeled == "none"


def test_unlabeled_lines_stay_whole_where_rows_are_whole_texts():
    def rows(texts):
        return Rows([str(n) for n in range(len(texts))], texts, None, np.zeros(len(texts), np.int32))

    whole = rows(["My card did not work. What now?"] * 2 + ["Where is it?"] * 8)
    short = rows(["Where is it?"] * 19 + ["My card did not work. What now?"])
    mine = UnlabeledSettings(unlabeled_files="mine.txt")
    assert split_like(mine, SINGLE, whole).split_sentences is False
    assert split_like(mine, SINGLE, short).split_sentences is True
    by_hand = replace(mine, split_sentences=True)
    assert split_like(by_hand, SINGLE, whole) == by_hand
    assert split_like(mine, replace(SINGLE, name="sst2"), whole) == mine
