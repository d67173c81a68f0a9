"""Reads sentences in JSON lines: words with tags, or text with spans of entities, as annotation tools write them.

A span has the start and end of an entity, in characters: ``[0, 5, "LOC"]``, or an object with start (or start_offset),
end (or end_offset) and label. It must cover whole words of :func:`kd_keras.text.words.split_words`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any

from kd_keras.common.files import PathLike, tail
from kd_keras.tasks.cells import as_text
from kd_keras.tasks.columns import Columns
from kd_keras.tasks.file_settings import FileSettings
from kd_keras.tasks.label_names import HALF, label_fault
from kd_keras.tasks.sentences import Sentence
from kd_keras.tasks.tables import REPEATED, BadRows, open_table
from kd_keras.text.words import is_space, split_words

_WORDS = ("tokens", "words")
_TAGS = ("tags", "ner_tags")
TEXTS = ("text", "sentence", "data")
_SPANS = ("label", "labels", "spans", "entities")
# Keys of a span that is an object.
_START, _END = ("start", "start_offset"), ("end", "end_offset")
_REFUSED = ("reject", "ignore")  # Prodigy's answers that mean: do not learn from this

# Words and tags. If the words were split from a text, also the text and their places in it.
Found = tuple[list[str], list[str] | None, str | None, list[tuple[int, int]] | None]


class Unusable(Exception):
    """Why a line is no sentence, without the line's number."""


def source_keys(columns: Columns, others: bool = False) -> tuple[str, ...]:
    """The keys of words or text, in the order in which they are tried.

    Args:
      others: whether to try the usual keys too if ``columns`` names another.
    """
    own = columns.text[0]
    usual = (*_WORDS, *TEXTS)
    return usual if own == "text" else (own, *usual) if others else (own,)


def answer_keys(columns: Columns) -> tuple[str, ...]:
    """The keys of tags or spans, in the order in which they are tried."""
    return (*_TAGS, *_SPANS) if columns.label == "label" else (columns.label,)


def json_sentences(
    path: PathLike, source: Sequence[str], answer: Sequence[str], labels: Sequence[str], how: FileSettings, bad: BadRows
) -> Iterator[Sentence]:
    """The sentences of a .jsonl file.

    Args:
      source: keys of words or text; see :func:`source_keys`.
      answer: keys of tags or spans, of which a line must have one. Without keys, answers are not read.
      labels: the tags that numbers stand for.
      bad: is told of every line that cannot be used.
    """
    _, records = open_table(path, bad, form="jsonl", how=how)
    for number, line, values in records:
        if answer and values.get("answer") in _REFUSED:
            bad.leave_out(str(path))
            continue
        try:
            words, tags, text, spans = _sentence(values, source, answer, labels)
        except Unusable as e:
            bad.report(f"{path}, line {line}: {e}")
            continue
        yield Sentence(number, words, tags, f"line {line}", text, spans)


def _sentence(values: dict[str, Any], source: Sequence[str], answer: Sequence[str], labels: Sequence[str]) -> Found:
    key = _key(values, source, "--text_column")
    gold = _key(values, answer, "--label_column") if answer else None
    value = values[key]
    if isinstance(value, list) and isinstance(values.get("text"), str):
        # Annotation tools write tokens beside the text, but their spans belong to the text.
        of_text = gold is not None and _are_spans(values[gold], gold)
        if of_text or (value and all(isinstance(word, dict) for word in value)):
            value = values["text"]
    if isinstance(value, list):
        return *_tagged(value, key, None if gold is None else values[gold], gold, labels), None, None
    text = as_text(value)
    if text is None:
        raise Unusable(f"key {key!r}: expected a text or a list of words, found {tail(repr(value))}")
    spans = split_words(text)
    words = [text[a:b] for a, b in spans]
    return words, None if gold is None else _tags_of(text, spans, values[gold], gold), text, spans


def _key(values: dict[str, Any], keys: Sequence[str], flag: str) -> str:
    """The first of ``keys`` with a list, or the first with a value, or the first that exists."""
    there = [k for k in keys if k in values]
    if not there:
        shown = tail(" ".join(", ".join(values).split()), 100)
        raise Unusable(f"no key {' or '.join(map(repr, keys))}; the keys are: {shown} ({flag} names another)")
    lists = (k for k in there if isinstance(values[k], list))
    key = next(lists, next((k for k in there if values[k] is not None), there[0]))
    if values[key] is REPEATED:
        raise Unusable(f"the key {key!r} occurs twice; expected each key once")
    return key


