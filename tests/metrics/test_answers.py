"""What logits mean by the kind of task; held against scikit-learn and against trying every threshold."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import accuracy_score, f1_score, precision_recall_fscore_support

from kd_keras import metrics
from kd_keras.common.ragged import Ragged
from kd_keras.metrics.answers import answers, as_logits, only_answer, same_answers, scores_of, sureness, thresholds
from kd_keras.metrics.decoding import constrained
from kd_keras.metrics.linear import probe, tfidf
from kd_keras.tasks import Rows, Task

SINGLE = Task("one", "single", ("a", "b", "c"))
SEVERAL = Task("many", "multilabel", ("a", "b", "c"), "micro_f1", ("micro_f1", "macro_f1", "exact_match"))
TAGS = Task("tags", "tagging", ("O", "B-LOC", "I-LOC"), "entity_f1", ("entity_f1",))
SCORE = Task("score", "regression", (), "pearson", ("pearson",))
DRAW = np.random.default_rng(11)
GOLD = (DRAW.random((200, 3)) < (0.5, 0.2, 0.0)).astype(np.int32)
LOGITS = DRAW.normal(size=(200, 3)) + 1.5 * GOLD - 1.2


def test_metrics_of_label_sets_are_scikit_learns():
    got = metrics.score(SEVERAL.metrics, GOLD, LOGITS)
    called = LOGITS > 0
    assert got == pytest.approx(
        {
            "micro_f1": f1_score(GOLD, called, average="micro"),
            "macro_f1": f1_score(GOLD, called, average="macro", zero_division=0),
            "exact_match": accuracy_score(GOLD, called),
        }
    )


def test_rows_without_gold_are_not_scored():
    label = np.concatenate([GOLD, np.full((50, 3), -1, np.int32)])
    logits = np.concatenate([LOGITS, np.full((50, 3), 9.0)])
    assert metrics.score(SEVERAL.metrics, label, logits) == metrics.score(SEVERAL.metrics, GOLD, LOGITS)


@pytest.mark.parametrize(
    "gold, called", [(GOLD, (LOGITS > 0).astype(int)), (GOLD[:, 0], (LOGITS[:, 0] > 0).astype(int))]
)
def test_scores_label_by_label_are_scikit_learns(gold, called):
    count = 3 if gold.ndim == 2 else 2
    want = precision_recall_fscore_support(gold, called, labels=range(count), zero_division=0)
    found = metrics.by_label(gold, called, count)
    for part, values in zip(("precision", "recall", "f1", "rows"), want, strict=True):
        assert [each[part] for each in found] == pytest.approx(values)


def test_scores_and_answers_by_kind():
    assert scores_of(SINGLE, LOGITS).sum(1) == pytest.approx(1)
    assert scores_of(SEVERAL, LOGITS) == pytest.approx(expit(LOGITS))
    assert scores_of(SCORE, LOGITS[:, :1]) is not None and (scores_of(SCORE, LOGITS[:, :1]) == LOGITS[:, :1]).all()
    assert (answers(SINGLE, LOGITS) == LOGITS.argmax(1)).all()
    assert (answers(SEVERAL, LOGITS) == (LOGITS > 0)).all()
    for task in (SINGLE, SEVERAL):
        again = as_logits(task, scores_of(task, LOGITS))
        assert same_answers(task, again, LOGITS).all(), "metrics of scores are those of logits"
    changed = LOGITS.copy()
    changed[7, 1] *= -1
    assert np.flatnonzero(~same_answers(SEVERAL, changed, LOGITS)).tolist() == [7]
    assert sureness(SEVERAL, np.array([[3.0, -0.1, -5.0]])) == pytest.approx(expit(5.0))


def test_the_only_answer_is_named():
    assert only_answer(SEVERAL, np.array([[1.0, -1, 2], [3, -2, 1]])) == "a, c"
    assert only_answer(SEVERAL, np.full((4, 3), -1.0)) == "no label"
    assert only_answer(SINGLE, np.array([[1.0, 2, 0], [0, 1, 0]])) == "b"
    assert only_answer(SEVERAL, LOGITS) is only_answer(SINGLE, LOGITS) is only_answer(SCORE, LOGITS[:, :1]) is None


def test_thresholds_are_the_best_of_all():
    over = thresholds(GOLD, LOGITS)
    for n in range(2):
        every = [f1_score(GOLD[:, n], LOGITS[:, n] > t) for t in np.append(LOGITS[:, n], -100)]
        assert f1_score(GOLD[:, n], LOGITS[:, n] > over[n]) == pytest.approx(max(every))
    assert over[2] == 0, "no row has the label: nothing to choose by"


def test_thresholds_stay_where_too_few_rows_or_no_gain_speak_for_another():
    few = np.zeros((30, 1), np.int32)
    few[:4] = 1
    assert thresholds(few, np.linspace(1, -1, 30)[:, None] - 5).tolist() == [0]
    good = np.concatenate([np.full(10, 2.0), np.full(10, -2.0)])[:, None]
    assert thresholds((good > 0).astype(np.int32), good).tolist() == [0]
    assert thresholds(np.zeros(5, np.int32), np.zeros((5, 3))).tolist() == [0], "one label a text has none"
    same = np.full((20, 1), -1.0)  # equal logits are given together
    assert thresholds(np.tile([[1], [0]], (10, 1)), same)[0] < -1


def test_each_word_of_a_tagging_has_an_answer():
    logits = Ragged.cut(LOGITS, np.array([120, 0, 80]))
    shuffled = logits.take(np.array([2, 1, 0]))  # its values are not in the rows' order
    for some, lengths in ((logits, [120, 0, 80]), (shuffled, [80, 0, 120])):
        found, sure = answers(TAGS, some), scores_of(TAGS, some)
        assert found.lengths.tolist() == sure.lengths.tolist() == lengths
        for n in range(3):
            assert found[n].tolist() == constrained(some[n]).tolist()
            assert sure[n].sum(1) == pytest.approx(1) and (sure[n].argmax(1) == some[n].argmax(1)).all()
    assert sureness(TAGS, logits) == pytest.approx(sureness(SINGLE, LOGITS))
    assert (answers(TAGS, as_logits(TAGS, scores_of(TAGS, logits))).flat() == answers(TAGS, logits).flat()).all()


def test_taggings_are_compared_word_by_word():
    changed = LOGITS.copy()
    changed[[3, 130]] = -changed[[3, 130]]
    a, b = (Ragged.cut(x, np.array([120, 0, 80])) for x in (LOGITS, changed))
    want = [constrained(x[n]) for x in (a, b) for n in (0, 2)]
    assert same_answers(TAGS, a, b).tolist() == [
        *(want[0] == want[2]).tolist(), *(want[1] == want[3]).tolist()]  # fmt: skip
    assert not same_answers(TAGS, a, b).all()
    with pytest.raises(ValueError, match="row 0 has 120 words, but 119 predictions"):
        same_answers(TAGS, a, Ragged.cut(LOGITS, np.array([119, 1, 80])))


def test_the_only_tag_is_named_and_no_threshold_chosen():
    same = Ragged.cut(np.tile([[0.0, 2.0, 1.0]], (5, 1)), np.array([2, 0, 3]))
    assert only_answer(TAGS, same) == "B-LOC"
    assert only_answer(TAGS, Ragged.cut(LOGITS, np.array([200]))) is None
    assert thresholds(Ragged.cut(np.zeros(5, np.int32), np.array([2, 0, 3])), same).tolist() == [0]


def test_linear_models_learn_each_label_by_itself():
    texts = [" ".join(w for w, on in zip(("red", "blue", "green"), row, strict=True) if on) or "none" for row in GOLD]
    rows = Rows([str(n) for n in range(200)], texts, None, GOLD)
    logits = tfidf(rows, {"dev": rows}, 3)["dev"]
    assert metrics.score(["micro_f1"], GOLD, logits)["micro_f1"] > 0.99
    assert (logits[:, 2] < -5).all(), "a label that no row has is never given"
    learned = probe(GOLD + DRAW.normal(size=GOLD.shape, scale=0.1), GOLD, 3)
    assert metrics.score(["micro_f1"], GOLD, learned.logits(GOLD))["micro_f1"] > 0.99
