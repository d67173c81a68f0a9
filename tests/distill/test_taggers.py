"""Distillation of taggers: losses are means over words, by NumPy; stages learn, resume, and keep what is best."""

from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf
from killing import stopped_in_every_stage
from scipy.special import log_softmax, softmax
from scipy.stats import entropy

from kd_keras.common.ragged import Ragged
from kd_keras.distill import loop
from kd_keras.distill.distiller import Distiller
from kd_keras.distill.loop import DevSet, Training, dev_loss
from kd_keras.distill.objectives import HardLabels, LogitKL, LogitMSE, Representation, TeacherLabels
from kd_keras.distill.recipes import baseline, recipe, stages
from kd_keras.distill.settings import RECIPES, RecipeSettings, TrainSettings
from kd_keras.distill.stages import Stage, TrainingSet, run_stages
from kd_keras.students.bilstm import build_student
from kd_keras.students.inference import predict_tags
from kd_keras.students.inputs import word_targets
from kd_keras.students.settings import StudentSettings
from kd_keras.text.batches import padded, training_batches
from kd_keras.text.windows import windows

DRAW = np.random.default_rng(0)
TAGS, WIDTH, ROWS = 3, 4, 6
SHAPE = StudentSettings(embedding_size=8, hidden_size=8, dense_size=10, embedding_dropout=0.1, word_dropout=0.0,
                        dropout=0.1)  # fmt: skip
SETTINGS = TrainSettings(batch_size=16, learning_rate=0.02, ema=0.9, evals_per_epoch=1.0)
HEAD, DENSE, BILSTM, EMBEDDINGS = ("logits",), ("dense",), ("bilstm",), ("embeddings",)


# A batch as arrays: three words in the first row, of which the second has two pieces; two in the second; one without gold.
WORD = np.array([[1, 1, 0, 1, 0], [1, 1, 0, 0, 0], [1, 0, 0, 0, 0]], np.float32)
LABEL = np.array([[0, 2, -1, 1, -1], [1, 1, -1, -1, -1], [-1, -1, -1, -1, -1]], np.int32)
LOGITS = DRAW.normal(size=(3, 5, TAGS), scale=2).astype(np.float32)
TEACHER = DRAW.normal(size=(3, 5, TAGS), scale=2).astype(np.float32)
STATES = DRAW.normal(size=(3, 5, 6)).astype(np.float32)
VECTORS = DRAW.normal(size=(3, 5, WIDTH)).astype(np.float16)
Y = {"word": WORD, "label": LABEL, "teacher_logits": TEACHER, "teacher_hidden": VECTORS}
OUT = {"logits": LOGITS, "hidden": STATES}
IS_WORD, GOLD = WORD > 0, LABEL >= 0


def cross_entropy(labels):
    return -np.take_along_axis(log_softmax(LOGITS.astype(float), -1), labels[..., None], -1)[..., 0]


def represent(distance, weights=None):
    objective = Representation(1.0, distance, WIDTH, state="hidden")
    objective.build({"hidden": keras.KerasTensor((None, None, 6))})
    kernel, bias = DRAW.normal(size=(6, WIDTH)), DRAW.normal(size=WIDTH)
    objective.projection.set_weights([kernel, bias])
    return objective, STATES.astype(float) @ kernel + bias


def own_head():
    objective = LogitMSE(own_head=True)
    objective.build(OUT)
    kernel, bias = DRAW.normal(size=(6, TAGS)), DRAW.normal(size=TAGS)
    objective.projection.set_weights([kernel, bias])
    return objective, STATES.astype(float) @ kernel + bias


