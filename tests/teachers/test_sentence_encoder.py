"""Teachers that read the mean of the tokens and start from a probe; what auto comes to."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from kd_keras.common.errors import UserError
from kd_keras.tasks import Rows
from kd_keras.teachers.bert import Teacher
from kd_keras.teachers.checkpoints import find_checkpoint
from kd_keras.teachers.fine_tuner import FineTuner
from kd_keras.teachers.finetune import fine_tune, teacher_key
from kd_keras.teachers.schedule import PROBE_C, for_data, resolved
from kd_keras.teachers.settings import TeacherSettings

SETTINGS = TeacherSettings(teacher_epochs=2, teacher_batch_size=8, teacher_learning_rate=1e-3, teacher_seed=3)
TEXTS = ["good film", "", "a very dull plot and the awful film is bad .", "lovely", "[MASK] film"]


@pytest.fixture(scope="module")
def encoder(bert_folder, tmp_path_factory):
    """The tiny BERT as sentence-transformers keeps a sentence encoder."""
    folder = shutil.copytree(bert_folder, tmp_path_factory.mktemp("encoder") / "tiny-encoder")
    (folder / "1_Pooling").mkdir()
    modes = {"word_embedding_dimension": 16, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(modes))
    return find_checkpoint(str(folder))


def mean_vectors(folder, texts) -> np.ndarray:
    """From transformers alone, one text at a time, without padding."""
    from transformers import BertTokenizer, TFBertForSequenceClassification

    tokenizer = BertTokenizer.from_pretrained(str(folder))
    bert = TFBertForSequenceClassification.from_pretrained(str(folder)).bert
    return np.concatenate(
        [bert(tokenizer(t, return_tensors="tf"), training=False).last_hidden_state.numpy().mean(1) for t in texts]
    )


def test_the_folder_says_what_the_classifier_reads(encoder, bert_folder, tmp_path):
    assert (encoder.pooling, find_checkpoint(str(bert_folder)).pooling) == ("mean", "cls")
    other = shutil.copytree(encoder.path, tmp_path / "max")
    modes = {"pooling_mode_mean_tokens": True, "pooling_mode_max_tokens": True}
    (other / "1_Pooling" / "config.json").write_text(json.dumps(modes))
    assert find_checkpoint(str(other)).pooling == "cls", "two poolings side by side are not the mean"


def test_logits_are_the_classifier_on_the_mean_of_the_tokens(encoder, tmp_path):
    teacher = Teacher.load(encoder, 3, 16, seed=5)
    kernel, bias = (w.numpy() for w in teacher.bert.classifier.weights)
    vectors = mean_vectors(encoder.path, TEXTS)
    np.testing.assert_allclose(teacher(TEXTS), vectors @ kernel + bias, atol=1e-5)
    rows = Rows([str(n) for n in range(5)], TEXTS, None, np.zeros(5, np.int32))
    np.testing.assert_allclose(teacher.vectors(teacher.encode(rows), 32), vectors, atol=1e-5)
    out = teacher.predict_batch(teacher.encode(rows).batch(np.arange(5)), cls_only=True)
    np.testing.assert_allclose(out["logits"], vectors @ kernel + bias, atol=1e-5)
    batch = teacher.encode(rows).batch(np.arange(5))
    np.testing.assert_allclose(teacher.model(batch, training=False)["logits"], vectors @ kernel + bias, atol=1e-5)
    # Saved and loaded it still does, and is another teacher than one that reads the pooler.
    teacher.save(tmp_path / "t")
    loaded = Teacher.load(find_checkpoint(str(tmp_path / "t")), 3, 16)
    assert loaded.pooling == "mean" and (loaded(TEXTS) == teacher(TEXTS)).all()
    pooler = Teacher.load(encoder, 3, 16, seed=5, pooling="cls")
    assert pooler.fingerprint() != teacher.fingerprint() and np.abs(pooler(TEXTS) - teacher(TEXTS)).max() > 1e-3
    np.testing.assert_allclose(teacher.lowered("bfloat16")(TEXTS), teacher(TEXTS), atol=0.05)


def test_a_probe_without_epochs_is_scikit_learns(encoder, toy_data, tmp_path):
    data = toy_data()
    settings = replace(SETTINGS, teacher_epochs=0, teacher_start="probe", teacher_pooling="mean")
    teacher = fine_tune(encoder, data, settings, tmp_path / "t")
    train, dev = mean_vectors(encoder.path, data.train.text), mean_vectors(encoder.path, data.dev.text)
    length = np.linalg.norm(train, axis=1).mean()
    model = LogisticRegression(C=PROBE_C, max_iter=1000, tol=1e-3).fit(train / length, data.train.label)
    logits = teacher.logits(teacher.encode(data.dev))
    np.testing.assert_allclose(logits[:, 1] - logits[:, 0], model.decision_function(dev / length), atol=1e-2)


def test_fine_tuning_starts_from_the_probe_and_is_never_worse_on_dev(encoder, toy_data, tmp_path):
    data = toy_data()
    fine_tune(encoder, data, replace(SETTINGS, teacher_learning_rate=1e-8), tmp_path / "t")
    made = json.loads((tmp_path / "t" / "teacher.json").read_text())
    assert made["history"][0]["step"] == 0 and "loss" not in made["history"][0]
    scores = [h["dev_accuracy"] for h in made["history"]]
    assert made["dev"]["accuracy"] in scores and made["dev"]["accuracy"] >= max(scores) - 0.25  # of 20 rows
    assert (made["key"]["teacher_pooling"], made["key"]["teacher_start"]) == ("mean", "probe")
    plain = fine_tune(encoder, data, replace(SETTINGS, teacher_pooling="cls"), tmp_path / "plain")
    assert plain.pooling == "cls", "what is given by hand is followed"
    assert "teacher_start" not in json.loads((tmp_path / "plain" / "teacher.json").read_text())["key"]


def test_auto_follows_rows_classes_and_width(encoder, toy_data):
    found = for_data(TeacherSettings(), encoder, toy_data(train=48))
    per_epoch = 2
    assert found.teacher_epochs * per_epoch == pytest.approx(304, abs=1), "300 updates, and two a class"
    assert (found.teacher_learning_rate, found.teacher_evals) == (2e-4, 10)
    assert (found.teacher_patience, found.teacher_keep) == (0, "last")
    assert for_data(TeacherSettings(), encoder, toy_data(train=40_000, dev=4)).teacher_epochs == 3.0
    by_hand = for_data(TeacherSettings(teacher_epochs=5), encoder, toy_data())
    assert (by_hand.teacher_epochs, by_hand.teacher_evals, by_hand.teacher_patience) == (5, 0, 0)
    assert by_hand.teacher_keep == "best"
    of_words = resolved(TeacherSettings(), encoder, 48, 5, "tagging")
    assert (of_words.teacher_patience, of_words.teacher_keep) == (4, "best")
    for kind in ("tagging", "regression"):
        with pytest.raises(
            UserError, match="--teacher_start=probe: is a logistic regression .* --teacher_start=random"
        ):
            resolved(TeacherSettings(teacher_start="probe"), encoder, 48, 5, kind)
    keys = [teacher_key(encoder, toy_data(), s) for s in (TeacherSettings(), for_data(TeacherSettings(), encoder, toy_data()))]  # fmt: skip
    assert keys[0] == keys[1], "auto is the numbers that it comes to"


def test_patience_ends_it_and_evals_are_spread(encoder, toy_data, tmp_path, monkeypatch):
    data, scores = toy_data(), iter([0.5, 0.6, 0.6, 0.55, 0.9, 0.9])
    real = FineTuner._score

    def scored(self, info, dev, step, loss):
        real(self, info, dev, step, loss)
        info["history"][-1]["dev_accuracy"] = next(scores)
        return info["history"][-1]["dev_accuracy"]

    monkeypatch.setattr(FineTuner, "_score", scored)
    settings = replace(SETTINGS, teacher_epochs=10, teacher_start="random", teacher_evals=10, teacher_patience=2)
    fine_tune(encoder, data, settings, tmp_path / "t")
    history = json.loads((tmp_path / "t" / "teacher.json").read_text())["history"]
    assert [h["step"] for h in history] == [6, 12, 18, 24], "two scores without a better one after the second"


def test_rare_classes_that_weigh_more_are_called_more(bert_folder, toy_rows, toy_data, tmp_path):
    checkpoint, data = find_checkpoint(str(bert_folder)), toy_data()
    called = []
    for weights in ((1.0, 1.0), (0.02, 1.98)):
        weighted = replace(data, task=replace(data.task, class_weights=weights))
        teacher = fine_tune(
            checkpoint, weighted, replace(SETTINGS, teacher_epochs=1), tmp_path / str(weights[0]) / "teacher"
        )
        called.append(teacher.logits(teacher.encode(data.dev))[:, 1].mean())
    assert called[1] > called[0]
