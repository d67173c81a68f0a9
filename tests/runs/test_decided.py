"""What a job decides by itself: it must not depend on, or be taken for, what a user gave."""

from __future__ import annotations

from dataclasses import replace

import pytest
from jobs import STUDENT, job_of

from kd_keras.augment.settings import AugmentSettings, UnlabeledSettings
from kd_keras.augment.transfer import NothingNew
from kd_keras.common import packages
from kd_keras.common.errors import UserError
from kd_keras.distill.settings import RecipeSettings
from kd_keras.runs import job as of_job
from kd_keras.runs.check import check
from kd_keras.runs.job import Run
from kd_keras.runs.more_text import more_text
from kd_keras.runs.rounds import check_rounds
from kd_keras.students.settings import StudentSettings
from kd_keras.tasks import Columns, Task
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


def test_scores_have_the_text_that_labels_have(own):
    job = own()
    score = replace(job.data.task, kind="regression", labels=(), metric="pearson", metrics=("pearson",))
    fresh = {"unlabeled": UnlabeledSettings(), "augment": AugmentSettings(), "recipe": RecipeSettings()}
    job = replace(job, data=replace(job.data, task=score), **fresh)
    assert (job.unlabeled.unlabeled, job.augment.augment, job.recipe.recipe) == ("general", "all", "soft")


def test_labels_alone_have_no_unlabeled_text(own, tmp_path):
    labels = RecipeSettings(alpha=1.0)
    assert own(labels).unlabeled.unlabeled == "none" and own(labels).augment.augment == "all"
    with pytest.raises(UserError, match="--alpha=1: students learn from labels alone"):
        check(own(labels, unlabeled=UnlabeledSettings(unlabeled="general")))
    (tmp_path / "more.txt").write_text("a film is good\n")
    with pytest.raises(UserError, match="--alpha=1: students learn from labels alone"):
        check(own(labels, unlabeled=UnlabeledSettings(unlabeled_files=str(tmp_path / "more.txt"))))


@pytest.fixture
def own_pairs(own, toy_rows):
    """(settings) → the same of pairs, of which no new one can be made: all have one first text."""

    def make(**more):
        job = own(**more)
        task = Task("custom", "pair", ("neg", "pos"), max_length=16, columns=Columns(("a",), "b"))
        first = {name: replace(rows, text=["the film is"] * len(rows), text_b=rows.text)
                 for name, rows in (("train", job.data.train), ("dev", job.data.dev))}  # fmt: skip
        data = replace(job.data, task=task, **first)
        fresh = {"unlabeled": UnlabeledSettings(), "augment": AugmentSettings(), "recipe": RecipeSettings()} | more
        return replace(job, data=data, **fresh)

    return make


def test_own_pairs_have_new_pairs_and_scores_too(own_pairs, monkeypatch):
    job = own_pairs()
    assert (job.unlabeled.unlabeled, job.unlabeled.max_unlabeled, job.augment.augment) == ("task", 20_000, "all")
    assert job.student == STUDENT and job.unlabeled.for_task("custom").max_words == 2500
    there = packages.installed
    monkeypatch.setattr(packages, "installed", lambda *modules: "sklearn" not in modules and there(*modules))
    assert (own_pairs().unlabeled.unlabeled, own_pairs().augment.augment) == ("none", "all")
    monkeypatch.setattr(packages, "installed", there)
    regression = replace(own_pairs().data.task, kind="regression", labels=(), metric="pearson", metrics=("pearson",))
    scored = replace(own_pairs(), data=replace(own_pairs().data, task=regression), unlabeled=UnlabeledSettings(),
                     augment=AugmentSettings())  # fmt: skip
    assert scored.unlabeled.unlabeled == "task"


def test_text_by_itself_that_has_nothing_new_is_left_out(own_pairs, capsys):
    made = more_text(Run.of(own_pairs()))
    assert set(made) == {"all"} and "left out: unlabeled text (new pairs" in capsys.readouterr().err
    with pytest.raises(NothingNew):
        more_text(Run.of(own_pairs(unlabeled=UnlabeledSettings(unlabeled="task"))))


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
