"""What another model answered, read from files: every way to say it, and every way to say it wrongly."""

from __future__ import annotations

import csv
import doctest
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.special import expit, log_softmax

from kd_keras.common.errors import UserError
from kd_keras.tasks import Columns, FileSettings, Rows, Task
from kd_keras.teachers import given, given_files
from kd_keras.teachers.given import LEAST, logits_of, read_given, write_answers

TASK = Task("toy", "single", ("bad", "so-so", "good"))
TEXTS = ["a good film", "dull", "it is"]
P = np.array([[0.1, 0.2, 0.7], [0.9, 0.05, 0.05], [0.25, 0.5, 0.25]])


def rows_of(texts, task=TASK, text_b=None) -> Rows:
    return Rows([str(n) for n in range(len(texts))], list(texts), text_b, task.no_labels(len(texts)))


def table(path, header, rows):
    with open(path, "w", newline="", encoding="utf-8") as f:
        csv.writer(f, delimiter="\t" if path.suffix == ".tsv" else ",").writerows([header, *rows])
    return str(path)


def lines(path, objects):
    path.write_text("".join(json.dumps(o) + "\n" for o in objects))
    return str(path)


def centred(p) -> np.ndarray:
    """Logits whose softmax is ``p``, by SciPy."""
    logits = log_softmax(np.log(p), axis=1)
    return logits - logits.mean(1, keepdims=True)


def asked(path, task=TASK, texts=TEXTS, **how) -> np.ndarray:
    return read_given([path], task, **how).of(rows_of(texts, task))


@pytest.mark.parametrize("module", [given, given_files])
def test_its_examples_run(module):
    assert doctest.testmod(module).failed == 0 and doctest.testmod(module).attempted


def test_probabilities_in_every_form_are_the_same_logits(tmp_path):
    order = [2, 0, 1]  # a file's columns stand as they like
    names = [TASK.labels[n] for n in order]
    by_class = [dict(zip(names, p[order].tolist(), strict=True)) for p in P]
    forms = [
        table(tmp_path / "a.csv", ["text", *(f"p_{n}" for n in names)],
              [[t, *p[order]] for t, p in zip(TEXTS, P, strict=True)]),
        table(tmp_path / "b.tsv", ["text", "probabilities"], [[t, p.tolist()] for t, p in zip(TEXTS, P, strict=True)]),
        lines(tmp_path / "c.jsonl", [{"text": t, "probabilities": p.tolist()} for t, p in zip(TEXTS, P, strict=True)]),
        lines(tmp_path / "d.jsonl", [{"text": t, "probabilities": p} for t, p in zip(TEXTS, by_class, strict=True)]),
    ]  # fmt: skip
    pq.write_table(pa.table({"text": TEXTS, "probabilities": P.tolist()}), tmp_path / "e.parquet")
    pq.write_table(pa.table({"text": TEXTS, "probabilities": by_class}), tmp_path / "f.parquet")
    for path in (*forms, str(tmp_path / "e.parquet"), str(tmp_path / "f.parquet")):
        np.testing.assert_allclose(asked(path), centred(P), atol=1e-6, err_msg=path)
    prints = {read_given([path], TASK).fingerprint for path in forms}
    assert len(prints) == 1, "the file's form is nothing that a run depends on"
    np.testing.assert_allclose(logits_of(TASK.labels, by_class), centred(P), atol=1e-6)


def test_logits_are_taken_as_they_are(tmp_path):
    logits = np.array([[1.5, -2.25, 3.0], [0.1, 0.2, 0.3], [-1e3, 0, 1e3]], np.float32)
    forms = [
        table(tmp_path / "a.csv", ["text", "logit_GOOD", "logit_bad", "logit_so-so", "p_x"],
              [[t, x[2], x[0], x[1], "?"] for t, x in zip(TEXTS, logits, strict=True)]),
        lines(tmp_path / "b.jsonl", [{"text": t, "logits": x.tolist()} for t, x in zip(TEXTS, logits, strict=True)]),
    ]  # fmt: skip
    write_answers(tmp_path / "c.jsonl", rows_of(TEXTS), logits, list(TASK.labels))
    write_answers(tmp_path / "d.jsonl", rows_of(TEXTS), logits, None)
    for path in (*forms, str(tmp_path / "c.jsonl"), str(tmp_path / "d.jsonl")):
        assert np.array_equal(asked(path), logits), path


