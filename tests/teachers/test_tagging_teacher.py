"""The teacher of words: against transformers, in windows, fine-tuned, saved, killed and resumed, and asked."""

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import tensorflow as tf
from transformers import TFBertForTokenClassification

from kd_keras.common.ragged import Ragged
from kd_keras.tasks.records import Task, TaskData, iob2
from kd_keras.tasks.rows import Rows
from kd_keras.teachers import fine_tuner, projection
from kd_keras.teachers.checkpoints import from_folder
from kd_keras.teachers.finetune import fine_tune
from kd_keras.teachers.labelling import label, label_shard
from kd_keras.teachers.settings import LabelSettings, TeacherSettings
from kd_keras.teachers.tagger import TaggingTeacher, load_finished

SHAPE = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
LABELS = iob2(["LOC", "PER"])
VOCAB = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz", *(f"##{c}" for c in "abcdefgh")]
TASK = Task("towns", "tagging", LABELS, metric="entity_f1", metrics=("entity_f1",), max_length=16)


def rows(count: int, seed: int = 1) -> Rows:
    """Words of letters; "x" begins a LOC that a "y" goes on with, "z" is a PER."""
    draw = np.random.default_rng(seed)
    text, label = [], []
    for _ in range(count):
        words = draw.choice(list("abcdefxyz"), draw.integers(1, 8)).tolist()
        tags, before = [], "O"
        for w in words:
            tag = "B-LOC" if w == "x" else "B-PER" if w == "z" else "O"
            if w == "y" and before.endswith("LOC"):
                tag = "I-LOC"
            tags.append(LABELS.index(tag))
            before = tag
        text.append(" ".join(words))
        label.append(np.array(tags, np.int32))
    return Rows([f"r-{seed}-{n}" for n in range(count)], text, None, Ragged.of(label))


@pytest.fixture
def teacher():
    return TaggingTeacher.random(VOCAB, len(LABELS), 16, 1, **SHAPE)


@pytest.fixture
def folder(teacher, tmp_path):
    teacher.save(tmp_path / "base", name="tiny")
    return from_folder("tiny", tmp_path / "base")


def settings(**more) -> TeacherSettings:
    return TeacherSettings(**{"teacher_epochs": 3.0, "teacher_learning_rate": 1e-2, "teacher_batch_size": 16,
                              "checkpoint_seconds": 0.0} | more)  # fmt: skip


def test_words_have_the_logits_of_their_first_pieces(teacher):
    said = teacher(["ab c", "d"])
    ids = [[2, VOCAB.index("a"), VOCAB.index("##b"), VOCAB.index("c"), 3]]
    theirs = teacher.bert(
        {"input_ids": tf.constant(ids), "attention_mask": tf.ones((1, 5), tf.int32),
         "token_type_ids": tf.zeros((1, 5), tf.int32)}
    ).logits.numpy()[0]  # fmt: skip
    np.testing.assert_allclose(said[0], theirs[[1, 3]], atol=1e-5)
    assert said.lengths.tolist() == [2, 1]


def test_every_word_of_a_long_sentence_is_answered_in_its_window(teacher):
    words = list("abcdefgh" * 10)
    said = teacher([" ".join(words)])
    assert said[0].shape == (80, len(LABELS)) and np.abs(said[0]).sum(1).min() > 0
    alone = teacher([" ".join(words[:14])])[0]  # the first window: 16 pieces with [CLS] and [SEP]
    np.testing.assert_allclose(said[0][:7], alone[:7], atol=1e-5)


def test_long_sentences_are_counted(teacher):
    short, long = "good film", " ".join(["film"] * 20)
    assert teacher.long_rows([short, long, "", long]) == 2 and teacher.long_rows([]) == 0


def test_only_first_pieces_have_a_loss():
    y = np.array([[-1, 1, -1, 0, -1, -1]], np.int32)
    logits = np.random.default_rng(0).normal(size=(1, 6, len(LABELS))).astype(np.float32)
    losses = fine_tuner.loss_of(TASK)(tf.constant(y), tf.constant(logits)).numpy()
    log = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    np.testing.assert_allclose(losses, [-log[0, 1, 1], -log[0, 3, 0]], rtol=1e-5)


def test_it_learns_is_saved_and_opened_again(folder, tmp_path):
    data = TaskData(TASK, rows(200), rows(60, 2), "made up", [])
    taught = fine_tune(folder, data, settings(teacher_epochs=8.0), tmp_path / "teacher")
    made = from_folder("t", tmp_path / "teacher")
    best = made.manifest()["dev"]["entity_f1"]
    assert best > 0.95 and made.labels == list(LABELS) and made.outputs(tagging=True) == 5
    assert made.outputs(tagging=False) is None  # a classifier of words is none of texts
    again = load_finished(made)
    assert isinstance(again, TaggingTeacher)
    np.testing.assert_array_equal(again(["x y a"]).values, taught(["x y a"]).values)
    theirs = TFBertForTokenClassification.from_pretrained(str(tmp_path / "teacher"))
    assert theirs.config.id2label[1] == "B-LOC"


