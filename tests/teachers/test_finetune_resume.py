"""Fine-tuning learns, is found again, and goes on after a kill to the very same weights."""

from __future__ import annotations

import json
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from killing import Killed, kill_after

from kd_keras.common.artifacts import claim_of
from kd_keras.common.claims import claimed
from kd_keras.common.errors import UserError
from kd_keras.tasks import Rows, Task, TaskData, has_label
from kd_keras.teachers import fine_tuner
from kd_keras.teachers.bert import Teacher
from kd_keras.teachers.checkpoints import find_checkpoint
from kd_keras.teachers.finetune import fine_tune
from kd_keras.teachers.optimizer import WarmupLinear
from kd_keras.teachers.settings import TeacherSettings

SETTINGS = TeacherSettings(teacher_epochs=2, teacher_batch_size=8, teacher_learning_rate=1e-3, teacher_seed=3)
AT_EACH_UPDATE = {"checkpoint_seconds": 0.0}


@pytest.fixture
def checkpoint(bert_folder):
    return find_checkpoint(str(bert_folder))


def weights(teacher: Teacher) -> list[np.ndarray]:
    return [w.numpy() for w in teacher.bert.weights]


def leftovers(folder: Path) -> list[str]:
    return [p.name for p in folder.iterdir() if p.name != "teacher"]


def test_it_learns_what_can_be_learned(checkpoint, toy_data, tmp_path):
    data = toy_data(train=128, dev=30)
    settings = replace(SETTINGS, teacher_epochs=4, teacher_learning_rate=1e-2)
    teacher = fine_tune(checkpoint, data, settings, tmp_path / "teacher")
    called = teacher.logits(teacher.encode(data.dev)).argmax(-1)
    assert (called == data.dev.label).all()
    made = json.loads((tmp_path / "teacher" / "teacher.json").read_text())
    assert made["dev"] == {"accuracy": 1.0} and made["name"] == str(checkpoint.path)
    losses = [h["loss"] for h in made["history"]]
    assert [h["step"] for h in made["history"]] == [16, 32, 48, 64]
    assert losses[-1] < 0.2 < 0.4 < losses[0]
    assert leftovers(tmp_path) == [], "checkpoints are taken away at the end"


def test_of_two_commands_one_waits_and_takes_what_the_other_made(checkpoint, toy_data, tmp_path, monkeypatch):
    data, here, there = toy_data(), tmp_path / "here" / "teacher", tmp_path / "there" / "teacher"
    made = fine_tune(checkpoint, data, SETTINGS, there)
    said, waits = [], threading.Event()
    monkeypatch.setattr("kd_keras.common.claims.say", lambda line: said.append(line) or waits.set())
    monkeypatch.setattr(fine_tuner.FineTuner, "go", lambda self: pytest.fail("it is made twice"))
    with ThreadPoolExecutor(1) as pool:
        with claimed(claim_of(here), "teacher"):
            second = pool.submit(fine_tune, checkpoint, data, SETTINGS, here)
            assert waits.wait(60)
            shutil.copytree(there, here)
        found = second.result(60)
    assert said == [f"teacher: another command makes it (its claim is {claim_of(here)}); waiting for that"]
    assert all((a == b).all() for a, b in zip(weights(made), weights(found), strict=True))
    assert leftovers(here.parent) == []


def test_a_script_that_the_teacher_does_not_know_is_said_before_training(checkpoint, toy_data, tmp_path, capsys):
    data = toy_data()
    fine_tune(checkpoint, data, replace(SETTINGS, teacher_epochs=1), tmp_path / "known")
    assert "unknown to" not in capsys.readouterr().err
    train = Rows(data.train.ids, ["ጥሩ ፊልም ነው", *data.train.text[1:10], *["ፊልም"] * 38], None, data.train.label)
    fine_tune(checkpoint, replace(data, train=train), replace(SETTINGS, teacher_epochs=1), tmp_path / "teacher")
    said = capsys.readouterr().err
    assert (
        "of the pieces of the training text are unknown to" in said and "--teacher=me5-small reads 47 languages" in said
    )
    assert said.index("unknown to") < said.index("fine-tuning")


KEPT = {
    "the first of the best": ("best", 0.0, [0.5, 0.9, 0.9, 0.7], 1),
    "the last that is near": ("last", 0.05, [0.5, 0.9, 0.82, 0.7], 2),
    "the last of equals": ("last", 0.0, [0.5, 0.9, 0.9, 0.7], 2),
    "the last of all": ("last", 0.3, [0.5, 0.9, 0.9, 0.7], 3),
    "what was near falls behind": ("last", 0.05, [0.85, 0.9, 0.7, 1.0], 3),
}


