"""Files of another model's answers: texts with logits, probabilities, a label and its confidence, or a score.

| columns | what they hold |
| --- | --- |
| logits | a list in the order of the classes, or {class: logit} |
| logit_CLASS, one a class | a number |
| probabilities | a list, or {class: probability} |
| p_CLASS, one a class | a number |
| label, confidence | a class and its probability |
| score | a number, for a regression |

If a file has several of these, the first in this table is read. Text columns are the task's own. A file is written as
its own name says; how the training file is written does not matter.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kd_keras.common import files
from kd_keras.common.errors import UserError, did_you_mean
from kd_keras.common.reading import is_stream, says_encoding
from kd_keras.tasks import FileSettings, Task
from kd_keras.tasks.cells import as_text
from kd_keras.tasks.columns import Columns
from kd_keras.tasks.dialect import table_format
from kd_keras.tasks.label_readers import LabelReader
from kd_keras.tasks.readers import found_in
from kd_keras.tasks.tables import REPEATED, BadRows, check_column, json_object, open_table
from kd_keras.teachers import given_parquet

LOGITS, PROBABILITIES, SCORE = "logits", "probabilities", "score"
_PREFIXES = {LOGITS: "logit_", PROBABILITIES: "p_"}
_LARGEST = float(np.finfo(np.float32).max)


class Fault(Exception):
    """What is wrong with a row. The message continues behind what names the row."""


@dataclass(frozen=True)
class Answer:
    """A text, and a number for each output. The file says once what kind of number."""

    text: str
    text_b: str | None
    values: list[float]


def read_answers(path: str, task: Task, how: FileSettings, bad: BadRows) -> tuple[str, Iterator[Answer]]:
    """The kind of numbers, LOGITS or PROBABILITIES (a score is a logit), and the file's rows one after another.

    Raises:
      UserError: the file or a column is missing. Bad rows are reported to ``bad``, with file and line.
    """
    files.require_file(path, "--teacher_signals")
    if str(path).lower().endswith(".parquet"):
        names, unit = given_parquet.columns_of(path), "row"
        # Other columns may hold what Python has no value for.
        known = {*_texts(found_in(names, task.columns)), *_PREFIXES, SCORE, "label", "confidence"}
        records = given_parquet.rows_of(path, [n for n in names if n in known or n.startswith((*_PREFIXES.values(),))])
    else:
        names, rows = open_table(path, bad, how=_as_written(path, task, how))
        records, unit = ((line, values) for _, line, values in rows), "line"
    columns = found_in(names, task.columns)
    for name in _texts(columns):
        check_column(path, name, names)
    kind, read = _form(path, names, _texts(columns), task)
    return kind, _answers(f"{path}, {unit}", records, columns, task.clean, read, bad)


def _as_written(path: str, task: Task, how: FileSettings) -> FileSettings:
    """The file's own settings. Those of flags count where its name or its bytes say nothing, or the columns with it."""
    if how.format in ("conll", "text"):
        how = replace(how, format="auto")
    if is_stream(path) or table_format(path) is None:
        return how
    own = FileSettings(encoding="auto" if how.encoding != "auto" and says_encoding(path) else how.encoding)
    flags = replace(own, delimiter=how.delimiter, quoting=how.quoting)
    if flags == own or table_format(path) == "jsonl":
        return own
    with suppress(UserError):
        names, _ = open_table(path, BadRows("skip"), how=own)
        if {*_texts(found_in(names, task.columns))} <= {*names}:
            return own
    return flags


def _answers(
    where: str, records: Iterator, columns: Columns, clean: Callable | None, read: Callable, bad: BadRows
) -> Iterator[Answer]:
    for number, values in records:
        try:
            cells = [_text(values, name, clean) for name in _texts(columns)]
            answer = read(values)
        except Fault as e:
            bad.report(f"{where} {number}{e}")
            continue
        b = cells.pop() if columns.text_b else None
        yield Answer(" ".join(c for c in cells if c), b, answer)


