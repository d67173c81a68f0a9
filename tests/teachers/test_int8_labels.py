"""Labels by a teacher with int8 weights, which LiteRT runs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from made_encoders import write_encoder

from kd_keras.common import devices
from kd_keras.common.errors import UserError
from kd_keras.tasks import Columns, Task, TaskData
from kd_keras.teachers import lowered, precision
from kd_keras.teachers.bert import Teacher
from kd_keras.teachers.checkpoints import from_folder
from kd_keras.teachers.finetune import fine_tune
from kd_keras.teachers.heads import linear_of
from kd_keras.teachers.labelling import label, label_shard
from kd_keras.teachers.settings import LabelSettings, TeacherSettings

LABELS = LabelSettings(shard_rows=8, label_batch_tokens=48)
INT8 = replace(LABELS, label_precision="int8")
TEXTS = ["good film", "", "a very dull plot and the awful film is bad .", "lovely"]


@pytest.fixture(scope="module")
def teacher(make_teacher):
    made = make_teacher(hidden_size=64, intermediate_size=128, initializer_range=0.05)
    linear_of(made.bert).bias.assign([1.0, -1.0])  # no text is near both labels
    return made


def test_they_are_near_float32s_and_say_what_they_are(teacher, toy_rows, tmp_path, capsys):
    rows = toy_rows(30)
    whole = label(teacher, rows, tmp_path / "whole", LABELS, "toy", "train")
    found = label(teacher, rows, tmp_path / "int8", INT8, "toy", "train")
    moved = np.abs(found.logits - whole.logits)
    assert 0 < moved.max() < 0.05 * np.ptp(whole.logits) and found.logits.dtype == np.float32
    assert found.manifest["precision"] == "int8"
    assert "labels in int8: of 30 texts 100.00% get float32's label" in capsys.readouterr().err


def test_what_shares_a_batch_changes_nothing(teacher):
    twin = teacher.lowered("int8")
    alone = np.concatenate([twin([text]) for text in TEXTS])
    np.testing.assert_allclose(twin(TEXTS), alone, atol=1e-4)
    assert np.abs(alone - teacher(TEXTS)).max() > 1e-4, "int8 that rounds nothing would prove nothing"


@pytest.mark.parametrize("hidden", ["cls", "mean"])
@pytest.mark.parametrize("layer", [1, -1])
def test_vectors_come_from_the_same_states(teacher, hidden, layer):
    how = replace(INT8, hidden=hidden, hidden_layer=layer)
    found, whole = (label_shard(teacher, TEXTS, h)["hidden"] for h in (how, replace(how, label_precision="float32")))
    assert 0 < np.abs(found - whole).max() < 0.1 * np.ptp(whole)


@pytest.fixture
def undecided(make_teacher):
    """Its two labels hardly differ."""
    teacher = make_teacher(hidden_size=64, intermediate_size=128)
    linear = linear_of(teacher.bert)
    kernel = linear.kernel.numpy()
    kernel[:, 1] = kernel[:, 0] + 1e-5 * np.random.default_rng(1).normal(size=64)
    linear.kernel.assign(kernel)
    return teacher


@pytest.mark.parametrize("hidden", ["none", "mean", "cls"])
def test_a_text_between_two_labels_is_read_in_float32(undecided, monkeypatch, hidden):
    how = replace(INT8, hidden=hidden)
    whole = label_shard(undecided, TEXTS, replace(how, label_precision="float32"))
    for name, values in label_shard(undecided, TEXTS, how).items():
        np.testing.assert_allclose(values, whole[name], atol=1e-3 if name == "hidden" else 1e-6)
    monkeypatch.setattr(lowered, "NEAR", 0.0)
    undecided._lowered.clear()
    rounded = label_shard(undecided, TEXTS, how)["logits"]
    assert np.abs(rounded - whole["logits"]).max() > 1e-4
    margins = np.abs(np.diff(rounded))[:, 0]
    monkeypatch.setattr(lowered, "NEAR", float(np.sort(margins)[1:3].mean()))  # two of four texts
    some = label_shard(undecided, TEXTS, how)["logits"]
    same = np.abs(some - whole["logits"]).max(1) < 1e-6
    assert same.tolist() == (margins < np.sort(margins)[2]).tolist() and 2 <= same.sum() < 4


def test_where_a_text_has_several_labels_each_logit_decides(teacher, undecided):
    logits = np.array([[3.0, -2.9], [2.0, 0.1], [-0.05, -3.0], [2.0, 2.1]], np.float32)
    assert lowered._near(logits, many=True).tolist() == [1, 2]
    assert lowered._near(logits, many=False).tolist() == [3]


@pytest.fixture
def of_several_labels(tmp_path, bert_folder, toy_rows):
    """A teacher as the commands load it, fine-tuned for texts that may have several labels."""
    task = Task(
        "m", "multilabel", ("a", "b", "c"), "micro_f1", ("micro_f1",), columns=Columns(separator=","), max_length=16
    )
    rows = replace(toy_rows(24), label=np.random.default_rng(0).integers(0, 2, (24, 3)).astype(np.int32))
    data = TaskData(task, rows, rows, "made up", [])
    how = TeacherSettings(teacher=str(bert_folder), teacher_epochs=1, teacher_batch_size=8)
    fine_tune(from_folder("b", bert_folder), data, how, tmp_path / "teacher")
    return Teacher.load_finished(from_folder("t", tmp_path / "teacher"))


def test_a_loaded_teacher_of_several_labels_decides_each_by_itself(of_several_labels, toy_rows, tmp_path, monkeypatch):
    assert lowered.Int8(of_several_labels, ["logits"])._many
    whole = np.array([[5.0, 0.001, -4.0]], np.float32)

    def timed(asked, sample, _):  # the largest logit stays, and another label turns
        rough = whole * [1, 1 if asked is of_several_labels else -1, 1]
        return np.repeat(rough, len(sample), 0), 1.0

    monkeypatch.setattr(precision, "_timed", timed)
    texts = toy_rows(30)  # as `label` reads them: with no labels of this teacher's
    with pytest.raises(UserError, match=" 0.00% get float32's label"):
        label(of_several_labels, texts, tmp_path / "s", INT8, "label", "all")


def test_labels_that_move_are_refused(undecided, toy_rows, tmp_path, monkeypatch):
    monkeypatch.setattr(lowered, "NEAR", 0.0)
    teacher, rows = undecided, toy_rows(30)
    with pytest.raises(UserError, match="--label_precision=int8: of 30 texts .* take --label_precision=float32"):
        label(teacher, rows, tmp_path / "s", INT8, "toy", "train")
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("kind", ["distilbert", "electra", "roberta", "xlm-roberta", "mpnet", "albert"])
def test_other_encoders_have_it_too(kind, tmp_path):
    teacher = Teacher.load(from_folder("x", write_encoder(kind, tmp_path / "x")), 2, 24)
    want, found = teacher(TEXTS), teacher.lowered("int8")(TEXTS)
    assert 0 < np.abs(found - want).max() < 0.1 * max(np.ptp(want), np.abs(want).max())


def test_words_have_it_too(vocab):
    from kd_keras.teachers.tagger import TaggingTeacher

    shape = dict(hidden_size=64, num_hidden_layers=2, num_attention_heads=2, intermediate_size=128)
    teacher = TaggingTeacher.random(vocab, num_labels=3, max_length=16, seed=1, **shape)
    want, found = (t(TEXTS) for t in (teacher, teacher.lowered("int8")))
    assert found.lengths.tolist() == [2, 0, 11, 1]
    assert 0 < np.abs(found.flat() - want.flat()).max() < 0.1 * np.ptp(want.flat())


@pytest.mark.parametrize("gpus", [[], ["H200"]])
def test_a_gpu_is_not_left_idle(monkeypatch, gpus):
    monkeypatch.setattr(devices, "gpu_names", lambda: gpus)
    if not gpus:
        return INT8.check_machine()
    with pytest.raises(UserError, match="--label_precision=int8: LiteRT works on the CPU, and there is a GPU; take"):
        INT8.check_machine()
