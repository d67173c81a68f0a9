"""Stages: the best dev weights come back, patience ends it, and a kill changes nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from kd_keras.common.errors import UserError
from kd_keras.distill import loop, stages
from kd_keras.distill.loop import DevSet, Training
from kd_keras.distill.objectives import HardLabels, LogitMSE, mixture
from kd_keras.distill.optimizers import make_optimizer
from kd_keras.distill.settings import STEADY, TrainSettings
from kd_keras.distill.stages import Stage, TrainingSet, run_stage, run_stages
from kd_keras.students.bilstm import build_student
from kd_keras.students.inference import predict
from kd_keras.students.settings import StudentSettings
from kd_keras.text.token_ids import TokenIds

SETTINGS = TrainSettings(batch_size=8, learning_rate=0.01, ema=0.0)
SHAPE = StudentSettings(
    embedding_size=6, hidden_size=4, dense_size=5, embedding_dropout=0.2, word_dropout=0.1, dropout=0.2
)


def token_rows(count, seed):
    """Ids 1–9 mean nothing; 10–12 are class 0, 13–15 class 1."""
    draw = np.random.default_rng(seed)
    rows = [draw.integers(1, 10, draw.integers(1, 6)).tolist() for _ in range(count)]
    labels = np.arange(count) % 2
    for row, label in zip(rows, labels, strict=True):
        row.insert(int(draw.integers(0, len(row) + 1)), int(10 + 3 * label + draw.integers(0, 3)))
    return TokenIds.of(rows), labels.astype(np.int32)


TRAIN_IDS, TRAIN_LABELS = token_rows(60, 0)
DEV_IDS, DEV_LABELS = token_rows(30, 1)
TEACHER = (np.eye(2)[TRAIN_LABELS] * 4 - 2).astype(np.float32)
TRAIN = TrainingSet({"ids": TRAIN_IDS}, {"label": TRAIN_LABELS, "teacher_logits": TEACHER})
DEV = DevSet({"ids": DEV_IDS}, DEV_LABELS, ("accuracy", "f1"))
TAUGHT_DEV = replace(DEV, y={"label": DEV_LABELS, "teacher_logits": (np.eye(2)[DEV_LABELS] * 4 - 2).astype(np.float32)})


def student(seed=1, shape=SHAPE):
    matrix = np.random.default_rng(5).normal(size=(16, 6)).astype(np.float32)
    return build_student(shape, matrix, 2, seed)


def stage(steps=24, **kwargs):
    return Stage("test", mixture(0.5), TRAIN, steps, 0.01, **kwargs)


def run(model, folder, stage=None, settings=SETTINGS, dev=DEV):
    return run_stage(model, stage or globals()["stage"](), Training(dev, settings, folder, 1, "test"))


@pytest.fixture(autouse=True)
def checkpoint_after_every_round(monkeypatch):
    monkeypatch.setattr(loop, "SAVE_SECONDS", 0.0)


def test_a_checkpoint_is_written_when_the_last_one_is_old(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "SAVE_SECONDS", 10.0)
    clock = iter(range(0, 10_000, 6))  # each look at the clock is 6 s later than the last
    saved = []
    monkeypatch.setattr(loop.Loop, "_save", lambda self: saved.append((self.rounds_done, self._started)))
    monkeypatch.setattr(loop.time, "monotonic", lambda: next(clock))
    run(student(), tmp_path / "a", stage(steps=64))
    assert len(saved) > 0, "long enough ago"
    monkeypatch.setattr(loop, "SAVE_SECONDS", 1e6)
    saved.clear()
    run(student(), tmp_path / "b", stage(steps=64))
    assert not saved, "not yet"


def variables(model):
    return [np.array(v) for v in model.variables]


def equal(a, b):
    return all((x == y).all() for x, y in zip(a, b, strict=True))


def test_it_learns_and_tells_its_history(tmp_path):
    model = student(shape=replace(SHAPE, hidden_size=8, embedding_dropout=0.0, word_dropout=0.0, dropout=0.0))
    history = run(model, tmp_path / "a", stage(steps=120))
    assert history["best"] > 0.9
    assert (predict(model, DEV.ids).argmax(-1) == DEV_LABELS).mean() == history["best"]
    first, last = history["epochs"][0], history["epochs"][-1]
    assert set(first) == {"step", "epoch", "loss", "loss_hard", "loss_mse", "accuracy", "dev_accuracy", "dev_f1"}
    assert (first["step"], first["epoch"], last["step"], last["epoch"]) == (8, 1.0, 120, 15.0)
    assert last["loss"] < 0.5 * first["loss"] and history["seconds"] > 0


def test_predictions_come_in_the_order_of_the_rows():
    model = student()
    got = predict(model, DEV.ids, batch_size=7)
    want = [np.array(model({"ids": DEV_IDS.padded(np.array([i]))})["logits"])[0] for i in range(30)]
    np.testing.assert_allclose(got, want, atol=1e-5)
    first = got.copy()
    model.get_layer("logits").bias.assign([1.0, -1.0])  # the traced function reads new weights
    np.testing.assert_allclose(predict(model, DEV.ids), first + [1.0, -1.0], atol=1e-5)


@pytest.mark.parametrize("evals", [1.0, 2.0, 0.5])
def test_the_number_of_dev_scores_follows_the_flag(tmp_path, evals):
    history = run(student(), tmp_path / "a", stage(steps=16), replace(SETTINGS, evals_per_epoch=evals))
    every = {1.0: 8, 2.0: 4, 0.5: 16}[evals]
    assert [e["step"] for e in history["epochs"]] == list(range(every, 17, every))


def scored(monkeypatch, values):
    """Dev scores from a list; returns the weights that each was given for."""
    seen, model_of = [], {}
    real = loop.predict
    left = iter(values)

    def spy(model, ids, *args):
        model_of["m"] = model
        return real(model, ids, *args)

    def fake(names, labels, logits):
        seen.append(variables(model_of["m"]))
        value = next(left)
        return {n: value for n in names}

    monkeypatch.setattr(loop, "predict", spy)
    monkeypatch.setattr(loop, "score", fake)
    return seen


def test_the_best_weights_come_back(tmp_path, monkeypatch):
    seen = scored(monkeypatch, [0.5, 0.8, 0.8, 0.6])
    model = student()
    history = run(model, tmp_path / "a", stage(steps=32))
    assert len(seen) == 4 and not equal(seen[1], seen[3])
    assert equal(variables(model), seen[1]), "the first of equal scores wins"
    assert (history["best"], history["best_step"]) == (0.8, 16)


STEADILY = {
    "the loss falls on": ([0.7, 0.9, 0.85, 0.85], [5, 4, 3, 2], 0.05, 3),
    "the loss rises again": ([0.7, 0.9, 0.85, 0.85], [5, 4, 2, 3], 0.05, 2),
    "too far below the best": ([0.7, 0.9, 0.75, 0.7], [5, 4, 2, 1], 0.05, 1),
    "what was kept falls behind": ([0.7, 0.75, 0.9, 0.7], [3, 2, 4, 1], 0.05, 2),
    "a better score that is not far": ([0.7, 0.75, 0.75, 0.7], [3, 2, 4, 2.5], 0.05, 1),
    "no error, no room": ([0.7, 0.9, 0.89, 0.9], [5, 4, 1, 3], 0.0, 3),
}


@pytest.mark.parametrize(("scores", "losses", "error", "best"), STEADILY.values(), ids=STEADILY)
def test_of_scores_that_dev_does_not_tell_apart_the_lowest_loss_wins(
    tmp_path, monkeypatch, scores, losses, error, best
):
    seen, model, left = scored(monkeypatch, scores), student(), iter(losses)
    monkeypatch.setattr(loop, "standard_error", lambda *_: error)
    monkeypatch.setattr(loop, "dev_loss", lambda *_: float(next(left)))
    history = run(model, tmp_path / "a", stage(steps=32, select=STEADY), dev=TAUGHT_DEV)
    assert equal(variables(model), seen[best])
    assert (history["best"], history["best_step"]) == (scores[best], 8 * (best + 1))
    assert [e["dev_loss"] for e in history["epochs"]] == losses


def test_a_steady_choice_needs_a_teacher_on_dev(tmp_path):
    with pytest.raises(UserError, match="chooses by its loss on dev, but dev has no teacher signals"):
        run(student(), tmp_path / "a", stage(select=STEADY))


def test_averaged_weights_are_those_of_numpy(tmp_path, monkeypatch):
    """avg₁ = w₁, then avg = m·avg + (1 − m)·w; training itself goes on from the raw weights."""
    settings = replace(SETTINGS, ema=0.8, evals_per_epoch=0.5)
    raw = []
    monkeypatch.setattr(
        loop.Loop,
        "on_train_batch_end",
        lambda self, batch, logs=None: raw.append([np.array(v) for v in self.distiller.student.trainable_variables]),
    )
    model = student()
    run(model, tmp_path / "a", stage(steps=64), settings)
    momentum = min(0.8, 1 - 10 / 64)
    best = json.loads(str(np.load(tmp_path / "a" / "state.npz")["info"]))["best_step"]
    want = [w.astype(np.float64) for w in raw[0]]
    for weights in raw[1:best]:
        want = [momentum * a + (1 - momentum) * w for a, w in zip(want, weights, strict=True)]
    for got, average, last in zip(model.trainable_variables, want, raw[best - 1], strict=True):
        np.testing.assert_allclose(np.array(got), average, atol=1e-5)
        assert np.abs(average - last).max() > 1e-4, "the average must differ from the raw weights to prove something"
    plain = student()
    run(plain, tmp_path / "b", stage(steps=64), replace(settings, ema=0.0))
    assert equal(raw[-1], raw[len(raw) // 2 - 1]), "averaging must not change the path of the training"


@pytest.mark.parametrize(
    ("steps", "rounds", "ends"), [(7, 3, [2, 4, 6]), (6, 4, [1, 2, 3, 4, 5, 6]), (6, 9, [1, 2, 3, 4, 5, 6]), (8, 2, [4, 8])]
)  # fmt: skip
def test_never_more_updates_than_were_asked_for(tmp_path, monkeypatch, steps, rounds, ends):
    made = []
    monkeypatch.setattr(loop.Loop, "on_train_batch_end", lambda self, batch, logs=None: made.append(1))
    history = run(student(), tmp_path / "a", stage(steps=steps, rounds=rounds))
    assert [e["step"] for e in history["epochs"]] == ends and len(made) == ends[-1]


@pytest.mark.parametrize(("patience", "rounds"), [(0, 8), (1, 3), (2, 7), (3, 8)])
def test_patience_ends_the_training_and_both_ends_are_said(tmp_path, monkeypatch, capsys, patience, rounds):
    seen = scored(monkeypatch, [0.5, 0.6, 0.6, 0.7, 0.8, 0.7, 0.7, 0.7])
    history = run(student(), tmp_path / "a", stage(steps=64), replace(SETTINGS, patience=patience))
    assert len(seen) == len(history["epochs"]) == rounds
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "test: at most 64 updates, with a dev score after each 8"
    stopped = [line for line in said if "stopped early" in line]
    best = {1: (0.6, 16), 2: (0.8, 40)}.get(patience)
    assert stopped == ([] if best is None else [
        f"test: stopped early, at update {8 * rounds} of 64: the best dev accuracy, {best[0]:.4f}, was at update {best[1]} "
        f"(--patience={patience})"
    ])  # fmt: skip


def test_what_stopped_early_was_chosen_by_its_loss_or_kept_what_it_began_with(tmp_path, capsys):
    training = Training(replace(DEV, y=TRAIN.y), replace(SETTINGS, patience=1), tmp_path, 1, "test")
    made = loop.Loop(SimpleNamespace(student=student(), projections=[]), training, "loss", 4, 8, -0.25)
    made.info["epochs"] = [{"step": 4}]
    assert stages._stopped(made, 24) == (
        "stopped early, at update 4 of 24: the best dev loss, 0.2500, was before the stage (--patience=1)"
    )


@pytest.mark.parametrize(
    ("optimizer", "ema", "select"), [("adam", 0.0, "metric"), ("adamw", 0.9, "metric"), ("adam", 0.0, STEADY)]
)
def test_killed_twice_it_ends_with_the_same_bits(tmp_path, monkeypatch, optimizer, ema, select):
    how = {"stage": stage(select=select), "dev": TAUGHT_DEV}
    settings = replace(SETTINGS, optimizer=optimizer, ema=ema, evals_per_epoch=2.0)
    whole = student()
    unbroken = run(whole, tmp_path / "a", settings=settings, **how)
    assert whole.get_layer("embedding_dropout").rate > 0, "without dropout this would prove less"

    real = loop.Loop.on_epoch_end
    for fatal in (2, 4):

        def die(self, epoch, logs=None, fatal=fatal):
            if epoch == fatal:
                raise KeyboardInterrupt
            real(self, epoch, logs)

        with monkeypatch.context() as patch:
            patch.setattr(loop.Loop, "on_epoch_end", die)
            with pytest.raises(KeyboardInterrupt):
                run(student(), tmp_path / "b", settings=settings, **how)
    steps = []
    monkeypatch.setattr(loop.Loop, "on_train_batch_end", lambda self, batch, logs=None: steps.append(1))
    again = student()
    resumed = run(again, tmp_path / "b", settings=settings, **how)
    assert len(steps) == 8, "four of six rounds of four updates were done"
    assert equal(variables(whole), variables(again))
    assert resumed["best"] == unbroken["best"] and resumed["best_step"] == unbroken["best_step"]
    assert [e | {"seconds": 0} for e in resumed["epochs"]] == [e | {"seconds": 0} for e in unbroken["epochs"]]


def test_a_finished_stage_is_not_trained_again(tmp_path, monkeypatch):
    first = student()
    run(first, tmp_path / "a")
    monkeypatch.setattr(stages.Distiller, "fit", lambda *a, **k: pytest.fail("trained again"))
    second = student(seed=9)
    run(second, tmp_path / "a")
    assert equal(variables(first), variables(second))


def test_a_spent_patience_stays_spent_after_a_kill(tmp_path, monkeypatch):
    settings = replace(SETTINGS, patience=1)
    with monkeypatch.context() as patch:
        scored(patch, [0.5, 0.4])
        run(student(), tmp_path / "a", stage(steps=64), settings)
    monkeypatch.setattr(stages.Distiller, "fit", lambda *a, **k: pytest.fail("trained on"))
    assert len(run(student(), tmp_path / "a", stage(steps=64), settings)["epochs"]) == 2


@pytest.mark.parametrize("damage", ["truncate", "text"])
def test_a_damaged_checkpoint_is_named(tmp_path, damage):
    run(student(), tmp_path / "a", stage(steps=8))
    state = tmp_path / "a" / "state.npz"
    state.write_bytes(state.read_bytes()[:-100] if damage == "truncate" else b"nothing")
    with pytest.raises(UserError, match=r"state\.npz: damaged checkpoint .* delete it"):
        run(student(), tmp_path / "a", stage(steps=8))


def test_what_a_killed_run_left_of_other_data_is_not_taken(tmp_path, monkeypatch, capsys):
    """After a change of data or settings the student starts anew."""
    with monkeypatch.context() as patch:
        scored(patch, [0.5])
        patch.setattr(loop.Loop, "_save", lambda self, save=loop.Loop._save: (save(self), 1 / 0))
        with pytest.raises(ZeroDivisionError):
            run(student(), tmp_path / "a")
    anew, clean = student(), student()
    history = run_stage(anew, stage(), Training(DEV, SETTINGS, tmp_path / "a", 1, "test", key="other data"))
    assert "belongs to other data or settings" in capsys.readouterr().err
    assert history["epochs"][0]["step"] == 8
    run_stage(clean, stage(), Training(DEV, SETTINGS, tmp_path / "b", 1, "test", key="other data"))
    assert equal(variables(anew), variables(clean))


def test_only_the_named_layers_learn(tmp_path):
    model = student()
    before = {v.path: np.array(v) for v in model.weights}
    run_stages(
        model, [stage(steps=8, trainable=("dense", "logits"))], Training(DEV, SETTINGS, tmp_path / "a", 1, "test")
    )
    moved = {v.path for v in model.weights if (np.array(v) != before[v.path]).any()}
    assert moved == {"dense/kernel", "dense/bias", "logits/kernel", "logits/bias"}


def test_a_loss_that_is_no_number_names_the_flag(tmp_path):
    bad = TrainingSet(TRAIN.ids, {"label": TRAIN_LABELS, "teacher_logits": TEACHER * np.float32(np.nan)})
    with pytest.raises(UserError, match="loss is nan at update 8: use a lower --learning_rate"):
        run(student(), tmp_path / "a", Stage("test", (LogitMSE(),), bad, 8, 0.01))
    assert not (tmp_path / "a" / "state.npz").exists()


def test_a_stage_can_be_written_down():
    said = Stage("s", (HardLabels(0.5), LogitMSE()), TRAIN, 7, 0.1, ("dense",)).describe()
    assert json.loads(json.dumps(said)) == {
        "name": "s",
        "objectives": [
            {"objective": "hard", "weight": 0.5, "unlabelled": "skip"},
            {"objective": "mse", "weight": 1.0},
        ],
        "rows": 60,
        "steps": 7,
        "rounds": None,
        "learning_rate": 0.1,
        "trainable": ["dense"],
        "select": "metric",
    }


def rates(settings, steps=100):
    optimizer = make_optimizer(settings, steps, 0.5)
    rate = optimizer._learning_rate
    return optimizer, [float(rate(s)) for s in range(steps + 1)] if callable(rate) else float(optimizer.learning_rate)


@pytest.mark.parametrize(("name", "kind"), [("adam", "Adam"), ("adamw", "AdamW"), ("adadelta", "Adadelta")])
def test_optimizers_have_the_settings_of_the_flags(name, kind):
    optimizer, rate = rates(TrainSettings(optimizer=name, schedule="constant", weight_decay=0.3, clip=2.0))
    assert isinstance(optimizer, getattr(keras.optimizers, kind)) and rate == 0.5 and optimizer.global_clipnorm == 2.0
    if name == "adadelta":
        assert optimizer.rho == 0.95
    assert (optimizer.weight_decay or 0) == (0.3 if name == "adamw" else 0)


def test_the_cosine_rises_for_its_part_and_falls_to_nothing():
    _, got = rates(TrainSettings(schedule="cosine", warmup=0.1))
    assert got[0] == pytest.approx(0.005) and np.argmax(got) == 10 and got[10] == pytest.approx(0.5)
    assert got[55] == pytest.approx(0.25, abs=1e-3) and got[100] == pytest.approx(0.0, abs=1e-6)
    _, no_warmup = rates(TrainSettings(schedule="cosine", warmup=0.0))
    want = 0.25 * (1 + np.cos(np.pi * np.arange(101) / 100))
    np.testing.assert_allclose(no_warmup, want, atol=1e-5)
