"""Recipes: what learns in which stage, what is kept, what a kill costs, and what is left of the projection."""

from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np
import pytest
from killing import stopped_in_every_stage
from scipy.special import softmax

from kd_keras.common.errors import UserError
from kd_keras.distill import loop
from kd_keras.distill.distiller import Distiller
from kd_keras.distill.loop import DevSet, Training, dev_loss
from kd_keras.distill.objectives import HardLabels, LogitMSE, Representation
from kd_keras.distill.recipes import Step, baseline, recipe, stages
from kd_keras.distill.settings import RECIPES, RecipeSettings, TrainSettings
from kd_keras.distill.stages import Stage, TrainingSet, run_stages
from kd_keras.runs.settings import JobSettings
from kd_keras.runs.taught import about_confidence
from kd_keras.students.bilstm import build_student
from kd_keras.students.inference import predict
from kd_keras.students.settings import StudentSettings
from kd_keras.tasks import Task
from kd_keras.text.token_ids import TokenIds

DRAW = np.random.default_rng(3)
SETTINGS = TrainSettings(batch_size=8, learning_rate=0.01, ema=0.9, evals_per_epoch=1.0)
SHAPE = StudentSettings(embedding_size=6, hidden_size=4, dense_size=5, embedding_dropout=0.2)
ROWS, WIDTH = 48, 7


def rows_of(count, seed):
    draw = np.random.default_rng(seed)
    ids = TokenIds.of([draw.integers(1, 16, draw.integers(1, 6)).tolist() for _ in range(count)])
    label = (np.array([ids[i].sum() for i in range(count)]) % 2).astype(np.int32)
    y = {
        "label": label,
        "teacher_logits": draw.normal(size=(count, 2)).astype(np.float32),
        "teacher_hidden": draw.normal(size=(count, WIDTH)).astype(np.float16),
    }
    return {"ids": ids}, y


ALL = TrainingSet(*rows_of(ROWS, 0))
LABELLED = ALL.take(np.arange(16))
_ids, _y = rows_of(20, 1)
DEV = DevSet(_ids, _y["label"], ("accuracy",), _y)


def student(seed=1, **changes):
    matrix = np.random.default_rng(5).normal(size=(16, 6)).astype(np.float32)
    return build_student(replace(SHAPE, **changes), matrix, 2, seed)


def made(name, updates=30, rounds=10, **settings):
    return stages(recipe(RecipeSettings(recipe=name, **settings), units=WIDTH), ALL, LABELLED, updates, rounds, 0.01)


def values(model):
    return {v.path: np.array(v) for v in model.weights if "seed" not in v.path}


def run(model, todo, folder, settings=SETTINGS):
    return run_stages(model, todo, Training(DEV, settings, folder, 1, "test"))


@pytest.fixture(autouse=True)
def checkpoint_after_every_round(monkeypatch):
    monkeypatch.setattr(loop, "SAVE_SECONDS", 0.0)


@pytest.mark.parametrize("name", RECIPES)
def test_shares_add_up_and_every_step_can_be_printed(name):
    steps = recipe(RecipeSettings(recipe=name, alpha=0.25))
    assert sum(s.share for s in steps) == pytest.approx(1)
    for step in steps:
        said = str(step)
        assert said.startswith(f"{step.name}: ") and all(o.title in said for o in step.objectives)
    assert abs(sum(s.steps for s in made(name, 1000)) - 1000) <= len(steps)


def test_joint_weighs_the_representation():
    (step,) = recipe(RecipeSettings(recipe="joint", representation_weight=5.0, distance="cosine"), units=WIDTH)
    logits, labels, vectors = step.objectives
    assert isinstance(logits, LogitMSE) and isinstance(labels, HardLabels) and labels.unlabelled == "teacher"
    assert (vectors.weight, vectors.distance, vectors.units) == (5.0, "cosine", WIDTH)
    with pytest.raises(UserError, match="--representation_weight=-1"):
        RecipeSettings(representation_weight=-1.0)


def test_the_staged_recipe_is_representation_then_logits_then_labels():
    first, second, third = made("staged")
    assert [o.title for s in (first, second, third) for o in s.objectives] == ["representation", "mse", "hard"]
    assert (first.select, second.select, third.select) == ("loss", "metric", "metric")
    assert len(first.data) == len(second.data) == ROWS and len(third.data) == 16, "gold labels: labeled rows only"
    assert first.trainable == ("bilstm", "embeddings"), "a head that learns nothing must not drift"


def test_two_stages_end_with_labels_and_logits_at_once():
    first, second = made("two_stage")
    assert (first.trainable, first.select) == (("bilstm", "embeddings"), "loss")
    assert [o.title for o in second.objectives] == ["mse", "hard"] and len(second.data) == ROWS
    head = ("dense", "logits")
    thawing = [stage.trainable for stage in made("two_stage_unfreeze")]
    assert thawing == [(), ("bilstm",), ("bilstm", "embeddings"), head, (*head, "bilstm"), None]