def cases():
    teacher_tag = TEACHER.argmax(-1)
    sure = softmax(TEACHER.astype(float), -1).max(-1) >= 0.7
    yield HardLabels(), cross_entropy(np.maximum(LABEL, 0)), IS_WORD & GOLD
    yield (
        HardLabels(class_weights=[1, 2, 3]),
        cross_entropy(np.maximum(LABEL, 0)),
        (IS_WORD & GOLD) * np.array([1, 2, 3])[LABEL],
    )
    yield HardLabels(unlabelled="teacher"), cross_entropy(np.where(GOLD, LABEL, teacher_tag)), IS_WORD
    yield TeacherLabels(), cross_entropy(teacher_tag), IS_WORD
    yield TeacherLabels(confidence=0.7), cross_entropy(teacher_tag), IS_WORD & sure
    yield LogitMSE(), ((LOGITS - TEACHER.astype(float)) ** 2).mean(-1), IS_WORD
    kl = 4 * entropy(softmax(TEACHER.astype(float) / 2, -1), softmax(LOGITS.astype(float) / 2, -1), axis=-1)
    yield LogitKL(temperature=2.0), kl, IS_WORD
    objective, guess = represent("mse")
    yield objective, ((guess - VECTORS.astype(float)) ** 2).mean(-1), IS_WORD
    objective, guess = represent("cosine")
    cosine = (guess * VECTORS).sum(-1) / np.linalg.norm(guess, axis=-1) / np.linalg.norm(VECTORS.astype(float), axis=-1)
    yield objective, 1 - cosine, IS_WORD
    objective, guess = represent("kl")
    yield objective, entropy(softmax(VECTORS.astype(float), -1), softmax(guess, -1), axis=-1), IS_WORD
    objective, guess = own_head()
    yield objective, ((guess - TEACHER) ** 2).mean(-1), IS_WORD


CASES = list(cases())


@pytest.mark.parametrize(("objective", "losses", "counts"), CASES, ids=[repr(c[0]) for c in CASES])
def test_a_loss_is_the_mean_over_words(objective, losses, counts):
    """Faults 5 and 6 of the paper's code: padding was learned from, and KL was of values that are no distributions."""
    want = (losses * counts).sum() / counts.sum()
    assert float(objective(Y, OUT)) == pytest.approx(want, rel=1e-5)
    # Whatever stands elsewhere, in targets or answers, has no part in it, nor in the gradient.
    other = {
        k: np.where(IS_WORD[..., None] if v.ndim == 3 else IS_WORD, v, 7).astype(v.dtype)
        for k, v in Y.items()
        if k != "word"
    }
    out = {k: tf.constant(np.where(IS_WORD[..., None], v, 5)) for k, v in OUT.items()}
    with tf.GradientTape() as tape:
        tape.watch(out)
        loss = objective(other | {"word": WORD, "label": np.where(IS_WORD, LABEL, 2)}, out)
    assert float(loss) == pytest.approx(want, rel=1e-5)
    gradients = [g for g in tape.gradient(loss, out).values() if g is not None]
    assert gradients and all(not np.array(g)[~IS_WORD].any() and np.array(g).any() for g in gradients)


def test_a_batch_without_words_costs_nothing():
    for objective, *_ in CASES:
        assert float(objective(Y | {"word": np.zeros_like(WORD)}, OUT)) == 0


def test_a_logit_head_of_its_own_is_for_the_logits_alone():
    student = build_student(SHAPE, np.ones((9, 8), np.float32), TAGS, 1, tagging=True)
    objectives = [HardLabels(), LogitMSE(own_head=True)]
    distiller = Distiller(student, objectives)
    assert [p.name for p in distiller.projections] == ["logit_head"]
    assert not any("logit_head" in w.path for w in student.weights), "thrown away afterwards"
    ids, targets = np.array([[3, 4, 5, 6, 0]] * 3), {k: Y[k] for k in ("word", "label", "teacher_logits")}
    with tf.GradientTape() as tape:
        loss = objectives[1](targets, student({"ids": ids}))
    names = [v.path for v in distiller.trained_variables]
    moved = {n for n, g in zip(names, tape.gradient(loss, distiller.trained_variables), strict=True) if g is not None}
    assert {n for n in names if n not in moved} == {"logits/kernel", "logits/bias"}
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(objectives[1]))
    assert again.own_head and LogitMSE().get_config() == {"weight": 1.0}, "keys of students from before stay"
    assert LogitKL(own_head=True).get_config() == {"weight": 1.0, "own_head": True, "temperature": 2.0}


def test_who_counts_must_be_said():
    """Fault 5: without it, padding would be learned from."""
    student = build_student(SHAPE, np.ones((9, 8), np.float32), TAGS, 1, tagging=True)
    x = {"ids": np.array([[3, 4, 5, 6, 0]] * 3)}
    distiller = Distiller(student, [LogitMSE()])
    distiller.compile("sgd")
    with pytest.raises(ValueError, match='the student has outputs for tokens, but y has no "word"'):
        distiller.fit(x, {"teacher_logits": TEACHER}, verbose=0)
    distiller.fit(x, {"teacher_logits": TEACHER}, sample_weight=WORD, verbose=0)
    labels_only = Distiller(student, [HardLabels()])
    labels_only.compile("sgd")
    labels_only.fit(x, LABEL, verbose=0)