def test_what_was_written_comes_back_bit_by_bit(tmp_path):
    logits = np.random.default_rng(0).normal(size=(500, 3)).astype(np.float32) * np.float32(1e3)
    rows = rows_of([f"text {n}" for n in range(500)])
    write_answers(tmp_path / "a.jsonl", rows, logits, list(TASK.labels))
    assert np.array_equal(read_given([str(tmp_path / "a.jsonl")], TASK).of(rows), logits)


def test_a_label_with_confidence_leaves_the_others_the_rest(tmp_path):
    path = table(tmp_path / "a.csv", ["text", "label", "confidence"], [[TEXTS[0], "good", 0.8], [TEXTS[1], "Bad", 1]])
    found = asked(path)
    np.testing.assert_allclose(found[:1], centred(np.array([[0.1, 0.1, 0.8]])), atol=1e-6)
    np.testing.assert_allclose(found[1], logits_of(TASK.labels, label=["bad"], confidence=[1])[0])
    assert found[1, 0] - found[1, 1] == pytest.approx(-np.log(LEAST), abs=1e-4), "1 leaves nothing, which is clipped"
    assert np.isnan(found[2]).all()


def test_several_labels_a_text_are_decided_one_by_one(tmp_path):
    task = Task("m", "multilabel", ("x", "y"), "micro_f1", ("micro_f1",), columns=Columns(separator=","))
    p = np.array([[0.9, 0.6], [0.0, 1.0], [0.5, 0.5]])
    found = asked(
        table(tmp_path / "a.csv", ["text", "p_y", "p_x"], [[t, b, a] for t, (a, b) in zip(TEXTS, p, strict=True)]), task
    )
    np.testing.assert_allclose(expit(found), np.clip(p, LEAST, 1 - LEAST), atol=1e-6)
    with pytest.raises(UserError, match=r"b.csv, line 2, column 'p_y': expected a probability from 0 to 1, found 1.5"):
        asked(table(tmp_path / "b.csv", ["text", "p_x", "p_y"], [["a", 0, 1.5]]), task)


def test_scores_and_pairs(tmp_path):
    task = Task("r", "regression", (), "pearson", ("pearson",), columns=Columns(("first",), "second"))
    path = table(tmp_path / "a.csv", ["first", "second", "score"], [["a", "b", 2.5], ["b", "a", -1]])
    rows = rows_of(["b", "a", "a"], task, ["a", "b", "c"])
    assert read_given([path], task).of(rows)[:2].tolist() == [[-1.0], [2.5]]
    assert np.isnan(read_given([path], task).of(rows)[2]).all()
    write_answers(tmp_path / "b.jsonl", rows.take([0, 1]), np.array([[1.5], [2.0]], np.float32), None)
    assert read_given([str(tmp_path / "b.jsonl")], task).of(rows)[:2].tolist() == [[1.5], [2.0]], "text and text_b too"
    with pytest.raises(UserError, match="no column 'score'"):
        asked(table(tmp_path / "c.csv", ["first", "second", "scores"], [["a", "b", 1]]), task)


def test_sums_that_are_not_1_are_scaled_and_counted(tmp_path):
    path = table(tmp_path / "a.csv", ["text", "p_bad", "p_so-so", "p_good"],
                 [[t, *(p * s)] for t, p, s in zip(TEXTS, P, (0.97, 1.0004, 100), strict=True)])  # fmt: skip
    found = read_given([path], TASK)
    np.testing.assert_allclose(found.of(rows_of(TEXTS)), centred(P), atol=1e-5)
    assert found.notes == ["teacher (given): the probabilities of 2 rows did not add up to 1, and were scaled"]


def test_a_text_that_comes_twice_has_the_mean_of_its_logits(tmp_path):
    one = lines(tmp_path / "a.jsonl", [{"text": " it is ", "logits": [0, 1, 2]}, {"text": "dull", "logits": [1, 0, 0]}])
    two = lines(tmp_path / "b.jsonl", [{"text": "it is", "logits": [2, 2, 0]}, {"text": "dull", "logits": [1, 0, 0]}])
    found = read_given([one, two], TASK)
    assert found.texts == 2 and found.of(rows_of(["it is", "dull"])).tolist() == [[1.0, 1.5, 1.0], [1, 0, 0]]
    assert found.notes == [
        "teacher (given): texts with several signals that differ: 1; each gets the mean of its logits"
    ]
    assert read_given([two, one], TASK).fingerprint == found.fingerprint


