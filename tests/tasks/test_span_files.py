"""JSON lines with tokens and tags, or with text and spans, in the shapes that annotation tools write."""

from __future__ import annotations

import json

import pytest

from kd_keras.common.errors import UserError
from kd_keras.tasks.columns import Columns
from kd_keras.tasks.records import iob2
from kd_keras.tasks.rows import words_of
from kd_keras.tasks.tables import BadRows
from kd_keras.tasks.tagged import TaggedFile, read_tagged

TYPES = ("LOC", "PER")
TEXT = "Ann Lee left Paris, at last."
WORDS = ["Ann", "Lee", "left", "Paris", ",", "at", "last", "."]
TAGS = ["B-PER", "I-PER", "O", "B-LOC", "O", "O", "O", "O"]


def read(path, *records, bad=None, types=TYPES, columns=None):
    path.write_text("".join(json.dumps(r) + "\n" for r in records), encoding="utf-8")
    return read_tagged(str(path), TaggedFile(columns or Columns(), types), bad or BadRows(), "train")


def seen(rows):
    names = iob2(TYPES)
    return [(words_of(t), [names[n] for n in rows.label[i]]) for i, t in enumerate(rows.text)]


SHAPES = {
    "tokens": {"tokens": WORDS, "tags": TAGS},
    "datasets": {"id": "0", "tokens": WORDS, "ner_tags": [3, 4, 0, 1, 0, 0, 0, 0]},
    "doccano": {"text": TEXT, "label": [[0, 7, "PER"], [13, 18, "LOC"]]},
    "doccano relations": {
        "text": TEXT,
        "entities": [
            {"id": 9, "label": "LOC", "start_offset": 13, "end_offset": 18},
            {"id": 8, "label": "PER", "start_offset": 0, "end_offset": 7},
        ],
    },
    "prodigy": {
        "text": TEXT,
        "tokens": [{"text": "Ann", "start": 0, "end": 3, "id": 0}],
        "spans": [{"start": 0, "end": 7, "label": "PER"}, {"start": 13, "end": 18, "label": "LOC", "token_start": 3}],
        "answer": "accept",
    },
    "spacy": {"text": TEXT, "entities": [[13, 18, "LOC"], [0, 7, "PER"]]},
    "tokens beside": {"text": TEXT, "tokens": ["Ann", "Lee left"], "spans": [[0, 7, "PER"], [13, 18, "LOC"]]},
    "other keys of the same names": {"text": TEXT, "tags": "news", "label": [[0, 7, "PER"], [13, 18, "LOC"]]},
    "no words in tokens": {"tokens": None, "text": TEXT, "label": [[0, 7, "PER"], [13, 18, "LOC"]]},
    "space at the ends": {"text": TEXT, "labels": [[0, 8, "PER"], [12, 18, "LOC"]]},
}


@pytest.mark.parametrize("name", SHAPES)
def test_shapes_that_read_alike(tmp_path, name):
    rows = read(tmp_path / "a.jsonl", SHAPES[name]).rows
    assert seen(rows) == [(WORDS, TAGS)] and rows.ids == ["train-0"]


def test_spans_are_of_the_text_as_it_is_written(tmp_path):
    record = {"text": "  \ufeffAnn Lee\u200b left", "label": [[1, 11, "PER"]]}
    assert seen(read(tmp_path / "a.jsonl", record).rows) == [(["Ann", "Lee", "left"], ["B-PER", "I-PER", "O"])]
    with pytest.raises(UserError, match="covers no word, only white space"):
        read(tmp_path / "a.jsonl", record | {"label": [[1, 3, "PER"]]})
    none = read(tmp_path / "a.jsonl", {"text": TEXT, "tokens": ["Ann Lee"], "spans": []}).rows
    assert seen(none) == [(WORDS, ["O"] * 8)]


@pytest.mark.parametrize("span", [[1, 5, "LOC"], [0, 6, "LOC"], [0, 7, "LOC"]])
def test_marks_of_direction_are_in_no_word(tmp_path, span):
    record = {"text": "\u200fRome\u200e left", "label": [span]}
    assert seen(read(tmp_path / "a.jsonl", record).rows) == [(["Rome", "left"], ["B-LOC", "O"])]


def test_keys_of_ones_own(tmp_path):
    record = {"text": "no", "w": WORDS, "t": TAGS}
    rows = read(tmp_path / "a.jsonl", record, columns=Columns(("w",), None, "t")).rows
    assert seen(rows) == [(WORDS, TAGS)]


