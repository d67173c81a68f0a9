"""Whatever is in a file, readers give rows or a UserError of one line, and each row is kept or counted.

KD_FUZZ_EXAMPLES=10000 tries more than the default run does.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
from pathlib import Path

import pytest
from fuzzing import answer, often
from hypothesis import given
from hypothesis import strategies as st

from kd_keras import tasks
from kd_keras.augment.settings import UnlabeledSettings
from kd_keras.augment.unlabeled import UnlabeledText, documents
from kd_keras.tasks.file_settings import FileSettings
from kd_keras.tasks.label_names import parse_labels
from kd_keras.tasks.readers import LabelReader, Reading, read_table
from kd_keras.tasks.tables import BadRows, open_table

CODECS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "cp1252", "shift_jis", "gb18030", "utf-7")
PIECES = ['"', '""', ",", "\t", ";", "|", "\n", "\r\n", "\r", "\0", " ", "\ufeff", "\u2028", "\x85", "a", "é", "да",
          "日本", "pos", "neg", "1.0", "nan", "{", "}", "[", ":", '"text"', '"label"', "null", "true", "NaN", "\\ud83d",
          "text", "label", '{"text": "x", "label": "pos"}', '\n"x"\tpos\n', "\nx,pos\n", "\nx\tneg\n"]  # fmt: skip
HEADERS = ["", "text,label\n", "text\tlabel\n", "text;label\r\n", "label,text,,\r", '"text"\t"label"\n', "text,text\n"]
NAMES = ["a.csv", "a.tsv", "a.jsonl", "a.txt", "a.csv.gz", "a"]


def encoded(text: str, codec: str) -> bytes:
    return text.encode(codec, "replace")


made = st.builds(
    encoded,
    st.builds("{}{}".format, st.sampled_from(HEADERS), st.lists(st.sampled_from(PIECES), max_size=30).map("".join)),
    st.sampled_from(CODECS),
)
contents = st.one_of(made, made, made.map(gzip.compress), made.map(bz2.compress), st.binary(max_size=60), st.builds(
    lambda raw, at, cut: raw[: at % (len(raw) + 1)] + cut, made.map(gzip.compress), st.integers(0), st.binary(max_size=4)
))  # fmt: skip
hows = st.builds(
    FileSettings, encoding=st.sampled_from(["auto", *CODECS]), delimiter=st.sampled_from([None, ";", "tab", ",", " "]),
    quoting=st.sampled_from(["auto", "auto", "minimal", "none"]),
    format=st.sampled_from(["auto", "auto", "csv", "tsv", "jsonl", "text"]),
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


@often
@given(content=contents, name=st.sampled_from(NAMES), how=hows, kind=st.sampled_from(["single", "regression"]))
def test_any_table(folder, content, name, how, kind):
    path = folder / name
    path.write_bytes(content)
    bad, seen = BadRows("skip"), BadRows("skip")
    reader = LabelReader(kind, ("neg", "pos") if kind == "single" else (), None)
    rows = answer(lambda: read_table(path, tasks.Columns(), reader, bad, "row", Reading(files=how)))
    records = answer(lambda: sum(1 for _ in open_table(path, seen, how=how)[1]))
    if rows is not None:
        assert len(rows) + bad.count == records + seen.count and len(set(rows.ids)) == len(rows)
    answer(lambda: read_table(path, tasks.Columns(), reader, BadRows(), "row", Reading(files=how)))


@often
@given(content=contents, name=st.sampled_from(NAMES), how=hows)
def test_any_file_for_any_command(folder, content, name, how):
    path = str(folder / name)
    Path(path).write_bytes(content)
    answer(lambda: tasks.read_texts(path, files=how))
    answer(lambda: tasks.read_labelled(path, tasks.get("sst2"), "skip", files=how))
    answer(lambda: tasks.load(tasks.custom(path, path, files=how), on_bad_row="skip"))
    text = UnlabeledText(tasks.get("sst2"), UnlabeledSettings(unlabeled_files=path, unlabeled="none"), how=how)
    answer(lambda: list(documents(text, BadRows("skip"))[1]))


cells = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\ufeff"), min_size=1, max_size=12)
readable = cells.filter(lambda text: text.strip())


@often
@given(
    rows=st.lists(st.tuples(readable, st.sampled_from(["neg", "pos"])), min_size=1, max_size=6),
    codec=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32", "gb18030"]),
    style=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    form=st.sampled_from(["csv", "tsv", "jsonl"]),
)
def test_what_a_writer_wrote_is_read_back(folder, rows, codec, style, form):
    out = io.StringIO()
    if form == "jsonl":
        out.writelines(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows)
    else:
        delimiter = "," if form == "csv" else "\t"
        # With "\n" alone the csv module leaves a lone "\r" bare, which its own reader refuses.
        csv.writer(out, delimiter=delimiter, quoting=style).writerows([("text", "label"), *rows])
    path = folder / f"written.{form}"
    path.write_bytes(out.getvalue().encode(codec))
    how = FileSettings(encoding="gb18030" if codec == "gb18030" else "auto", quoting="minimal")
    reader = LabelReader("single", ("neg", "pos"), None)
    found = read_table(path, tasks.Columns(), reader, BadRows(), "row", Reading(files=how))
    assert found.text == [text.strip() for text, _ in rows]
    assert found.label.tolist() == [int(label == "pos") for _, label in rows]


@often
@given(text=st.one_of(st.text(max_size=20), st.lists(st.sampled_from(PIECES), max_size=8).map("".join)))
def test_any_labels_flag(text):
    for name in answer(lambda: parse_labels(text)) or []:
        assert len(name.splitlines()) < 2 and name == name.strip()