def test_texts_that_no_split_has_are_told_once_and_in_order(tmp_path):
    path = lines(tmp_path / "a.jsonl", [{"text": t, "logits": [0, 1, 2]} for t in ("new", "dull", "newer", "new")])
    found = read_given([path], TASK, [rows_of(["dull"]), rows_of(["x"])])
    assert list(found.others.text) == ["new", "newer"] and list(found.others.ids) == ["given-0", "given-1"]
    assert found.others.label.tolist() == [-1, -1]


def test_a_file_is_written_as_its_own_name_says(tmp_path):
    """The flags are the training file's."""
    texts = ["très bon", 'he said "hi", twice', "dull"]
    answers = [[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0]]
    jsonl = str(tmp_path / "a.jsonl")
    write_answers(jsonl, rows_of(texts), np.array(answers, np.float32), list(TASK.labels))
    header = ["text", *(f"logit_{name}" for name in TASK.labels)]
    csv_file = table(tmp_path / "a.csv", header, [[t, *a] for t, a in zip(texts, answers, strict=True)])
    for how in (FileSettings(encoding="cp1252"), FileSettings(quoting="none"), FileSettings(format="tsv"),
                FileSettings(delimiter=";"), FileSettings(delimiter="tab", quoting="none", format="conll")):  # fmt: skip
        for path in (jsonl, csv_file):
            assert asked(path, texts=texts, how=how).tolist() == answers, (path, how)


def test_flags_count_where_the_file_says_nothing(tmp_path):
    (tmp_path / "a.csv").write_bytes('text;logits\ntrès bon;"[1, 2, 3]"\n'.encode("cp1252"))
    how = FileSettings(encoding="cp1252", delimiter=";")
    assert asked(str(tmp_path / "a.csv"), texts=["très bon"], how=how).tolist() == [[1.0, 2.0, 3.0]]
    (tmp_path / "answers").write_text("text|logits\nit is|[1, 2, 3]\n")
    assert asked(str(tmp_path / "answers"), how=FileSettings(format="csv", delimiter="pipe"))[2].tolist() == [1, 2, 3]


def test_texts_are_cleaned_as_the_tasks_are(tmp_path):
    task = Task("imdb", "single", ("neg", "pos"))
    path = lines(tmp_path / "a.jsonl", [{"text": "Dull.<br /><br />Bad film. <br>", "logits": [2, 1]}])
    found = read_given([path], task, [rows_of(["Dull. Bad film."], task)])
    assert found.of(rows_of(["Dull. Bad film."], task)).tolist() == [[2, 1]] and not len(found.others)


def test_rows_without_text_are_left_out_and_said(tmp_path):
    path = lines(tmp_path / "a.jsonl", [{"text": t, "logits": [0, 1, 2]} for t in ("", "new", "  ")])
    found = read_given([path], TASK)
    assert list(found.others.text) == ["new"] and found.texts == 1
    assert found.notes == ["teacher (given): 2 rows without text left out"]
    with pytest.raises(UserError, match="no row can be used"):
        read_given([lines(tmp_path / "b.jsonl", [{"text": "", "logits": [0, 1, 2]}])], TASK)


@pytest.mark.parametrize(
    "more",
    [
        {"label": "good", "confidence": 1, "p_id": 7},
        {"probabilities": [0, 0, 1], "logit_scale": 3, "p_id": 1},
        {"probabilities": {"good": 1, "bad": 0, "so-so": 0}, "p_value": "0.05"},
    ],
)
def test_other_columns_with_such_a_beginning_mean_nothing(tmp_path, more):
    np.testing.assert_allclose(
        asked(lines(tmp_path / "a.jsonl", [{"text": "dull", **more}]))[1], logits_of(TASK.labels, [[0, 0, 1]])[0]
    )


def test_a_text_column_is_no_answer(tmp_path):
    task = Task("toy", "single", TASK.labels, columns=Columns(("p_text",)))
    path = table(tmp_path / "a.csv", ["p_text", "p_good", "p_bad", "p_so-so"], [["dull", 1, 0, 0]])
    np.testing.assert_allclose(asked(path, task)[1], logits_of(TASK.labels, [[0, 0, 1]])[0])


@pytest.mark.parametrize(
    "header", ["text,logits,logits", "text,label,confidence,confidence", "text,label,label,confidence"]
)
def test_a_column_that_comes_twice_is_refused(tmp_path, header):
    (tmp_path / "a.csv").write_text(f"{header}\n{','.join('a' for _ in header.split(','))}\n")
    with pytest.raises(UserError, match=r"a.csv, line 1: two columns are called '\w+'; rename one"):
        asked(str(tmp_path / "a.csv"))