# Words that can be told apart: a name (ids 8–11) after a title (ids 5–7) begins an entity, the next name goes on.
def made_rows(count, seed):
    draw = np.random.default_rng(seed)
    rows, tags = [], []
    for _ in range(count):
        words = draw.choice([3, 4, 5, 6, 7, 8, 9, 10, 11], draw.integers(1, 9)).tolist()
        before, row = 0, []
        for n, w in enumerate(words):
            name, title = 8 <= w <= 11, n > 0 and 5 <= words[n - 1] <= 7
            before = 1 if name and title else 2 if name and before in (1, 2) else 0
            row.append(before)
        rows.append([[w, 12] if draw.random() < 0.3 else [w] for w in words])
        tags.append(np.array(row, np.int32))
    return windows(rows, 6), tags


def made_set(count, seed, gold=None):
    some, tags = made_rows(count, seed)
    lengths = np.array([len(t) for t in tags])
    flat = np.concatenate(tags)
    one_hot = np.eye(TAGS, dtype=np.float32)[flat]
    vectors = np.concatenate([one_hot, one_hot[:, :1] * 2 - 1], axis=1).astype(np.float16)
    kept = tags[: count if gold is None else gold]
    label = Ragged.cut(np.concatenate(kept), np.array([len(t) if n < len(kept) else 0 for n, t in enumerate(tags)]))
    y = word_targets(some, label, Ragged.cut(one_hot * 6 - 3, lengths), Ragged.cut(vectors, lengths))
    return some, Ragged.cut(flat, lengths), TrainingSet({"ids": some.ids}, y)


TRAIN_WINDOWS, _, ALL = made_set(96, 0, gold=48)
FIRST_UNLABELLED = int(
    np.searchsorted([TRAIN_WINDOWS.word[n][0] for n in range(len(TRAIN_WINDOWS))], TRAIN_WINDOWS.words[:48].sum())
)
LABELLED = ALL.take(np.arange(FIRST_UNLABELLED))
DEV_WINDOWS, DEV_TAGS, _DEV = made_set(40, 1)
DEV = DevSet(_DEV.ids, DEV_TAGS, ("accuracy",), _DEV.y, DEV_WINDOWS)


def word_accuracy(names, labels, logits):
    """A stand-in that takes rows of words alone, as metrics of entities do."""
    assert len(labels) == len(logits) and (labels.lengths == logits.lengths).all()
    return {"accuracy": float((labels.flat() == logits.flat().argmax(-1)).mean())}


@pytest.fixture(autouse=True)
def scored_by_words(monkeypatch):
    monkeypatch.setattr(loop, "score", word_accuracy)
    monkeypatch.setattr(loop, "SAVE_SECONDS", 0.0)


def student(seed=1, **changes):
    matrix = np.random.default_rng(5).normal(size=(13, 8), scale=0.5).astype(np.float32)
    return build_student(replace(SHAPE, **changes), matrix, TAGS, seed, tagging=True)


def run(model, todo, folder, settings=SETTINGS):
    return run_stages(model, todo, Training(DEV, settings, folder, 1, "test"))


def made(name, updates=30, rounds=10, **settings):
    steps = recipe(RecipeSettings(recipe=name, **settings), units=WIDTH, tagging=True)
    return stages(steps, ALL, LABELLED, updates, rounds, 0.01)


def values(model):
    return {v.path: np.array(v) for v in model.weights if "seed" not in v.path}


def test_a_rule_of_tags_is_learnt(tmp_path):
    model = student(hidden_size=16, embedding_dropout=0.0, dropout=0.0)
    stage = Stage("gold", (HardLabels(),), _DEV, 240, 0.03, rounds=4)
    history = run(model, [stage], tmp_path)
    assert history["best"] > 0.97
    last = history["epochs"][-1]
    assert last["accuracy"] > 0.95 and last["loss"] < 0.2
    got = predict_tags(model, DEV_WINDOWS).argmax(-1)
    assert (got == DEV_TAGS.flat()).mean() == pytest.approx(history["best"])


