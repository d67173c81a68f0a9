"""The outputs of somebody's classifier in the order of the task's labels."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from kd_keras.common.errors import UserError
from kd_keras.teachers.checkpoints import find_checkpoint, from_folder
from kd_keras.teachers.label_order import key_part, match
from kd_keras.teachers.schedule import resolved
from kd_keras.teachers.settings import TeacherSettings

AS_IT_IS = TeacherSettings(teacher_epochs=0, teacher_start="random")


@pytest.mark.parametrize(
    ("names", "labels", "order", "by_name"),
    [
        (["neg", "pos"], ["neg", "pos"], [0, 1], True),
        (["pos", "neg"], ["neg", "pos"], [1, 0], True),
        ([" Pos", "NEG"], ["neg", "pos"], [1, 0], True),
        (["b", "c", "a"], ["a", "b", "c"], [2, 0, 1], True),
        (["LABEL_0", "LABEL_1"], ["neg", "pos"], [0, 1], False),
        (["positive", "negative"], ["neg", "pos"], [1, 0], False),
        (["pos", "negative"], ["neg", "pos"], [1, 0], False),
        (["good", "neg"], ["neg", "pos"], [1, 0], False),
        (["1", "10", "2"], ["10", "1", "2"], [1, 0, 2], True),
        (["LABEL_1", "LABEL_10"], ["LABEL_10", "other"], [1, 0], False),
        (["x", "x"], ["x", "y"], [0, 1], False),
        (None, ["a", "b"], [0, 1], False),
    ],
)
def test_names_are_matched(names, labels, order, by_name):
    assert match(names, labels) == (order, by_name)


@pytest.fixture
def folder(bert_folder, tmp_path):
    return shutil.copytree(bert_folder, tmp_path / "bert")


def change_config(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def with_names(folder, names):
    change_config(folder, id2label={str(n): name for n, name in enumerate(names)},
                  label2id={name: n for n, name in enumerate(names)})  # fmt: skip
    return find_checkpoint(str(folder))


def test_a_finished_classifier_is_read_in_the_order_of_the_task(folder, toy_data, tmp_path, capsys):
    from kd_keras.teachers.bert import Teacher
    from kd_keras.teachers.finetune import fine_tune

    data = toy_data()  # labels neg, pos
    plain = Teacher.load(find_checkpoint(str(folder)), 2, 16)(data.dev.text)
    swapped = fine_tune(with_names(folder, ["POS", "neg"]), data, AS_IT_IS, tmp_path / "a")
    np.testing.assert_array_equal(swapped(data.dev.text), plain[:, ::-1])
    assert "assumed" not in capsys.readouterr().err
    made = json.loads((tmp_path / "a" / "teacher.json").read_text())
    assert made["key"]["label_order"] == [1, 0] and made["labels"] == ["neg", "pos"]
    again = Teacher.load_finished(from_folder("again", tmp_path / "a"))
    np.testing.assert_array_equal(again(data.dev.text), plain[:, ::-1])

    same = fine_tune(with_names(folder, ["neg", "pos"]), data, AS_IT_IS, tmp_path / "b")
    np.testing.assert_array_equal(same(data.dev.text), plain)
    assert "label_order" not in json.loads((tmp_path / "b" / "teacher.json").read_text())["key"]

    fine_tune(with_names(folder, ["positive", "negative"]), data, AS_IT_IS, tmp_path / "c")
    assert "negative is neg, positive is pos" in capsys.readouterr().err


def test_our_own_teacher_is_named_by_its_manifest(folder, toy_data, tmp_path):
    """Its config.json may have the names of what it was made from, if it is from before we wrote ours."""
    from kd_keras.teachers.bert import Teacher

    with_names(folder, ["pos", "neg"])
    (folder / "teacher.json").write_text(json.dumps({"key": {"task": "toy", "data": "other"}}))
    assert find_checkpoint(str(folder)).labels is None
    Teacher.load(find_checkpoint(str(folder)), 2, 16).save(tmp_path / "t", key={"task": "toy"})
    assert from_folder("x", tmp_path / "t").labels == ["pos", "neg"]


def test_fine_tuning_starts_from_the_classifier_in_the_right_order(folder, toy_data, tmp_path, capsys):
    from kd_keras.teachers.finetune import fine_tune, teacher_key

    data = toy_data()
    settings = replace(AS_IT_IS, teacher_epochs=0.01, teacher_learning_rate=1e-8, teacher_batch_size=8)
    kernel = load_file(folder / "model.safetensors")["classifier/kernel:0"]
    plain = find_checkpoint(str(folder))
    assert "label_order" not in teacher_key(plain, data, settings)
    checkpoint = with_names(folder, ["pos", "neg"])
    assert teacher_key(checkpoint, data, settings)["label_order"] == [1, 0]
    teacher = fine_tune(checkpoint, data, settings, tmp_path / "a")
    np.testing.assert_allclose(teacher.bert.classifier.kernel.numpy(), kernel[:, ::-1], atol=1e-6)


def test_a_new_classifier_is_said_and_needs_fine_tuning(folder, toy_data, tmp_path, capsys):
    from kd_keras.teachers.finetune import fine_tune

    data = toy_data()
    tensors = load_file(folder / "model.safetensors")
    save_file({n: a for n, a in tensors.items() if "classifier" not in n and "pooler" not in n},
              folder / "model.safetensors")  # fmt: skip
    checkpoint = find_checkpoint(str(folder))
    with pytest.raises(UserError, match=r"has no classifier of 2 outputs \(it has none\), and --teacher_epochs=0"):
        fine_tune(checkpoint, data, AS_IT_IS, tmp_path / "a")
    with pytest.raises(UserError, match="has no pooler, which --teacher_pooling=cls reads"):
        fine_tune(checkpoint, data, replace(AS_IT_IS, teacher_start="probe"), tmp_path / "a")
    fine_tune(checkpoint, data, replace(AS_IT_IS, teacher_epochs=0.01), tmp_path / "b")
    said = capsys.readouterr().err
    assert "a new classifier of 2 outputs is drawn, because the checkpoint has none" in said
    assert "has no pooler; a new one is drawn" in said


def test_a_finished_classifier_of_a_mean_is_kept_without_training(folder, toy_data):
    """A probe of the new rows must not take the place of what the checkpoint has learned."""
    change_config(folder, classifier_pooling="mean")
    checkpoint = find_checkpoint(str(folder))
    finished = TeacherSettings(teacher_epochs=0)
    assert resolved(finished, checkpoint, 48, 2, "single").teacher_start == "random"
    assert resolved(finished, checkpoint, 48, 3, "single").teacher_start == "probe", "of other classes it has none"
    assert resolved(TeacherSettings(), checkpoint, 48, 2, "single").teacher_start == "probe"


def test_a_probe_has_an_order_of_its_own(folder, toy_data):
    checkpoint, data = with_names(folder, ["pos", "neg"]), toy_data()
    probing = resolved(replace(AS_IT_IS, teacher_start="probe"), checkpoint, 48, 2, False)
    assert key_part(checkpoint, data.task, probing) == {}


@pytest.mark.parametrize(
    ("config", "names"),
    [
        ({"id2label": {"0": "a", "1": "b"}}, ["a", "b"]),
        ({"id2label": {"1": "b", "0": "a"}}, ["a", "b"]),
        ({"label2id": {"b": 1, "a": 0}}, ["a", "b"]),
        ({"id2label": {"0": 5, "1": 7}}, ["5", "7"]),
        ({"id2label": {"0": "a", "2": "b"}}, None),
        ({"id2label": {"0": "a"}}, None),
        ({"id2label": ["a", "b"]}, None),
        ({}, None),
    ],
)
def test_names_in_a_config(folder, config, names):
    change_config(folder, **config)
    assert find_checkpoint(str(folder)).labels == names


def test_one_token_type_serves_pairs(folder, toy_data):
    from kd_keras.tasks import Rows
    from kd_keras.teachers.bert import Teacher

    tensors = load_file(folder / "model.safetensors")
    types = "bert/embeddings/token_type_embeddings/embeddings:0"
    save_file(tensors | {types: tensors[types][:1].copy()}, folder / "model.safetensors")
    change_config(folder, type_vocab_size=1)
    teacher = Teacher.load(find_checkpoint(str(folder)), 2, 16)
    encoded = teacher.encode(Rows(["1"], ["good film"], ["dull plot"], np.array([-1], np.int32)))
    batch = encoded.batch(np.array([0]))
    assert batch["token_type_ids"].any()
    got = teacher.logits(encoded)
    zeros = teacher.predict_batch(batch | {"token_type_ids": np.zeros_like(batch["token_type_ids"])})["logits"]
    np.testing.assert_allclose(got, zeros, atol=1e-6)