def test_a_logit_head_of_its_own_leaves_the_students_to_the_labels(tmp_path):
    _, logits, labels = todo = made("staged", logit_head="own")
    assert (logits.trainable, logits.select) == (("dense", "bilstm", "embeddings"), "loss") and labels.trainable is None
    model = student()
    before = values(model)
    run(model, todo[:2], tmp_path / "logits")
    assert (values(model)["logits/kernel"] == before["logits/kernel"]).all()
    assert (values(model)["dense/kernel"] != before["dense/kernel"]).any()


def test_layers_thaw_from_the_top_down():
    by_part = {}
    for stage in made("staged_unfreeze"):
        by_part.setdefault(stage.name.split(",")[0], []).append(stage.trainable)
    assert by_part["representation"] == [(), ("bilstm",), ("bilstm", "embeddings")]
    head = ("dense", "logits")
    assert by_part["logits"] == by_part["labels"] == [head, (*head, "bilstm"), None]


def test_an_unfreezing_run_moves_only_what_is_thawed(tmp_path, monkeypatch):
    model, todo = student(), made("staged_unfreeze")
    before, moved = values(model), []
    real = loop.Loop.on_epoch_end

    def look(self, epoch, logs=None):
        now = values(model)
        moved.append({k.split("/")[0] for k in now if (now[k] != before[k]).any()})
        real(self, epoch, logs)

    monkeypatch.setattr(loop.Loop, "on_epoch_end", look)
    history = run(model, todo, tmp_path)
    names = [e["stage"] for e in history["epochs"]]
    seen = {name: moved[names.index(name)] for name in dict.fromkeys(names)}
    assert seen["representation, projection"] == set()
    assert seen["representation, + BiLSTM"] == {"bilstm"}
    assert seen["representation, + embeddings"] == {"bilstm", "embeddings"}
    assert "dense" in seen["logits, head"]
    assert [s["stage"] for s in history["stages"]] == [s.name for s in todo]
    steps = [e["step"] for e in history["epochs"]]
    assert steps == sorted(set(steps)) and steps[-1] == sum(s["updates"] for s in history["stages"])
    assert all(layer.trainable for layer in model.layers), "thawed again at the end"


def test_frozen_embeddings_stay_frozen_whatever_a_stage_names(tmp_path):
    model = student(channels="static")
    before = values(model)["embeddings/embeddings"]
    run(model, made("staged"), tmp_path)
    assert (values(model)["embeddings/embeddings"] == before).all()
    assert not model.get_layer("embeddings").trainable


def test_the_projection_learns_and_is_no_part_of_the_student(tmp_path):
    model, todo = student(), made("staged")
    count = model.count_params()
    projection = todo[0].objectives[0].projection
    distiller = Distiller(model, todo[0].objectives)
    start = dev_loss(distiller, DEV)
    kernel = np.array(projection.kernel)
    history = run(model, todo[:1], tmp_path)
    assert (np.array(projection.kernel) != kernel).any()
    assert model.count_params() == count and not any("projection" in v.path for v in model.weights)
    assert -history["best"] < start, "the loss on dev went down"
    assert dev_loss(Distiller(model, todo[0].objectives), DEV) == pytest.approx(-history["best"], rel=1e-5)


def test_the_loss_on_dev_is_that_of_numpy(tmp_path):
    model, objective = student(), Representation(2.0, "mse", WIDTH)
    got = dev_loss(Distiller(model, (objective, LogitMSE(0.5))), DEV, batch_size=6)
    out = model({"ids": DEV.ids["ids"].padded(np.arange(20))})
    kernel, bias = objective.projection.get_weights()
    guess = np.array(out["sentence"], np.float64) @ kernel + bias
    want = 2 * ((guess - DEV.y["teacher_hidden"].astype(float)) ** 2).mean()
    want += 0.5 * ((np.array(out["logits"], np.float64) - DEV.y["teacher_logits"]) ** 2).mean()
    assert got == pytest.approx(want, rel=1e-5)


def test_a_stage_that_only_harms_leaves_the_best_weights(tmp_path, monkeypatch):
    model = student()
    good = Stage("good", (HardLabels(),), ALL, 24, 0.02, rounds=3)
    noise = TrainingSet(ALL.ids, {"label": (1 - ALL.y["label"]).astype(np.int32)})
    bad = Stage("bad", (HardLabels(),), noise, 16, 0.05, rounds=2)
    monkeypatch.setattr(loop, "score", lambda names, labels, logits: {"accuracy": next(given)})
    given = iter([0.6, 0.9, 0.7])
    run(model, (good,), tmp_path / "one")
    best = predict(model, DEV.ids)
    given = iter([0.6, 0.9, 0.7, 0.8, 0.9])
    again = student()
    history = run(again, (good, bad), tmp_path / "two")
    np.testing.assert_allclose(predict(again, DEV.ids), best, atol=1e-6)
    assert (history["best"], history["best_step"]) == (0.9, 16), "an equal score is not better"