def test_logs_are_means_over_words():
    """Batches have different numbers of words; the accuracy is of words with gold tags."""
    model = student(embedding_dropout=0.0, dropout=0.0)
    distiller = Distiller(model, [HardLabels(0.5), LogitMSE()])
    distiller.compile(keras.optimizers.SGD(0.0))
    rows = len(ALL)
    batches = -(-rows // 16)
    logs = distiller.fit(training_batches(ALL.ids, ALL.y, 16, 1), steps_per_epoch=batches, verbose=0).history
    x, y = padded(ALL.ids, ALL.y, np.arange(rows))
    logits = np.array(model(x)["logits"], float)
    word, gold = y["word"] > 0, y["label"] >= 0
    soft = ((logits - y["teacher_logits"]) ** 2).mean(-1)[word].mean()
    assert logs["loss_mse"] == pytest.approx([soft], rel=1e-4)
    assert logs["accuracy"] == pytest.approx([(logits.argmax(-1) == y["label"])[gold].mean()], rel=1e-5)


@pytest.mark.parametrize("batch_size", [3, 512])
def test_the_loss_on_dev_is_the_mean_over_words(batch_size):
    model = student()
    objective = Representation(2.0, "mse", WIDTH, state="hidden")
    got = dev_loss(Distiller(model, (objective, LogitMSE(0.5))), DEV, batch_size)
    x, y = padded(DEV.ids, DEV.y, np.arange(len(DEV_WINDOWS)))
    out, word = model(x), y["word"] > 0
    kernel, bias = objective.projection.get_weights()
    guess = np.array(out["hidden"], np.float64) @ kernel + bias
    want = 2 * ((guess - y["teacher_hidden"].astype(float)) ** 2).mean(-1)[word].mean()
    want += 0.5 * ((np.array(out["logits"], np.float64) - y["teacher_logits"]) ** 2).mean(-1)[word].mean()
    assert got == pytest.approx(want, rel=1e-5)


def test_dev_is_scored_by_the_words_of_each_row(tmp_path, monkeypatch):
    """Fault 2 of the paper's code: pieces of all sentences were scored in one line, so that entities ran together."""
    seen = []
    monkeypatch.setattr(
        loop, "score", lambda names, labels, logits: (seen.append((labels, logits)), {"accuracy": 0.5})[1]
    )
    run(student(), [Stage("gold", (HardLabels(),), ALL, 2, 0.01, rounds=1)], tmp_path)
    ((labels, logits),) = seen
    assert labels is DEV_TAGS and (logits.lengths == DEV_WINDOWS.words).all() and len(logits) == 40
    assert max(DEV_WINDOWS.words) > 6, "of a row of several windows too"


def test_every_batch_is_of_all_languages():
    """Fault 10 of the paper's code: chunks of data ordered by language were learned one after the other."""
    some = windows([[[3 + (n >= 200)]] * 4 for n in range(400)], 6)  # all of one length, by language
    y = word_targets(some, Ragged.cut(np.zeros(1600, np.int32), some.words))
    for (x, _), _ in zip(training_batches({"ids": some.ids}, y, 32, 1), range(13), strict=False):
        share = (x["ids"].numpy()[:, 0] == 3).mean()
        assert 0.1 < share < 0.9


def test_killed_in_every_stage_it_ends_with_the_same_bits(tmp_path, monkeypatch):
    whole = student()
    unbroken = run(whole, made("staged", 20, 8, logit_head="own"), tmp_path / "a")
    stopped_in_every_stage(monkeypatch, lambda: run(student(), made("staged", 20, 8, logit_head="own"), tmp_path / "b"))
    model = student()
    resumed = run(model, made("staged", 20, 8, logit_head="own"), tmp_path / "b")
    for a, b in zip(values(whole).values(), values(model).values(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert [e["loss"] for e in resumed["epochs"]] == [e["loss"] for e in unbroken["epochs"]]


def test_a_stage_is_compared_by_its_best_score_and_not_by_its_last(tmp_path, monkeypatch):
    """Fault 8 of the paper's code: stages were compared by the last loss, though the best weights were restored."""
    scores = iter([0.6, 0.9, 0.7, 0.8, 0.85])
    monkeypatch.setattr(loop, "score", lambda names, labels, logits: {"accuracy": next(scores)})
    model = student()
    todo = (
        Stage("first", (LogitMSE(),), ALL, 12, 0.02, rounds=3),
        Stage("then", (HardLabels(),), ALL, 8, 0.02, rounds=2),
    )
    history = run(model, todo, tmp_path / "both")
    scores = iter([0.6, 0.9, 0.7])
    alone = student()
    run(alone, todo[:1], tmp_path / "one")
    for a, b in zip(values(model).values(), values(alone).values(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert (history["best"], history["best_step"]) == (0.9, 8)


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("head", ["shared", "own"])
def test_every_recipe_runs(name, head):
    """Fault 7 of the paper's code: its tagging ended in a NameError."""
    steps = recipe(RecipeSettings(recipe=name, logit_head=head), units=WIDTH, tagging=True)
    assert sum(s.share for s in steps) == pytest.approx(1) and all(str(s) for s in steps)
    for step in steps:
        for objective in step.objectives:
            objective.build(student().output)
    assert [o.state for s in steps for o in s.objectives if o.title == "representation"] == (
        [] if name in ("soft", "hard") else ["hidden"]
    )


def test_the_staged_recipe_is_the_papers_three_stages():
    first, second, third = made("staged")
    assert [o.title for s in (first, second, third) for o in s.objectives] == ["representation", "mse", "hard"]
    assert first.trainable == (*DENSE, *BILSTM, *EMBEDDINGS), "a head that learns nothing must not drift"
    assert len(third.data) == FIRST_UNLABELLED < len(second.data)


def test_two_stages_end_with_labels_and_logits_at_once():
    first, second = made("two_stage")
    assert [o.title for o in first.objectives] == ["representation"] and first.select == "loss"
    assert [o.title for o in second.objectives] == ["mse", "hard"] and second.trainable is None
    assert [s.trainable for s in made("two_stage_unfreeze")[1:]] == [HEAD, HEAD + DENSE, HEAD + DENSE + BILSTM, None]


def test_unfreezing_is_the_papers_nine_phases():
    """Fault 8 of the paper's code: the order of unfreezing was that of a set."""
    steps = made("staged_unfreeze")
    thawing = [HEAD, HEAD + DENSE, HEAD + DENSE + BILSTM, None]
    assert [s.trainable for s in steps] == [DENSE + BILSTM + EMBEDDINGS, *thawing, *thawing]
    assert [s.name.split(",")[0] for s in steps] == ["representation", *["logits"] * 4, *["labels"] * 4]
    assert [s.select for s in steps] == ["loss"] + ["metric"] * 8


def test_with_a_logit_head_of_its_own_the_students_head_waits_for_the_labels():
    steps = made("staged_unfreeze", logit_head="own")
    assert [s.trainable for s in steps[1:5]] == [(), DENSE, DENSE + BILSTM, DENSE + BILSTM + EMBEDDINGS]
    assert [s.select for s in steps] == ["loss"] * 5 + ["metric"] * 4
    assert len({id(s.objectives[0].projection) for s in steps[1:5]} | {id(s.objectives[0]) for s in steps[1:5]}) == 2
    mixed = made("staged", logit_head="own", alpha=0.5)
    assert [o.title for o in mixed[1].objectives] == ["hard", "mse"] and mixed[1].trainable is None


def test_an_unfreezing_run_moves_only_what_is_thawed(tmp_path, monkeypatch):
    model, todo = student(), made("staged_unfreeze", logit_head="own")
    before, moved = values(model), {}
    real = loop.Loop.on_epoch_end

    def look(self, epoch, logs=None):
        now = values(model)
        moved.setdefault(int(self.state.parent.name[-1]), {k.split("/")[0] for k in now if (now[k] != before[k]).any()})
        real(self, epoch, logs)

    monkeypatch.setattr(loop.Loop, "on_epoch_end", look)
    run(model, todo, tmp_path)
    assert moved[1] == moved[5] == {"dense", "bilstm", "embeddings"}, "the head has not moved before the labels"
    assert "logits" in moved[6]


def test_the_baseline_is_labels_alone():
    (step,) = baseline()
    assert [o.title for o in step.objectives] == ["hard"]