def _texts(columns: Columns) -> tuple[str, ...]:
    return (*columns.text, columns.text_b) if columns.text_b else columns.text


def _form(path: str, names: list[str], texts: Sequence[str], task: Task) -> tuple[str, Callable]:
    """Finds by the columns, ``texts`` apart, how the file gives the other model's answers."""
    if task.is_regression:
        check_column(path, SCORE, names)
        return LOGITS, lambda values: [_number(values, SCORE)]
    reader, free = LabelReader("single", task.labels, None), [name for name in names if name not in texts]
    for kind, prefix in _PREFIXES.items():
        check = _checked(kind, task)
        if kind in free:
            check_column(path, kind, names)
            return kind, lambda values, kind=kind, check=check: check(_listed(values, kind, reader), kind)
        found = [name for name in free if name.startswith(prefix)]
        if any(isinstance(_class(reader, name.removeprefix(prefix)), int) for name in found):
            order = _by_class(path, found, prefix, reader)
            return kind, lambda values, order=order, check=check: check([_number(values, n) for n in order], order)
    if "label" in free and "confidence" in free and not task.is_multilabel:
        for name in ("label", "confidence"):
            check_column(path, name, names)
        return PROBABILITIES, lambda values: labelled(values, reader)
    for prefix in _PREFIXES.values():
        if found := [name for name in free if name.startswith(prefix)]:
            _by_class(path, found, prefix, reader)  # says which class they miss
    each = "" if task.is_multilabel else ", label and confidence"
    raise UserError(
        f"{path}: has no column about the classes; its columns are: {files.tail(', '.join(names), 200)}. Expected one "
        f"of: logits, logit_CLASS for each class, probabilities, p_CLASS for each class{each} (the classes are "
        f"{reader.expected.removeprefix('one of ')})"
    )


def _by_class(path: str, names: list[str], prefix: str, reader: LabelReader) -> list[str]:
    """The columns in the order of the classes."""
    found: dict[int, str] = {}
    for name in names:
        which = _class(reader, name.removeprefix(prefix))
        if isinstance(which, str):
            raise UserError(f"{path}, line 1, column {name!r}: {which}")
        if which in found:
            raise UserError(f"{path}, line 1: columns {found[which]!r} and {name!r} name one class; rename one")
        found[which] = name
    if missing := [prefix + label for n, label in enumerate(reader.labels) if n not in found]:
        raise UserError(
            f"{path}, line 1: no column {', '.join(map(repr, missing[:5]))}; each class needs one; the columns are: "
            f"{', '.join(names)}"
        )
    return [found[n] for n in range(len(reader.labels))]


def _class(reader: LabelReader, name: str) -> int | str:
    """The class called ``name``, or a sentence about what is wrong with it."""
    found = reader.read(name.strip())
    if found is not None:
        return int(found)
    return f"the task has no class {name!r}; expected {reader.expected}.{did_you_mean(name, reader.labels)}"


def _cell(values: Mapping, name: str) -> Any:
    if name not in values:
        raise Fault(f": no key {name!r}; the keys are: {files.tail(', '.join(values), 100)}")
    if values[name] is REPEATED:
        raise Fault(f": the key {name!r} appears twice")
    return values[name]


def _text(values: Mapping, name: str, clean: Callable[[str], str] | None) -> str:
    text = as_text(_cell(values, name))
    if text is None:
        raise Fault(f", column {name!r}: expected text, found {files.tail(repr(values[name]))}")
    return (clean(text) if clean else text).strip()


def _number(values: Mapping, name: str) -> float:
    return number_of(_cell(values, name), f", column {name!r}")


def number_of(value: Any, where: str) -> float:
    number = math.nan
    if not isinstance(value, bool):
        with suppress(TypeError, ValueError, OverflowError):
            number = float(value)
    if not abs(number) <= _LARGEST:  # also true for NaN
        said = "nothing" if value is None or value == "" else files.tail(repr(value))
        raise Fault(f"{where}: expected a number, found {said}")
    return number


