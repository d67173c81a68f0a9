"""Scores against scikit-learn and SciPy, and numbers worked out by hand."""

import numpy as np
import pytest

from kd_keras import metrics
from kd_keras.common.errors import UserError
from kd_keras.metrics import scores

sklearn_metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is a development requirement")
stats = pytest.importorskip("scipy.stats", reason="SciPy is a development requirement")


@pytest.mark.parametrize("classes", [2, 3, 14])
@pytest.mark.parametrize("seed", range(4))
def test_classification_agrees_with_scikit_learn(classes, seed):
    g = np.random.default_rng(seed)
    gold = g.integers(0, classes, 97)
    called = np.where(g.random(97) < 0.6, gold, g.integers(0, classes, 97))
    assert scores.accuracy(gold, called) == pytest.approx(sklearn_metrics.accuracy_score(gold, called))
    assert scores.mcc(gold, called) == pytest.approx(sklearn_metrics.matthews_corrcoef(gold, called))
    macro = sklearn_metrics.f1_score(gold, called, average="macro")
    assert scores.macro_f1(gold, called) == pytest.approx(macro)
    table = sklearn_metrics.confusion_matrix(gold, called, labels=range(classes))
    np.testing.assert_array_equal(metrics.confusion_matrix(gold, called, classes), table)
    if classes == 2:
        assert scores.f1(gold, called) == pytest.approx(sklearn_metrics.f1_score(gold, called))


@pytest.mark.parametrize(
    "gold, called",
    [([0, 0, 0], [0, 0, 0]), ([1, 1, 1], [1, 1, 1]), ([0, 1, 1], [1, 1, 1]), ([0, 1], [1, 0]), ([2], [0])],
)
def test_edge_cases_agree_with_scikit_learn(gold, called):
    gold, called = np.array(gold), np.array(called)
    assert scores.mcc(gold, called) == pytest.approx(sklearn_metrics.matthews_corrcoef(gold, called))
    macro = sklearn_metrics.f1_score(gold, called, average="macro", zero_division=0)
    assert scores.macro_f1(gold, called) == pytest.approx(macro)
    if gold.max() < 2:
        binary = sklearn_metrics.f1_score(gold, called, zero_division=0)
        assert scores.f1(gold, called) == pytest.approx(binary)


def test_mcc_of_many_rows_does_not_overflow():
    gold = np.repeat([0, 1], 3_000_000)
    called = gold.copy()
    called[:1_500_000] = 1
    assert scores.mcc(gold, called) == pytest.approx(1 / np.sqrt(3))


@pytest.mark.parametrize("seed", range(4))
def test_correlations_agree_with_scipy_ties_included(seed):
    g = np.random.default_rng(seed)
    a = g.integers(0, 6, 50).astype(float)  # many ties
    b = np.round(a + g.normal(size=50), 1)
    assert scores.pearson(a, b) == pytest.approx(stats.pearsonr(a, b)[0])
    assert scores.spearman(a, b) == pytest.approx(stats.spearmanr(a, b)[0])


def test_correlation_with_a_constant_is_zero_and_of_equals_one():
    a = np.array([0.1, 0.5, 0.9])
    assert scores.pearson(a, np.full(3, 0.1)) == 0.0
    assert scores.spearman(np.full(3, 0.1), a) == 0.0
    assert scores.pearson(a, 3 * a) == pytest.approx(1.0)
    assert scores.spearman(a, -np.exp(a)) == pytest.approx(-1.0)


def test_spearman_sees_order_only():
    a = np.array([1.0, 2.0, 3.0, 4.0])
    assert scores.spearman(a, np.exp(5 * a)) == pytest.approx(1.0)
    assert scores.pearson(a, np.exp(5 * a)) < 0.9


def test_score_leaves_out_rows_without_gold():
    labels = np.array([0, -1, 1, 1], np.int32)
    logits = np.array([[2.0, 1.0], [9.0, np.nan], [0.0, 1.0], [1.0, 0.0]])
    assert metrics.score(["accuracy", "f1"], labels, logits) == pytest.approx({"accuracy": 2 / 3, "f1": 2 / 3})


def test_score_of_a_regression_takes_one_column():
    labels = np.array([1.0, np.nan, 2.0, 4.0], np.float32)
    logits = np.array([[0.0], [100.0], [1.0], [3.0]], np.float32)
    assert metrics.score(["pearson"], labels, logits)["pearson"] == pytest.approx(1.0)


@pytest.mark.parametrize("labels", [np.array([-1, -1]), np.array([np.nan, np.nan])])
def test_nothing_to_score_is_an_error(labels):
    with pytest.raises(UserError, match="no row has a gold label"):
        metrics.score(["accuracy"], labels, np.zeros((2, 2)))


def test_outputs_that_are_no_numbers_are_an_error():
    with pytest.raises(UserError, match="not finite"):
        metrics.score(["accuracy"], np.array([0, 1]), np.array([[0.0, np.nan], [0.0, 1.0]]))


def test_unknown_metric_names_near_ones():
    with pytest.raises(UserError, match=r"unknown metric 'acuracy'. Did you mean accuracy"):
        metrics.score(["acuracy"], np.array([0]), np.zeros((1, 2)))


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match="2 labels, but logits for 3"):
        metrics.score(["accuracy"], np.array([0, 1]), np.zeros((3, 2)))
    with pytest.raises(ValueError, match="expected \\[rows, classes\\]"):
        metrics.score(["accuracy"], np.array([0, 1]), np.zeros(2))


def test_every_metric_says_how_it_is_shown():
    shown = {name: metrics.get(name).percent for name in metrics.names()}
    assert shown == {
        "accuracy": True, "f1": True, "macro_f1": True, "mcc": False, "micro_f1": True, "exact_match": True,
        "pearson": False, "spearman": False,
        "entity_f1": True, "conlleval_f1": True, "entity_precision": True, "entity_recall": True,
        "cosine": False, "neighbours": True,
    }  # fmt: skip
