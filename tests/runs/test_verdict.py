"""The likely cause where distillation did not help, and what to try next."""

from __future__ import annotations

import shlex
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from kd_keras.common import screen
from kd_keras.runs import next_steps
from kd_keras.runs.choice import dev_error
from kd_keras.runs.verdict import _cause, verdict

JOB = SimpleNamespace(
    task=SimpleNamespace(name="custom", metric="accuracy", is_tagging=False, is_pair=False, labels=()),
    data=SimpleNamespace(dev=range(114), fingerprint="f"),
    train=SimpleNamespace(batch_size=100),
    given=None,
    recipe=SimpleNamespace(chosen=True, recipe="joint", alpha=0.0),
    augment=SimpleNamespace(n_iter=20, augment="all"),
    teacher=SimpleNamespace(teacher_rounds=1),
    checkpoint=SimpleNamespace(fine_tuned_for=lambda *data: False),
    job=SimpleNamespace(output_dir="my runs/one"),
    folder=lambda: Path("my runs/one"),
)


def arm(best_step: int = 500, kind: str = "distilled"):
    return SimpleNamespace(
        kind=kind, updates=1000, most_updates=1000, history={"best_step": best_step},
        plan=SimpleNamespace(data=range(5000)),
    )  # fmt: skip


BOTH = [arm(), arm(kind="baseline")]


@pytest.mark.parametrize(
    ("distilled", "teacher", "best_step", "more", "cause", "first"),
    [
        (0.90, 0.95, 500, 0, "dev, of 114 rows, does not tell the two apart", "--dev_file=FILE"),
        (0.80, 0.85, 500, 0, "the teacher is no better than the student without it (85.00", "--teacher_epochs=41"),
        (0.80, 0.95, 990, 0, "too few updates", "--epochs=40"),
        (0.80, 0.95, 500, 0, "little text: 0 rows", "--augment=all"),
        (0.80, 0.95, 500, 9, "little text: 9 rows", "--unlabeled_files=FILE"),
        (0.80, 0.95, 500, 50_000, "none that can be seen", "--alpha=0.5"),
    ],
)
def test_the_likeliest_cause_comes_with_two_sets_of_flags(
    distilled, teacher, best_step, more, cause, first, monkeypatch
):
    monkeypatch.setattr("kd_keras.runs.verdict.for_data", lambda *_: SimpleNamespace(teacher_epochs=20.4))
    inputs = SimpleNamespace(transfer={"unlabeled": range(more)}, how=None)
    metrics = {"teacher": {"dev": {"accuracy": teacher}}, "student": {"dev": {"accuracy": distilled}}}
    said, tries = _cause(JOB, inputs, [arm(best_step)], metrics, 0.90)
    assert said.startswith(cause)
    assert len(tries) == 2 and tries[0] == [first] and tries[0] != tries[1]


def test_advice_is_what_the_program_takes():
    """Joint has no --alpha, and a finished teacher is not trained again."""
    metrics = {"teacher": {"dev": {"accuracy": 0.95}}, "student": {"dev": {"accuracy": 0.8}}}
    by_hand = SimpleNamespace(**vars(JOB) | {"recipe": SimpleNamespace(chosen=False, recipe="joint", alpha=0.0)})
    many = SimpleNamespace(transfer={"all": range(50_000)}, how=None)
    assert _cause(by_hand, many, [arm()], metrics, 0.9)[1][0] == ["--recipe=soft", "--alpha=0.5"]
    finished = SimpleNamespace(**vars(JOB) | {"checkpoint": SimpleNamespace(fine_tuned_for=lambda *data: True)})
    metrics["teacher"]["dev"]["accuracy"] = 0.8
    assert _cause(finished, many, [arm()], metrics, 0.9)[1][0] == ["--teacher=ANOTHER"]


def test_advice_does_not_repeat_what_was_done():
    metrics = {"teacher": {"dev": {"accuracy": 0.95}}, "student": {"dev": {"accuracy": 0.8}}}
    many = SimpleNamespace(
        transfer={"all": range(50_000)}, how=SimpleNamespace(alpha=0.5)
    )  # as auto chose for a teacher
    said, tries = _cause(JOB, many, [arm()], metrics, 0.9)
    assert said == "none that can be seen" and tries[0] == ["--unlabeled_files=FILE"]
    pairs = SimpleNamespace(**vars(JOB) | {"task": SimpleNamespace(**vars(JOB.task) | {"is_pair": True})})
    none, some = (SimpleNamespace(transfer=sets, how=None) for sets in ({}, {"all": range(9)}))
    assert _cause(pairs, none, [arm()], metrics, 0.9)[1][0] == ["--augment=all", "--unlabeled=task"]
    assert _cause(pairs, some, [arm()], metrics, 0.9)[1][0] == ["--unlabeled_files=FILE"]


def test_a_longer_teacher_keeps_its_rounds(monkeypatch):
    """More epochs by hand would end --teacher_rounds=auto."""
    monkeypatch.setattr("kd_keras.runs.verdict.for_data", lambda *_: SimpleNamespace(teacher_epochs=20.4))
    metrics = {"teacher": {"dev": {"accuracy": 0.8}}, "student": {"dev": {"accuracy": 0.8}}}
    job = SimpleNamespace(**vars(JOB) | {"teacher": SimpleNamespace(teacher_rounds=2)})
    tries = _cause(job, SimpleNamespace(transfer={}, how=None), [arm()], metrics, 0.9)[1]
    assert tries[0] == ["--teacher_epochs=41", "--teacher_rounds=2"]


