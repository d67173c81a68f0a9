"""Several teachers: their mean against NumPy, their settings, their scores, and what of a finished ensemble is there."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from kd_keras.common.errors import UserError
from kd_keras.common.layout import RunLayout
from kd_keras.teachers import ensemble
from kd_keras.teachers.checkpoints import find_checkpoint
from kd_keras.teachers.settings import LabelSettings, TeacherSettings
from kd_keras.teachers.signals import Signals


def signals(seed: int, data: str = "d", hidden: bool = False) -> Signals:
    draw = np.random.default_rng(seed)
    states = draw.normal(size=(5, 4)).astype(np.float32) if hidden else None
    logits = draw.normal(size=(5, 3)).astype(np.float32)
    return Signals(logits, states, {"teacher": {"weights": seed}, "data": data, "rows": 5})


def test_the_mean_is_that_of_the_logits_and_hidden_states_are_the_firsts():
    three = [signals(n, hidden=n == 0) for n in range(3)]
    got = ensemble.mean(three)
    want = np.array([[sum(float(s.logits[i, k]) for s in three) / 3 for k in range(3)] for i in range(5)])
    np.testing.assert_allclose(got.logits, want, atol=1e-6)
    assert got.logits.dtype == np.float32 and got.hidden is three[0].hidden
    assert got.manifest == {"teacher": [{"weights": n} for n in range(3)], "data": "d", "rows": 5}
    assert np.abs(got.logits - ensemble.mean(three[:2]).logits).max() > 0.05
    assert ensemble.mean(three[:1]) is three[0]
    with pytest.raises(ValueError, match="different data"):
        ensemble.mean([signals(0), signals(1, "other")])


def test_each_teacher_has_the_settings_of_one():
    settings = TeacherSettings(teacher_seed=4, teacher_seeds=3, teacher_epochs=2)
    each = [ensemble.teacher_settings(settings, n) for n in (1, 2, 3)]
    assert each == [TeacherSettings(teacher_seed=s, teacher_epochs=2) for s in (4, 5, 6)]
    label = LabelSettings(hidden="mean", shard_rows=7)
    assert ensemble.label_settings(label, 1) is label
    assert ensemble.label_settings(label, 2) == LabelSettings(hidden="none", shard_rows=7)


def test_untrained_teachers_would_all_be_one():
    with pytest.raises(UserError, match="--teacher_seeds=2: --teacher_epochs=0 trains nothing"):
        TeacherSettings(teacher_seeds=2, teacher_epochs=0)
    with pytest.raises(UserError, match="--teacher_seeds=0: expected at least 1"):
        TeacherSettings(teacher_seeds=0)


def test_scores_of_each_and_what_is_said_of_them():
    gold = np.array([0, 1, 1, 0])
    right = np.eye(2)[gold]
    one_wrong = right.copy()
    one_wrong[0] = one_wrong[0][::-1]
    got = ensemble.scores(["accuracy"], {"dev": gold}, [{"dev": right}, {"dev": one_wrong}], [7, 8])
    assert got == {
        "per_seed": {"dev": [{"seed": 7, "accuracy": 1.0}, {"seed": 8, "accuracy": 0.75}]},
        "mean": {"dev": {"accuracy": 0.875}},
        "spread": {"dev": {"accuracy": pytest.approx(0.25 / np.sqrt(2))}},
    }
    said = ensemble.in_words("accuracy", got, 1.0)
    assert "100.00 (seed 7), 75.00 (seed 8), on average 87.50 ± 17.68, together 100.00" in said


def test_a_finished_ensemble_is_found_beside_its_first(bert_folder, tmp_path):
    layout = RunLayout(tmp_path)
    for number in (1, 2):
        folder = shutil.copytree(bert_folder, layout.teacher_of(number))
        (folder / "teacher.json").write_text(
            json.dumps({"key": {"task": "toy", "data": "abc", "teacher_seed": number}})
        )
    assert [p.name for p in layout.every_teacher()] == ["teacher", "teacher-2"]
    first = find_checkpoint(str(layout.teacher))
    assert [c.path for c in ensemble.checkpoints(first, "toy", "abc", 2)] == layout.every_teacher()
    base = find_checkpoint(str(bert_folder))
    assert ensemble.checkpoints(base, "toy", "abc", 3) == [base] * 3
    assert ensemble.checkpoints(first, "toy", "other data", 3) == [first] * 3, (
        "for other data it is a checkpoint to start at"
    )
    for count in (3, 2):
        with pytest.raises(
            UserError, match=f"--teacher_seeds={count}: --teacher=.* .*teacher-{count} for another seed does not exist"
        ) as e:
            ensemble.checkpoints(first, "toy", "abc", count)
        assert "\n" not in str(e.value)
        (layout.teacher_of(2) / "teacher.json").unlink(missing_ok=True)  # now it is anyone's checkpoint
