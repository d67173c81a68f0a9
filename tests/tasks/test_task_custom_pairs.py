"""Pairs and numbers elsewhere: the record, the drawn split, a user's own files, evaluate and predict."""

import json

import numpy as np
import pytest

from kd_keras import metrics, tasks
from kd_keras.common.errors import UserError
from kd_keras.tasks.carve import carve
from kd_keras.tasks.columns import Columns
from kd_keras.tasks.records import Task
from kd_keras.tasks.rows import Rows


def write(path, text):
    path.write_bytes(text.encode())
    return str(path)


# the record


@pytest.mark.parametrize(
    "change, message",
    [
        ({"kind": "pair"}, "kind 'pair', but columns.text_b is None"),
        ({"columns": Columns(text_b="b")}, "kind 'single', but columns.text_b is 'b'"),
        ({"kind": "regression"}, "a regression has no labels"),
    ],
)
def test_a_record_that_contradicts_itself(change, message):
    with pytest.raises(ValueError, match=message):
        Task(**({"name": "x", "kind": "single", "labels": ("a", "b")} | change))


def test_task_json_from_before_pairs_is_read():
    value = tasks.get("sst2").to_json()
    del value["columns"]["no_gold"]
    task = Task.from_json(json.loads(json.dumps(value)))
    assert task.columns == tasks.get("sst2").columns and not task.is_pair and task.num_outputs == 2


# the drawn split


def test_carve_keeps_a_pair_and_its_swap_on_one_side():
    n = 60
    a, b = [f"First, {i}" for i in range(n)], [f"second {i}." for i in range(n)]
    texts, others = a + [t.upper() for t in b], b + a
    rows = Rows([str(i) for i in range(2 * n)], texts, others, np.arange(2 * n, dtype=np.int32) % 2)
    dev = carve(rows, 0.2, "t")[1]
    assert 24 <= len(dev) <= 26
    there = set(dev.ids)
    assert all((str(i) in there) == (str(i + n) in there) for i in range(n))


# a user's files


def pairs_csv(path, scores=False):
    lines = [f"one {i},two {i},{i / 4 if scores else 'ny'[i % 2]}" for i in range(40)]
    return write(path, "\n".join(["a,b,y", *lines]) + "\n")


MINE = {"text_column": "a", "text_b_column": "b", "label_column": "y"}
COLUMNS = tasks.Columns(("a",), "b", "y")


def test_custom_pairs_by_settings(tmp_path):
    train = pairs_csv(tmp_path / "t.csv")
    task = tasks.resolve(tasks.TaskSettings(task="custom", train_file=train, **MINE))
    assert task.kind == "pair" and task.is_pair and task.labels == ("n", "y") and task.num_outputs == 2
    data = tasks.load(task)
    assert len(data.dev) == 4 and data.train.text_b[0].startswith("two ")
    assert Task.from_json(task.to_json()).columns == task.columns


def test_custom_regression(tmp_path):
    train = pairs_csv(tmp_path / "t.csv", scores=True)
    task = tasks.resolve(tasks.TaskSettings(task="custom", train_file=train, regression=True, **MINE))
    assert (task.kind, task.labels, task.num_outputs, task.is_pair) == ("regression", (), 1, True)
    assert (task.metric, task.metrics) == ("pearson", ("pearson", "spearman"))
    data = tasks.load(task)
    assert len(data.dev) == 4 and data.train.label.dtype == np.float32 and data.train.label.max() > 9
    scores = metrics.score(task.metrics, data.dev.label, data.dev.label * 2)
    assert scores == {"pearson": pytest.approx(1), "spearman": pytest.approx(1)}
    again = Task.from_json(json.loads(json.dumps(task.to_json())))
    assert again.is_regression and again.to_json() == task.to_json()
    single = tasks.custom(train, columns=tasks.Columns(("a",), label="y"), regression=True)
    assert not single.is_pair and tasks.load(single).train.text_b is None
    path = write(tmp_path / "bad.csv", "a,b,y\np,q,1.5\nr,s,high\n")
    with pytest.raises(UserError, match=r"bad\.csv, line 3, column 'y': expected a number; found 'high'"):
        tasks.load(tasks.custom(path, columns=COLUMNS, regression=True))