@pytest.mark.parametrize(("keep", "error", "scores", "kept"), KEPT.values(), ids=KEPT)
def test_the_weights_that_dev_chooses_are_kept(checkpoint, toy_data, tmp_path, monkeypatch, keep, error, scores, kept):
    left, seen = iter(scores), []
    monkeypatch.setattr(fine_tuner, "standard_error", lambda *_: error)
    real = Teacher.logits

    def remember(self, encoded, *args):
        seen.append(weights(self))
        return real(self, encoded, *args)

    monkeypatch.setattr(Teacher, "logits", remember)
    monkeypatch.setattr(fine_tuner, "score", lambda names, *args: {names[0]: next(left)})
    settings = replace(SETTINGS, teacher_epochs=4, teacher_keep=keep)
    teacher = fine_tune(checkpoint, toy_data(), settings, tmp_path / "teacher")
    assert len(seen) == 4
    assert all((got == want).all() for got, want in zip(weights(teacher), seen[kept], strict=True))
    assert all(any((a != b).any() for a, b in zip(seen[kept], seen[n], strict=True)) for n in range(4) if n != kept)
    assert json.loads((tmp_path / "teacher" / "teacher.json").read_text())["dev"] == {"accuracy": scores[kept]}


def test_it_is_found_again_and_taken_from_another_run(checkpoint, toy_data, tmp_path, monkeypatch):
    data = toy_data()
    first = fine_tune(checkpoint, data, SETTINGS, tmp_path / "a" / "teacher")

    def never(self):
        raise AssertionError("trained again")

    monkeypatch.setattr(fine_tuner.FineTuner, "go", never)
    again = fine_tune(checkpoint, data, SETTINGS, tmp_path / "a" / "teacher")
    linked = fine_tune(
        checkpoint, data, SETTINGS, tmp_path / "b" / "teacher", [tmp_path / "none", tmp_path / "a/teacher"]
    )
    assert first.fingerprint() == again.fingerprint() == linked.fingerprint()
    for other in (
        (replace(SETTINGS, teacher_learning_rate=1e-4), data),
        (replace(SETTINGS, teacher_seed=4), data),
        (replace(SETTINGS, teacher_max_length=12), data),
        (SETTINGS, toy_data(dev=18)),
    ):
        with pytest.raises(AssertionError, match="trained again"):
            fine_tune(checkpoint, other[1], other[0], tmp_path / "a" / "teacher")
    path = tmp_path / "b" / "teacher" / "model.safetensors"
    raw = bytearray(path.read_bytes())
    path.unlink()  # it is the other run's file, too
    raw[-1] ^= 1
    path.write_bytes(raw)
    with pytest.raises(AssertionError, match="trained again"):
        fine_tune(checkpoint, data, SETTINGS, tmp_path / "b" / "teacher")


def test_killed_at_three_places_it_ends_with_the_same_bits(checkpoint, toy_data, tmp_path, monkeypatch):
    data = toy_data(train=45)  # 6 updates an epoch, the last one short
    unbroken = fine_tune(checkpoint, data, SETTINGS, tmp_path / "a" / "teacher")
    assert unbroken.bert.config.hidden_dropout_prob == 0.1, "without dropout this would prove less"

    folder, settings = tmp_path / "b [1]" / "teacher", replace(SETTINGS, **AT_EACH_UPDATE)
    for updates in (2, 3, 4):
        with monkeypatch.context() as patch:
            kill_after(patch, updates)
            with pytest.raises(Killed):
                fine_tune(checkpoint, data, settings, folder)
        assert not folder.exists(), "a half-trained teacher must not be found"
    with monkeypatch.context() as patch:
        kill_after(patch, 3)  # 2 + 3 + 4 updates are done, so 3 are left
        resumed = fine_tune(checkpoint, data, settings, folder)
    for a, b, w in zip(weights(unbroken), weights(resumed), unbroken.bert.weights, strict=True):
        assert (a == b).all(), w.name
    one, other = (json.loads((tmp_path / n / "teacher" / "teacher.json").read_text()) for n in ("a", "b [1]"))
    assert one["dev"] == other["dev"] and one["weights_sha256"] == other["weights_sha256"]
    assert [h["step"] for h in other["history"]] == [6, 12]
    assert leftovers(tmp_path / "b [1]") == []


def test_dropout_is_on_in_training(checkpoint, toy_data, tmp_path):
    data, short = toy_data(), replace(SETTINGS, teacher_epochs=0.3)
    without = shutil.copytree(checkpoint.path, tmp_path / "without")
    config = json.loads((without / "config.json").read_text())
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (without / "config.json").write_text(json.dumps(config))
    a = fine_tune(checkpoint, data, short, tmp_path / "a" / "teacher")
    b = fine_tune(find_checkpoint(str(without)), data, short, tmp_path / "b" / "teacher")
    assert max(np.abs(x - y).max() for x, y in zip(weights(a), weights(b), strict=True)) > 1e-4


def test_no_epochs_take_the_checkpoints_own_classifier(checkpoint, toy_data, tmp_path):
    data = toy_data()
    teacher = fine_tune(checkpoint, data, replace(SETTINGS, teacher_epochs=0), tmp_path / "teacher")
    untouched = Teacher.load(checkpoint, 2, 16)
    assert teacher.fingerprint() == untouched.fingerprint()
    accuracy = float((untouched(data.dev.text).argmax(-1) == data.dev.label).mean())
    assert json.loads((tmp_path / "teacher" / "teacher.json").read_text())["dev"] == {"accuracy": accuracy}