def test_a_teacher_without_training_is_advised_some(monkeypatch):
    monkeypatch.setattr("kd_keras.runs.verdict.for_data", lambda *_: SimpleNamespace(teacher_epochs=0.0))
    metrics = {"teacher": {"dev": {"accuracy": 0.8}}, "student": {"dev": {"accuracy": 0.8}}}
    tries = _cause(JOB, SimpleNamespace(transfer={}, how=None), [arm()], metrics, 0.9)[1]
    assert tries[0] == ["--teacher_epochs=auto"]


def test_less_than_dev_can_tell_is_no_difference():
    rng = np.random.default_rng(0)
    label = rng.integers(2, size=100)
    logits = np.eye(2)[np.where(rng.random(100) < 0.9, label, 1 - label)]
    task = SimpleNamespace(**{**vars(JOB.task), "labels": ("a", "b")})
    rows = SimpleNamespace(label=label, __len__=lambda: 100)
    job = SimpleNamespace(**{**vars(JOB), "task": task, "data": SimpleNamespace(dev=rows)})
    one = SimpleNamespace(**{**vars(arm()), "logits": {"dev": logits}})
    right = float((logits.argmax(-1) == label).mean())
    assert dev_error(job, one) == pytest.approx((right * (1 - right) / 100) ** 0.5, rel=0.1)
    metrics = {"teacher": {"dev": {"accuracy": 0.99}}, "student": {"dev": {"accuracy": 0.9}}}
    inputs = SimpleNamespace(transfer={"unlabeled": range(50_000)}, how=None)
    assert _cause(JOB, inputs, [one], metrics, 0.92, 0.03)[0].startswith("dev, of 114 rows, does not tell")
    assert _cause(JOB, inputs, [one], metrics, 0.94, 0.03)[0].startswith("none that can be seen")


def test_few_updates_by_hand_are_the_cause():
    few = SimpleNamespace(**{**vars(arm()), "most_updates": 10})
    job = SimpleNamespace(**{**vars(JOB), "train": SimpleNamespace(batch_size=100, epochs=10.0)})
    metrics = {"teacher": {"dev": {"accuracy": 0.7}}, "student": {"dev": {"accuracy": 0.0}}}
    said, tries = _cause(job, SimpleNamespace(transfer={}, how=None), [few], metrics, 0.0)
    assert said == "only 10 updates, by --epochs=10" and tries[0] == ["--epochs=auto"]


def scores(student: float, baseline: float | None = None, teacher: float | None = None, spread: float = 0.0) -> dict:
    def of(value: float) -> dict:
        return {"dev": {"accuracy": value}, "spread": {"dev": {"accuracy": spread}}}

    made = {"student": of(student), "teacher": {} if teacher is None else of(teacher)}
    return made | ({} if baseline is None else {"baseline": of(baseline)})


@pytest.mark.parametrize(
    ("metrics", "line"),
    [
        (scores(0.91, 0.9, 0.95), "Distillation helped: dev accuracy 91.00 with it, 90.00 without it; the teacher has 95.00."),
        (scores(0.91, 0.9, 0.95, 0.02), "Distillation helped, but by less than seeds differ: dev accuracy 91.00 with it, 90.00 "
         "without it; the teacher has 95.00."),
        (scores(0.91, teacher=0.95), "The distilled student has dev accuracy 91.00; the teacher has 95.00."),
        (scores(0.91), "The distilled student has dev accuracy 91.00."),
    ],
)  # fmt: skip
def test_one_line_says_how_the_student_did(metrics, line):
    assert verdict(JOB, SimpleNamespace(transfer={}, how=None), BOTH, metrics) == (line, [])


def test_what_may_help_is_the_same_command_with_one_flag_more():
    line, steps = verdict(JOB, SimpleNamespace(transfer={}, how=None), BOTH, scores(0.8, 0.9, 0.95))
    assert line == (
        "Distillation did not help: dev accuracy 80.00 with it, 90.00 without it; the teacher has 95.00. Likely cause: "
        "little text: 0 rows beyond the training rows."
    )
    assert [shlex.split(command)[3:] for _, command in steps] == [
        ["--flagfile=my runs/one/flags.txt", "--augment=all", "--output_dir=my runs/one-augment"],
        ["--flagfile=my runs/one/flags.txt", "--epochs=40", "--output_dir=my runs/one-epochs"],
    ]
    there = SimpleNamespace(**vars(JOB) | {"job": SimpleNamespace(output_dir=None)})
    _, steps = verdict(there, SimpleNamespace(transfer={}, how=None), BOTH, scores(0.8, 0.9, 0.95))
    assert not any("output_dir" in command for _, command in steps), "a run names its own folder"


def test_commands_are_never_folded():
    steps = next_steps.with_student(
        Path("saved_models/a task/run-with-a-very-long-name-of-its-own"), SimpleNamespace(is_pair=True)
    )
    said = screen.fitted(next_steps.for_screen(steps), 40).splitlines()
    assert said[0] == "next:" and [line.strip() for line in said[2::2]] == [command for _, command in steps]
    assert '--text_b="…"' in said[2] and "'--model_dir=saved_models/a task/run" in said[2]
    report = next_steps.for_report(steps).splitlines()
    assert report[:3] == ["## Next", "", "```"] and report[4:-1:2] == [command for _, command in steps]
    assert next_steps.for_report([]) == next_steps.for_screen([]) == ""


def test_few_dev_rows_do_not_tell_whether_it_helped():
    metrics = scores(0.7, 0.9, 0.6) | {"kept": {"unsure": True}}
    line, steps = verdict(JOB, SimpleNamespace(transfer={}, how=None), BOTH, metrics)
    assert line == (
        "Dev does not tell whether distillation helped: dev accuracy 70.00 with it, 90.00 without it; the teacher has "
        "60.00. Likely cause: dev, of 114 rows, does not tell the two apart."
    )
    assert "--dev_file=FILE" in steps[0][1]
