"""Of runs beside each other, a student is taken again only if it learned from the very same signals."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
from jobs import distilled as run_of
from jobs import job_of

from kd_keras.distill.settings import RecipeSettings
from kd_keras.runs.plans import DISTILLED, distilled
from kd_keras.teachers.settings import LabelSettings, TeacherSettings

JOINT = RecipeSettings(recipe="joint")


@pytest.fixture(scope="module")
def first(tmp_path_factory, toy_data, bert_folder):
    folder = tmp_path_factory.mktemp("beside") / "first"
    teacher = TeacherSettings(teacher=str(bert_folder), teacher_epochs=1, teacher_batch_size=16,
                              teacher_learning_rate=1e-2, checkpoint_seconds=1e9)  # fmt: skip
    run_of(job_of(toy_data(), folder, teacher=teacher, recipe=JOINT))
    return folder


def beside(first, toy_data, name: str, capsys, **more) -> str:
    """What a run beside the first says; it has the first one's teacher."""
    job = job_of(toy_data(), first.parent / name, teacher=TeacherSettings(teacher=str(first / "teacher")), **more)
    capsys.readouterr()
    run_of(job)
    return capsys.readouterr().err


@pytest.mark.parametrize("label", [LabelSettings(hidden_layer=0), LabelSettings(hidden="mean")], ids=["layer", "mean"])
def test_other_states_of_the_teacher_make_another_student(first, toy_data, capsys, label):
    said = beside(first, toy_data, f"{label.hidden}{label.hidden_layer}", capsys, label=label, recipe=JOINT)
    assert "seed 1): made before" not in said


def test_the_same_states_make_the_same_student(first, toy_data, capsys):
    assert "seed 1): made before" in beside(first, toy_data, "again", capsys, recipe=JOINT)


def about(recipe: str, precision: str | None, hidden: dict | None, tagging: bool = False) -> dict:
    manifest = {"teacher": "t", "data": "d", "hidden": hidden} | ({"precision": precision} if precision else {})
    signals = SimpleNamespace(manifest=manifest, hidden=None)
    task = SimpleNamespace(is_tagging=tagging, is_regression=False, is_multilabel=False, class_weights=None)
    data = SimpleNamespace(fingerprint="f")
    job = SimpleNamespace(task=task, data=data, given=None, recipe=replace(JOINT, recipe=recipe))
    inputs = SimpleNamespace(signals={"train": signals}, how=None, matrix_key="m")
    some = SimpleNamespace(data=None, limit=3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kd_keras.runs.plans.training_set", lambda *_: None)
        return distilled(job, inputs, [], DISTILLED, drawn=some).about


CLS, MEAN = {"pooling": "cls", "layer": 2}, {"pooling": "mean", "layer": 2}


def test_a_student_depends_on_the_precision_of_its_labels():
    assert about("soft", None, None) != about("soft", "int8", None) != about("soft", "bfloat16", None)


def test_a_student_that_reads_no_states_does_not_depend_on_them():
    assert about("soft", None, CLS) == about("soft", None, MEAN) == about("soft", None, None)
    assert about("joint", None, CLS) != about("joint", None, MEAN)


def test_class_weights_and_metric_are_settings_of_the_run(toy_data, tmp_path, bert_folder):
    data = toy_data()
    teacher = TeacherSettings(teacher=str(bert_folder), teacher_epochs=1)

    def key(task) -> dict:
        return job_of(replace(data, task=task), tmp_path / "run", teacher=teacher).key()

    weighted = [key(replace(data.task, class_weights=weights)) for weights in ((0.5, 1.5), (1.5, 0.5))]
    keys = [key(data.task), *weighted, key(data.task.selected_by("macro_f1"))]
    assert keys[0] == key(replace(data.task)) and all(a != b for n, a in enumerate(keys) for b in keys[:n])