def test_a_map_in_parquet_is_numbers_by_class(tmp_path):
    kind = pa.map_(pa.string(), pa.float32())

    def file(*pairs):
        path = tmp_path / "a.parquet"
        pq.write_table(pa.table({"text": ["dull"], "probabilities": pa.array([pairs], kind)}), path)
        return str(path)

    found = asked(file(("good", 0.5), ("bad", 0.25), ("so-so", 0.25)))[1]
    np.testing.assert_allclose(found, logits_of(TASK.labels, [[0.25, 0.25, 0.5]])[0])
    with pytest.raises(UserError, match="a.parquet, row 1, column 'probabilities': the class 'good' appears twice"):
        asked(file(("good", 0.5), ("good", 0.25), ("bad", 0.25)))


def test_columns_that_nobody_needs_are_not_read_from_parquet(tmp_path):
    far = pa.array([2**62] * 3, pa.timestamp("ns"))
    other = pa.array([b"\xff"] * 3, pa.binary()).view(pa.string())
    table = {
        "text": TEXTS,
        "probabilities": P.tolist(),
        "when": far,
        "who": other,
        "large": pa.array([2**60] * 3, pa.duration("s")),
    }
    pq.write_table(pa.table(table), tmp_path / "a.parquet")
    np.testing.assert_allclose(asked(str(tmp_path / "a.parquet")), centred(P), atol=1e-6)
    pq.write_table(pa.table({"text": other, "probabilities": P.tolist()}), tmp_path / "b.parquet")
    with pytest.raises(UserError, match="b.parquet, row 1 or later: cannot be read"):
        asked(str(tmp_path / "b.parquet"))


GOOD = {"text": "a", "p_bad": 0.5, "p_so-so": 0.25, "p_good": 0.25}


