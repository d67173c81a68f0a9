"""Rows, Task, the registry, and the dev split that is drawn from train."""

import json
import pickle
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest

from kd_keras import tasks
from kd_keras.common.errors import UserError
from kd_keras.tasks.carve import carve, normalised
from kd_keras.tasks.records import Task
from kd_keras.tasks.rows import Rows, text_hash


def rows_of(texts, labels, text_b=None):
    return Rows([f"train-{i}" for i in range(len(texts))], list(texts), text_b, np.asarray(labels, np.int32))


def test_take_keeps_members_together():
    rows = Rows(["a", "b", "c"], ["x", "y", "z"], ["1", "2", "3"], np.array([0, 1, 2], np.int32))
    some = rows.take(np.array([2, 0]))
    assert (some.ids, some.text, some.text_b, some.label.tolist()) == (
        ["c", "a"],
        ["z", "x"],
        ["3", "1"],
        [2, 0],
    )
    assert len(some) == 2
    assert len(rows.take([])) == 0


def test_rows_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="differ in length"):
        Rows(["a"], ["x", "y"], None, np.zeros(1, np.int32))
    with pytest.raises(ValueError, match="differ in length"):
        Rows(["a"], ["x"], ["x", "y"], np.zeros(1, np.int32))


def test_fingerprint_sees_each_member_and_the_order():
    rows = rows_of(["x", "y"], [0, 1], ["p", "q"])
    prints = {
        rows.fingerprint(),
        rows.take([1, 0]).fingerprint(),
        rows_of(["x", "z"], [0, 1], ["p", "q"]).fingerprint(),
        rows_of(["x", "y"], [0, 0], ["p", "q"]).fingerprint(),
        rows_of(["x", "y"], [0, 1], ["p", "r"]).fingerprint(),
        rows_of(["x", "y"], [0, 1]).fingerprint(),
        Rows(["train-0", "b"], ["x", "y"], ["p", "q"], rows.label).fingerprint(),
    }
    assert len(prints) == 7 and all(len(p) == 16 for p in prints)
    assert rows.fingerprint() == rows_of(["x", "y"], [0, 1], ["p", "q"]).fingerprint()


class Read(list):
    """A column that counts how often it is read."""

    def __init__(self, items):
        super().__init__(items)
        self.items = 0

    def __getitem__(self, i):
        found = super().__getitem__(i)
        self.items += len(found) if isinstance(i, slice) else 1
        return found

    def __iter__(self):
        self.items += len(self)
        return super().__iter__()


def test_the_fingerprint_is_worked_out_once():
    text, text_b = Read("xyz"), Read("pqr")
    rows = Rows(["a", "b", "c"], text, text_b, np.zeros(3, np.int32))
    data = tasks.TaskData(tasks.get("mrpc"), rows, rows.take([0]), "", [])
    text.items = text_b.items = 0
    first = rows.fingerprint(), data.fingerprint
    assert text.items == text_b.items == 3
    rows.text_hashes()
    for _ in range(5):
        assert (rows.fingerprint(), data.fingerprint) == first
        assert rows.text_hashes() is rows.text_hashes()
    assert text.items == text_b.items == 6, "once for the fingerprint, once for the hashes"


def test_new_rows_have_a_fingerprint_of_their_own():
    rows = rows_of("xy", [0, 1])
    prints = [rows.fingerprint(), replace(rows, label=np.array([1, 1], np.int32)).fingerprint()]
    assert prints[0] != prints[1] and rows.text_hashes().tolist() != rows.take([1, 0]).text_hashes().tolist()
    again = pickle.loads(pickle.dumps(rows))
    assert again.fingerprint() == prints[0] and (again.text_hashes() == rows.text_hashes()).all()


def test_rows_are_frozen():
    labels = np.array([0, 1], np.int32)
    rows = rows_of("xy", labels)
    with pytest.raises(FrozenInstanceError):
        rows.label = labels
    for array in (rows.label, rows.take([1]).label, rows.text_hashes()):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    labels[0] = 1  # the caller's own


def test_text_hashes_are_those_of_the_texts():
    for text_b in (None, ["p", "\ud800"]):
        rows = rows_of(["x", ""], [0, 1], text_b)
        want = [
            text_hash(*pair) for pair in zip(*([rows.text] if text_b is None else [rows.text, text_b]), strict=True)
        ]
        assert [f"{h:016x}" for h in rows.text_hashes().tolist()] == want


def test_data_fingerprint_sees_which_side_a_row_is_on():
    a, b = rows_of(["x"], [0]), rows_of(["y"], [1])
    data = [tasks.TaskData(tasks.get("sst2"), *sides, "", []) for sides in ((a, b), (b, a))]
    assert data[0].fingerprint != data[1].fingerprint


