"""What chooses a student's weights: dev's metric, or near its best the distance from the teacher."""

from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("tensorflow")

from kd_keras.common.config import AUTO
from kd_keras.distill.loop import DevSet
from kd_keras.distill.recipes import baseline, recipe
from kd_keras.distill.settings import BASELINE, DISTILLED, STEADY, RecipeSettings, TrainSettings
from kd_keras.runs.job import Job
from kd_keras.runs.students import Todo, Trainer
from kd_keras.students.settings import WarmSettings

ANSWERED = np.array([[1.0, 2.0], [3.0, 0.0]], np.float32)
CASES = {
    "distilled": (DISTILLED, AUTO, False, ANSWERED, [STEADY]),
    "without a teacher": (BASELINE, AUTO, False, ANSWERED, ["metric"]),
    "epochs that are given": (DISTILLED, 3.0, False, ANSWERED, ["metric"]),
    "a dev row without a signal": (DISTILLED, AUTO, False, np.array([[1, 2], [np.nan, np.nan]]), ["metric"]),
    "a tagger": (DISTILLED, AUTO, True, None, ["metric"]),
}


@pytest.mark.parametrize(("kind", "epochs", "tagging", "logits", "chosen"), CASES.values(), ids=CASES)
def test_few_dev_rows_choose_only_where_nothing_better_does(kind, epochs, tagging, logits, chosen):
    task, train = SimpleNamespace(is_tagging=tagging), TrainSettings(epochs=epochs, learning_rate=0.01)
    job = SimpleNamespace(task=task, train=train, warm=WarmSettings())
    job.steady = Job.steady.fget(job)
    steps = baseline() if kind == BASELINE else recipe(RecipeSettings(recipe="soft", alpha=0.0))
    plan = SimpleNamespace(kind=kind, recipe=lambda: steps, data=[0], labelled=[0])
    dev = DevSet({}, np.array([1, 0]), ("accuracy",), {"teacher_logits": logits})
    trainer = Trainer(SimpleNamespace(job=job), None, dev, train)
    assert [stage.select for stage in trainer._stages(Todo(plan, 1, 100, 10))] == chosen
