"""Entities and their scores: against seqeval, and against truth written by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from kd_keras import metrics
from kd_keras.common.errors import UserError
from kd_keras.common.ragged import Ragged
from kd_keras.metrics import spans
from kd_keras.metrics.decoding import decoded
from kd_keras.tasks.records import iob2

DATA = Path(__file__).parents[1] / "data"
TYPES = ("LOC", "ORG", "PER")
NAMES = iob2(TYPES)
# What seqeval says of 3,600 drawn rows; seqeval_answers.py beside this file made it.
SEQEVAL = [json.loads(line) for line in (DATA / "seqeval.jsonl").read_text().splitlines()]
TAG = {name: n for n, name in enumerate(NAMES)}


def tags(*rows: str) -> Ragged:
    """B-LOC O → a row of two tags."""
    return Ragged.of([np.array([TAG[name] for name in row.split()], np.int32) for row in rows])


def drawn(seed: int, rows: int = 60) -> tuple[Ragged, Ragged]:
    """Gold and predicted tags of any order, illegal ones too, many of them alike; some rows are one word long."""
    draw = np.random.default_rng(seed)
    lengths = draw.integers(1, 9, rows)
    share = draw.dirichlet(np.ones(len(NAMES)))
    gold = draw.choice(len(NAMES), lengths.sum(), p=share)
    other = draw.choice(len(NAMES), lengths.sum(), p=share)
    return tuple(Ragged.cut(x, lengths) for x in (gold, np.where(draw.random(len(gold)) < 0.7, gold, other)))


def found(rows: Ragged, how) -> list[tuple[str, int, int]]:
    s = how(rows)
    return [(TYPES[t], a, b) for a, b, t in zip(s.start.tolist(), s.stop.tolist(), s.type.tolist(), strict=True)]


def coded(digits: str) -> Ragged:
    """A digit for each tag, and a space between rows."""
    return Ragged.of([np.array([int(d) for d in row], np.int32) for row in digits.split()])


@pytest.mark.parametrize("answer", SEQEVAL, ids=range(len(SEQEVAL)))
def test_scores_are_seqevals(answer):
    gold, called = coded(answer["gold"]), coded(answer["called"])
    want = answer["strict"]["micro avg"]
    got = (spans.entity_precision(gold, called), spans.entity_recall(gold, called), spans.entity_f1(gold, called))
    assert got == pytest.approx(want[:3]) and spans.conlleval_f1(gold, called) == pytest.approx(answer["conlleval_f1"])
    for name, each in spans.by_type(gold, called, TYPES).items():
        got = (each["precision"], each["recall"], each["f1"], each["rows"])
        assert got == pytest.approx(answer["strict"].get(name, (0, 0, 0, 0)))


@pytest.mark.parametrize("answer", SEQEVAL[:8], ids=range(8))
def test_entities_are_seqevals(answer):
    gold = coded(answer["gold"])
    assert found(gold, spans.strict) == [tuple(e) for e in answer["strict_entities"]]
    assert found(gold, spans.conlleval) == [tuple(e) for e in answer["conlleval_entities"]]


def test_the_answers_tell_the_two_ways_apart():
    assert len(SEQEVAL) == 40 and sum(len(coded(a["gold"])) for a in SEQEVAL) == 3600
    assert sum(a["strict_entities"] != a["conlleval_entities"] for a in SEQEVAL[:8]) > 6


@pytest.mark.parametrize(
    ("row", "lenient", "strict"),
    [
        ("O I-LOC I-LOC O", [("LOC", 1, 3)], []),  # I comes first
        ("I-LOC", [("LOC", 0, 1)], []),
        ("B-LOC I-PER I-PER", [("LOC", 0, 1), ("PER", 1, 3)], [("LOC", 0, 1)]),  # I of another type after B
        ("B-LOC B-LOC I-LOC", [("LOC", 0, 1), ("LOC", 1, 3)], [("LOC", 0, 1), ("LOC", 1, 3)]),  # beside each other
        ("B-LOC I-LOC B-ORG I-ORG", [("LOC", 0, 2), ("ORG", 2, 4)], [("LOC", 0, 2), ("ORG", 2, 4)]),
        ("B-LOC I-PER I-LOC", [("LOC", 0, 1), ("PER", 1, 2), ("LOC", 2, 3)], [("LOC", 0, 1)]),
        ("B-LOC O I-LOC", [("LOC", 0, 1), ("LOC", 2, 3)], [("LOC", 0, 1)]),
        ("O O", [], []),
    ],
)
def test_entities_by_hand(row, lenient, strict):
    assert found(tags(row), spans.conlleval) == lenient
    assert found(tags(row), spans.strict) == strict


def test_no_entity_goes_over_the_end_of_a_sentence():
    rows = tags("O B-LOC", "I-LOC O", "I-LOC")
    assert found(rows, spans.strict) == [("LOC", 1, 2)]
    assert found(rows, spans.conlleval) == [("LOC", 1, 2), ("LOC", 2, 3), ("LOC", 4, 5)]
    empty = Ragged.cut(np.array([1, 2, 2]), np.array([0, 1, 0, 0, 2, 0]))
    assert found(empty, spans.strict) == [("LOC", 0, 1)]
    assert len(spans.strict(Ragged.cut(np.zeros(0, int), np.array([0, 0])))) == 0


def test_an_entity_is_right_only_with_its_words_and_type():
    gold = tags("B-LOC I-LOC O B-PER", "B-ORG O O O")
    called = tags("B-LOC O O B-ORG", "B-ORG O O B-LOC")  # too short; another type; right; not there
    assert spans.entity_precision(gold, called) == 1 / 4
    assert spans.entity_recall(gold, called) == 1 / 3
    assert spans.entity_f1(gold, called) == 2 / 7
    assert spans.by_type(gold, called, TYPES) == {
        "LOC": {"rows": 1, "given": 2, "precision": 0, "recall": 0, "f1": 0},
        "ORG": {"rows": 1, "given": 2, "precision": 1 / 2, "recall": 1, "f1": 2 / 3},
        "PER": {"rows": 1, "given": 0, "precision": 0, "recall": 0, "f1": 0},
    }


def test_of_no_entities_every_score_is_zero():
    nothing = tags("O O", "O")
    names = ("entity_f1", "conlleval_f1", "entity_precision", "entity_recall")
    assert metrics.score_answers(names, nothing, nothing) == dict.fromkeys(names, 0.0)


def logits_of(rows: Ragged, seed: int = 0) -> Ragged:
    """Logits whose highest is the tag of ``rows``."""
    noise = np.random.default_rng(seed).random((int(rows.lengths.sum()), len(NAMES)))
    noise[np.arange(len(noise)), rows.flat()] += 1
    return Ragged.cut(noise.astype(np.float32), rows.lengths)


def test_score_takes_the_best_tags_that_may_follow_one_another_and_leaves_out_rows_without_gold():
    gold, called = drawn(5)
    legal = decoded(logits_of(called))
    want = {"entity_f1": spans.entity_f1(gold, legal), "entity_recall": spans.entity_recall(gold, legal)}
    assert 0 < want["entity_f1"] != want["entity_recall"] > 0
    assert metrics.score(list(want), gold, logits_of(called)) == want
    # Between them rows that nobody has tagged; of what is given for them nothing counts.
    lengths = np.stack([gold.lengths, np.zeros(60, int)], 1).reshape(-1)
    some = Ragged.cut(gold.flat(), lengths)
    both = np.concatenate([logits_of(called).flat(), np.full((60 * 3, len(NAMES)), np.nan)])
    starts = np.stack([called.starts, len(called.flat()) + 3 * np.arange(60)], 1).reshape(-1)
    given = Ragged(both, starts, np.stack([called.lengths, np.full(60, 3)], 1).reshape(-1))
    assert metrics.score(list(want), some, given) == want


def test_what_does_not_fit_is_refused():
    gold, _ = drawn(1, rows=4)
    short = gold.lengths.copy()
    short[[0, 1]] += (1, -1)
    wrong = Ragged.cut(logits_of(gold).flat(), short)
    with pytest.raises(ValueError, match=rf"row 0 has {gold.lengths[0]} words, but {short[0]} predictions"):
        metrics.score(["entity_f1"], gold, wrong)
    with pytest.raises(ValueError, match="4 labels, but logits for 3 rows"):
        metrics.score(["entity_f1"], gold, logits_of(gold).take(np.arange(3)))
    with pytest.raises(ValueError, match="a Ragged"):
        metrics.score(["entity_f1"], gold, logits_of(gold).flat())
    broken = logits_of(gold)
    broken.values[0, 0] = np.nan
    with pytest.raises(UserError, match="not finite"):
        metrics.score(["entity_f1"], gold, broken)
    with pytest.raises(UserError, match="no row has a gold label"):
        metrics.score(["entity_f1"], Ragged.cut(np.zeros(0, np.int32), np.zeros(4, int)), logits_of(gold))


def test_languages_are_scored_by_themselves():
    gold, called = drawn(6, rows=90)
    group = [("de", "en", "sw")[n % 3] for n in range(90)]
    got = metrics.by_group(["entity_f1", "entity_recall"], group, gold, called)
    assert list(got) == ["de", "en", "sw"]
    for n, name in enumerate(got):
        rows = np.arange(n, 90, 3)
        want = {"rows": 30, "entity_f1": spans.entity_f1(gold.take(rows), called.take(rows)),
                "entity_recall": spans.entity_recall(gold.take(rows), called.take(rows))}  # fmt: skip
        assert got[name] == want
    mean = metrics.mean_over(got)
    assert mean == {m: pytest.approx(np.mean([got[g][m] for g in got])) for m in ("entity_f1", "entity_recall")}
    assert mean["entity_f1"] != spans.entity_f1(gold, called), "the mean over languages, not over entities"


def test_a_language_without_gold_is_left_out():
    gold = tags("B-LOC O", "O B-PER").take(np.array([0, 1]))
    gold = Ragged(gold.values, gold.starts, np.array([2, 0]))
    got = metrics.by_group(["entity_f1"], ["de", "fr"], gold, tags("B-LOC O", "O O"))
    assert got == {"de": {"rows": 1, "entity_f1": 1.0}}
