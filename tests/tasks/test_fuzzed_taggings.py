"""Whatever is in a tagging's file, readers give rows or a UserError of one line, and each sentence is kept or counted.

KD_FUZZ_EXAMPLES=10000 tries more than the default run does.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from fuzzing import answer, often
from hypothesis import given
from hypothesis import strategies as st

from kd_keras.common.reading import text_lines
from kd_keras.tasks.conll import conll_lines, layout, sentences
from kd_keras.tasks.file_settings import FileSettings
from kd_keras.tasks.records import iob2
from kd_keras.tasks.rows import words_of
from kd_keras.tasks.tables import BadRows, open_table
from kd_keras.tasks.tagged import TaggedFile, read_tagged
from kd_keras.tasks.tagging_forms import form_of
from kd_keras.tasks.untagged import read_words

TYPES = ("LOC", "PER")
PIECES = ["a", "#", "# x y", "#\tO", "é", "\u00a0", "\u3000", "\u200b", "\u2028", "\x85", "\0", " ", "\t", "\n", "\n\n",
          "\r\n", "\r", "O", "B-LOC", "I-LOC", "E-PER", "S-PER", "L-PER", "PER", "-DOCSTART- O\n", "Rome\tB-LOC\n",
          "is\tO\n", "x I-PER\n", "en:x\tO\n", "a b c O\n", "\tO\n", "\ufeff"]  # fmt: skip
JSON = ['{"tokens": ["a", "b"], "tags": ["O", "B-LOC"]}\n', '{"tokens": ["a b", ""], "ner_tags": [1, 2]}\n',
        '{"text": "Rome is", "label": [[0, 4, "LOC"]]}\n', '{"text": "Rome is", "spans": [{"start": 0, "end": 9}]}\n',
        '{"text": "Rome", "entities": [[0, 2, "LOC"]], "answer": "reject"}\n', '{"tokens": [{}], "tags": [null]}\n',
        '{"text": null, "label": {}}\n', '{"tokens": ["\\ud83d"], "tags": ["I-\\ud83d"]}\n', "{}\n", "[]\n", "\n",
        '{"text": "a", "text": "b"}\n', '{"text": "x", "label": [[0, 1, "LOC"], [0, 1, "PER"]], "id": NaN}\n']  # fmt: skip


def bytes_of(pieces):
    return st.builds(
        lambda text, codec: text.encode(codec, "replace"),
        st.lists(st.sampled_from(pieces), max_size=25).map("".join),
        st.sampled_from(["utf-8", "utf-8", "utf-8-sig", "utf-16", "cp1252"]),
    )


contents = st.one_of(
    bytes_of(PIECES),
    bytes_of(JSON),
    bytes_of(PIECES + JSON),
    bytes_of(PIECES).map(gzip.compress),
    st.binary(max_size=50),
)
hows = st.builds(
    FileSettings, encoding=st.sampled_from(["auto", "auto", "cp1252"]), delimiter=st.sampled_from([None, None, "tab", "space", ";"]),
    format=st.sampled_from(["auto", "auto", "conll", "jsonl", "text"]), word_column=st.sampled_from([None, None, 1, 2]),
    tag_column=st.sampled_from([None, None, 2, 3]),
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


def check(rows):
    for i, text in enumerate(rows.text):
        words = words_of(text)
        assert len(words) == rows.label.lengths[i] or not rows.label.lengths[i]
        assert all(word and not set(word) & set(" \t\n\r") for word in words)
    assert len(set(rows.ids)) == len(rows)


@often
@given(
    content=contents, name=st.sampled_from(["a.conll", "a.txt", "a.jsonl", "a.tsv.gz"]), how=hows, typed=st.booleans()
)
def test_any_file(folder, content, name, how, typed):
    path = folder / name
    path.write_bytes(content)
    bad, all_bad = BadRows("skip"), BadRows("skip")
    file = TaggedFile(types=TYPES if typed else None, files=how)
    found = answer(lambda: read_tagged(path, file, bad, "row"))
    if found is not None:
        if form_of(path, how, gold=True) == "jsonl":
            there = sum(1 for _ in open_table(path, all_bad, form="jsonl", how=how)[1])
        else:
            there = sum(1 for _ in sentences(path, layout(path, how), how, all_bad))
        assert len(found.rows) + bad.count + sum(bad.left_out.values()) == there + all_bad.count
        check(found.rows)
        tags = found.rows.label.flat()
        assert tags.min(initial=0) >= 0 and tags.max(initial=0) < len(iob2(found.types))
        names = iob2(found.types)
        for i in range(len(found.rows)):  # IOB2 in any case
            for before, tag in zip((0, *found.rows.label[i]), found.rows.label[i], strict=False):
                assert not names[tag].startswith("I-") or before in (tag, tag - 1)
    answer(lambda: read_tagged(path, file, BadRows(), "row"))
    bad = BadRows("skip")
    words = answer(lambda: read_words(path, file, bad))
    if words is not None:
        check(words.rows)
        for text, places, row in zip(words.texts, words.places, words.rows.text, strict=True):
            assert (text is None and places is None) or [text[a:b] for a, b in places] == words_of(row)
        if not bad.count and form_of(path, how, ["text"]) == "columns":
            assert sum(len(words_of(row)) for row in words.rows.text) == rows_by_hand(path, how)


def rows_by_hand(path, how):
    """Lines that are neither blank, nor a document's start, nor a comment of another width than the rows'."""
    found = layout(path, how, tags=False)
    lines = [li for li in text_lines(path, how.encoding) if li.strip() and not li.startswith("-DOCSTART-")]
    return sum(len(found.fields(li)) == found.width or not li.startswith("#") for li in lines)


word = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\n\ufeff"), max_size=6)
tagged = st.lists(st.tuples(word, st.sampled_from(["O", "B-LOC", "B-PER"])), min_size=1, max_size=5)


@often
@given(rows=st.lists(tagged, min_size=1, max_size=4), codec=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
def test_what_is_written_is_read_back(folder, rows, codec):
    lines = "".join(json.dumps({"tokens": [w for w, _ in row], "tags": [t for _, t in row]}) + "\n" for row in rows)
    (folder / "w.jsonl").write_bytes(lines.encode(codec))
    found = read_tagged(folder / "w.jsonl", TaggedFile(types=TYPES), BadRows(), "row").rows
    names = iob2(TYPES)
    assert [[names[t] for t in found.label[i]] for i in range(len(found))] == [[t for _, t in row] for row in rows]
    text = "".join(conll_lines(found, [[names[t] for t in found.label[i]] for i in range(len(found))]))
    (folder / "w.conll").write_bytes(text.encode(codec))
    again = read_tagged(folder / "w.conll", TaggedFile(types=TYPES), BadRows(), "row").rows
    assert again.text == found.text and again.label.flat().tolist() == found.label.flat().tolist()
