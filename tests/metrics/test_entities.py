"""Entities with offsets, and all that is said of a tagging."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax

from kd_keras import metrics
from kd_keras.common.ragged import Ragged
from kd_keras.metrics.decoding import decoded
from kd_keras.metrics.entities import entities
from kd_keras.metrics.tagging import tagging_scores
from kd_keras.tasks import Rows, Task
from kd_keras.tasks.records import iob2
from kd_keras.tasks.tagging_sources import METRICS

TYPES = ("LOC", "PER")
TASK = Task("names", "tagging", iob2(TYPES), "entity_f1", METRICS)


def peaked(*tags: int, height: float = 5.0) -> np.ndarray:
    out = np.zeros((len(tags), 5))
    out[np.arange(len(tags)), list(tags)] = height
    return out


def test_entities_stand_where_they_say():
    texts = ["  Ada  Lovelace, in\u00a0東京!", "", "Ada"]
    words = [[(2, 5), (7, 15), (15, 16), (17, 19), (20, 21), (21, 22), (22, 23)], [], [(0, 3)]]
    logits = Ragged.of([peaked(3, 4, 0, 0, 1, 2, 0), np.zeros((0, 5)), peaked(3)])
    found = entities(texts, words, logits, TYPES)
    assert [[(e["type"], e["start"], e["end"], e["surface"]) for e in row] for row in found] == [
        [("PER", 2, 15, "Ada  Lovelace"), ("LOC", 20, 22, "東京")],
        [],
        [("PER", 0, 3, "Ada")],
    ]
    for text, row in zip(texts, found, strict=True):
        assert all(text[e["start"] : e["end"]] == e["surface"] for e in row)


def test_the_score_is_that_of_the_least_sure_word():
    logits = np.concatenate([peaked(1, height=4), peaked(2, height=1), peaked(2, height=3), peaked(0)])
    ((found,),) = entities(["a b c d"], [[(0, 1), (2, 3), (4, 5), (6, 7)]], Ragged.of([logits]), TYPES)
    assert found["surface"] == "a b c"
    assert found["score"] == pytest.approx(softmax(logits, -1)[1, 2])


def test_entities_begin_where_the_best_legal_tags_do():
    # I-PER is the best tag of the first word, but nothing begins with it.
    logits = np.array([[0.0, 0, 0, 3, 4], [0, 0, 0, 0, 4]])
    ((found,),) = entities(["Ada Byron"], [[(0, 3), (4, 9)]], Ragged.of([logits]), TYPES)
    assert (found["type"], found["surface"]) == ("PER", "Ada Byron")
    assert found["score"] == pytest.approx(softmax(logits, -1)[0, 3])


def test_many_texts_are_as_each_by_itself():
    draw = np.random.default_rng(4)
    lengths = draw.integers(0, 7, 40)
    logits = Ragged.cut(draw.normal(size=(lengths.sum(), 5)), lengths)
    texts = [" ".join("ab" for _ in range(n)) for n in lengths]
    words = [[(3 * i, 3 * i + 2) for i in range(n)] for n in lengths]
    together = entities(texts, words, logits, TYPES)
    assert sum(map(len, together)) > 20
    for n in range(40):
        alone = entities([texts[n]], [words[n]], Ragged.cut(logits[n], lengths[n : n + 1]), TYPES)
        assert alone == [together[n]]


def test_other_words_than_logits_are_refused():
    with pytest.raises(ValueError, match="texts have \\[2\\] words, but logits have \\[1\\]"):
        entities(["a b"], [[(0, 1), (2, 3)]], Ragged.of([peaked(0)]), TYPES)


def test_a_tagging_is_scored_by_type_and_by_language():
    draw = np.random.default_rng(8)
    lengths = np.array([3, 2, 4, 0, 5, 3])
    gold = Ragged.cut(draw.integers(0, 5, lengths.sum()).astype(np.int32), lengths)
    given = np.array([3, 2, 4, 6, 5, 3])
    called = decoded(Ragged.cut(draw.normal(size=(given.sum(), 5)), given))
    group = ["de", "sw", "de", "xx", "sw", "de"]
    rows = Rows([str(n) for n in range(6)], ["w " * (n - 1) + "w" for n in given], None, gold, group)
    found = tagging_scores(TASK, rows, called)
    has_gold = np.array([0, 1, 2, 4, 5])
    a, b = gold.take(has_gold), called.take(has_gold)
    want = metrics.score_answers(METRICS, a, b)
    assert {m: found[m] for m in METRICS} == want
    assert found["by_type"] == metrics.by_type(a, b, TYPES)
    assert list(found["by_language"]) == ["de", "sw"], "the language without gold has no score"
    assert found["by_language"] == metrics.by_group(METRICS, [group[n] for n in has_gold], a, b)
    for m in METRICS:
        assert found["mean_over_languages"][m] == pytest.approx(
            (found["by_language"]["de"][m] + found["by_language"]["sw"][m]) / 2
        )
    alone = tagging_scores(TASK, Rows(rows.ids, rows.text, None, gold), called)
    assert alone == {k: v for k, v in found.items() if k not in ("by_language", "mean_over_languages")}
