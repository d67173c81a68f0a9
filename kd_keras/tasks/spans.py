"""Sentences in JSON lines: words with tags, or text with the spans of its entities, as annotation tools write them.

A span says where an entity begins and ends, in characters: ``[0, 5, "LOC"]``, or an object with start (or
start_offset), end (or end_offset) and label. It must hold whole words of :func:`kd_keras.text.words.split_words`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from kd_keras.common.files import PathLike, tail
from kd_keras.tasks.cells import as_text
from kd_keras.tasks.columns import Columns
from kd_keras.tasks.file_settings import FileSettings
from kd_keras.tasks.label_names import HALF, label_fault
from kd_keras.tasks.sentences import Sentence
from kd_keras.tasks.tables import REPEATED, BadRows, open_table
from kd_keras.text.words import split_words

_WORDS = ("tokens", "words")
_TAGS = ("tags", "ner_tags")
_TEXT = ("text", "sentence", "data")
_SPANS = ("label", "labels", "spans", "entities")
# Of a span as an object.
_START, _END = ("start", "start_offset"), ("end", "end_offset")
_REFUSED = ("reject", "ignore")  # Prodigy's answers that say: do not learn from this

Found = tuple[list[str], list[str] | None]


class Unusable(Exception):
    """Why a line is no sentence, without its place."""


def json_sentences(
    path: PathLike, columns: Columns, labels: Sequence[str], how: FileSettings, bad: BadRows, gold: bool = True
) -> Iterator[Sentence]:
    """The sentences of a .jsonl file.

    Args:
      columns: the keys of words or text, and of tags or spans, where they are not the usual ones.
      labels: what tags that are numbers mean.
      bad: told of every line that cannot be used.
      gold: whether tags or spans are read, and must be there; without, a text or a list of words is enough.
    """
    _, records = open_table(path, bad, form="jsonl", how=how)
    for number, line, values in records:
        if gold and values.get("answer") in _REFUSED:
            bad.leave_out(str(path))
            continue
        try:
            words, tags = _sentence(values, columns, labels, gold)
        except Unusable as e:
            bad.report(f"{path}, line {line}: {e}")
            continue
        yield Sentence(number, words, tags, f"line {line}")


def _sentence(values: dict[str, Any], columns: Columns, labels: Sequence[str], gold: bool) -> Found:
    source = _key(values, columns.text[0], "text", (*_WORDS, *_TEXT))
    answer = _key(values, columns.label, "label", (*_TAGS, *_SPANS)) if gold else None
    # Prodigy writes its own tokens beside the text that its spans are of.
    own = source in _WORDS and answer not in _TAGS and not _strings(values[source])
    if own and isinstance(values.get("text"), str):
        source = "text"
    value = values[source]
    if isinstance(value, list):
        return _tagged(value, source, None if answer is None else values[answer], answer, labels)
    text = as_text(value)
    if text is None:
        raise Unusable(f"key {source!r}: expected a text or a list of words, found {tail(repr(value))}")
    spans = split_words(text)
    words = [text[a:b] for a, b in spans]
    return words, None if answer is None else _tags_of(text, spans, values[answer], answer)


def _key(values: dict[str, Any], asked: str, default: str, usual: Sequence[str]) -> str:
    """The key to read: the one that is asked for, else the first usual one that the line has."""
    wanted = usual if asked == default else (asked,)
    key = next((k for k in wanted if k in values), None)
    if key is None:
        keys = tail(" ".join(", ".join(values).split()), 100)
        flag = "--text_column" if default == "text" else "--label_column"
        raise Unusable(f"no key {' or '.join(map(repr, wanted))}; the keys are: {keys} ({flag} names another)")
    if values[key] is REPEATED:
        raise Unusable(f"the key {key!r} is there twice")
    return key


def _strings(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(word, str) for word in value)


def _tagged(value: list, source: str, tags: Any, answer: str | None, labels: Sequence[str]) -> Found:
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
        return HALF.sub("\ufffd", tag).strip()
    if isinstance(tag, int) and not isinstance(tag, bool):
        if 0 <= tag < len(labels):
            return labels[tag]
        means = f"0 to {len(labels) - 1}" if labels else "--labels=PER,ORG,… with the types in the order of the numbers"
        raise Unusable(f"key {key!r}, word {n + 1}: the tag is a number, {tag}; expected {means}")
    raise Unusable(f"key {key!r}, word {n + 1}: expected a tag such as B-PER or O, found {tail(repr(tag))}")


def _tags_of(text: str, words: list[tuple[int, int]], value: Any, key: str) -> list[str]:
    """IOB2 of the words of ``text``, whose entities are ``value``."""
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
        if not held.strip():
            raise Unusable(f"{shown}: holds no word, only white space")
        # A space at its ends is in no word.
        start += len(held) - len(held.lstrip())
        end -= len(held) - len(held.rstrip())
        if start not in starts or end not in ends:
            at = start if start not in starts else end
            cut = next((text[a:b] for a, b in words if a < at < b), held)
            raise Unusable(f"{shown}: {tail(held, 40)!r} ends inside the word {tail(cut, 40)!r}; expected whole words")
        first, last = starts[start], ends[end]
        if taken := next((o for o in owner[first : last + 1] if o), ""):
            raise Unusable(f"{shown}: overlaps with {taken}; expected each word in one span at most")
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
