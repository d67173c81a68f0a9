"""What a job decides by itself: it must not depend on, or be taken for, what a user gave."""

from __future__ import annotations

from dataclasses import replace

import pytest
from jobs import STUDENT, job_of

from kd_keras.augment.settings import AugmentSettings, UnlabeledSettings
from kd_keras.common import packages
from kd_keras.common.errors import UserError
from kd_keras.distill.settings import RecipeSettings
from kd_keras.runs import job as of_job
from kd_keras.runs.check import check
from kd_keras.runs.rounds import check_rounds
from kd_keras.students.settings import StudentSettings
from kd_keras.teachers.bert import Teacher
from kd_keras.teachers.settings import TeacherSettings


@pytest.fixture
def own(bert_folder, toy_data, tmp_path, monkeypatch):
    """(settings) → the job of the default command on a file of one's own."""
    monkeypatch.setattr(of_job, "has_imdb_reviews", lambda: True)
    data = toy_data()
    data = replace(data, task=replace(data.task, name="custom"))

    def make(recipe=RecipeSettings(), teacher=TeacherSettings(teacher=str(bert_folder)), **more):  # noqa: B008
        return job_of(data, tmp_path / "run", None, teacher, recipe, **more)

    return make


@pytest.mark.parametrize(
    "recipe", [{}, {"alpha": 0.5}, {"recipe": "joint"}, {"recipe": "soft", "alpha": 0.5}, {"temperature": 2.0}]
)
def test_a_recipe_by_hand_has_the_text_that_auto_has(own, recipe):
    """Else the advice to try another recipe would compare it with less text."""
    job = own(RecipeSettings(**recipe))
    assert (job.unlabeled.unlabeled, job.augment.augment) == ("general", "all")


def test_labels_alone_have_no_unlabeled_text(own, tmp_path):
    labels = RecipeSettings(alpha=1.0)
    assert own(labels).unlabeled.unlabeled == "none" and own(labels).augment.augment == "all"
    with pytest.raises(UserError, match="--alpha=1: students learn from labels alone"):
        check(own(labels, unlabeled=UnlabeledSettings(unlabeled="general")))
    (tmp_path / "more.txt").write_text("a film is good\n")
    with pytest.raises(UserError, match="--alpha=1: students learn from labels alone"):
        check(own(labels, unlabeled=UnlabeledSettings(unlabeled_files=str(tmp_path / "more.txt"))))


def test_a_grid_and_text_by_hand_have_none_by_themselves(own):
    job = own(job={"ablate": "augmentation"})
    assert (job.unlabeled.unlabeled, job.augment.augment) == ("none", "none")
    job = own(augment=AugmentSettings(augment="mask"))
    assert (job.unlabeled.unlabeled, job.augment.augment) == ("none", "mask")


def test_augmentation_is_left_out_where_its_tagger_is_not_installed(own, monkeypatch, capsys):
    there = packages.installed
    monkeypatch.setattr(packages, "installed", lambda module: module != "HanTa" and there(module))
    job = own()
    assert (job.unlabeled.unlabeled, job.augment.augment) == ("general", "none")
    assert "augmentation: left out, as HanTa is not installed; pip install" in capsys.readouterr().err
    assert own(augment=AugmentSettings(augment="all")).augment.augment == "all", "by hand it is refused by the check"


def test_a_vocabulary_of_many_characters_is_not_cut(own, bert_folder, vocab, tmp_path):
    """As that of bert-base-multilingual-cased or bert-base-chinese."""
    wordpiece = StudentSettings(embedding_size=8)
    data = own().data
    args = {"recipe": RecipeSettings(), "teacher": TeacherSettings(teacher=str(bert_folder))}
    few = of_job.Job(data, None, args["teacher"], own().label, wordpiece, own().train, own().job, args["recipe"])
    assert few.student.vocab_size == 8_000
    characters, sizes = [chr(0x4E00 + n) for n in range(8_500)], {"hidden_size": 8, "intermediate_size": 8}
    Teacher.random([*vocab, *characters], 2, 16, 1, num_hidden_layers=1, num_attention_heads=1, **sizes).save(
        tmp_path / "many"
    )
    many = replace(
        few, teacher=TeacherSettings(teacher=str(tmp_path / "many")), student=wordpiece,
        unlabeled=UnlabeledSettings(), augment=AugmentSettings(),
    )  # fmt: skip
    assert many.unlabeled.unlabeled == "general" and many.student.vocab_size is None
    assert own().student == STUDENT, "words have no limit"


def test_long_texts_only_have_a_limit_that_leaves_some():
    found = UnlabeledSettings(min_words=25).decided(True)
    assert (found.min_words, found.max_words, found.split_sentences) == (25, 50, True)
    assert UnlabeledSettings(split_sentences=False).decided(True).split_sentences is False
    assert UnlabeledSettings().decided(True).max_words == 20


def test_the_grid_of_augmentation_has_text_for_a_second_round(own, bert_folder):
    settings = TeacherSettings(teacher=str(bert_folder), teacher_rounds=2)
    check_rounds(own(teacher=settings, job={"ablate": "augmentation"}))
