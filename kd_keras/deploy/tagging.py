"""A tagger at work: text in, entities out; words in, tags out; and how good these are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np

from kd_keras.common.errors import UserError
from kd_keras.common.files import PathLike, require_file
from kd_keras.common.ragged import Ragged
from kd_keras.common.reading import PACKED, STDIN, text_lines
from kd_keras.deploy.runner import Runner
from kd_keras.metrics.answers import only_answer
from kd_keras.metrics.decoding import decoded
from kd_keras.metrics.entities import Place, entities
from kd_keras.metrics.tagging import tagging_scores
from kd_keras.tasks import Rows, Task, is_gold, read_texts, words_of
from kd_keras.tasks.conll import conll_lines
from kd_keras.tasks.dialect import format_of
from kd_keras.tasks.file_settings import AS_NAMED, FileSettings
from kd_keras.tasks.tables import BadRows, open_table
from kd_keras.tasks.tagged import TaggedFile, read_words
from kd_keras.text.words import split_words

CONLL = (".conll", ".conllu", ".bio", ".iob", ".iob2", ".bioes", ".bilou")
_JSON = (".jsonl", ".ndjson", ".json")
_WORDS = ("tokens", "words")
# Lines that tell columns from text, and what their last column has.
_LOOKED_AT = 200
_TAG = re.compile(r"O|[BIESLUM]-\S+")


@dataclass(frozen=True)
class Asked:
    """What entities are looked for in.

    Attributes:
      rows: of words.
      texts: what the words are of, and where they stand in it; None where words were given.
    """

    rows: Rows
    texts: list[str] | None = None
    places: list[list[Place]] | None = None

    @classmethod
    def of(cls, texts: Sequence[str], task: Task) -> Asked:
        """The words of texts of any script."""
        places = [split_words(text) for text in texts]
        # A space inside a word, if a splitter leaves one there, must not part it.
        words = [" ".join(t[a:b].replace(" ", "\u00a0") for a, b in row) for t, row in zip(texts, places, strict=True)]
        ids = [f"row-{n}" for n in range(len(texts))]
        return cls(Rows(ids, words, None, task.no_labels(len(ids))), list(texts), places)


def read(path: str, task: Task, text_column: str | None = None, how: FileSettings = AS_NAMED) -> Asked:
    """What a file asks for: words, where it is columns or JSON lines of words; else texts.

    Columns are told by the name (.conll, .bio, .iob, …), by ``how.format`` "conll", or by a last column of nothing but
    tags, or by ``how.word_column`` and ``how.tag_column``. "-" is standard input.

    Raises:
      UserError: as ``read_texts``.
    """
    if path == "-":
        path = STDIN
    else:
        require_file(path, "--input")
    in_columns = _is_columns(path, how)
    if in_columns and text_column:
        raise UserError(f"--text_column={text_column}: {path} is columns of words and tags, which have no names")
    if not in_columns and not _has_words(path, text_column, how):
        return Asked.of(read_texts("-" if path is STDIN else path, text_column, files=how).text, task)
    columns = replace(task.columns, text=(text_column,)) if text_column else task.columns
    files = replace(how, format="conll") if in_columns else how
    return Asked(read_words(path, TaggedFile(columns=columns, types=task.types, files=files), BadRows()).rows)


def _is_columns(path: PathLike, how: FileSettings) -> bool:
    if how.format != "auto":
        return how.format == "conll"
    if _ends(path, CONLL) or how.word_column is not None or how.tag_column is not None:
        return True
    if format_of(path, how, ("text", "sentence")) == "jsonl":
        return False
    lines = list(islice((line for line in text_lines(path, how.encoding) if line.strip()), _LOOKED_AT))
    rows = [line.split() for line in lines if not line.startswith(("# ", "-DOCSTART-"))]
    return bool(rows) and all(len(row) > 1 and _TAG.fullmatch(row[-1]) for row in rows)


def _has_words(path: PathLike, text_column: str | None, how: FileSettings) -> bool:
    """Whether a file is JSON lines, the first of which has a list of words."""
    if format_of(path, how, ("text", "sentence")) != "jsonl":
        return False
    _, records = open_table(path, BadRows("skip"), form="jsonl", how=how)
    _, _, first = next(records)
    return any(isinstance(first.get(name), list) for name in ((text_column,) if text_column else _WORDS))


def _ends(path: PathLike, endings: tuple[str, ...]) -> bool:
    name = str(path).lower()
    for packed in PACKED:
        name = name.removesuffix(packed)
    return name.endswith(endings)


def writes_columns(output: str, how: FileSettings) -> bool:
    """Whether ``output`` gets columns: by its name, or with ``how.format`` "conll"; standard output gets JSON lines."""
    return _ends(output, CONLL) or (how.format == "conll" and output != "-" and not _ends(output, _JSON))


def answer_lines(runner: Runner, asked: Asked, columns: bool, ascii_only: bool = False) -> Iterator[str]:
    """What predict writes, line by line with their ends.

    Args:
      columns: a word, a tab and its tag a line, a blank line behind each row; else a JSON object a row: "text" and
        "entities", or, where words were given, "tokens" and "tags".
      ascii_only: other characters of JSON are escaped.
    """
    logits = logits_of(runner, asked.rows)
    names = np.array(runner.task.labels, object)
    if columns:
        yield from conll_lines(asked.rows, tag_names(names, logits))
    elif asked.texts is None:
        for text, tags in zip(asked.rows.text, tag_names(names, logits), strict=True):
            yield json.dumps({"tokens": words_of(text), "tags": tags}, ensure_ascii=ascii_only) + "\n"
    else:
        for text, found in zip(
            asked.texts, entities(asked.texts, asked.places, logits, runner.task.types), strict=True
        ):
            found = [e | {"score": round(e["score"], 6)} for e in found]
            yield json.dumps({"text": text, "entities": found}, ensure_ascii=ascii_only) + "\n"


def tag_names(names: np.ndarray, logits: Ragged) -> Iterator[list[str]]:
    """The names of each row's best tags that may follow one another."""
    tags = decoded(logits)
    for n in range(len(tags)):
        yield names[tags[n]].tolist()


