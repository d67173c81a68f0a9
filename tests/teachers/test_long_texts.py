"""A teacher that reads the tail, or both ends, of long texts: it learns, is kept, is found and labels so."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pytest

from kd_keras.common.errors import UserError
from kd_keras.tasks import Columns, Rows, Task, TaskData
from kd_keras.teachers.bert import Teacher
from kd_keras.teachers.checkpoints import find_checkpoint
from kd_keras.teachers.finetune import fine_tune, teacher_key
from kd_keras.teachers.settings import TeacherSettings

SETTINGS = TeacherSettings(teacher_epochs=0, teacher_max_length=6, teacher_truncation="tail")
LONG = "good film the plot is very awful ."
OTHER_HEAD = "bad bad bad bad is very awful ."


@pytest.fixture
def checkpoint(bert_folder):
    return find_checkpoint(str(bert_folder))


def test_it_reads_the_end_and_says_so(checkpoint, toy_data, tmp_path):
    fine_tune(checkpoint, toy_data(), SETTINGS, tmp_path / "t")
    teacher = Teacher.load_finished(find_checkpoint(str(tmp_path / "t")))
    ids = teacher.tokenizer.encode_for_bert([LONG])[0][0]
    assert [teacher.tokenizer.vocab[i] for i in ids] == ["[CLS]", "is", "very", "awful", ".", "[SEP]"]
    same, head = teacher([LONG, OTHER_HEAD]), Teacher.load(checkpoint, 2, 6)([LONG, OTHER_HEAD])
    assert np.abs(same[0] - same[1]).max() < 1e-6 < 1e-3 < np.abs(head[0] - head[1]).max()
    assert teacher.about()["truncation"] == "tail" and teacher.fingerprint()["truncation"] == "tail"


def test_the_head_is_the_teacher_that_it_always_was(checkpoint, toy_data, make_teacher):
    data = toy_data()
    by_hand = TeacherSettings(teacher_epochs=3.0, teacher_learning_rate=5e-5)
    key = teacher_key(checkpoint, data, by_hand)
    before = {
        "teacher_epochs", "teacher_learning_rate", "teacher_batch_size", "teacher_warmup", "teacher_weight_decay",
        "teacher_clip", "teacher_seed",
    }  # fmt: skip
    assert set(key) == {"base_weights_sha256", "task", "data", "max_length", *before}
    tail = teacher_key(checkpoint, data, replace(by_hand, teacher_truncation="tail"))
    assert tail == key | {"teacher_truncation": "tail"}
    assert set(make_teacher().fingerprint()) == {"weights", "tokenizer", "max_length"}
    assert "truncation" not in make_teacher().about()


def test_a_finished_teacher_reads_as_it_learned_to(checkpoint, toy_data, tmp_path):
    data = toy_data()
    fine_tune(checkpoint, data, SETTINGS, tmp_path / "made")
    made = find_checkpoint(str(tmp_path / "made"))
    used = fine_tune(made, data, TeacherSettings(), tmp_path / "run" / "teacher")
    assert used.tokenizer.truncation == "tail" and used.tokenizer.max_length == 6
    assert (
        json.loads((tmp_path / "run" / "teacher" / "teacher.json").read_text())["key"]["teacher_truncation"] == "tail"
    )
    for flag, value, learned in (("teacher_truncation", "head_tail", "tail"), ("teacher_max_length", 9, "6")):
        asked = replace(TeacherSettings(), **{flag: value})
        with pytest.raises(
            UserError, match=f"--{flag}={value}: .* was fine-tuned with {learned} and is not trained again"
        ):
            fine_tune(made, data, asked, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_pairs_are_refused_before_training(checkpoint, toy_rows, tmp_path):
    single = toy_rows(8)
    rows = Rows(single.ids, single.text, single.text, single.label)
    task = Task("toy2", "pair", ("no", "yes"), columns=Columns(("a",), "b"), max_length=16)
    with pytest.raises(UserError, match="truncation 'tail': works only for single texts"):
        fine_tune(checkpoint, TaskData(task, rows, rows, "", []), replace(SETTINGS, teacher_epochs=1), tmp_path / "t")
    assert not (tmp_path / "t").exists()
    assert asdict(SETTINGS)["teacher_truncation"] == "tail"
