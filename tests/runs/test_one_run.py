"""What a whole run reads and checks, counted: nothing is looked at twice that need not be."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
import tensorflow as tf

from kd_keras.distill.settings import TrainSettings
from kd_keras.runs import check as checks
from kd_keras.runs.job import Job
from kd_keras.runs.run import distil
from kd_keras.runs.settings import JobSettings
from kd_keras.students.settings import StudentSettings
from kd_keras.tasks import rows as task_rows
from kd_keras.teachers.settings import LabelSettings, TeacherSettings


class Counted(list):
    """Text that counts how many items of it were read."""

    read = 0

    def __iter__(self):
        self.read += len(self)
        return super().__iter__()

    def __getitem__(self, i):
        found = super().__getitem__(i)
        self.read += len(found) if isinstance(i, slice) else 1
        return found


@pytest.fixture
def eager():
    """No graph is traced: the models have a few hundred weights."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def test_checked_once_and_read_a_few_times(toy_data, bert_folder, tmp_path, monkeypatch, eager):
    data = toy_data()
    text = Counted(data.train.text)
    data = replace(data, train=replace(data.train, text=text))
    calls: Counter[str] = Counter()

    def count(module, name):
        real = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *a, **k: (calls.update([name]), real(*a, **k))[1])

    for name in ("_check_flags", "_check_text", "_check_models", "check_folder"):
        count(checks, name)
    count(task_rows, "hash_of_columns")
    settings = TeacherSettings(
        teacher=str(bert_folder), teacher_epochs=1, teacher_batch_size=16, teacher_learning_rate=1e-2,
        checkpoint_seconds=1e9,
    )  # fmt: skip
    student = StudentSettings(embedding_size=8, hidden_size=6, dense_size=8)
    job = Job(
        data, None, settings, LabelSettings(), student, TrainSettings(epochs=1, batch_size=16),
        JobSettings(output_dir=str(tmp_path / "run"), allow_weak_teacher=True),
    )  # fmt: skip
    distil(checks.check(job))
    assert {name: n for name, n in calls.items() if "check_" in name} == dict.fromkeys(
        ("_check_flags", "_check_text", "_check_models", "check_folder"), 1
    )
    assert calls["hash_of_columns"] == 2, "train and dev, once each"
    # Fingerprint, hashes, the teacher's reading and asking, the student's words and ids, two linear models.
    assert text.read / len(text) <= 9