@pytest.mark.parametrize(
    ("objects", "said"),
    [
        ([{"text": "a", "p_bad": 1, "p_so-so": 0, "p_god": 0}],
         r"line 1, column 'p_god': the task has no class 'god'; expected one of bad, so-so, good\. Did you mean good"),
        ([{"text": "a", "p_bad": 1, "p_good": 0}], r"line 1: no column 'p_so-so'; each class needs one"),
        ([{"text": "a", "p_bad": 1, "p_so-so": 0, "p_good": 0, "p_GOOD": 0}], r"columns 'p_good' and 'p_GOOD' name one class"),
        ([GOOD, GOOD | {"p_good": -0.25}], r"line 2, column 'p_good': expected a probability of 0 or more, found -0.25"),
        ([GOOD, GOOD | {"p_good": float("nan")}], r"line 2, column 'p_good': expected a number, found nan"),
        ([GOOD | {"p_bad": float("inf")}], r"line 1, column 'p_bad': expected a number, found inf"),
        ([GOOD | {"p_bad": "much"}], r"line 1, column 'p_bad': expected a number, found 'much'"),
        ([GOOD | {"p_bad": None}], r"line 1, column 'p_bad': expected a number, found nothing"),
        ([GOOD | {"p_bad": 0, "p_good": 0, "p_so-so": 0}], r"line 1: every probability is 0"),
        ([GOOD | {"p_bad": 10**400}], r"line 1, column 'p_bad': expected a number, found 1000"),
        ([{"text": "a", "logits": "[" * 5000}], r"line 1, column 'logits': expected a list of 3 numbers"),
        ([{"text": "a", "logits": '{"bad": 1, "good": 2, "good": 3, "so-so": 0}'}], r"the class 'good' appears twice"),
        ([GOOD, {"text": "b"}], r"line 2: no key 'p_bad'; the keys are: text"),
        ([{"p_bad": 1, "p_so-so": 0, "p_good": 0}], r"no column 'text'"),
        ([{"text": "a", "logits": [1, 2]}], r"line 1, column 'logits': expected 3 numbers, .* bad, so-so, good; found 2"),
        ([{"text": "a", "logits": [1, 2, True]}], r"line 1, column 'logits', number 3: expected a number, found True"),
        ([{"text": "a", "logits": "x"}], r"line 1, column 'logits': expected a list of 3 numbers"),
        ([{"text": "a", "logits": {"bad": 1, "good": 2, "soso": 0}}], r"no class 'soso'; .* Did you mean so-so"),
        ([{"text": "a", "probabilities": {"bad": 1, "good": 2}}], r"column 'probabilities': no number for class 'so-so'"),
        ([{"text": "a", "probabilities": [1, -1, 0]}], r"column 'probabilities', class 'so-so': expected a probability"),
        ([{"text": "a", "label": "goood", "confidence": 1}], r"line 1, column 'label': the task has no class 'goood'"),
        ([{"text": "a", "label": "good", "confidence": 97}], r"line 1, column 'confidence': .* to 1; found 97"),
        ([{"text": "a", "label": "good", "confidence": 0.2}], r"from 0.3333 \(even chances of 3 classes\) to 1; found 0.2"),
        ([{"text": "a", "label": "good"}], r"has no column about the classes; its columns are: text, label\. Expected one of"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_with_its_place(tmp_path, objects, said):
    with pytest.raises(UserError, match=said) as error:
        asked(lines(tmp_path / "answers.jsonl", objects))
    assert "answers.jsonl" in str(error.value) and "\n" not in str(error.value)


def test_bad_rows_can_be_skipped_and_are_listed(tmp_path):
    path = lines(tmp_path / "a.jsonl", [GOOD, GOOD | {"text": "b", "p_good": -1}])
    found = read_given([path], TASK, on_bad_row="skip")
    assert found.texts == 1 and "1 row skipped: " in found.notes[0] and "line 2" in found.notes[0]


def test_a_row_of_a_parquet_file_is_named(tmp_path):
    pq.write_table(pa.table({"text": ["a", "b"], "logits": [[0.0, 1, 2], [0.0, 1]]}), tmp_path / "a.parquet")
    with pytest.raises(UserError, match=r"a.parquet, row 2, column 'logits': expected 3 numbers"):
        asked(str(tmp_path / "a.parquet"))
    (tmp_path / "b.parquet").write_text("text,logits\n")
    with pytest.raises(UserError, match=r"b.parquet: cannot be read as a Parquet file"):
        asked(str(tmp_path / "b.parquet"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "expected probabilities, or label and confidence"),
        ({"probabilities": np.full((1, 2), 0.5)}, r"shape \(1, 2\); expected \(rows, 3\)"),
        ({"probabilities": [[1, 0, 0], [0.5, 0.5]]}, r"row 1: expected 3 probabilities, one for each class; found 2"),
        ({"probabilities": [["x", "y", "z"]]}, r"row 0, number 1: expected a number, found 'x'"),
        ({"probabilities": [{"bad": 1, "good": 0, "so-so": 0}, 7]}, r"row 1: expected 3 probabilities, found 7"),
        ({"probabilities": [{"bad": 0.9, "Bad": 0.1, "so-so": 0}]}, r"row 0: the class 'Bad' appears twice"),
        ({"probabilities": [[1, 0, 0], [0.5, -0.5, 1]]}, "row 1 has"),
        ({"probabilities": [{"bad": 1, "good": 0}]}, "row 0: no number for class 'so-so'"),
        (
            {"label": ["gud"], "confidence": [1]},
            "row 0, column 'label': the task has no class 'gud'; .* Did you mean good",
        ),
        ({"label": ["good"], "confidence": [97]}, "row 0, column 'confidence': expected .* to 1; found 97"),
        ({"label": ["good"], "confidence": [0.1]}, r"from 0.3333 \(even chances of 3 classes\) to 1; found 0.1"),
        ({"label": ["good"], "confidence": [1, 1]}, "1 labels, but 2 confidences"),
    ],
)
def test_arrays_are_looked_at_too(arguments, said):
    with pytest.raises(UserError, match=said):
        logits_of(TASK.labels, **arguments)


def test_a_tensor_is_an_array_and_a_data_frame_is_not():
    import tensorflow as tf

    class Frame(dict):
        """As pandas' one: it iterates over its columns' names, and NumPy takes it for an array."""

        def __array__(self, *_, **__):
            return np.array([*self.values()]).T

    assert np.array_equal(logits_of(TASK.labels, tf.constant(P)), logits_of(TASK.labels, P))
    with pytest.raises(UserError, match="row 0, number 1: expected a number"):  # its columns may stand in any order
        logits_of(TASK.labels, Frame(good=P[:, 2], bad=P[:, 0]))


def test_a_single_class_has_no_confidence():
    with pytest.raises(UserError, match="row 0: label and confidence need at least two classes"):
        logits_of(["good"], label=["good"], confidence=[1])