def _are_spans(value: Any, key: str) -> bool:
    """Whether an answer is spans of a text, not tags of words."""
    if not value:
        return value == [] and key in _SPANS
    return isinstance(value, list) and all(isinstance(item, (list, dict)) for item in value)


def _tagged(
    value: list, source: str, tags: Any, answer: str | None, labels: Sequence[str]
) -> tuple[list[str], list[str] | None]:
    words = [as_text(word) for word in value]
    if None in words:
        n = words.index(None)
        raise Unusable(f"key {source!r}, word {n + 1}: expected text, found {tail(repr(value[n]))}")
    if answer is None:
        return words, None
    if not isinstance(tags, list):
        raise Unusable(f"key {answer!r}: expected a list of tags, found {tail(repr(tags))}")
    if len(tags) != len(words):
        raise Unusable(f"expected as many tags as words; key {source!r} has {len(words)}, key {answer!r} {len(tags)}")
    return words, [_tag(tag, n, answer, labels) for n, tag in enumerate(tags)]


def _tag(tag: Any, n: int, key: str, labels: Sequence[str]) -> str:
    if isinstance(tag, str):
        return sys.intern(HALF.sub("\ufffd", tag).strip())
    if isinstance(tag, int) and not isinstance(tag, bool):
        if 0 <= tag < len(labels):
            return labels[tag]
        means = f"0 to {len(labels) - 1}" if labels else "--labels=PER,ORG,… with the types in the order of the numbers"
        raise Unusable(f"key {key!r}, word {n + 1}: the tag is a number, {tag}; expected {means}")
    raise Unusable(f"key {key!r}, word {n + 1}: expected a tag such as B-PER or O, found {tail(repr(tag))}")


def _tags_of(text: str, words: list[tuple[int, int]], value: Any, key: str) -> list[str]:
    """The IOB2 tags of the words of ``text``, whose entities are ``value``."""
    if value is None:
        value = []
    if not isinstance(value, list):
        raise Unusable(f'key {key!r}: expected a list of spans such as [0, 5, "LOC"], found {tail(repr(value))}')
    starts = {a: n for n, (a, _) in enumerate(words)}
    ends = {b: n for n, (_, b) in enumerate(words)}
    tags, owner = ["O"] * len(words), [""] * len(words)
    for item in value:
        start, end, label = _span(item, key)
        shown = f"span [{start}, {end}, {label!r}]"
        if not 0 <= start < end <= len(text):
            raise Unusable(f"{shown}: expected 0 ≤ start < end ≤ {len(text)}, the length of the text")
        held = text[start:end]
        # A space at the ends of a span belongs to no word.
        while start < end and is_space(text[start]):
            start += 1
        while start < end and is_space(text[end - 1]):
            end -= 1
        if start == end:
            raise Unusable(f"{shown}: covers no word, only white space; expected whole words")
        for at, known, does in ((start, starts, "begins"), (end, ends, "ends")):
            if at not in known:
                cut = next(text[a:b] for a, b in words if a < at < b)
                raise Unusable(
                    f"{shown}: {tail(held, 40)!r} {does} inside the word {tail(cut, 40)!r}; expected whole words"
                )
        first, last = starts[start], ends[end]
        if taken := next((o for o in owner[first : last + 1] if o), ""):
            raise Unusable(f"{shown}: overlaps with {taken}; expected each word in at most one span")
        for n in range(first, last + 1):
            tags[n], owner[n] = f"{'I' if n > first else 'B'}-{label}", shown
    return tags


def _span(item: Any, key: str) -> tuple[int, int, str]:
    if isinstance(item, dict):
        parts = [next((item[k] for k in names if k in item), None) for names in (_START, _END, ("label",))]
    else:
        parts = list(item) if isinstance(item, list) else []
    numbers = [p for p in parts[:2] if isinstance(p, int) and not isinstance(p, bool)]
    label = as_text(parts[2]) if len(parts) == 3 else None
    if len(numbers) != 2 or label is None or not label.strip():
        raise Unusable(
            f'key {key!r}: expected spans such as [0, 5, "LOC"] or {{"start": 0, "end": 5, "label": "LOC"}}, '
            f"found {tail(repr(item))}"
        )
    label = label.strip()
    if fault := label_fault(label):
        raise Unusable(f"the label {tail(label)!r} {fault}")
    return numbers[0], numbers[1], label
