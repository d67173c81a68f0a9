"""Products in bfloat16 and float16: who may have them, what they do to labels, and the scale of float16's loss.

No GPU is needed: a processor has the arithmetic too, only slowly.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from killing import kill_after

from kd_keras.common import devices, machine
from kd_keras.common.errors import UserError
from kd_keras.teachers import fine_tuner, labelling
from kd_keras.teachers.checkpoints import find_checkpoint
from kd_keras.teachers.fine_tuner import FineTuner
from kd_keras.teachers.finetune import fine_tune, teacher_key
from kd_keras.teachers.heads import tensors
from kd_keras.teachers.labelling import label
from kd_keras.teachers.settings import LabelSettings, TeacherSettings
from kd_keras.teachers.signals import SignalStore
from kd_keras.teachers.targets import targets_of

LABELS = LabelSettings(shard_rows=8, label_batch_tokens=48)
TEACHING = TeacherSettings(teacher_epochs=4, teacher_batch_size=8, teacher_learning_rate=1e-2, teacher_seed=3)


def allowed(settings: LabelSettings | TeacherSettings) -> bool:
    try:
        settings.check_machine()
    except UserError as e:
        assert "; take float32" in str(e)
        return False
    return True


@pytest.mark.parametrize("bits", [False, True])
@pytest.mark.parametrize("gpus", [[], ["H200"]])
def test_which_machine_may_have_which_precision(monkeypatch, bits, gpus):
    monkeypatch.setattr(machine, "has_bfloat16", lambda: bits)
    monkeypatch.setattr(devices, "gpu_names", lambda: gpus)
    wanted = {"float32": True, "bfloat16": bits or bool(gpus), "float16": bool(gpus)}
    assert {p: allowed(LabelSettings(label_precision=p)) for p in wanted} == wanted
    assert {p: allowed(TeacherSettings(teacher_precision=p)) for p in wanted} == wanted


def test_float16_without_a_gpu_says_so(monkeypatch):
    monkeypatch.setattr(devices, "gpu_names", lambda: [])
    with pytest.raises(
        UserError, match="^--label_precision=float16: is for a GPU, and TensorFlow works on the CPU; take"
    ):
        LabelSettings(label_precision="float16").check_machine()


def test_labels_in_float16_are_near_and_say_what_they_are(make_teacher, toy_rows, tmp_path, capsys):
    teacher, rows = make_teacher(), toy_rows(30)
    whole = label(teacher, rows, tmp_path / "whole", LABELS, "toy", "train")
    low = label(teacher, rows, tmp_path / "low", replace(LABELS, label_precision="float16"), "toy", "train")
    moved = np.abs(low.logits - whole.logits)
    assert 0 < moved.max() < 0.01 * np.abs(whole.logits).max() and low.logits.dtype == np.float32
    assert (
        low.manifest["precision"] == "float16" and "labels in float16: of 30 texts 100.00%" in capsys.readouterr().err
    )


def test_what_overflows_is_refused_by_the_sample_and_by_a_shard(make_teacher, toy_rows, tmp_path, monkeypatch):
    teacher, rows, how = make_teacher(), toy_rows(30), replace(LABELS, label_precision="float16")
    pooler = teacher.bert.bert.pooler.dense.kernel
    pooler.assign(pooler * 1e7)  # float32 has such numbers, float16 ends at 65,504
    assert np.isfinite(teacher(rows.text)).all() and not np.isfinite(teacher.lowered("float16")(rows.text)).all()
    with pytest.raises(UserError, match="--label_precision=float16: of 30 texts .* take --label_precision=float32"):
        label(teacher, rows, tmp_path / "s", how, "toy", "train")
    assert not (tmp_path / "s").exists()
    monkeypatch.setattr(labelling, "checked_labels", lambda *_: None)  # as if the sample had none of them
    with pytest.raises(UserError, match="float16: some numbers of shard 0 are too large for it; take float32"):
        label(teacher, rows, tmp_path / "s", how, "toy", "train")
    assert not SignalStore(tmp_path / "s").shard(0).exists()


def test_float16_learns_and_goes_on_after_a_kill_with_its_scale(bert_folder, toy_data, tmp_path, monkeypatch):
    checkpoint, data = find_checkpoint(str(bert_folder)), toy_data(train=64, dev=20)
    how = replace(TEACHING, teacher_precision="float16", checkpoint_seconds=0.0)
    whole = fine_tune(checkpoint, data, how, tmp_path / "whole" / "teacher")
    fine_tune(checkpoint, data, replace(how, teacher_precision="float32"), tmp_path / "float32" / "teacher")
    told = (checkpoint_made(tmp_path / name / "teacher")["history"] for name in ("whole", "float32"))
    losses, plain = ([h["loss"] for h in history] for history in told)
    assert losses[-1] < losses[0]
    np.testing.assert_allclose(losses, plain, rtol=0.02)
    with monkeypatch.context() as patch:
        kill_after(patch, 20, KeyboardInterrupt)
        with pytest.raises(KeyboardInterrupt):
            fine_tune(checkpoint, data, how, tmp_path / "killed" / "teacher")
    again = fine_tune(checkpoint, data, how, tmp_path / "killed" / "teacher")
    for one, other in zip(whole.weights, again.weights, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("factor, applied", [(1.0, True), (1e36, False)])
def test_an_update_whose_gradients_overflow_is_left_out_and_the_scale_halved(
    bert_folder, toy_data, tmp_path, monkeypatch, factor, applied
):
    data, real = toy_data(), fine_tuner.loss_of
    monkeypatch.setattr(fine_tuner, "loss_of", lambda *how: lambda *args: factor * real(*how)(*args))
    how = replace(TEACHING, teacher_precision="float16", teacher_warmup=0.0, teacher_evals=1)
    made = checkpoint_teacher(bert_folder)
    tuner = FineTuner(made, data, how, {}, tmp_path / "teacher", None)
    scale, before = float(tuner.optimizer.loss_scale), [v.numpy() for v in tuner.variables]
    targets = targets_of(data.task, tuner.train, tuner.encoded)
    rows = np.arange(8)
    batch = tuner.encoded.batch(rows)
    tuner._update_function(targets)(tensors(batch), tf.constant(targets(rows, batch)), tf.constant(1.0))
    same = all(np.array_equal(v.numpy(), b) for v, b in zip(tuner.variables, before, strict=True))
    assert (same, float(tuner.optimizer.loss_scale)) == (not applied, scale if applied else scale / 2)
    assert all(np.isfinite(v.numpy()).all() for v in tuner.variables)


def test_the_loss_scale_leaves_the_update_as_it_is(bert_folder, toy_data, tmp_path):
    """One update in float16, with its scaled loss, beside the same in float32."""
    data, moves = toy_data(), {}
    for precision in ("float32", "float16"):
        how = replace(TEACHING, teacher_precision=precision, teacher_warmup=0.0, teacher_evals=1)
        tuner = FineTuner(checkpoint_teacher(bert_folder), data, how, {}, tmp_path / precision, None)
        targets, rows = targets_of(data.task, tuner.train, tuner.encoded), np.arange(8)
        before = np.concatenate([v.numpy().ravel() for v in tuner.variables])
        batch = tuner.encoded.batch(rows)
        tuner._update_function(targets)(tensors(batch), tf.constant(targets(rows, batch)), tf.constant(1.0))
        moves[precision] = np.concatenate([v.numpy().ravel() for v in tuner.variables]) - before
    one, other = moves.values()
    assert one @ other / np.linalg.norm(one) / np.linalg.norm(other) > 0.98


def test_a_teacher_in_another_precision_is_another_teacher(bert_folder, toy_data):
    checkpoint, data = find_checkpoint(str(bert_folder)), toy_data()
    keys = [teacher_key(checkpoint, data, replace(TEACHING, teacher_precision=p)) for p in ("float32", "float16")]
    assert keys[1] == keys[0] | {"teacher_precision": "float16"} and "teacher_precision" not in keys[0]


def checkpoint_made(folder):
    return find_checkpoint(str(folder)).manifest()


def checkpoint_teacher(folder):
    from kd_keras.teachers.bert import Teacher
    from kd_keras.teachers.heads import set_dropout

    teacher = Teacher.load(find_checkpoint(str(folder)), 2, 16, seed=3)
    set_dropout(teacher.bert, 0.0)
    return teacher
