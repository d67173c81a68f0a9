"""A run whose teacher is a file: the same student as the teacher's own, with gaps, and what cannot go with it."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from jobs import distilled, job_of

from kd_keras.augment.settings import AugmentSettings, UnlabeledSettings
from kd_keras.common.errors import UserError
from kd_keras.common.layout import RunLayout
from kd_keras.distill.settings import RecipeSettings
from kd_keras.runs.check import check
from kd_keras.runs.finished import FinishedRun
from kd_keras.runs.given import check_given
from kd_keras.tasks import Task
from kd_keras.teachers.given import write_answers
from kd_keras.teachers.settings import LabelSettings, TeacherSettings
from kd_keras.teachers.signals import SignalStore


def weights(folder):
    from kd_keras.students.inference import load_student

    return load_student(folder / "arms" / "distilled-seed1" / "student.keras").get_weights()


def metrics(folder):
    return json.loads((folder / "metrics.json").read_text())


@pytest.fixture(scope="module")
def data(toy_data):
    return toy_data()


@pytest.fixture(scope="module")
def away(tmp_path_factory):
    return tmp_path_factory.mktemp("given")


@pytest.fixture(scope="module")
def asked(away, data, bert_folder):
    """A run that asked its teacher; what this said of each split is in train.jsonl and dev.jsonl."""
    teacher = TeacherSettings(teacher=str(bert_folder), teacher_epochs=1, teacher_batch_size=16,
                              teacher_learning_rate=1e-2, checkpoint_seconds=1e9)  # fmt: skip
    folder = away / "asked" / "run"
    distilled(job_of(data, folder, teacher=teacher))
    for split, rows in (("train", data.train), ("dev", data.dev)):
        logits = SignalStore(RunLayout(folder).signals(split)).read(rows).logits
        write_answers(away / f"{split}.jsonl", rows, logits, list(data.task.labels))
    return folder


@pytest.fixture(scope="module")
def same(away, data, asked):
    """A run elsewhere, which has nothing but these files."""
    folder = away / "given" / "same"
    distilled(job_of(data, folder, f"{away}/train.jsonl,{away}/dev.jsonl"))
    return folder


@pytest.fixture(scope="module")
def gaps(away, data, asked, toy_rows):
    """Lacks every third row of train and all of dev, and has texts of no split."""
    lines = (away / "train.jsonl").read_text().splitlines(keepends=True)
    (away / "gaps.jsonl").write_text("".join(line for n, line in enumerate(lines) if n % 3))
    more = toy_rows(30, 9)
    write_answers(away / "more.jsonl", more, np.random.default_rng(0).normal(size=(30, 2)), list(data.task.labels))
    folder = away / "given" / "gaps"
    distilled(job_of(data, folder, f"{away}/gaps.jsonl,{away}/more.jsonl", recipe=RecipeSettings()))
    return folder


def test_given_logits_make_the_very_student_that_asking_makes(asked, same):
    mine, theirs = weights(same), weights(asked)
    assert all(np.array_equal(a, b) for a, b in zip(mine, theirs, strict=True))
    one, other = metrics(same), metrics(asked)
    assert one["student"]["dev"] == other["student"]["dev"] and one["teacher"]["dev"] == other["teacher"]["dev"]
    assert not (same / "teacher").exists()


def test_label_writes_what_the_run_was_told(away, data, asked, write_csv, run_verb):
    path = write_csv(away / "train.csv", list(data.train.text), data.train.label)
    arguments = [f"--teacher_dir={asked}/teacher", f"--input={path}", f"--output={away}/labeled.jsonl"]
    # Eagerly, as the run asked: a graph rounds the last bits otherwise.
    done, refused = run_verb("label", arguments, [*arguments[:2], f"--output={away}/labelled.csv"], eager=True)
    assert done["code"] == 0, done["err"]
    assert (away / "labeled.jsonl").read_text() == (away / "train.jsonl").read_text()
    assert not (away / "labeled.jsonl.signals").exists(), "the shards are gone once the file is there"
    assert refused["code"] == 2 and "expected a name that ends in .jsonl" in refused["err"]


def test_report_and_card_say_that_it_was_given(data, same):
    from kd_keras.deploy.model_card import front_matter

    report, found = (same / "report.md").read_text(), metrics(same)
    assert "| teacher (given) " in report and "Teacher: given as signals (train.jsonl, dev.jsonl)" in report
    assert "rows with a signal: train 48 of 48; dev 20 of 20" in report
    assert "Fewer parameters" not in report and "![scatter of logits]" in report and "None" not in report
    assert front_matter(data.task, found, None).base_model is None


def test_other_texts_are_transfer_text_and_rows_without_a_signal_learn_their_labels(gaps):
    found, report = metrics(gaps), (gaps / "report.md").read_text()
    count, without = found["transfer_rows"]["given"], 48 - found["teacher"]["answered"]["train"]
    assert 0 < count <= 30 and f"given text: {count} texts of --teacher_signals are in no split" in report
    assert without > 8 and f"{without} training rows have no signal and learn only their labels" in report
    assert "no dev row has a signal" in report and "dev" not in found["teacher"]
    recipe = json.loads((gaps / "history.json").read_text())["distilled-seed1"]["recipe"][0]
    assert [o["objective"] for o in recipe["objectives"]] == ["mse_answered", "hard_unanswered"]
    assert recipe["rows"] == 48 + count
    assert "![scatter of logits]" not in report and "no row, because none has a signal" in report
    assert np.isfinite(np.concatenate([w.ravel() for w in weights(gaps)])).all()


def test_a_sibling_finds_student_and_signals_and_another_file_is_another_run(away, data, gaps, capsys):
    given = f"{away}/gaps.jsonl,{away}/more.jsonl"
    distilled(job_of(data, away / "given" / "twin", given, recipe=RecipeSettings()))
    said = capsys.readouterr().err
    assert "signals (train): made before, taken from" in said and "seed 1): made before, taken from" in said
    with pytest.raises(UserError, match="given"):
        check(job_of(data, gaps, f"{away}/train.jsonl", recipe=RecipeSettings()))


def test_compress_learns_from_the_answered_rows(away, data, gaps, monkeypatch):
    from kd_keras.compression import compressor
    from kd_keras.compression.settings import CompressSettings

    monkeypatch.setattr(FinishedRun, "data", lambda *_: data)
    plan, found = compressor.check(gaps, away / "small", CompressSettings()), metrics(gaps)
    count = found["teacher"]["answered"]["train"] + found["transfer_rows"]["given"]
    assert len(plan.logits) == count == sum(map(len, plan.rows)) and np.isfinite(plan.logits).all()


def test_a_benchmark_has_no_teacher_to_time(same):
    from kd_keras.timing.models import run_teacher

    with pytest.raises(UserError, match="given as signals, so there is no model to time; --teacher_formats=none"):
        run_teacher(FinishedRun.open(same))


REFUSED = {
    "--teacher=other: is about a teacher that this run trains or asks": {"teacher": TeacherSettings(teacher="other")},
    "--teacher_epochs=3.*leave one of the two out": {"teacher": TeacherSettings(teacher_epochs=3)},
    "--hidden=cls": {"label": LabelSettings(hidden="cls")},
    "--recipe=joint: follows .* use --recipe=soft or hard": {"recipe": RecipeSettings(recipe="joint")},
    "--recipe=staged": {"recipe": RecipeSettings(recipe="staged")},
    "--ablate=recipes": {"job": {"ablate": "recipes"}},
    "--augment=all: this run has no teacher to label the text": {"augment": AugmentSettings(augment="all")},
    "--unlabeled=general: this run has no teacher": {"unlabeled": UnlabeledSettings(unlabeled="general")},
    "--unlabeled_files=x.txt: this run has no teacher": {"unlabeled": UnlabeledSettings(unlabeled_files="x.txt")},
    "--signals=x: has signals of a teacher": {"job": {"signals": "x"}},
}


@pytest.mark.parametrize("said", REFUSED)
def test_what_is_about_a_teacher_is_refused_before_the_file_is_read(tmp_path, data, said):
    with pytest.raises(UserError, match=f"^{said}"):
        check(job_of(data, tmp_path / "run", "nowhere.csv", **REFUSED[said]))


def test_files_are_looked_at_before_tensorflow(away, toy_sentences, write_csv, run_verb):
    train = write_csv(away / "mine.csv", *toy_sentences(40, 0))
    (away / "typo.csv").write_text("text,p_neg,p_poss\na,0,1\n")
    (away / "strange.csv").write_text("text,p_neg,p_pos\nnobody said this,0,1\n")
    said = {
        "typo.csv": r"typo.csv, line 1, column 'p_poss': the task has no class 'poss'; .* Did you mean pos",
        "strange.csv": r"none of its 1 texts is one of the \d+ training rows",
        "none.csv": "none.csv",
    }
    shared = ["--task=custom", f"--train_file={train}", "--teacher_epochs=auto"]
    cases = [[*shared, f"--teacher_signals={away}/{name}"] for name in said]
    for name, got in zip(said, run_verb("train", *cases), strict=True):
        assert got["code"] == 2 and re.search(said[name], got["err"]), (name, got["err"][-600:])
        assert got["err"].count("\n") == 1 and not got["tf"], name


def test_taggings_have_no_given_signals(data):
    task = Task("words", "tagging", ("O", "B-X", "I-X"), "entity_f1", ("entity_f1",))
    rows = replace(data.train, label=task.no_labels(len(data.train)))
    with pytest.raises(UserError, match="--teacher_signals: task words tags words"):
        check_given(job_of(replace(data, task=task, train=rows, dev=rows), "x", "x.csv"))
