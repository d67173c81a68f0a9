"""The best on dev is kept, but few dev rows do not outweigh what distillation gains elsewhere."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from kd_keras.distill.settings import RecipeSettings
from kd_keras.metrics.spread import error_of_difference, standard_error
from kd_keras.runs.auto import decided
from kd_keras.runs.choice import choose, dev_error, kept
from kd_keras.tasks import Task

TASK = Task("custom", "single", ("a", "b"))
AUTO = decided(RecipeSettings(), TASK)


def made(rows: int, baseline: float, distilled: float, task: Task = TASK):
    """A job with ``rows`` of dev, and two students that are right on these shares of them, each on its own rows."""
    label = np.arange(rows) % 2
    arms = []
    for kind, right, seed in (("baseline", baseline, 0), ("distilled", distilled, 1)):
        wrong = np.random.default_rng(seed).permutation(rows) >= round(right * rows)
        logits = np.eye(2)[np.where(wrong, 1 - label, label)]
        history = {"best": 1 - float(wrong.mean())}
        arms.append(SimpleNamespace(kind=kind, name=f"{kind}-seed1", seed=1, history=history, logits={"dev": logits}))
    dev = type("Dev", (), {"label": label, "__len__": lambda self: rows})()
    return SimpleNamespace(task=task, data=SimpleNamespace(dev=dev)), arms


@pytest.mark.parametrize(
    ("rows", "baseline", "distilled", "how", "wins"),
    [
        (30, 0.8, 0.9, AUTO, "distilled"),
        (30, 0.9, 0.9, AUTO, "distilled"),
        (30, 0.833, 0.733, AUTO, "distilled"),
        (30, 0.95, 0.4, AUTO, "baseline"),
        (2000, 0.833, 0.733, AUTO, "baseline"),
        (2000, 0.85, 0.84, AUTO, "baseline"),
        (30, 0.833, 0.733, RecipeSettings(recipe="soft"), "baseline"),
        (30, 0.833, 0.733, SimpleNamespace(chosen=True, alpha=0.5), "baseline"),
    ],
    ids=["better", "the same", "few rows", "far worse", "many rows", "many rows, near", "by hand", "a weak teacher"],
)
def test_the_student_that_is_kept(rows, baseline, distilled, how, wins):
    job, arms = made(rows, baseline, distilled)
    chosen = choose(job, how, arms)
    assert chosen.kind == wins
    assert choose(job, how, arms[:1]) is arms[0] and choose(job, how, arms[1:]) is arms[1]
    said = kept(job, arms, chosen)
    assert said["arm"] == f"{wins}-seed1"
    assert said.get("unsure", False) == (wins == "distilled" and distilled < baseline)


def test_the_best_round_of_one_is_not_held_against_another_round_of_the_other():
    """STEADY keeps weights near the best score; without a teacher the best of many rounds is kept."""
    job, arms = made(30, 0.933, 0.767)
    assert choose(job, AUTO, arms).kind == "baseline"
    arms[1].history["epochs"] = [{"dev_accuracy": 0.9, "dev_f1": 1.0}, {"dev_accuracy": 0.767}]
    assert choose(job, AUTO, arms).kind == "distilled"


def test_a_task_whose_scores_have_no_error_goes_by_dev():
    job, arms = made(30, 0.833, 0.733, Task("custom", "regression", (), "pearson", ("pearson",)))
    assert dev_error(job, *arms) == 0 and choose(job, AUTO, arms).kind == "baseline"


def test_the_kept_student_comes_with_its_score_and_the_other_kinds_best():
    job, arms = made(100, 0.81, 0.9)
    assert kept(job, arms, arms[1]) == {
        "arm": "distilled-seed1",
        "kind": "distilled",
        "why": "Its dev accuracy is 90.00, the best of the 2 students trained. "
        "The best student without distillation has 81.00.",
    }
    assert kept(job, arms, arms[0])["why"].endswith("The best student with distillation has 90.00.")
    assert kept(job, arms[1:], arms[1])["why"] == "Its dev accuracy is 90.00."
    job, arms = made(30, 0.8, 0.7)
    said = kept(job, arms, arms[1])["why"]
    error = 100 * dev_error(job, *arms)
    assert said == (
        "Its dev accuracy is 70.00. The best student without distillation has 80.00, but 30 dev rows say little: the "
        f"standard error of the difference is {error:.1f}. On other files distillation gained 6 ± 5. A larger "
        "--dev_file=FILE would decide."
    )


def test_the_error_of_a_difference_is_that_of_paired_rows():
    label = np.arange(400) % 2
    draw = np.random.default_rng(3)
    one, other = (np.where(draw.random(400) < 0.2, 1 - label, label) for _ in range(2))
    differs = (one == label).astype(float) - (other == label)
    got = error_of_difference("accuracy", label, np.eye(2)[one], np.eye(2)[other])
    assert got == pytest.approx(differs.std() / 20, rel=0.1)
    assert error_of_difference("accuracy", label, np.eye(2)[one], np.eye(2)[one]) == 0
    assert standard_error("accuracy", label, np.eye(2)[one]) == pytest.approx((one == label).std() / 20, rel=0.1)