@pytest.mark.parametrize(
    "values, message",
    [
        ({"task": "stsb", "regression": True}, "--regression belongs to --task=custom, not to --task=stsb"),
        ({"regression": True, "labels": "a,b"}, "--labels=a,b: --regression learns a number"),
        ({"text_b_column": "a"}, "--text_b_column=a: --text_column names this column too"),
        ({"label_column": "b"}, "--label_column=b: --text_b_column names this column too"),
        ({"text_b_column": "c"}, "no column 'c'; its columns are: a, b, y. --text_b_column names another."),
        ({"labels": "y"}, "--labels=y: expected two labels or more"),
    ],
)
def test_custom_settings_that_do_not_fit(tmp_path, values, message):
    mine = MINE | {"task": "custom", "train_file": pairs_csv(tmp_path / "t.csv")}
    if "task" in values:
        mine = {}
    with pytest.raises(UserError) as e:
        tasks.load(tasks.resolve(tasks.TaskSettings(**(mine | values))))
    assert message in str(e.value)


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("t.tsv", "a\tb\ty\np\tq\t0\nr\t \t1\n", r"line 3, column 'b': expected text, found nothing"),
        ("t.tsv", "a\tb\ty\np\tq\t0\n\ts\t1\n", r"line 3, column 'a': expected text, found nothing"),
        ("t.tsv", "a\tb\ty\np\tq\t0\nr\ts\n", r"line 3: expected 3 fields \(a, b, y\), found 2 in 'r \| s': no value for column 'y'"),
        ("t.tsv", "y\ta\tb\n0\tp\tq\n1\tr\n", r"line 3: expected 3 fields .*: no value for column 'b'"),
        ("t.csv", "a,b,y\np,q,0\nr\n", r"line 3: expected 3 fields .*: no value for column 'b', 'y'"),
        ("t.jsonl", '{"a": "p", "b": "q", "y": 0}\n{"a": "r", "y": 1}\n', r"line 2: no key 'b'; the keys are: a, y"),
        ("t.jsonl", '{"a": "p", "b": "q", "y": 0}\n{"a": "r", "b": null, "y": 1}\n', r"line 2, column 'b': expected text, found None"),
        ("t.jsonl", '{"a": "p", "b": "q", "y": 0}\n{"a": "r", "b": "", "y": 1}\n', r"line 2, column 'b': expected text, found nothing"),
        ("t.jsonl", '{"a": "p", "y": 0}\n', r"no column 'b'; its first row's keys are: a, y.*--text_b_column"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("regression", [False, True])
def test_a_pair_that_lacks_a_text(tmp_path, name, content, message, regression):
    path = write(tmp_path / name, content)
    labels = None if regression else ("0", "1")
    with pytest.raises(UserError, match=message) as e:
        tasks.load(tasks.custom(path, columns=COLUMNS, labels=labels, regression=regression))
    assert str(e.value).startswith(path) and "\n" not in str(e.value)


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("t.tsv", "text\tlabel\na\tneg\nb\tneg\nc c pos\n", r"line 4: expected 2 fields .*\(the other rows have only the label 'neg'\)"),
        ("t.tsv", "text\tlabel\nc c pos\n", r"line 2: expected 2 fields .*\(no other row has a label\)"),
        ("t.jsonl", '{"text": "a", "label": "neg"}\n{"text": "b"}\n', r"line 2: no key 'label'"),
        ("t.jsonl", '{"text": "a", "label": "neg"}\n{"text": "b", "label": "pos"\n', r"line 2, position \d+: not JSON"),
        ("t.jsonl", '{"text": "a", "label": "neg"}\n{"text": "b", "label": ["pos"]}\n', r"line 2, column 'label': expected text"),
        ("t.tsv", "text\tlabel\n" + "".join(f"a\t{i}.5\n" for i in range(101)), "--regression learns numbers"),
    ],
)  # fmt: skip
def test_the_broken_row_is_reported_where_it_hides_a_label(tmp_path, name, content, message):
    path = write(tmp_path / name, content)
    with pytest.raises(UserError, match=message) as e:
        tasks.custom(path)
    assert str(e.value).startswith(path) and "\n" not in str(e.value)


# evaluate and predict


def test_reading_pairs_by_other_names(tmp_path):
    rte = tasks.get("mrpc")
    path = write(tmp_path / "a.csv", "sentence1,sentence2,Quality\na,b,equivalent\n")
    rows = tasks.read_labelled(path, rte)
    assert (rows.text, rows.text_b, rows.label.tolist()) == (["a"], ["b"], [1])
    path = write(tmp_path / "b.jsonl", '{"text": "a", "text_b": "b"}\n')
    rows = tasks.read_texts(path, task=rte)
    assert (rows.text, rows.text_b, rows.label.tolist()) == (["a"], ["b"], [-1])
    path = write(tmp_path / "c.csv", "text,other\na,b\n")
    assert tasks.read_texts(path, text_b_column="other", task=rte).text_b == ["b"]
    with pytest.raises(UserError, match=r"no column '#1 String'; its columns are: text, other"):
        tasks.read_texts(path, task=rte)
    official = write(tmp_path / "test.tsv", "index\t#1 ID\t#2 ID\t#1 String\t#2 String\n0\t1\t2\tp\tq\n")
    assert tasks.read_texts(official, task=rte).text_b == ["q"]


def test_a_regression_without_gold_has_nan(tmp_path):
    task = tasks.get("stsb")
    for path in (write(tmp_path / "a.txt", "one\ttwo\n"), write(tmp_path / "a.csv", "text,text_b\none,two\n")):
        rows = tasks.read_texts(path, task=task)
        assert (rows.text, rows.text_b) == (["one"], ["two"])
        assert rows.label.dtype == np.float32 and np.isnan(rows.label).all()
    path = write(tmp_path / "b.tsv", "sentence1\tsentence2\tscore\na\tb\t2.5\n")
    assert tasks.read_labelled(path, task).label.tolist() == [2.5]
