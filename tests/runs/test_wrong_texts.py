"""The report's table of wrong dev texts: which rows, in which order, and what Markdown makes of any text."""

from __future__ import annotations

import re

import numpy as np
import pytest
from scipy.special import expit, softmax

from kd_keras.common.ragged import Ragged
from kd_keras.runs.wrong_texts import cell, wrong_texts
from kd_keras.tasks import Columns, Rows, Task
from kd_keras.tasks.records import iob2

SINGLE = Task("toy", "single", ("ham", "spam"))
PAIR = Task("toy", "pair", ("no", "yes"), columns=Columns(("a",), "b"))
MANY = Task("toy", "multilabel", ("red", "big", "new"), "micro_f1", ("micro_f1",), columns=Columns(separator=","))
NAMES = Task("toy", "tagging", iob2(("LOC", "PER")), "entity_f1", ("entity_f1",))


def rows(label, texts=None, text_b=None) -> Rows:
    texts = texts or [f"text {n}" for n in range(len(label))]
    return Rows([f"dev-{n}" for n in range(len(texts))], texts, text_b, label)


def table(section: str) -> list[list[str]]:
    """The cells of the rows, with what was escaped written out."""
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    cut = [re.split(r"(?<!\\)\|", line.strip()[1:-1]) for line in lines]
    return [[re.sub(r"\\(.)", r"\1", c.strip()) for c in line] for line in cut]


def test_the_surest_come_first_and_right_or_unlabeled_rows_never():
    draw = np.random.default_rng(0)
    logits, teacher = draw.normal(size=(2, 40, 2))
    label = draw.integers(-1, 2, 40).astype(np.int32)
    teacher[::3] = np.nan
    given, sure = logits.argmax(1), softmax(logits, axis=1).max(1)
    wrong = [n for n in range(40) if label[n] >= 0 and given[n] != label[n]]
    want = sorted(wrong, key=lambda n: -sure[n])[:10]
    section = wrong_texts(SINGLE, rows(label), logits, teacher)
    assert f"wrong on {len(wrong)} of {(label >= 0).sum()} texts of dev" in section and len(wrong) > 10
    names = SINGLE.labels
    assert table(section) == [
        [f"text {n}", names[label[n]], names[given[n]], f"{sure[n]:.2f}", "" if n % 3 == 0 else names[teacher[n].argmax()]]
        for n in want
    ]  # fmt: skip


def test_nothing_is_said_of_what_is_right_or_has_no_labels():
    label = np.array([0, 1, -1], np.int32)
    right = np.eye(2)[[0, 1, 1]]
    assert wrong_texts(SINGLE, rows(label), right, right) == ""
    score = Task("toy", "regression", (), "pearson", ("pearson",))
    assert wrong_texts(score, rows(np.zeros(3, np.float32)), np.ones((3, 1)), np.ones((3, 1))) == ""


def test_a_pair_has_both_texts():
    logits = np.array([[0.0, 3.0]])
    section = wrong_texts(PAIR, rows(np.array([0], np.int32), ["first"], ["second"]), logits, -logits)
    assert "| second text |" in section
    assert table(section) == [["first", "second", "no", "yes", "0.95", "no"]]


def test_of_several_labels_the_surest_wrong_one_counts():
    label = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 0]], np.int32)
    logits = np.array([[9.0, 0.5, -9.0], [-2.0, 1.0, -9.0], [-9.0, -9.0, -9.0]])
    section = wrong_texts(MANY, rows(label), logits, np.where(label, 5.0, -5.0))
    assert table(section) == [
        ["text 1", "red, big", "big", f"{1 - expit(-2):.2f}", "red, big"],
        ["text 0", "red", "red, big", f"{expit(0.5):.2f}", "red"],
    ]
    assert "by their surest wrong label" in section


def test_of_a_tagging_the_entities_are_told():
    texts = ["Ada in New York", "no gold here", "in Rome", "Ada is right"]
    gold = Ragged.of([np.array(t, np.int32) for t in ([3, 0, 1, 2], [], [0, 1], [3, 0, 0])])

    def logits(*tags):
        return Ragged.of([np.eye(5)[list(row)] * 4 for row in tags])

    student = logits((3, 0, 0, 1), (1, 1, 1), (0, 0), (3, 0, 0))
    student.values[3] *= 2  # "York" is surely B-LOC
    section = wrong_texts(NAMES, rows(gold, texts), student, logits((3, 0, 1, 2), (0, 0, 0), (0, 3), (0, 0, 0)))
    sure = [np.exp(x) / (np.exp(x) + 4) for x in (8, 4)]
    assert table(section) == [
        ["Ada in New York", "Ada (PER); New York (LOC)", "Ada (PER); York (LOC)", f"{sure[0]:.2f}", "Ada (PER); New York (LOC)"],
        ["in Rome", "Rome (LOC)", "no entity", f"{sure[1]:.2f}", "Rome (PER)"],
    ]  # fmt: skip
    assert "wrong on 2 of 3 texts" in section


@pytest.mark.parametrize(
    ("text", "most", "shown"),
    [
        ("two\nlines\r\n\x07and\u2028more", 30, "two lines and more"),
        (
            "a | b\\c `d` *e* _f_ <b>g</b> [h](i) # $j$",
            60,
            r"a \| b\\c \`d\` \*e\* \_f\_ \<b\>g\</b\> \[h\](i) \# \$j\$",
        ),
        ("![x](y) &lt; ~~z~~", 60, r"\!\[x\](y) \&lt; \~\~z\~\~"),
        ("****", 3, r"\*\*…"),
        ("שלום abc", 30, "\u2068שלום abc\u2069"),
        ("a\u202eb\u2067c", 30, "abc"),
        ("x" * 50, 30, "x" * 29 + "…"),
        ("退款" * 20, 30, "退款" * 7 + "…"),
        ("  ", 30, ""),
    ],
)
def test_any_text_is_one_cell(text, most, shown):
    assert cell(text, most) == shown
