"""Several labels a text: files with lists, separators or columns of 0 and 1, and what is worked out from them."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from sklearn.preprocessing import MultiLabelBinarizer

from kd_keras import tasks
from kd_keras.common.errors import UserError
from kd_keras.tasks.balance import balanced, label_counts
from kd_keras.tasks.carve import carve

SETS = [["fun"], ["fun", "sad"], [], ["new"], ["sad", "new"], ["fun", "new", "sad"], ["fun"], ["sad"]]
NAMES = ("fun", "new", "sad")
WANTED = MultiLabelBinarizer(classes=NAMES).fit_transform(SETS)


def settings(path, **values):
    return tasks.TaskSettings(task="custom", train_file=str(path), dev_file=str(path), multilabel=True, **values)


def loaded(path, **values):
    return tasks.load_data(settings(path, **values))


def jsonl(path, cells):
    path.write_text("".join(json.dumps({"text": f"text {n}", "label": c}) + "\n" for n, c in enumerate(cells)))
    return path


def columns(path, marks, names=NAMES):
    lines = [f"text {n}," + ",".join(row) for n, row in enumerate(marks)]
    path.write_text("\n".join([",".join(["text", *names]), *lines]) + "\n")
    return path


def test_lists_separators_and_columns_say_the_same(tmp_path):
    lists = jsonl(tmp_path / "lists.jsonl", SETS)
    joined = jsonl(tmp_path / "joined.jsonl", [" ; ".join(s) for s in SETS])
    marks = columns(tmp_path / "marks.csv", [["01"[n] for n in row] for row in WANTED])
    found = [
        loaded(lists),
        loaded(joined, label_separator=";"),
        tasks.load_data(tasks.TaskSettings(task="custom", train_file=str(marks), label_columns="fun,new,sad")),
    ]
    for data in found[:2]:
        assert data.task.kind == "multilabel" and data.task.labels == NAMES and data.task.metric == "micro_f1"
        assert data.train.label.tolist() == WANTED.tolist()
    of_columns = found[2]  # its dev is drawn from train
    order = np.argsort([int(i.split("-")[1]) for i in (*of_columns.train.ids, *of_columns.dev.ids)])
    assert np.concatenate([of_columns.train.label, of_columns.dev.label])[order].tolist() == WANTED.tolist()


def test_a_table_may_have_json_lists(tmp_path):
    path = tmp_path / "t.csv"
    with open(path, "w", newline="") as f:
        csv.writer(f).writerows([["text", "label"], *([f"text {n}", json.dumps(s)] for n, s in enumerate(SETS))])
    data = loaded(path)
    assert data.task.labels == NAMES and data.train.label.tolist() == WANTED.tolist()
    path.write_text(path.read_text().replace('"[""sad""]"', "['sad']"))
    with pytest.raises(UserError, match=r"t.csv, line 9, column 'label': expected a JSON list, .* found .*'sad'"):
        loaded(path)


def test_a_cell_without_a_label_is_a_text_without_any(tmp_path):
    data = loaded(jsonl(tmp_path / "t.jsonl", [["a", "b"], None, "", [], "b"]))
    assert data.train.label.tolist() == [[1, 1], [0, 0], [0, 0], [0, 0], [0, 1]]
    assert tasks.has_label(data.train).all()


@pytest.mark.parametrize(
    "mark, means", [("1", 1), ("0", 0), ("1.0", 1), ("0.0", 0), ("True", 1), ("FALSE", 0), (" 1 ", 1)]
)
def test_marks_of_columns(tmp_path, mark, means):
    path = columns(tmp_path / "t.csv", [["1", "0", "1"], ["0", "1", mark]])
    task = tasks.resolve(tasks.TaskSettings(task="custom", train_file=str(path), label_columns="fun,new,sad"))
    assert tasks.read_labelled(path, task).label[1].tolist() == [0, 1, means]


@pytest.mark.parametrize("mark", ["2", "yes", "", "-1", "nan"])
def test_other_marks_are_bad_rows(tmp_path, mark):
    path = columns(tmp_path / "t.csv", [["1", "0", "1"], ["0", mark, "1"]])
    task = tasks.resolve(tasks.TaskSettings(task="custom", train_file=str(path), label_columns="fun,new,sad"))
    found = repr(mark) if mark else "nothing"
    with pytest.raises(UserError, match=f"t.csv, line 3, column 'new': expected 0 or 1; found {found}"):
        tasks.read_labelled(path, task)


@pytest.mark.parametrize(
    "cells, values, message",
    [
        (SETS, {"labels": "fun,sad"}, "line 4, column 'label': expected one of fun, sad; found 'new'"),
        ([["a", ["b"]], ["b", "a"]], {}, "line 1, column 'label': expected a list of labels, found"),
        (["a", "b", "a"], {}, "no row has two labels: --label_separator=',' is in none of them"),
        (["a;b", "b", "a;c"], {}, "no row has two labels: --label_separator=',' is in none"),
        ([["a", "b"]] * 3, {"metric": "accuracy"}, "--metric=accuracy: task custom has several labels a text"),
        ([["a", "b"]] * 3, {"labels_per_class": 2}, "--labels_per_class=2: task custom has several labels a text"),
        ([["a", "b"]] * 3, {"class_weights": "1,2,3"}, "--class_weights=1,2,3: expected none, balanced, or 2 numbers"),
    ],
)
def test_what_cannot_be_read_says_where(tmp_path, cells, values, message):
    with pytest.raises(UserError) as e:
        loaded(jsonl(tmp_path / "t.jsonl", cells), **values)
    assert message in str(e.value)


@pytest.mark.parametrize(
    "values, message",
    [
        ({"regression": True}, "--regression learns one number, --multilabel learns labels; leave out one"),
        ({"label_columns": "fun,new", "labels": "fun,new"}, "--labels=fun,new: --label_columns names the labels"),
        ({"label_columns": "fun,new", "label_column": "sad"}, "--label_column=sad: --label_columns names the columns"),
        ({"label_columns": "fun,new", "label_separator": ";"}, "--label_separator=;: belongs to --multilabel with"),
        ({"label_separator": "  "}, "--label_separator='  ': expected the text between labels, or one of tab"),
        ({"label_separator": ""}, "--label_separator='': expected the text between labels"),
        ({"multilabel": False, "label_separator": ";"}, "--label_separator=;: belongs to --multilabel with"),
        ({"label_columns": "fun"}, "--label_columns=fun: expected two labels or more"),
        ({"label_columns": "fun,text"}, "--label_columns=text: --text_column names this column too"),
        ({"label_columns": "fun,old"}, "no column 'old'; its columns are: text, fun, new, sad. --label_columns names"),
    ],
)
def test_flags_that_do_not_fit(tmp_path, values, message):
    path = columns(tmp_path / "t.csv", [["1", "0", "1"], ["0", "1", "1"]])
    with pytest.raises(UserError) as e:
        tasks.load_data(
            tasks.TaskSettings(**({"task": "custom", "train_file": str(path), "multilabel": True} | values))
        )
    assert message in str(e.value)


def test_a_built_in_task_has_no_such_flags():
    with pytest.raises(UserError, match="--multilabel belongs to --task=custom, not to --task=sst2"):
        tasks.resolve(tasks.TaskSettings(task="sst2", multilabel=True))


def test_dev_has_its_share_of_every_label():
    draw = np.random.default_rng(3)
    label = (draw.random((600, 4)) < (0.5, 0.2, 0.05, 0.0)).astype(np.int32)
    rows = tasks.Rows([f"train-{n}" for n in range(600)], [f"text {n}" for n in range(600)], None, label)
    rest, dev = carve(rows, 0.1, "mine")
    assert set(rest.ids).isdisjoint(dev.ids) and len(rest) + len(dev) == 600
    share = dev.label.sum(0) / np.maximum(label.sum(0), 1)
    assert ((share[:3] > 0.05) & (share[:3] < 0.16)).all() and 55 <= len(dev) <= 65


def test_balanced_weights_are_what_is_not_over_what_is():
    rows = tasks.Rows([str(n) for n in range(8)], [f"t {n}" for n in range(8)], None, WANTED.astype(np.int32))
    task = tasks.Task("custom", "multilabel", NAMES, "micro_f1", ("micro_f1",))
    weighed, notes = balanced(task, rows, "balanced")
    assert label_counts(rows, 3).tolist() == WANTED.sum(0).tolist()
    assert weighed.class_weights == pytest.approx((len(WANTED) - WANTED.sum(0)) / WANTED.sum(0))
    assert notes == ["class weights: fun 1, new 1.67, sad 1"]


def test_a_task_comes_back_from_its_json():
    task = tasks.Task(
        "custom", "multilabel", NAMES, "micro_f1", ("micro_f1",), columns=tasks.Columns(labels=NAMES, separator=";")
    )  # fmt: skip
    again = tasks.Task.from_json(json.loads(json.dumps(task.to_json())))
    assert again.columns == task.columns and again.is_multilabel and again.no_labels(2).tolist() == [[-1] * 3] * 2
    plain = tasks.Task("custom", "single", ("a", "b")).to_json()["columns"]
    assert not {"labels", "separator"} & set(plain), "what runs of before do not have"


def test_rows_to_predict_and_made_rows_have_no_labels(tmp_path):
    from kd_keras.augment.transfer import Transfer

    path = jsonl(tmp_path / "t.jsonl", SETS)
    data = loaded(path)
    assert tasks.read_texts(str(path), task=data.task).label.tolist() == [[-1] * 3] * 8
    made = data.train.take([0, 1])
    made = tasks.Rows(["m", "n"], made.text, None, tasks.no_labels(data.train.label, 2))
    transfer = Transfer(made, np.array([5, -1]), ["mask", "unlabeled"], [])
    assert transfer.source_labels(data.train).tolist() == [[1, 1, 1], [-1, -1, -1]]
