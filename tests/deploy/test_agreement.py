"""The comparison with Keras, by numbers that were worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kd_keras.common.errors import UserError
from kd_keras.deploy.agreement import compare, cut_ids, require_agreement, table
from kd_keras.deploy.invented import TEXTS, built_in, with_edge_cases
from kd_keras.formats.format import EXPORTS
from kd_keras.tasks import Columns, Rows, Task
from kd_keras.text.token_ids import TokenIds

TASK = Task("toy", "single", ("neg", "pos"))
PAIR = Task("toy", "pair", ("neg", "pos"), columns=Columns(("a",), "b"))
SCORE = Task("toy", "regression", (), "pearson", ("pearson",))


def rows(labels) -> Rows:
    labels = np.array(labels)
    return Rows([str(i) for i in range(len(labels))], ["x"] * len(labels), None, labels)


def test_numbers():
    want = np.array([[0.9, 0.1], [0.2, 0.8], [0.505, 0.495], [0.3, 0.7]])
    got = np.array([[0.8, 0.2], [0.2, 0.8], [0.495, 0.505], [0.6, 0.4]])
    found = compare(TASK, rows([0, 1, -1, 1]), want, got, want, cut=2)
    assert found.max_score_difference == pytest.approx(0.3)
    # Centred logits of two scores are ± half the log odds.
    assert found.max_logit_difference == pytest.approx((np.log(0.7 / 0.3) + np.log(0.6 / 0.4)) / 2)
    assert found.agreement == 0.5
    assert found.clear_agreement == pytest.approx(2 / 3), "0.505 against 0.495 is not clear"
    assert found.metrics == {"accuracy": pytest.approx(2 / 3)} and found.keras_metrics == {"accuracy": 1.0}
    assert (found.rows, found.cut) == (4, 2)
    assert compare(TASK, rows([-1] * 4), want, got, want).metrics is None
    whole = np.array([[0.0, 1.0]] * 4)
    assert compare(TASK, rows([0, 1, -1, 1]), whole, whole, whole).max_logit_difference is None


def test_a_regression():
    want = np.array([[0.0], [1.0], [4.0]])
    found = compare(SCORE, rows(np.array([1.0, 2.0, np.nan], np.float32)), want, want + [[0], [0.1], [0.3]], want)
    assert found.agreement == pytest.approx(2 / 3) and found.max_logit_difference is None
    assert found.max_score_difference == pytest.approx(0.3) and found.metrics["pearson"] == pytest.approx(1.0)


def test_what_is_beyond_tolerance():
    want = np.tile([[0.9, 0.1]], (100, 1))
    slightly = want + [[-0.001, 0.001]]
    found = compare(TASK, rows([-1] * 100), want, slightly, want)
    require_agreement(EXPORTS["tflite_float16"], "x", found)
    require_agreement(EXPORTS["tflite_int8"], "x", found)
    with pytest.raises(UserError, match=r"tflite/float32.tflite: differs from Keras by 0.001 .* at most 0.0001"):
        require_agreement(EXPORTS["tflite_float32"], "tflite/float32.tflite", found)
    wrong = want.copy()
    wrong[:2] = wrong[:2, ::-1]
    require_agreement(EXPORTS["tflite_dynamic"], "x", compare(TASK, rows([-1] * 100), want, wrong, want))
    wrong[2] = wrong[2, ::-1]
    with pytest.raises(UserError, match="x: gives Keras' label on 97.0% .* at least 98%; on all 100 it is 97.0%"):
        require_agreement(EXPORTS["tflite_dynamic"], "x", compare(TASK, rows([-1] * 100), want, wrong, want))
    wrong[3] = np.nan
    with pytest.raises(UserError, match="NaN"):
        compare(TASK, rows([-1] * 100), want, wrong, want)


def test_cutting():
    ids, lost = cut_ids({"a": TokenIds.of([[1, 2, 3], []]), "b": TokenIds.of([[1], [4, 5, 6, 7]])}, 2)
    assert [list(r) for r in (ids["a"][0], ids["a"][1], ids["b"][0], ids["b"][1])] == [[1, 2], [], [1], [4, 5]]
    assert lost == 2 and cut_ids({"a": TokenIds.of([[1, 2, 3]])}, None)[1] == 0


def cells(text: str) -> list[list[str]]:
    return [[c.strip() for c in line.strip("|").split("|")] for line in text.splitlines()]


def test_the_table_has_a_line_a_file_below_keras():
    whole = np.array([[0.9, 0.1]] * 3)
    cut = np.array([[0.9, 0.1], [0.2, 0.8], [0.9, 0.1]])
    found = compare(TASK, rows([0, 0, 1]), cut, cut, whole, cut=1234)
    table_of = table({"arms/x/tflite/a.tflite": (12345, found), "saved_model": (1, found)}, "accuracy")
    head, _, *lines = cells(table_of)
    assert head == ["file", "bytes", "max diff", "same label", "accuracy", "cut"]
    assert lines == [
        ["Keras", "", "", "", "0.6667", ""],
        ["a.tflite", "12,345", "0", "100.00%", "0.3333", "1,234"],
        ["saved_model", "1", "0", "100.00%", "0.3333", "1,234"],
    ]
    without = compare(TASK, rows([-1] * 3), cut, cut, whole)
    assert [line[4] for line in cells(table({"a": (1, without)}, "accuracy"))[2:]] == ["-"]


@pytest.mark.parametrize("vectors", [False, True])
def test_the_table_fits_80_columns(vectors):
    scores = np.random.default_rng(0).random((40, 2))
    found = compare(TASK, rows([0, 1] * 20), scores, scores + 1.23e-5, scores, cut=1234)
    f1 = {"entity_f1": 0.8123}
    found = replace(found, metrics=f1, keras_metrics=f1, cosine=0.99999 if vectors else None)
    sizes = {f"tflite/{fmt.file}": (22_345_678, found) for fmt in EXPORTS.values() if fmt.is_tflite}
    assert max(map(len, table(sizes, "entity_f1").splitlines())) <= 80


def test_the_built_in_texts():
    assert len(set(TEXTS)) == len(TEXTS) >= 60 and "" in TEXTS and "?" in TEXTS
    assert max(len(t.split()) for t in TEXTS) > 70
    single, pair = built_in(TASK), built_in(PAIR)
    assert single.text_b is None and (single.label == -1).all() and np.isnan(built_in(SCORE).label).all()
    assert sorted(pair.text_b) == sorted(TEXTS) and sum(a == b for a, b in zip(pair.text, pair.text_b, strict=True)) < 2
    more = with_edge_cases(PAIR, pair)
    assert len(more) == len(pair) + 2 and ("", "") in list(zip(more.text, more.text_b, strict=True))
    assert len(set(more.ids)) == len(more)


def flat(classes: int, count: int, moved: int) -> list[np.ndarray]:
    """Scores of many labels that are all alike, and those of a file that gives ``moved`` texts another label."""
    logits = np.random.default_rng(0).normal(scale=0.01, size=(count, classes))
    got = logits.copy()
    for row in got[:moved]:
        row[row.argmin()] = row.max() + 0.001
    return [np.exp(x) / np.exp(x).sum(-1, keepdims=True) for x in (logits, got)]


def test_flat_scores_of_many_labels_are_held_to_account():
    """No score of 77 labels leads by 0.02: of such a student any file used to pass."""
    want, got = flat(77, 1000, 453)
    found = compare(TASK, rows([-1] * 1000), want, got, want)
    assert found.agreement == 0.547 and found.max_score_difference < 0.02
    for name in ("tflite_int8", "tflite_dynamic", "tflite_float16"):
        with pytest.raises(UserError, match=r"on all 1,000 it is 54.7%, expected at least 95%.*the file was removed"):
            require_agreement(EXPORTS[name], "x", replace(found, max_score_difference=0))
    want, got = flat(77, 1000, 0)
    require_agreement(EXPORTS["tflite_int8"], "x", compare(TASK, rows([-1] * 1000), want, got, want))


def test_clear_is_a_part_of_the_best_score():
    want = np.full((100, 77), 1 / 80)
    want[:, 5] = 4 / 80  # far above the others, and still less than 0.05
    got = want.copy()
    got[:3] = np.roll(want[:3], 1, axis=1)
    found = compare(TASK, rows([-1] * 100), want, got, want)
    assert (found.clear, found.clear_agreement, found.agreement) == (100, 0.97, 0.97)
    with pytest.raises(UserError, match="97.0% of the 100 texts that Keras is clear about, expected at least 98%"):
        require_agreement(EXPORTS["tflite_int8"], "x", found)


def test_nothing_clear_is_not_agreement():
    want = np.full((100, 2), 0.5) + [[0.001, -0.001]]
    found = compare(TASK, rows([-1] * 100), want, want[:, ::-1], want)
    assert (found.clear, found.clear_agreement) == (0, 0.0)