def test_rows_without_a_label_are_not_learned_from(checkpoint, toy_data, tmp_path):
    data = toy_data(train=24)
    rows = data.train
    more = Rows([*rows.ids, "x"], [*rows.text, "the film"], None, np.append(rows.label, np.int32(-1)).astype(np.int32))
    with_more = TaskData(data.task, more, data.dev, "", [])
    a = fine_tune(checkpoint, data, SETTINGS, tmp_path / "a" / "t")
    b = fine_tune(checkpoint, with_more, SETTINGS, tmp_path / "b" / "t")
    assert a.fingerprint() == b.fingerprint()
    none = Rows(rows.ids, rows.text, None, np.full(len(rows), -1, np.int32))
    with pytest.raises(UserError, match="no training row has a label"):
        fine_tune(checkpoint, TaskData(data.task, none, data.dev, "", []), SETTINGS, tmp_path / "c" / "t")
    assert has_label(Rows(["a", "b"], ["", ""], None, np.array([np.nan, 0], np.float32))).tolist() == [False, True]


def test_a_regression_learns_a_number(checkpoint, toy_rows, tmp_path):
    def rows(count, seed, prefix):
        r = toy_rows(count, seed, prefix)
        return Rows(r.ids, r.text, None, r.label.astype(np.float32) * 2)

    task = Task("toy", "regression", (), metric="pearson", metrics=("pearson",), max_length=16)
    data = TaskData(task, rows(128, 0, "train"), rows(20, 1, "dev"), "", [])
    settings = replace(SETTINGS, teacher_epochs=6, teacher_learning_rate=1e-2)
    teacher = fine_tune(checkpoint, data, settings, tmp_path / "teacher")
    got = teacher.logits(teacher.encode(data.dev))
    assert got.shape == (20, 1) and np.corrcoef(got[:, 0], data.dev.label)[0, 1] > 0.9
    low, high = (got[data.dev.label == v, 0].mean() for v in (0, 2))
    assert abs(low) < 0.6 and abs(high - 2) < 1.0 and high - low > 0.5, "the numbers themselves, not their order alone"


def test_a_loss_that_is_no_number_names_the_flag(checkpoint, toy_data, tmp_path, monkeypatch):
    monkeypatch.setattr(
        fine_tuner.FineTuner, "_update_function", lambda self, targets: lambda *batch: np.float32(np.nan)
    )
    with pytest.raises(UserError, match="teacher's loss is nan; lower --teacher_learning_rate=0.001"):
        fine_tune(checkpoint, toy_data(), SETTINGS, tmp_path / "t")
    assert not (tmp_path / "t").exists()


def test_the_rate_rises_and_falls_linearly():
    rate = WarmupLinear(2.0, warmup=4, total=10)
    got = [float(rate(s)) for s in range(10)]
    np.testing.assert_allclose(got, [0.5, 1, 1.5, 2, 12 / 7, 10 / 7, 8 / 7, 6 / 7, 4 / 7, 2 / 7], rtol=1e-6)
    assert float(WarmupLinear(2.0, 0, 10)(0)) == pytest.approx(20 / 11) and float(rate(99)) == 0


def test_another_runs_checkpoint_is_not_taken(checkpoint, toy_data, tmp_path, monkeypatch):
    """A kill, then other settings in the same folder: they start afresh."""
    data = toy_data()
    with monkeypatch.context() as patch:
        kill_after(patch, 3)
        with pytest.raises(Killed):
            fine_tune(checkpoint, data, replace(SETTINGS, **AT_EACH_UPDATE), tmp_path / "a" / "teacher")
    assert leftovers(tmp_path / "a"), "without a checkpoint this would prove nothing"
    taken = []
    real = fine_tuner.FineTuner._update_function
    monkeypatch.setattr(
        fine_tuner.FineTuner,
        "_update_function",
        lambda self, targets: taken.append(self.manager.latest_checkpoint) or real(self, targets),
    )
    fine_tune(
        checkpoint, data, replace(SETTINGS, teacher_learning_rate=5e-4, teacher_epochs=0.3), tmp_path / "a" / "teacher"
    )
    assert taken == [None]


def test_our_own_fine_tuned_teacher_is_used_as_it_is(checkpoint, toy_data, tmp_path, monkeypatch):
    data = toy_data()
    made = fine_tune(checkpoint, data, replace(SETTINGS, teacher_epochs=0), tmp_path / "made")
    monkeypatch.setattr(fine_tuner.FineTuner, "go", lambda self: pytest.fail("trained again"))
    given = find_checkpoint(str(tmp_path / "made"))
    used = fine_tune(given, data, SETTINGS, tmp_path / "run" / "teacher")
    assert used.fingerprint() == made.fingerprint()
    assert json.loads((tmp_path / "run" / "teacher" / "teacher.json").read_text())["fingerprint"] == made.fingerprint()
    with pytest.raises(pytest.fail.Exception, match="trained again"):
        fine_tune(given, toy_data(dev=18), SETTINGS, tmp_path / "other" / "teacher")
