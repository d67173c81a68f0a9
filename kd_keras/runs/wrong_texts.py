"""The dev texts that a student gets wrong and is surest of, as a table for the report."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

import numpy as np

from kd_keras.common.markdown import markdown_table, width
from kd_keras.common.ragged import Ragged
from kd_keras.metrics.answers import answers, named, scores_of, sureness
from kd_keras.metrics.spans import strict
from kd_keras.runs.given import answered
from kd_keras.tasks import Rows, Task, is_gold
from kd_keras.tasks.rows import words_of

MOST = 10
_TEXT, _ANSWER = 100, 60  # columns that are shown of a text, and of what is said of it
# What Markdown, or the HTML in it, takes for more than itself.
_SPECIAL = re.compile(r"[\\`*_{}\[\]<>|~$&#!]")
# Marks that turn the text behind them round.
_TURNS = re.compile("[\u202a-\u202e\u2066-\u2069]")


def wrong_texts(task: Task, rows: Rows, logits: Any, teacher: Any) -> str:
    """A sentence and a table in Markdown, of at most ``MOST`` rows; "" if none is wrong, or none has a label.

    Args:
      rows: of dev.
      logits: the student's, float[rows, classes]; of a tagging ragged float[rows][words, tags].
      teacher: the teacher's; a row of NaN has no signal.
    """
    if task.is_regression or task.is_text:
        return ""
    sure = (_sure_of_tags if task.is_tagging else _sure_of_labels)(task, rows.label, logits)
    wrong = np.flatnonzero(sure >= 0)
    if not len(wrong):
        return ""
    worst = wrong[np.argsort(-sure[wrong], kind="stable")][:MOST]
    some, theirs = rows.take(worst), _take(teacher, worst)
    there = np.ones(len(worst), bool) if isinstance(theirs, Ragged) else answered(theirs)
    texts = [some.text] if some.text_b is None else [some.text, some.text_b]
    said = [_in_words(task, some, each) for each in (some.label, answers(task, _take(logits, worst)))]
    taught = _in_words(task, some, answers(task, theirs))
    head = ["text", *["second text"] * (len(texts) - 1), "gold", "student", "probability", "teacher"]
    lines = [
        [
            *(cell(each[n], _TEXT // len(texts)) for each in texts),
            *(cell(each[n], _ANSWER) for each in said),
            f"{sure[row]:.2f}",
            cell(taught[n], _ANSWER) if there[n] else "",
        ]
        for n, row in enumerate(worst)
    ]
    which = "their surest wrong tag" if task.is_tagging else "their surest wrong label" if task.is_multilabel else ""
    return (
        f"\nThe kept student is wrong on {len(wrong):,} of {is_gold(rows.label).sum():,} texts of dev. These are the "
        f"ones that it is surest of{f', by {which}' if which else ''}:\n\n{markdown_table(head, lines)}\n"
    )


def cell(text: str, most: int) -> str:
    r"""``text`` for a table of Markdown: one line of at most ``most`` columns, in which nothing has another meaning.

    Text that runs from right to left is isolated (U+2068, U+2069), so that the cells beside it stay in their places.

    >>> cell("a *b*\n| c", 20), cell("long words", 7)
    ('a \\*b\\* \\| c', 'long w…')
    """
    line = " ".join(_TURNS.sub("", text).split())
    line = "".join(c for c in line if unicodedata.category(c) not in ("Cc", "Cs"))
    if width(line) > most:
        while width(line) >= most:
            line = line[:-1]
        line = f"{line.rstrip()}…"
    turned = any(unicodedata.bidirectional(c) in ("R", "AL", "AN") for c in line)
    shown = _SPECIAL.sub(lambda found: f"\\{found[0]}", line)
    return f"\u2068{shown}\u2069" if turned else shown


def _take(logits: Any, rows: np.ndarray) -> Any:
    return logits.take(rows) if isinstance(logits, Ragged) else logits[rows]


def _sure_of_labels(task: Task, label: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """float[rows]: the probability of the wrong label, of several the surest wrong decision; −1 of a right row."""
    wrong = answers(task, logits) != label
    if task.is_multilabel:
        scores = scores_of(task, logits)
        sure = np.where(wrong, np.maximum(scores, 1 - scores), -1).max(1)
    else:
        sure = np.where(wrong, sureness(task, logits), -1)
    return np.where(is_gold(label), sure, -1)


def _sure_of_tags(task: Task, label: Ragged, logits: Ragged) -> np.ndarray:
    """The same of a tagging: the highest probability of a wrong tag."""
    out, gold = np.full(len(label), -1.0), np.flatnonzero(is_gold(label))
    some, theirs = label.take(gold), logits.take(gold)
    given = answers(task, theirs).flat()
    probability = scores_of(task, theirs).flat()[np.arange(len(given)), given]
    wrong = np.flatnonzero(given != some.flat())
    np.maximum.at(out, np.repeat(gold, some.lengths)[wrong], probability[wrong])
    return out


def _in_words(task: Task, rows: Rows, answer: Any) -> list[str]:
    """What each row is said to be: a label, or several, or the entities in it."""
    if not task.is_tagging:
        return [named(task, each) for each in answer]
    out = []
    for n, text in enumerate(rows.text):
        words, found = words_of(text), strict(Ragged.of([answer[n]]))
        each = zip(found.start, found.stop, found.type, strict=True)
        out.append("; ".join(f"{' '.join(words[a:b])} ({task.types[kind]})" for a, b, kind in each) or "no entity")
    return out