def test_a_killed_fine_tuning_ends_as_an_unbroken_one(folder, tmp_path, monkeypatch):
    data = TaskData(TASK, rows(64), rows(20, 2), "made up", [])
    whole = fine_tune(folder, data, settings(), tmp_path / "whole" / "teacher")
    real, calls = fine_tuner.FineTuner._update_function, []

    def build(self, targets):
        update = real(self, targets)

        def counted(*batch):
            calls.append(1)
            if len(calls) == 6:
                raise KeyboardInterrupt
            return update(*batch)

        return counted

    monkeypatch.setattr(fine_tuner.FineTuner, "_update_function", build)
    with pytest.raises(KeyboardInterrupt):
        fine_tune(folder, data, settings(), tmp_path / "killed" / "teacher")
    monkeypatch.setattr(fine_tuner.FineTuner, "_update_function", real)
    resumed = fine_tune(folder, data, settings(), tmp_path / "killed" / "teacher")
    np.testing.assert_array_equal(resumed(["x y a z"]).values, whole(["x y a z"]).values)


def test_in_bfloat16_it_learns_the_same_rule_and_frozen_embeddings_stay(folder, tmp_path):
    data = TaskData(TASK, rows(200), rows(60, 2), "made up", [])
    how = settings(teacher_epochs=8.0, teacher_precision="bfloat16", teacher_freeze="embeddings")
    before = TaggingTeacher.load(folder, 5, 16).word_embeddings()
    taught = fine_tune(folder, data, how, tmp_path / "teacher")
    assert from_folder("t", tmp_path / "teacher").manifest()["dev"]["entity_f1"] > 0.9
    np.testing.assert_array_equal(taught.word_embeddings(), before)


def test_signals_of_words_and_states_in_fewer_numbers(teacher, tmp_path, monkeypatch):
    """Fault 9 of the paper's code: the teacher ran again for every stage, and its states were float32 of full width."""
    text = rows(40)
    teacher.projection = projection.fitted(teacher, text, 2, 4, tmp_path / "p.npz")
    how = LabelSettings(hidden="word", hidden_layer=2, hidden_width=4, shard_rows=16)
    found = label(teacher, text, tmp_path / "signals", how, "towns", "train")
    for i in (0, 17, 39):
        encoded = teacher.encode_texts([text.text[i]])
        np.testing.assert_allclose(found.logits[i], teacher.logits(encoded)[0], atol=1e-5)
        states = teacher.projection(teacher.word_states(encoded, 2))
        np.testing.assert_allclose(found.hidden[i], states, atol=2e-2)
        assert found.hidden[i].dtype == np.float16
    again = projection.fitted(teacher, text, 2, 4, tmp_path / "p.npz")
    np.testing.assert_array_equal(again.axes, teacher.projection.axes)
    monkeypatch.setattr(teacher, "predict_batch", None)
    asked_again = label(teacher, text, tmp_path / "signals", how, "towns", "train")
    np.testing.assert_array_equal(asked_again.hidden.flat(), found.hidden.flat())


def test_states_are_told_alike_in_bfloat16(teacher, tmp_path, monkeypatch):
    from kd_keras.common import machine

    monkeypatch.setattr(machine, "has_bfloat16", lambda: True)
    text = rows(30)
    teacher.projection = projection.fitted(teacher, text, 2, 4, tmp_path / "p.npz")
    how = LabelSettings(hidden="word", hidden_width=4, label_precision="bfloat16")
    found = label_shard(teacher, text.text, how)
    assert found["hidden"].values.shape == (found["logits"].lengths.sum(), 4)


def test_a_projection_is_a_pca(teacher):
    from sklearn.decomposition import PCA

    texts = rows(80).text
    made = projection.fit(teacher, texts, 1, 3)
    states = teacher.word_states(teacher.encode_texts(texts), 1)
    theirs = PCA(3, svd_solver="full").fit(states)
    assert made.kept == pytest.approx(theirs.explained_variance_ratio_.sum(), rel=1e-4)
    ours, wanted = made(states), theirs.transform(states)
    for n in range(3):
        assert abs(np.corrcoef(ours[:, n], wanted[:, n])[0, 1]) == pytest.approx(1, abs=1e-4)


def test_a_shard_is_a_function_of_its_texts(teacher):
    texts = rows(12).text
    one, two = label_shard(teacher, texts, LabelSettings()), label_shard(teacher, texts[::-1], LabelSettings())
    for n in range(12):  # whichever texts stand beside it
        np.testing.assert_allclose(one["logits"][n], two["logits"][11 - n], atol=1e-5)
    assert one["logits"].lengths.tolist() == [len(t.split(" ")) for t in texts]


def test_without_dropout_an_update_needs_no_chance(folder, tmp_path):
    data = TaskData(TASK, rows(64), rows(20, 2), "made up", [])
    said = []
    for seed in (1, 2):  # the order of batches is one whole batch here, so only dropout could differ
        how = settings(teacher_dropout=0.0, teacher_batch_size=64, teacher_seed=seed, teacher_start="random")
        own = TaggingTeacher.load(folder, 5, 16).bert.classifier.kernel.numpy()
        taught = fine_tune(folder, data, how, tmp_path / str(seed) / "teacher")
        said.append(taught(["x y a z"]).values)
        assert np.abs(taught.bert.classifier.kernel.numpy() - own).max() > 0
    np.testing.assert_allclose(said[0], said[1], atol=1e-4)
