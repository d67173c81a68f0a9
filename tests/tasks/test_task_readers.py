"""Every way a file can be wrong, and the message that says so; every format that is right."""

import bz2
import gzip
import io
import sys
from dataclasses import replace

import numpy as np
import pytest

from kd_keras import tasks
from kd_keras.common.columns import StringsOnDisk
from kd_keras.common.errors import UserError
from kd_keras.tasks.columns import Columns
from kd_keras.tasks.readers import LabelReader, Reading, read_table
from kd_keras.tasks.tables import BadRows

SST2 = tasks.get("sst2")


def write(path, content, encoding="utf-8"):
    path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
    return str(path)


def read(path, bad=None, **kwargs):
    labels = LabelReader("single", ("neg", "pos"), None)
    return read_table(path, Columns(), labels, bad or BadRows(), "train", Reading(**kwargs))


CONTENT = {
    "a.tsv": 'text\tlabel\na "quoted" one \tneg\nb, b\tpos\n',
    "a.csv": 'label,text\r\nneg,"a ""quoted"" one"\r\npos,"b, b"\r\n',
    "a.jsonl": '{"text": "a \\"quoted\\" one", "label": "neg"}\n{"label": "pos", "text": "b, b", "x": 1}\n',
}


@pytest.mark.parametrize("name", CONTENT)
@pytest.mark.parametrize("pack", ["", ".gz", ".bz2"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_formats_read_alike(tmp_path, name, pack, mark):
    raw = mark + CONTENT[name].encode()
    raw = {"": lambda b: b, ".gz": gzip.compress, ".bz2": bz2.compress}[pack](raw)
    rows = read(write(tmp_path / (name + pack), raw))
    assert rows.text == ['a "quoted" one', "b, b"]
    assert rows.label.tolist() == [0, 1] and rows.label.dtype == np.int32
    assert rows.ids == ["train-0", "train-1"] and rows.text_b is None


def test_a_csv_field_may_span_lines_and_line_numbers_still_hold(tmp_path):
    path = write(tmp_path / "a.csv", 'text,label\n"two\nlines",neg\nx,wrong\n')
    with pytest.raises(UserError, match="line 4, column 'label'"):
        read(path)
    assert read(write(tmp_path / "b.csv", 'text,label\n"two\nlines",neg\n')).text == ["two\nlines"]


GOOD = '{"text": "x", "label": "neg"}\n'


# fmt: off
BAD_FILES = [
    ("a.tsv", "", r"a\.tsv: the file is empty$"),
    ("a.tsv", "\n\n", r"a\.tsv: the file is empty$"),
    ("a.csv", "", r"a\.csv: the file is empty$"),
    ("a.jsonl", "\n", r"a\.jsonl: the file is empty$"),
    ("a.tsv", "text\tlabel\n", r"a\.tsv: has a header \(text, label\) but no rows"),
    ("a.csv", "text,label\n\n", r"a\.csv: has a header \(text, label\) but no rows"),
    ("a.tsv", "texts\tlabel\nx\tneg\n", r"no column 'text'; its .*: texts, label\. Did you mean texts"),
    ("a.jsonl", '{"txt": "x", "label": "neg"}\n', r"no column 'text'; its .* are: txt, label\. Did you"),
    ("a.tsv", "text\ttext\nx\tneg\n", r"line 1: two columns are called 'text'"),
    ("a.tsv", "text\tlabel\nx\tpso\n", r"line 2, .*found 'pso'\. Did you mean pos\?"),
    ("a.csv", "text,label\nx,\n", r"line 2, column 'label': expected one of neg, pos; found nothing"),
    ("a.tsv", "text\tlabel\nx\n", r"line 2: expected 2 fields .text, label., found 1 in 'x'"),
    ("a.tsv", "text\tlabel\nx\tneg\ty\n", r"line 2: expected 2 fields .*found 3 in 'x \| neg"),
    ("a.tsv", "text\tlabel\n\nx\tneg\n", r"line 2: expected 2 fields .*found an empty line"),
    ("a.csv", "text,label\nx,neg\ny\n", r"line 3: expected 2 fields \(text, label\), found 1"),
    ("a.csv", 'text,label\nx,neg\n"y,neg\nz,pos\n', r"line 3: a quote is opened and never closed"),
    ("a.csv", 'text,label\n"x" y,neg\n', r"line 2: not CSV .*a quote inside a field is doubled"),
    ("a.csv", "text,label\n ,neg\n", r"line 2, column 'text': expected text, found nothing"),
    ("a.tsv", b"text\tlabel\nx\tneg\ncaf\xe9\tpos\n", r"line 3: not UTF-8 \(byte 0xe9 at position 4\)"),
    ("a.jsonl", GOOD + "[1]\n", r"line 2: expected a JSON object, found '\[1\]'"),
    ("a.jsonl", GOOD + '{"text": \n', r"line 2, position \d+: not JSON"),
    ("a.jsonl", GOOD + '{"text": ' + "9" * 5000 + "}\n", r"line 2: the JSON cannot be read"),
    ("a.jsonl", GOOD + "[" * 100_000 + "\n", r"line 2: the JSON cannot be read"),
    ("a.jsonl", GOOD + '{"text": "y"}\n', r"line 2: no key 'label'; the keys are: text"),
    ("a.jsonl", '{"text": ["x"], "label": "neg"}\n', r"column 'text': expected text, found \['x'\]"),
    ("a.jsonl", '{"text": "x", "label": null}\n', r"line 1, column 'label': expected text, found None"),
    ("a.txt", "text\n", r"expected a name that ends in \.tsv, \.csv or \.jsonl"),
]
# fmt: on


@pytest.mark.parametrize("name, content, message", BAD_FILES)
def test_bad_files_stop_with_one_line(tmp_path, name, content, message):
    path = write(tmp_path / name, content)
    with pytest.raises(UserError, match=message) as e:
        read(path)
    assert str(e.value).startswith(path)  # names the file
    assert "\n" not in str(e.value)


def test_a_packed_file_that_is_cut_short(tmp_path):
    whole = gzip.compress(b"text\tlabel\n" + b"x\tneg\n" * 500)
    with pytest.raises(UserError, match="cannot be read"):
        read(write(tmp_path / "a.tsv.gz", whole[:-12]))


def test_skip_counts_and_lists_and_keeps_the_ids(tmp_path):
    lines = ["text\tlabel", "a\tneg", "b", "c\tno", "\tpos", "e\tpos"] + ["f\tno"] * 4
    bad = BadRows("skip")
    rows = read(write(tmp_path / "a.tsv", "\n".join(lines) + "\n"), bad)
    assert rows.ids == ["train-0", "train-4"] and rows.text == ["a", "e"]
    (note,) = bad.notes()
    assert note.startswith("7 rows skipped: ") and "line 3: expected 2 fields" in note
    assert note.count("line ") == 5 and note.endswith("…")


def test_a_row_that_is_no_csv_is_skipped_as_any_other(tmp_path):
    path = tmp_path / "a.csv"
    write(path, 'text,label\ngood,pos\n"he" said,pos\nbad\rword,neg\ndull,neg\n')
    with pytest.raises(UserError, match=r"a.csv, line 3: not CSV \(.*--quoting=none"):
        read(path)
    bad = BadRows("skip")
    rows = read(path, bad)
    assert (list(rows.text), bad.count) == (["good", "dull"], 2) and "line 3: not CSV" in bad.notes()[-1]
    assert [i.split("-")[-1] for i in rows.ids] == ["0", "3"], "a skipped row keeps its number"
    write(path, '"te" xt,label\ngood,pos\n')
    with pytest.raises(UserError, match="a.csv, line 1: not CSV"):
        read(path, BadRows("skip"))


def test_the_first_json_line_may_be_a_bad_one_too(tmp_path):
    path = tmp_path / "a.jsonl"
    write(path, '{"text": "x"}\n{"text": "good", "label": "pos"}\n{"text": "bad", "label": "neg"}\n')
    settings = tasks.TaskSettings(task="custom", train_file=str(path), dev_file=str(path), on_bad_row="skip")
    data = tasks.load_data(settings)
    assert list(data.train.text) == ["good", "bad"] and any("line 1: no key 'label'" in n for n in data.notes)
    with pytest.raises(UserError, match="no column 'label'"):
        tasks.load_data(replace(settings, on_bad_row="stop"))
    with pytest.raises(UserError, match="no column 'lable'"):
        tasks.load_data(replace(settings, label_column="lable"))


def test_no_hint_is_looked_for_that_is_not_told(tmp_path, monkeypatch):
    """It takes milliseconds: minutes for a file of another task."""
    asked = []
    monkeypatch.setattr("kd_keras.tasks.label_readers.did_you_mean", lambda *names: asked.append(names) or "")
    path = tmp_path / "a.tsv"
    write(path, "text\tlabel\n" + "x\tpoz\n" * 50 + "y\tpos\n")
    bad = BadRows("skip")
    read(path, bad)
    assert bad.count == 50 and len(asked) == 5


def test_skipping_every_row_is_an_error(tmp_path):
    with pytest.raises(UserError, match=r"no row can be used: .*line 2"):
        read(write(tmp_path / "a.tsv", "text\tlabel\na\tno\n"), BadRows("skip"))


def test_on_bad_row_takes_two_words():
    with pytest.raises(UserError, match="--on_bad_row=ignore: expected one of stop, skip"):
        BadRows("ignore")


def test_regression_labels():
    reader = LabelReader("regression", (), None)
    assert reader.read("2.5") == 2.5 and reader.dtype is np.float32
    assert reader.read("nan") is None and reader.read("x") is None


# read_labelled


def test_evaluate_reads_names_indices_and_other_text_columns(tmp_path):
    path = write(tmp_path / "a.tsv", "label\ttext\n1\tgood\nnegative\tbad\n0\t\n")
    rows = tasks.read_labelled(path, SST2)
    assert rows.label.tolist() == [1, 0, 0]
    assert rows.text == ["good", "bad", ""]  # empty text gets an answer
    path = write(tmp_path / "b.jsonl", '{"sentence": "good", "label": 1}\n')
    assert tasks.read_labelled(path, SST2).label.tolist() == [1]


def test_evaluate_reads_official_files_without_a_header(tmp_path):
    path = write(tmp_path / "test.csv", '"3","Title","Text, with ""quotes"""\n"1","","Only text"\n')
    rows = tasks.read_labelled(path, tasks.get("ag_news"))
    assert rows.text == ['Title Text, with "quotes"', "Only text"] and rows.label.tolist() == [2, 0]
    path = write(tmp_path / "own.csv", "text,label\nx,Sports\n")
    assert tasks.read_labelled(path, tasks.get("ag_news")).label.tolist() == [1]
    path = write(tmp_path / "dev.tsv", "gj04\t0\t*\tHe are.\n")
    assert tasks.read_labelled(path, tasks.get("cola")).text == ["He are."]
    path = write(tmp_path / "own.tsv", "sentence\tlabel\nHe is.\tacceptable\n")
    assert tasks.read_labelled(path, tasks.get("cola")).label.tolist() == [1]


def test_evaluate_errors(tmp_path, capsys):
    with pytest.raises(UserError, match=r"--data_file: no such file: .*nothing.tsv"):
        tasks.read_labelled(tmp_path / "nothing.tsv", SST2)
    with pytest.raises(UserError, match=r"--data_file: .* is a folder"):
        tasks.read_labelled(tmp_path, SST2)
    path = write(tmp_path / "a.tsv", "sentence\tlabel\na\t1\nb\t2\n")
    with pytest.raises(UserError, match=r"line 3, .*expected one of 0 to 1, or negative, positive; found '2'"):
        tasks.read_labelled(path, SST2)
    assert len(tasks.read_labelled(path, SST2, on_bad_row="skip")) == 1
    assert "1 row skipped" in capsys.readouterr().err
    with pytest.raises(UserError, match="no column 'label'"):
        tasks.read_labelled(write(tmp_path / "b.tsv", "sentence\tgold\na\t1\n"), SST2)


# read_texts


def test_predict_reads_plain_text_blank_lines_included(tmp_path):
    rows = tasks.read_texts(write(tmp_path / "a.txt", "one\r\n\n two\u2028parts \nlast"))
    assert rows.text == ["one", "", "two\u2028parts", "last"]
    assert rows.label.tolist() == [-1] * 4 and rows.ids[3] == "row-3"


def test_predict_reads_columns(tmp_path):
    path = write(tmp_path / "a.csv", "n,sentence,other\n1,one,x\n2,,y\n")
    assert tasks.read_texts(path).text == ["one", ""]
    assert tasks.read_texts(path, task=tasks.get("imdb")).text == ["one", ""]
    rows = tasks.read_texts(path, "other", "n")
    assert rows.text == ["x", "y"] and rows.text_b == ["1", "2"]
    with pytest.raises(UserError, match=r"no column 'txt'; its columns are: n, sentence, other.*--text_column"):
        tasks.read_texts(path, "txt")
    with pytest.raises(UserError, match="plain text, which has no columns"):
        tasks.read_texts(write(tmp_path / "a.txt", "x\n"), "text")


def test_predict_reads_official_files(tmp_path):
    path = write(tmp_path / "test.csv", '"3","Title","Text"\n')
    assert tasks.read_texts(path, task=tasks.get("ag_news")).text == ["Title Text"]
    path = write(tmp_path / "test.tsv", "index\tsentence\n0\tA test.\n")
    assert tasks.read_texts(path, task=tasks.get("cola")).text == ["A test."]


def test_predict_reads_standard_input(monkeypatch):
    class Stdin:
        buffer = io.BytesIO("één\n\nzwei\n".encode())

    monkeypatch.setattr(sys, "stdin", Stdin)
    assert tasks.read_texts("-").text == ["één", "", "zwei"]
    Stdin.buffer = io.BytesIO(b"fine\n\xff\n")
    with pytest.raises(UserError, match=r"standard input, line 2: not UTF-8 .byte 0xff at position 1"):
        tasks.read_texts("-")


def test_pairs_in_plain_text_have_a_tab_between(tmp_path):
    path = write(tmp_path / "a.txt", "one\ttwo\nthree\t\n")
    rows = tasks.read_texts(path, text_b_column="text_b")
    assert rows.text == ["one", "three"] and rows.text_b == ["two", ""]
    with pytest.raises(UserError, match="line 1: expected two texts with a tab between, found 'one'"):
        tasks.read_texts(write(tmp_path / "b.txt", "one\n"), text_b_column="text_b")


@pytest.mark.parametrize(
    "name, content, columns",
    [
        ("a.txt", "one\r\n\ntwo parts \n", ()),
        ("b.txt", "one\tzwei\n\t\n", (None, "text_b")),
        ("a.csv", "text,text_b\none,zwei\n,\n", (None, "text_b")),
        ("a.jsonl", '{"text": "half a \\ud83d"}\n', ()),
    ],
)
def test_text_on_disk_is_the_same(tmp_path, name, content, columns):
    path = write(tmp_path / name, content)
    rows, kept = tasks.read_texts(path, *columns), tasks.read_texts(path, *columns, on_disk=True)
    assert isinstance(kept.text, StringsOnDisk) and isinstance(kept.ids, StringsOnDisk)
    assert kept.ids == rows.ids and kept.text == rows.text and kept.text_b == rows.text_b and len(rows)
    assert kept.fingerprint() == rows.fingerprint()
    assert kept.text_hashes().tolist() == rows.text_hashes().tolist()
