"""The likely cause where distillation did not help, and what to try next."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from kd_keras.runs.verdict import _cause, kept

JOB = SimpleNamespace(
    task=SimpleNamespace(name="custom", metric="accuracy", is_tagging=False),
    data=SimpleNamespace(dev=range(114)),
    train=SimpleNamespace(batch_size=100),
    given=None,
)


def arm(best_step: int = 500):
    return SimpleNamespace(
        kind="distilled", updates=1000, most_updates=1000, history={"best_step": best_step},
        plan=SimpleNamespace(data=range(5000)),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("distilled", "teacher", "best_step", "more", "cause", "first"),
    [
        (0.90, 0.95, 500, 0, "dev, of 114 rows, does not tell the two apart", "--dev_file=FILE"),
        (0.80, 0.85, 500, 0, "the teacher is no better than the student without it (85.00", "--teacher_epochs=20"),
        (0.80, 0.95, 990, 0, "too few updates", "--epochs=40"),
        (0.80, 0.95, 500, 0, "little text: 0 rows", "--augment=all"),
        (0.80, 0.95, 500, 9, "little text: 9 rows", "--unlabeled_files=FILE"),
        (0.80, 0.95, 500, 50_000, "none that can be seen", "--alpha=0.5"),
    ],
)
def test_the_likeliest_cause_comes_with_two_sets_of_flags(distilled, teacher, best_step, more, cause, first):
    inputs = SimpleNamespace(transfer={"unlabeled": range(more)})
    metrics = {"teacher": {"dev": {"accuracy": teacher}}, "student": {"dev": {"accuracy": distilled}}}
    said, tries = _cause(JOB, inputs, [arm(best_step)], metrics, 0.90)
    assert said.startswith(cause)
    assert len(tries) == 2 and tries[0] == [first] and tries[0] != tries[1]


def trained(kind: str, best: float) -> SimpleNamespace:
    return SimpleNamespace(kind=kind, name=f"{kind}-seed1", history={"best": best})


def test_the_kept_student_comes_with_its_score_and_the_other_kinds_best():
    arms = [trained("baseline", 0.81), trained("distilled", 0.9)]
    assert kept(JOB, arms, arms[1]) == {
        "arm": "distilled-seed1",
        "kind": "distilled",
        "why": "Its dev accuracy is 90.00, the best of the 2 students trained. "
        "The best student without distillation has 81.00.",
    }
    assert kept(JOB, arms, arms[0])["why"].endswith("The best student with distillation has 90.00.")
    assert kept(JOB, arms[1:], arms[1])["why"] == "Its dev accuracy is 90.00."