@pytest.mark.parametrize("name", tasks.names())
def test_task_json_is_enough_to_evaluate(name):
    task = tasks.get(name)
    again = Task.from_json(json.loads(json.dumps(task.to_json())))
    assert again.to_json() == task.to_json()
    assert again.columns == task.columns and again.labels == task.labels and again.kind == task.kind


def test_task_json_that_is_none():
    with pytest.raises(UserError, match=r"task\.json is not a task's record .*columns"):
        Task.from_json({"name": "x"})
    with pytest.raises(UserError, match=r"task\.json is not a task's record"):
        Task.from_json([1])


def test_registry():
    single = ["ag_news", "cola", "dbpedia", "imdb", "rotten_tomatoes", "sst2"]
    pairs = ["mnli", "mrpc", "qnli", "qqp", "rte", "sick", "sick_r", "snli", "stsb"]
    assert tasks.names() == sorted(single + pairs + ["conll2003", "panx"])
    with pytest.raises(UserError, match=r"unknown task 'sst-2'. Did you mean sst2\? Known: ag_news"):
        tasks.get("sst-2")
    with pytest.raises(ValueError, match="registered already"):
        tasks.register(tasks.get("sst2"))
    with pytest.raises(UserError, match="--task=custom needs --train_file"):
        tasks.get("custom")
    assert tasks.get("cola").metric == "mcc" and len(tasks.get("dbpedia").labels) == 14
    assert tasks.get("sst2").max_length == 64 and tasks.get("imdb").max_length == 256


@pytest.mark.parametrize(
    "change, message",
    [
        ({"kind": "pairs"}, "kind 'pairs'"),
        ({"metric": "f1"}, "'f1' is not in its metrics"),
        ({"labels": ("a", "a")}, "twice"),
    ],
)
def test_a_task_that_contradicts_itself_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        Task(**({"name": "x", "kind": "single", "labels": ("a", "b")} | change))


def test_metrics_of_all_tasks_exist():
    from kd_keras import metrics

    for name in tasks.names():
        for metric in tasks.get(name).metrics:
            metrics.get(metric)


# the drawn split


def test_carve_is_stratified_stable_and_whole():
    rows = rows_of([f"text {i}" for i in range(300)], [int(i >= 100) for i in range(300)])
    train, dev = carve(rows, 0.1, "t")
    assert np.bincount(dev.label).tolist() == [10, 20]
    assert sorted(train.ids + dev.ids) == sorted(rows.ids)
    assert [int(i[6:]) for i in dev.ids] == sorted(int(i[6:]) for i in dev.ids)  # the file's order
    assert carve(rows, 0.1, "t")[1].ids == dev.ids
    assert carve(rows, 0.1, "other")[1].ids != dev.ids
    assert carve(rows, 0.1, "t", "test")[1].ids != dev.ids


def test_carve_keeps_equal_texts_on_one_side():
    texts = [f"Text {i % 50} ." if i < 50 else f"text, {i % 50}!" for i in range(100)]
    train, dev = carve(rows_of(texts, [i % 2 for i in range(100)]), 0.2, "t")
    assert len(dev) == 20
    assert not {normalised(t) for t in train.text} & {normalised(t) for t in dev.text}


def test_carve_compares_both_texts_of_a_pair():
    rows = rows_of(["same"] * 20, [0, 1] * 10, [f"b {i}" for i in range(20)])
    assert len(carve(rows, 0.2, "t")[1]) == 4
    rows = rows_of(["same"] * 20, [0] * 20, ["b"] * 20)
    with pytest.raises(UserError, match="20 rows are too few to draw a dev split"):
        carve(rows, 0.2, "t")


def test_carve_leaves_every_label_in_train():
    rows = rows_of(["a", "b", "c", "d", "e"], [0, 0, 1, 1, 2])
    train, dev = carve(rows, 0.9, "t")
    assert set(train.label.tolist()) == {0, 1, 2} and dev.label.tolist() == [0, 1]


def test_normalised_keeps_other_scripts_apart():
    assert normalised("Привет, мир") != normalised("Привет, дом")
    assert normalised("A b-C!") == normalised("abc")
    assert normalised("!!") != normalised("??")


def test_carve_of_a_regression():
    rows = Rows(
        [str(i) for i in range(50)],
        [f"t{i}" for i in range(50)],
        None,
        np.linspace(0, 5, 50, dtype=np.float32),
    )
    assert len(carve(rows, 0.1, "t")[1]) == 5