def _listed(values: Mapping, name: str, reader: LabelReader) -> list[float]:
    """A list in the order of the classes, or numbers by class. A table has it as JSON."""
    cell, where = _cell(values, name), f", column {name!r}"
    if isinstance(cell, str):
        with suppress(ValueError, RecursionError):  # RecursionError: brackets thousands deep
            cell = json.loads(cell, object_pairs_hook=json_object)
    if isinstance(cell, list) and cell and all(isinstance(pair, tuple) for pair in cell):  # a map in Parquet
        cell = json_object(cell)
    if isinstance(cell, Mapping):
        return by_name(cell, where, reader)
    if not isinstance(cell, list | tuple):
        raise Fault(
            f"{where}: expected a list of {len(reader.labels)} numbers, or a number by class; found "
            f"{files.tail(repr(cell))}"
        )
    if len(cell) != len(reader.labels):
        raise Fault(
            f"{where}: expected {len(reader.labels)} numbers, one for each class in the order "
            f"{reader.expected.removeprefix('one of ')}; found {len(cell)}"
        )
    return [number_of(value, f"{where}, number {n}") for n, value in enumerate(cell, 1)]


def by_name(cell: Mapping, where: str, reader: LabelReader) -> list[float]:
    found: dict[int, float] = {}
    for name, value in cell.items():
        which = _class(reader, str(name))
        if isinstance(which, str):
            raise Fault(f"{where}: {which}")
        if which in found or value is REPEATED:
            raise Fault(f"{where}: the class {name!r} appears twice")
        found[which] = number_of(value, f"{where}, class {name!r}")
    if missing := [label for n, label in enumerate(reader.labels) if n not in found]:
        raise Fault(f"{where}: no number for class {', '.join(map(repr, missing[:5]))}")
    return [found[n] for n in range(len(reader.labels))]


def _checked(kind: str, task: Task) -> Callable[[list[float], str | list[str]], list[float]]:
    """Refuses numbers that are not probabilities."""

    def check(numbers: list[float], names: str | list[str]) -> list[float]:
        if kind == LOGITS:
            return numbers
        for n, p in enumerate(numbers):
            if p < 0 or (task.is_multilabel and p > 1):
                where = f", column {names!r}, class {task.labels[n]!r}"
                where = where if isinstance(names, str) else f", column {names[n]!r}"
                bounds = "from 0 to 1" if task.is_multilabel else "of 0 or more"
                raise Fault(f"{where}: expected a probability {bounds}, found {p:g}")
        if not task.is_multilabel and not sum(numbers):
            raise Fault(": every probability is 0; expected numbers that add up to 1")
        return numbers

    return check


def labelled(values: Mapping, reader: LabelReader) -> list[float]:
    """The label has its confidence, and the other classes share the rest."""
    written = as_text(_cell(values, "label"), label=True)
    which = _class(reader, written or "")
    if isinstance(which, str):
        raise Fault(f", column 'label': {which}")
    sure, count = _number(values, "confidence"), len(reader.labels)
    if count < 2:
        raise Fault(": label and confidence need at least two classes; give probabilities")
    if not 1 / count - 1e-9 <= sure <= 1:
        raise Fault(
            f", column 'confidence': expected the label's probability, from {1 / count:.4g} (even chances of {count} "
            f"classes) to 1; found {sure:g}"
        )
    return spread(which, sure, count)


def spread(label: int, confidence: float, classes: int) -> list[float]:
    """The probabilities of a row whose ``label`` has ``confidence``. The other classes share the rest evenly.

    >>> spread(0, 0.5, 3)
    [0.5, 0.25, 0.25]
    """
    rest = (1 - confidence) / (classes - 1)
    return [confidence if n == label else rest for n in range(classes)]
