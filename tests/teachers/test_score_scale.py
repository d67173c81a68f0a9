"""A teacher learns scores of any scale, and goes on from a teacher of another scale."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import pearsonr

from kd_keras.tasks import Task, TaskData
from kd_keras.tasks.scale import scaled
from kd_keras.teachers.checkpoints import find_checkpoint
from kd_keras.teachers.finetune import fine_tune
from kd_keras.teachers.settings import TeacherSettings

SETTINGS = TeacherSettings(teacher_epochs=4, teacher_batch_size=8, teacher_learning_rate=1e-2, teacher_seed=3)
TASK = Task("custom", "regression", (), "pearson", ("pearson", "spearman"), max_length=24)


@pytest.fixture
def scored(toy_data):
    def make(mean: float, deviation: float) -> TaskData:
        data = toy_data(train=128, dev=30)
        train, dev = (
            replace(rows, label=(mean + deviation * (2.0 * rows.label - 1)).astype(np.float32))
            for rows in (data.train, data.dev)
        )
        return replace(data, task=scaled(TASK, train), train=train, dev=dev)

    return make


def test_prices_are_learned_and_given_as_prices(scored, bert_folder, tmp_path):
    data = scored(30_000, 4_000)
    teacher = fine_tune(find_checkpoint(str(bert_folder)), data, SETTINGS, tmp_path / "teacher")
    gold, given = data.dev.label, teacher.logits(teacher.encode(data.dev))[:, 0]
    assert pearsonr(gold, given)[0] > 0.95
    assert np.abs(given - gold).mean() < 0.3 * 4_000, "in the file's own scale"
    made = json.loads((tmp_path / "teacher" / "teacher.json").read_text())
    assert made["history"][-1]["loss"] < 0.2 and made["key"]["scale"] == pytest.approx(list(data.task.scale))
    other = scored(3, 0.5)
    again = find_checkpoint(str(tmp_path / "teacher"))
    teacher = fine_tune(again, other, SETTINGS, tmp_path / "again" / "teacher")
    losses = [h["loss"] for h in json.loads((tmp_path / "again" / "teacher" / "teacher.json").read_text())["history"]]
    assert losses[0] < 0.5, "it starts from what it knows, in the new scale"
    given = teacher.logits(teacher.encode(other.dev))[:, 0]
    assert np.abs(given - other.dev.label).mean() < 0.3 * 0.5
