"""What label reads for a run's teacher: the columns and the encoding are the run's."""

from __future__ import annotations

import pytest

from kd_keras.common import files
from kd_keras.common.errors import UserError
from kd_keras.common.layout import RunLayout
from kd_keras.runs.asked import run_of_teacher, texts_for
from kd_keras.tasks import Columns, FileSettings, Task, words_of
from kd_keras.tasks.tagging_sources import tagging
from kd_keras.teachers.finished import reads

PAIR = Task("toy", "pair", ("no", "yes"), columns=Columns(("question",), "answer"))
SINGLE = Task("toy", "single", ("no", "yes"), columns=Columns(("title", "body")))
TABLE = "id,title,body,question,answer\n1,Ça va,then,who?,me\n"
HOW = FileSettings()


@pytest.fixture
def made(tmp_path):
    """(task) → the folder of the second teacher of a run of it, and a table in the run's encoding."""

    def make(task: Task):
        layout = RunLayout(tmp_path / "run")
        layout.teacher_of(2).mkdir(parents=True)
        files.write_json(layout.task, task.to_json())
        layout.flags.write_text("--encoding=cp1252\n")
        (tmp_path / "new.csv").write_bytes(TABLE.encode("cp1252"))
        return layout.teacher_of(2), str(tmp_path / "new.csv")

    return make


def test_a_table_is_read_by_the_columns_of_the_run(made, capsys):
    teacher, table = made(SINGLE)
    rows = texts_for(teacher, {}, table, (None, None), HOW)
    assert (list(rows.text), rows.text_b, rows.label.tolist()) == (["Ça va then"], None, [-1])
    said = capsys.readouterr().err
    assert "the run's own columns, if they are there: title, body\n" in said and "read as cp1252" in said
    assert list(texts_for(teacher, {}, table, ("question", None), HOW).text) == ["who?"]
    assert "own columns" not in capsys.readouterr().err


def test_a_pair_has_both_its_texts(made):
    teacher, table = made(PAIR)
    rows = texts_for(f"{teacher}/", {}, table, (None, None), HOW)
    assert (list(rows.text), list(rows.text_b)) == (["who?"], ["me"])
    rows = texts_for(teacher, {}, table, (None, "id"), HOW)
    assert (list(rows.text), list(rows.text_b)) == (["who?"], ["1"])


def test_the_data_sets_markup_is_taken_out(made, tmp_path):
    teacher, _ = made(Task("imdb", "single", ("neg", "pos")))
    for name, content in (("new.csv", "text\nDull.<br /><br />Bad film.\n"), ("new.txt", "Dull.<br>Bad film.<br />\n")):
        (tmp_path / name).write_text(content)
        rows = texts_for(teacher, {}, str(tmp_path / name), (None, None), HOW)
        assert list(rows.text) == ["Dull. Bad film."], name


def test_of_a_tagging_the_key_of_the_words(made, tmp_path):
    task = tagging("toy", ["LOC"], (), "made up")
    teacher, _ = made(Task(**{**vars(task), "columns": Columns(("tokens_of",), None, "tags_of")}))
    (tmp_path / "new.jsonl").write_text('{"tokens_of": ["in", "Rome"], "text": "no"}\n')
    rows = texts_for(teacher, {"tagging": True, "labels": task.labels}, str(tmp_path / "new.jsonl"), (None, None), HOW)
    assert words_of(rows.text[0]) == ["in", "Rome"]


def test_a_pair_teacher_of_no_run_reads_pairs(tmp_path):
    """It must not label the first texts alone."""
    (tmp_path / "new.csv").write_text(TABLE)
    (tmp_path / "new.txt").write_text("who?\tme\n")
    (tmp_path / "usual.csv").write_text("sentence1,sentence2\nwho?,me\n")
    made = reads(PAIR)
    for name in ("new.csv", "new.txt", "usual.csv"):
        rows = texts_for(tmp_path / "teacher", made, str(tmp_path / name), (None, None), HOW)
        assert (list(rows.text), list(rows.text_b)) == (["who?"], ["me"])
    (tmp_path / "single.txt").write_text("who?\n")
    with pytest.raises(UserError, match="expected two texts with a tab between"):
        texts_for(tmp_path / "teacher", made, str(tmp_path / "single.txt"), (None, None), HOW)
    assert reads(SINGLE) == {}


def test_a_teacher_of_no_run_reads_the_usual_columns(tmp_path):
    (tmp_path / "teacher").mkdir()
    table = tmp_path / "new.csv"
    table.write_text(TABLE.replace("question", "sentence"))
    assert run_of_teacher(tmp_path / "teacher") is None
    assert list(texts_for(tmp_path / "teacher", {}, str(table), (None, None), HOW).text) == ["who?"]
    table.write_text(TABLE)
    with pytest.raises(UserError, match=r"no column 'text'.*--text_column names another"):
        texts_for(tmp_path / "teacher", {}, str(table), (None, None), HOW)
