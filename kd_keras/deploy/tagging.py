"""Asks a tagger: finds entities in text, tags words, and scores the answers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kd_keras.common.errors import UserError
from kd_keras.common.ragged import Ragged
from kd_keras.deploy.runner import MANY, Runner, finite
from kd_keras.metrics.answers import the_only
from kd_keras.metrics.decoding import decoded
from kd_keras.metrics.entities import Place, entities
from kd_keras.metrics.tagging import tagging_scores
from kd_keras.tasks import Rows, Task, words_of
from kd_keras.tasks.conll import ENDINGS, conll_lines, ends
from kd_keras.tasks.file_settings import AS_NAMED, FileSettings
from kd_keras.tasks.readers import read_untagged
from kd_keras.text.words import split_words

_JSON = (".jsonl", ".ndjson", ".json")


@dataclass(frozen=True)
class Asked:
    """The words that a tagger is asked about.

    Attributes:
      rows: rows of words.
      texts: the text of each row's words. None for a row that the user gave as words.
      places: the place of each word in it; None for such a row.
    """

    rows: Rows
    texts: list[str | None]
    places: list[list[Place] | None]

    @classmethod
    def of(cls, texts: Sequence[str], task: Task) -> Asked:
        """The words of texts of any script."""
        places = [split_words(text) for text in texts]
        words = [" ".join(t[a:b] for a, b in row) for t, row in zip(texts, places, strict=True)]
        return cls(task.rows(words), list(texts), places)


def read(path: str, task: Task, text_column: str | None = None, how: FileSettings = AS_NAMED) -> Asked:
    """Reads a file of texts or words; "-" is standard input. Errors and notes are those of ``read_untagged``."""
    found = read_untagged(path, task, text_column, files=how)
    return Asked(found.rows, found.texts, found.places)


def writes_columns(output: str, how: FileSettings) -> bool:
    """Whether ``output`` gets columns: by its name, or by ``how.format`` "conll". Standard output gets JSON lines.

    Raises:
      UserError: its name ends in .conllu, a format that has no column for entities.
    """
    if ends(output, (".conllu",)):
        raise UserError(f"--output={output}: CoNLL-U has no column for entities; expected .conll or .jsonl")
    return ends(output, ENDINGS) or (how.format == "conll" and output != "-" and not ends(output, _JSON))


def answer_lines(runner: Runner, asked: Asked, columns: bool, ascii_only: bool = False) -> Iterator[str]:
    """What predict writes, line by line with line ends.

    Args:
      columns: write a word, a tab and its tag on each line, and a blank line behind each row. Otherwise write one JSON
        object a row: "text" and "entities", or "tokens" and "tags" for a row that the user gave as words.
      ascii_only: escape all other characters of JSON.
    """
    logits = logits_of(runner, asked.rows)
    names = np.array(runner.task.labels, object)
    if columns:
        yield from conll_lines(asked.rows, tag_names(names, logits))
    else:
        for said in _said(runner.task, asked, logits, names):
            yield json.dumps(said, ensure_ascii=ascii_only) + "\n"


def _said(task: Task, asked: Asked, logits: Ragged, names: np.ndarray) -> Iterator[dict[str, Any]]:
    of_text = np.array([text is not None for text in asked.texts], bool)
    texts, places = ([x for x in each if x is not None] for each in (asked.texts, asked.places))
    found = iter(entities(texts, places, logits.take(np.flatnonzero(of_text)), task.types))
    tags = tag_names(names, logits.take(np.flatnonzero(~of_text)))
    for words, text in zip(asked.rows.text, asked.texts, strict=True):
        if text is None:
            yield {"tokens": words_of(words), "tags": next(tags)}
        else:
            yield {"text": text, "entities": [e | {"score": round(e["score"], 6)} for e in next(found)]}


def tag_names(names: np.ndarray, logits: Ragged) -> Iterator[list[str]]:
    """The names of each row's best sequence of tags that is valid in IOB2."""
    tags = decoded(logits)
    for n in range(len(tags)):
        yield names[tags[n]].tolist()


def find_entities(runner: Runner, texts: Sequence[str]) -> list[list[dict[str, Any]]]:
    """The entities of each text (see :func:`kd_keras.metrics.entities.entities`).

    >>> find_entities(Runner.load("RUN"), ["Ada Lovelace lived in London."])[0][0]["surface"]
    'Ada Lovelace'
    """
    asked = Asked.of(texts, runner.task)
    return entities(asked.texts, asked.places, logits_of(runner, asked.rows), runner.task.types)


def evaluate(runner: Runner, rows: Rows) -> dict[str, Any]:
    """Scores of a tagger on rows with gold tags.

    They are those of :func:`kd_keras.metrics.tagging.tagging_scores`, and two more. "long_rows" is the number of rows
    that were read in several windows. "always" is the tag of every word, if it is always the same.

    >>> from kd_keras.tasks import read_labelled
    >>> runner = Runner.load("RUN")
    >>> evaluate(runner, read_labelled("dev.conll", runner.task))["entity_f1"]
    0.81
    """
    windows = runner.windows([words_of(text) for text in rows.text])
    tags = decoded(finite(runner.window_logits(windows)))
    out: dict[str, Any] = {"long_rows": windows.long_rows}
    gold = rows.label.flat()
    if gold.any() and len(gold) >= MANY and (always := the_only(runner.task, tags)) is not None:
        out["always"] = always
    return out | tagging_scores(runner.task, rows, tags)


def logits_of(runner: Runner, rows: Rows) -> Ragged:
    """Ragged float[rows][words, tags] of rows of words. Raises UserError if a number is not finite."""
    return finite(runner.tag_logits([words_of(text) for text in rows.text]))


def tables(found: Mapping[str, Any]) -> str:
    """What :func:`evaluate` found, as Markdown: by type, and by language if there are several."""
    from kd_keras.runs import by_language  # imports Matplotlib, which takes a while

    parts = [by_language.type_table(found["by_type"])]
    if "by_language" in found:
        parts.append(by_language.table({"student": found["by_language"]}))
    return "\n\n".join(parts)