def test_killed_in_every_stage_it_ends_with_the_same_bits(tmp_path, monkeypatch):
    whole = student()
    unbroken = run(whole, made("staged", 20, 8), tmp_path / "a")
    real = loop.Loop.on_epoch_end
    stopped_in_every_stage(monkeypatch, lambda: run(student(), made("staged", 20, 8), tmp_path / "b"))
    rounds = []
    monkeypatch.setattr(loop.Loop, "on_epoch_end", lambda self, e, logs=None: (rounds.append(e), real(self, e, logs)))
    model = student()
    resumed = run(model, made("staged", 20, 8), tmp_path / "b")
    assert len(rounds) < len(unbroken["epochs"]) / 2, "what was done is not done again"
    for a, b in zip(values(whole).values(), values(model).values(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert [e["loss"] for e in resumed["epochs"]] == [e["loss"] for e in unbroken["epochs"]]


def test_a_stage_chosen_by_its_loss_needs_signals_of_dev(tmp_path):
    dev = DevSet(DEV.ids, DEV.labels, DEV.metrics)
    with pytest.raises(UserError, match="stage representation: chooses by its loss on dev, but dev has no teacher"):
        run_stages(student(), made("staged"), Training(dev, SETTINGS, tmp_path, 1, "test"))


def test_a_recipe_of_ones_own_runs_in_plain_stages(tmp_path):
    steps = (Step("mine", (LogitMSE(),), 0.5), Step("gold", (HardLabels(),), 0.5, "labelled", ("logits",)))
    history = run(student(), stages(steps, ALL, LABELLED, 20, 4, 0.01), tmp_path)
    assert {e["stage"] for e in history["epochs"]} == {"mine", "gold"}


def test_a_regression_has_no_labels_to_follow():
    with pytest.raises(UserError, match="--recipe=hard: the task is a regression"):
        recipe(RecipeSettings(recipe="hard"), regression=True)
    titles = [o.title for s in recipe(RecipeSettings(recipe="staged"), regression=True) for o in s.objectives]
    assert titles[-1] == "score" and baseline(True)[0].objectives[0].title == "score"


def test_rows_that_are_sure_enough_are_counted():
    logits = DRAW.normal(size=(500, 3)).astype(np.float32)
    surest = softmax(logits, axis=1).max(axis=1)
    hard, parts = RecipeSettings(recipe="hard", confidence=0.5), [logits[:100], logits[100:]]
    task = Task("three", "single", ("a", "b", "c"))
    (note,) = about_confidence(hard, ["hard"], task, parts)
    count = int((surest >= 0.5).sum())
    assert 0 < count < 500 and f": {count} of 500 rows" in note
    assert about_confidence(replace(hard, recipe="soft"), RECIPES, task, parts) == [note], "of a grid"
    for settings, recipes in ((hard, ["joint"]), (RecipeSettings(), ["hard"])):
        assert about_confidence(settings, recipes, task, parts) == []
    with pytest.raises(UserError, match=rf"no row qualifies: .* on 500 rows is {surest.max():.4f}"):
        about_confidence(replace(hard, confidence=0.998), ["hard"], task, parts)


def test_the_projection_trains_in_plain_fit():
    """In a notebook: y has "teacher_hidden", Keras saves the student alone."""
    model = student()
    objective = Representation(1.0, "cosine", WIDTH)
    distiller = Distiller(model, [LogitMSE(), objective])
    distiller.compile(optimizer=keras.optimizers.Adam(0.01))
    x = {"ids": ALL.ids["ids"].padded(np.arange(ROWS))}
    y = {k: v.astype(np.float32) if k != "label" else v for k, v in ALL.y.items()}
    before = np.array(objective.projection.kernel)
    history = distiller.fit(x, y, epochs=8, batch_size=16, verbose=0).history
    assert history["loss_representation"][-1] < history["loss_representation"][0]
    assert (np.array(objective.projection.kernel) != before).any()


@pytest.mark.parametrize("text", ["", "0,all,0", "many", "-1", "1.5"])
def test_transfer_sizes_are_checked(text):
    with pytest.raises(UserError, match="--transfer_sizes=.*expected different numbers of rows, or all"):
        JobSettings(transfer_sizes=text)


def test_transfer_sizes_are_numbers_or_all():
    assert JobSettings(transfer_sizes="0, 300,all").sizes() == [0, 300, None]