def find_entities(runner: Runner, texts: Sequence[str]) -> list[list[dict[str, Any]]]:
    """The entities of each text, see :func:`kd_keras.metrics.entities.entities`.

    >>> find_entities(Runner.load("RUN"), ["Ada Lovelace lived in London."])[0][0]["surface"]
    'Ada Lovelace'
    """
    asked = Asked.of(texts, runner.task)
    return entities(asked.texts, asked.places, logits_of(runner, asked.rows), runner.task.types)


def evaluate(runner: Runner, rows: Rows) -> dict[str, Any]:
    """Scores of a tagger on rows with gold tags: what :func:`kd_keras.metrics.tagging.tagging_scores` gives, and

    "long_rows", how many rows are longer than the student reads at once, and were read in windows; "always", the tag
    that every word got, if it is always the same.

    >>> from kd_keras.tasks import read_labelled
    >>> runner = Runner.load("RUN")
    >>> evaluate(runner, read_labelled("dev.conll", runner.task))["entity_f1"]
    0.81
    """
    logits = logits_of(runner, rows)
    words = [words_of(text) for text in rows.text]
    out: dict[str, Any] = {"long_rows": runner.windows(words).long_rows}
    gold = rows.label.take(np.flatnonzero(is_gold(rows.label))).flat()
    if gold.any() and (always := only_answer(runner.task, logits)) is not None:
        out["always"] = always
    return out | tagging_scores(runner.task, rows, decoded(logits))


def logits_of(runner: Runner, rows: Rows) -> Ragged:
    """Ragged float[rows][words, tags] of rows of words; UserError where the model gives no finite numbers."""
    logits = runner.tag_logits([words_of(text) for text in rows.text])
    if not np.isfinite(logits.flat()).all():
        raise UserError(
            "the model's outputs are not finite numbers: it has diverged; train it with a lower learning rate"
        )
    return logits


def tables(found: Mapping[str, Any]) -> str:
    """What :func:`evaluate` found, as Markdown: by type, and of several languages by language."""
    from kd_keras.runs import by_language  # which draws pictures too, and takes a while to import

    parts = [by_language.type_table(found["by_type"])]
    if "by_language" in found:
        parts.append(by_language.table({"student": found["by_language"]}))
    return "\n\n".join(parts)