FAULTS = [
    ({"text": TEXT, "label": [[0, 5, "PER"]]}, r"line 1: span \[0, 5, 'PER'\]: 'Ann L' ends inside the word 'Lee'"),
    ({"text": TEXT, "label": [[1, 7, "PER"]]}, r"'nn Lee' begins inside the word 'Ann'; expected whole words"),
    (
        {"text": TEXT, "label": [[0, 7, "PER"], [4, 12, "PER"]]},
        r"span \[4, 12, 'PER'\]: overlaps with span \[0, 7, 'PER'\]",
    ),
    ({"text": TEXT, "label": [[3, 3, "PER"]]}, r"span \[3, 3, 'PER'\]: expected 0 ≤ start < end ≤ 28"),
    ({"text": TEXT, "label": [[3, 4, "PER"]]}, "covers no word, only white space"),
    ({"text": TEXT, "label": [[0, 99, "PER"]]}, "expected 0 ≤ start < end ≤ 28, the length of the text"),
    ({"text": TEXT, "label": [[-3, 7, "PER"]]}, "expected 0 ≤ start"),
    ({"text": TEXT, "label": [[0, 7, "PRE"]]}, r"line 1, word 1 \('Ann'\): the tag 'B-PRE' is of an unknown type"),
    ({"text": TEXT, "label": [[0, 7]]}, r"expected spans such as \[0, 5, .LOC.\]"),
    ({"text": TEXT, "label": [[True, 7, "PER"]]}, "expected spans such as"),
    ({"text": TEXT, "label": "PER"}, "key 'label': expected a list of spans"),
    ({"text": TEXT}, "no key 'tags' or .*the keys are: text"),
    ({"tags": []}, "no key 'tokens' or 'words'"),
    ({"tokens": WORDS, "tags": TAGS[1:]}, "as many tags as words; key 'tokens' has 8, key 'tags' 7"),
    ({"tokens": WORDS, "tags": ["O"] * 7 + [5]}, "word 8: the tag is a number, 5; expected 0 to 4"),
    ({"tokens": ["a", None], "tags": ["O", "O"]}, "key 'tokens', word 2: expected text, found None"),
    ({"tokens": ["a"], "tags": ["X"]}, r"line 1, word 1 \('a'\): expected O, or a tag"),
    ({"tokens": ["a", "b"], "tags": ["B-PER", "I-LOC"]}, r"word 2 \('b'\): I-LOC after B-PER is impossible"),
    ({"tokens": [], "tags": []}, "line 1: expected words, found none"),
    ({"text": 7.5, "label": [[0, 1, "a\nb"]]}, "has a line break"),
]


@pytest.mark.parametrize(("record", "says"), FAULTS)
def test_faults_are_named(tmp_path, record, says):
    with pytest.raises(UserError, match=says) as e:
        read(tmp_path / "a.jsonl", record)
    assert len(str(e.value).splitlines()) == 1 and "line 1" in str(e.value)
    bad = BadRows("skip")
    assert (
        len(read(tmp_path / "b.jsonl", record, {"tokens": ["x"], "tags": ["O"]}, bad=bad).rows) == 1 and bad.count == 1
    )


def test_numbers_need_the_types(tmp_path):
    with pytest.raises(UserError, match="the tag is a number, 3; expected --labels=PER,ORG"):
        read(tmp_path / "a.jsonl", SHAPES["datasets"], types=None)


def test_what_an_annotator_refused_is_left_out_and_counted(tmp_path):
    bad = BadRows()
    rows = read(tmp_path / "a.jsonl", SHAPES["tokens"] | {"answer": "reject"}, SHAPES["tokens"], bad=bad).rows
    assert rows.ids == ["train-1"] and list(bad.left_out.values()) == [1]


def test_spaces_inside_words_become_no_break_spaces(tmp_path):
    found = read(tmp_path / "a.jsonl", {"tokens": ["New York", "", "a\n\tb"], "tags": ["B-LOC", "O", "O"]})
    assert words_of(found.rows.text[0]) == ["New\u00a0York", "\u00a0", "a\u00a0\u00a0b"] and found.spaced == 3


def test_types_of_the_file_are_sorted(tmp_path):
    found = read(tmp_path / "a.jsonl", {"text": "a b", "label": [[0, 1, "z"], [2, 3, "A type"]]}, types=None)
    assert found.types == ("A type", "z") and found.rows.label[0].tolist() == [3, 1]
