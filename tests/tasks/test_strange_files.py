"""Files as strangers write them: quotes, labels, headers, encodings, delimiters, line ends, packing, pipes."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import lzma
import os
import threading

import pytest

from kd_keras import tasks
from kd_keras.augment.settings import UnlabeledSettings
from kd_keras.augment.unlabeled import UnlabeledText, documents
from kd_keras.common import reading
from kd_keras.common.errors import UserError
from kd_keras.common.files import require_file, sha256_file, write_json
from kd_keras.common.layout import RunLayout
from kd_keras.runs.finished import FinishedRun
from kd_keras.tasks.custom import keep_pipes
from kd_keras.tasks.dialect import quoted
from kd_keras.tasks.file_settings import AS_NAMED, FileSettings
from kd_keras.tasks.label_names import doubtful, parse_labels
from kd_keras.tasks.readers import LabelReader, Reading, read_table
from kd_keras.tasks.tables import BadRows
from kd_keras.tasks.tagging_sources import tagging

COLUMNS = tasks.Columns()


def write(path, content, encoding="utf-8"):
    path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
    return str(path)


def read(path, labels=("neg", "pos"), bad=None, columns=COLUMNS, **how):
    reader = LabelReader("single", labels, None)
    return read_table(path, columns, reader, bad or BadRows(), "row", Reading(flags=True, files=FileSettings(**how)))


def load(path, **values):
    files = {"train_file": str(path), "dev_file": str(path)}
    return tasks.load_data(tasks.TaskSettings(task="custom", **files, **values))


# quotes in TSV

MANY = "".join(f"plain {i}\tpos\n" for i in range(30))


@pytest.mark.parametrize("style", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])
def test_a_tsv_that_a_csv_writer_wrote_gives_its_cells_back(tmp_path, style):
    cells = [('a "great" film', "pos"), ("two\nlines", "neg"), ("a\ttab", "pos"), ("plain", "neg"), ('"', "pos")]
    out = io.StringIO()
    csv.writer(out, delimiter="\t", quoting=style, lineterminator="\n").writerows([("text", "label"), *cells])
    bad = BadRows()
    rows = read(write(tmp_path / "a.tsv", out.getvalue()), bad=bad)
    assert rows.text == [text for text, _ in cells] and rows.label.tolist() == [1, 0, 1, 0, 1]
    (note,) = bad.notes()
    assert "quotes enclose fields" in note and "--quoting=none" in note


@pytest.mark.parametrize(
    "row, text",
    [
        ('"a ""great"" film"\t"pos"', 'a "great" film'),
        ('"good, but long"\tpos', "good, but long"),  # as Excel writes it
        ('"Hello," she said\tpos', '"Hello," she said'),
        ('she said "hello"\tpos', 'she said "hello"'),
        ('"Good"\tpos', '"Good"'),  # no program encloses some of those that need it not
        ('5" disk\tpos', '5" disk'),
        ('"one that is never closed\tpos', '"one that is never closed'),
    ],
)
def test_quotes_are_told_by_the_file(tmp_path, row, text):
    bad = BadRows()
    rows = read(write(tmp_path / "a.tsv", f"text\tlabel\n{MANY}{row}\n{MANY}"), bad=bad)
    assert rows.text[30] == text and len(rows) == 61
    assert len(bad.notes()) == 1


def test_two_bare_quotes_that_would_swallow_the_lines_between(tmp_path):
    path = write(tmp_path / "a.tsv", 'text\tlabel\n"open\tpos\nx\tneg\nclosed"\tpos\n')
    assert read(path).text == ['"open', "x", 'closed"']
    path = write(tmp_path / "b.tsv", 'text\tlabel\n"open\tpos\nx"\tneg\n')
    assert read(path).text == ['"open', 'x"']


def test_quoting_can_be_forced_and_a_file_without_quotes_says_nothing(tmp_path):
    path = write(tmp_path / "a.tsv", 'text\tlabel\n"a"\tpos\nb\tneg\n"c"\tneg\n')
    assert read(path, quoting="minimal").text == ["a", "b", "c"]
    assert read(path, quoting="none").text == ['"a"', "b", '"c"']
    path = write(tmp_path / "a.csv", 'text,label\n"Hello" she said,pos\n')
    with pytest.raises(UserError, match=r"line 2: not CSV .*--quoting=none reads quotes as text"):
        read(path)
    assert read(path, quoting="none").text == ['"Hello" she said']
    bad = BadRows()
    read(write(tmp_path / "b.tsv", "text\tlabel\na\tpos\n"), bad=bad)
    assert bad.notes() == []


def test_official_quotes_are_text_whatever_they_look_like(tmp_path):
    for name in ("train", "dev"):
        write(tmp_path / f"{name}.tsv", 'sentence\tlabel\n"a ""b"" c"\t1\n"d"\t0\n')
    data = tasks.load(tasks.get("sst2"), str(tmp_path))
    assert data.train.text == ['"a ""b"" c"', '"d"']


def test_the_choice_is_in_the_notes_of_the_data_and_of_predict(tmp_path, capsys):
    path = write(tmp_path / "a.tsv", "text\tlabel\n" + '"a ""b"" c"\tpos\nx\tneg\n' * 10)
    assert any("quotes enclose fields" in note for note in load(path).notes)
    assert tasks.read_texts(path).text[0] == 'a "b" c'
    assert "quotes enclose fields" in capsys.readouterr().err


def test_a_long_file_of_one_open_quote_is_no_burden(tmp_path):
    path = write(tmp_path / "a.tsv", 'text\tlabel\n"open\tpos\n' + "x\tneg\n" * 20_000)
    assert quoted(path, FileSettings(), "tsv")[0] is False


# labels


@pytest.mark.parametrize("end", ["\n", "\r\n", "\v", "\f", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"])
def test_a_label_with_a_line_end_inside_is_a_bad_row(tmp_path, end):
    path = write(tmp_path / "a.csv", f'text,label\nx,neg\ny,"so{end}so"\nz,pos\n')
    with pytest.raises(UserError, match=r"a\.csv, line 3, column 'label': the label 'so.*' has a line break") as e:
        load(path)
    assert len(str(e.value).splitlines()) == 1
    assert load(path, on_bad_row="skip").task.labels == ("neg", "pos")
    with pytest.raises(UserError, match=r"--labels: .* has a line break"):
        load(path, labels=f"a{end}b,c")


def test_labels_of_other_sources_are_looked_at_too(tmp_path):
    with pytest.raises(ValueError, match="has a line break"):
        tasks.Task("mine", "single", ("a\nb", "c"))
    made = tasks.Task("mine", "single", ("a", "c")).to_json() | {"labels": ["a\u2028b", "c"]}
    with pytest.raises(UserError, match=r"task\.json .*has a line break"):
        tasks.Task.from_json(made)
    path = write(tmp_path / "a.csv", "text,label\nx,a\ny,b\n")
    with pytest.raises(UserError, match="not UTF-8"):
        load(path, labels="a,\udce9")  # as Python reads a Latin-1 byte among the arguments
    path = write(tmp_path / "a.jsonl", '{"text": "x", "label": "a\\u0000b"}\n')
    with pytest.raises(UserError, match=r"line 1, column 'label': the label .* has a line break"):
        load(path)


def read_as(name):
    return name


def test_labels_that_look_like_slips_are_said_with_counts():
    notes = doubtful({"pos": 3, "Pos": 2, " pos": 1, "1": 4, "1.0": 5, "nan": 1, "None": 2, "neg": 9}, read_as)
    assert notes[0].startswith("1 row with spaces around the label") and "' pos' (1)" in notes[0]
    assert "'pos' (4), 'Pos' (2) are alike, and are read as 2 labels" in notes[1]
    assert "'1.0' (5), '1' (4) are alike" in notes[2]
    assert "'None' (2), 'nan' (1) look like missing values" in notes[3] and len(notes) == 4
    assert doubtful({"pos": 3, "neg": 2, "1": 1, "2": 1, "-1": 1, "C": 1, "C++": 1}, read_as) == []


@pytest.mark.parametrize(
    "one, other",
    [
        ("caf\u00e9", "cafe\u0301"),  # composed or not
        ("spam", "sp\u200bam"),  # a space without width
        ("very good", "very\u00a0good"),
        ("not_ok", "not ok"),
        ("stra\u00dfe", "STRASSE"),
        ("\uff50os", "pos"),  # full width
        ("10", "1e1"),
    ],
)
def test_other_twins_are_said(one, other):
    (note,) = doubtful({one: 2, other: 1}, read_as)
    assert "are alike" in note


def test_such_labels_are_learned_as_they_are(tmp_path):
    rows = "".join(f"text {i},{name}\n" for i in range(6) for name in ("pos", "Pos", "nan"))
    data = load(write(tmp_path / "a.csv", "text,label\n" + rows))
    assert data.task.labels == ("Pos", "nan", "pos")
    assert sum("'Pos' (6)" in note for note in data.notes) == 1


# headers


def test_columns_that_nobody_asks_for_may_repeat_or_have_no_name(tmp_path):
    path = write(tmp_path / "spam.csv", 'v1,v2,,,\nham,"Caf\xe9, then",,,\nspam,WIN,,,\n', "latin-1")
    columns = tasks.Columns(("v2",), None, "v1")
    with pytest.raises(UserError, match=r"line 2: not UTF-8 .*look like cp1252.*Café.*--encoding=cp1252"):
        read(path, ("ham", "spam"), columns=columns)
    assert read(path, ("ham", "spam"), columns=columns, encoding="cp1252").text == ["Café, then", "WIN"]
    for content in ("text,label,text\na,pos,b\nc,neg,d\n", "label,text,label\npos,a,neg\n"):
        with pytest.raises(UserError, match=r"line 1: two columns are called '(text|label)'; .*--(text|label)_column"):
            read(write(tmp_path / "a.csv", content))
        rows = write(tmp_path / "b.csv", content)
        with pytest.raises(UserError, match="two columns are called"):
            load(rows)


def test_a_repeated_column_of_unlabeled_text_and_a_repeated_json_key(tmp_path):
    path = write(tmp_path / "a.csv", "text,x,x\na,1,2\n")
    assert unlabeled(path) == ["a"]
    with pytest.raises(UserError, match="two columns are called 'x'"):
        unlabeled(path, unlabeled_column="x")
    path = write(tmp_path / "a.jsonl", '{"text": "a", "text": "b", "label": "pos", "x": 1, "x": 2}\n')
    with pytest.raises(UserError, match="line 1: the key 'text' occurs twice"):
        read(path)
    path = write(tmp_path / "b.jsonl", '{"text": "a", "label": "pos", "x": 1, "x": 2}\n')
    assert read(path).text == ["a"]


def unlabeled(path, how=AS_NAMED, **values):
    settings = UnlabeledSettings(unlabeled_files=str(path), unlabeled="none", **values)
    text = UnlabeledText(tasks.Task("custom", "single", ("a", "b")), settings, how=how)
    return list(documents(text, BadRows())[1])


# encodings

TABLE = "text,label\nna\u00efve \u0434\u0430,pos\nx,neg\n"


@pytest.mark.parametrize("mark, codec", [
    (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"), (b"\xff\xfe\0\0", "utf-32-le"),
    (b"\0\0\xfe\xff", "utf-32-be"), (b"\xef\xbb\xbf", "utf-8"),
])  # fmt: skip
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_byte_order_mark_is_read(tmp_path, mark, codec, end):
    raw = mark + TABLE.replace("\n", end).encode(codec)
    path = write(tmp_path / "a.csv", raw)
    assert read(path).text == ["na\u00efve \u0434\u0430", "x"]
    assert read(path, encoding="cp1252").text == ["na\u00efve \u0434\u0430", "x"]  # a mark says more
    assert tasks.read_texts(write(tmp_path / "a.txt", raw)).text == TABLE.splitlines()
    assert unlabeled(write(tmp_path / "b.txt", raw)) == TABLE.splitlines()


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be", "utf-32-le"])
def test_wide_text_without_a_mark_is_named(tmp_path, codec):
    path = write(tmp_path / "a.csv", TABLE.encode(codec))
    with pytest.raises(UserError, match=f"line 1: holds a zero byte.*--encoding={codec}"):
        read(path)
    assert read(path, encoding=codec).text[1] == "x"
    assert read(path, encoding=codec[:6]).text[1] == "x"  # utf-16 alone, by where the zeros are


@pytest.mark.parametrize(
    "codec, text",
    [
        ("cp1252", "the caf\xe9 \u2013 don\u2019t miss it"),
        (
            "cp1251",
            "\u042d\u0442\u043e\u0442 \u0444\u0438\u043b\u044c\u043c \u0431\u044b\u043b \u043e\u0447\u0435\u043d\u044c \u0445\u043e\u0440\u043e\u0448",
        ),
        (
            "gb18030",
            "\u8fd9\u90e8\u7535\u5f71\u975e\u5e38\u597d\u770b\uff0c\u6211\u4e0d\u559c\u6b22\u8fd9\u4e2a\u6545\u4e8b",
        ),
        ("shift_jis", "\u3053\u306e\u6620\u753b\u306f\u3068\u3066\u3082\u826f\u304b\u3063\u305f\u3067\u3059"),
    ],
)
def test_an_encoding_that_is_not_utf_8_is_suggested_and_never_guessed(tmp_path, codec, text):
    path = write(tmp_path / "a.tsv", f"text\tlabel\n{text}\tpos\n", codec)
    with pytest.raises(UserError, match=f"line 2: not UTF-8 .*--encoding={codec}"):
        read(path)
    assert read(path, encoding=codec).text == [text]


def test_a_damaged_line_of_utf_8_is_no_other_encoding(tmp_path):
    path = write(tmp_path / "a.tsv", b"text\tlabel\n" + "\u0434\u0430\tpos\n".encode() * 50 + b"\xd0\tneg\n")
    with pytest.raises(UserError, match=r"line 52: not UTF-8 \(byte 0xd0 at position 1\); is the file damaged"):
        read(path)


def test_wrong_bytes_of_a_named_encoding(tmp_path):
    with pytest.raises(UserError, match=r"line 2: not GB18030 \(byte 0x"):
        read(write(tmp_path / "a.csv", b"text,label\n\xff\xff,pos\n"), encoding="gb18030")
    raw = "text,label\n".encode("utf-16-le") + b"\x00\xd8x\0,\0p\0"
    with pytest.raises(UserError, match=r"line \d or after it: not UTF-16-LE"):
        read(write(tmp_path / "b.csv", raw), encoding="utf-16-le")
    for name in ("utf-9", "rot13", "hex", "idna", "undefined", ""):
        with pytest.raises(UserError, match=f"--encoding={name}: expected auto or an encoding"):
            FileSettings(encoding=name)


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.csv.bz2", "a.csv.xz"])
def test_packing_is_told_by_the_first_bytes(tmp_path, pack, name):
    assert read(write(tmp_path / name, pack(TABLE.encode()))).label.tolist() == [1, 0]
    assert read(write(tmp_path / name, TABLE)).label.tolist() == [1, 0]


@pytest.mark.parametrize(
    "head, said",
    [(b"PK\x03\x04", "zip archive"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"PAR1", "Parquet"), (b"%PDF-1", "PDF")],
)
def test_other_packing_is_named(tmp_path, head, said):
    for name in ("a.csv", "a.jsonl"):
        with pytest.raises(UserError, match=said):
            read(write(tmp_path / name, head + b"\x14\0\0\0"))


def test_packed_files_that_are_cut_short(tmp_path):
    for pack in (gzip.compress, bz2.compress, lzma.compress):
        with pytest.raises(UserError, match="cannot be read"):
            read(write(tmp_path / "a.csv", pack(os.urandom(3000))[:-30]))


# delimiters and line ends


@pytest.mark.parametrize(
    "name, delimiter, flag",
    [("a.csv", ";", "';'"), ("a.csv", "\t", "tab"), ("a.csv", "|", "'\\|'"), ("a.tsv", ",", ",")],
)
def test_another_delimiter_is_named_and_taken(tmp_path, name, delimiter, flag):
    path = write(tmp_path / name, f"text{delimiter}label\na{delimiter}pos\nb{delimiter}neg\n")
    for reads in (read, load):
        with pytest.raises(UserError, match=f"no column '(text|label)'.*add --delimiter={flag}\\."):
            reads(path)
    assert read(path, delimiter=delimiter).text == ["a", "b"]
    with pytest.raises(UserError, match=f"add --delimiter={flag}"):
        tasks.read_texts(path, "text")


def test_names_of_delimiters(tmp_path):
    path = write(tmp_path / "a.csv", 'text\tlabel\n"a\tb"\tpos\n')
    for name in ("tab", "\\t", "\t"):
        assert read(path, delimiter=name).text == ["a\tb"]
    assert FileSettings(delimiter="\t").delimiter == "tab", "flags.txt is read line by line, without space around it"
    for name in (";;", '"', "\n", ""):
        with pytest.raises(UserError, match="--delimiter=.*: expected one character"):
            FileSettings(delimiter=name)


def test_line_ends_of_old_macs(tmp_path):
    table = 'text,label\ra,pos\r"two\nlines",neg\r'
    assert read(write(tmp_path / "a.csv", table)).text == ["a", "two\nlines"]
    assert read(write(tmp_path / "a.tsv", "text\tlabel\ra\tpos\rb\tneg")).text == ["a", "b"]
    path = write(tmp_path / "a.jsonl", '{"text": "a", "label": "pos"}\r{"text": "b", "label": "neg"}\r')
    assert read(path).text == ["a", "b"]
    assert tasks.read_texts(write(tmp_path / "a.txt", "one\rtwo\r")).text == ["one", "two"]
    # A lone one among others is a character of the line.
    assert tasks.read_texts(write(tmp_path / "b.txt", "10%\r20%\ntwo\n")).text == ["10%\r20%", "two"]


def test_names_of_columns_in_an_error_are_one_line(tmp_path):
    with pytest.raises(UserError) as e:
        read(write(tmp_path / "a.csv", 'text,"la\nbel"\na,pos\n'))
    assert "\n" not in str(e.value)


# JSONL


def test_json_labels_that_are_true_or_false(tmp_path):
    lines = '{"text": "a", "label": true}\n{"text": "b", "label": false}\n' * 10
    data = load(write(tmp_path / "a.jsonl", lines))
    assert data.task.labels == ("false", "true") and set(data.train.label) == {0, 1}


@pytest.mark.parametrize("value", ["null", "NaN", "Infinity", "[1]", '{"a": 1}', "1e999"])
@pytest.mark.parametrize("column", ["text", "label"])
def test_json_values_that_are_neither_text_nor_numbers(tmp_path, value, column):
    row = {"text": '"a"', "label": '"pos"'} | {column: value}
    path = write(tmp_path / "a.jsonl", f'{{"text": {row["text"]}, "label": {row["label"]}}}\n')
    with pytest.raises(UserError, match=f"line 1, column '{column}': expected text, found"):
        read(path)


def test_labels_by_hand_may_have_commas(tmp_path):
    assert parse_labels('"a, b", c ,"say ""x"""') == ["a, b", "c", 'say "x"']
    assert parse_labels("pos, neg") == ["pos", "neg"] and parse_labels('5" disk,b') == ['5" disk', "b"]
    with pytest.raises(UserError, match="--labels=.*a quote is never closed"):
        parse_labels('"a, b,c')
    path = write(tmp_path / "a.csv", 'text,label\nx,"a, b"\ny,c\n')
    assert load(path, labels='"a, b",c').task.labels == ("a, b", "c")


def test_a_score_that_float32_cannot_hold_is_a_bad_row(tmp_path):
    path = write(tmp_path / "a.csv", "text,label\nx,1e39\ny,2\n")
    with pytest.raises(UserError, match="line 2, column 'label': expected a number"):
        load(path, regression=True)


# pipes


@pytest.fixture
def pipe(tmp_path):
    """(content, name=None) → a named pipe that gives it once, or without a name its place in /dev/fd."""
    threads, ends = [], []

    def make(content, name=None):
        raw = content.encode() if isinstance(content, str) else content
        if name is None:
            end, write_end = os.pipe()
            ends.append(end)
            path = f"/dev/fd/{end}"
            target = lambda: os.fdopen(write_end, "wb").write(raw)  # noqa: E731
        else:
            path = str(tmp_path / name)
            os.mkfifo(path)
            target = lambda: (tmp_path / name).open("wb").write(raw)  # noqa: E731
        threads.append(threading.Thread(target=target, daemon=True))
        threads[-1].start()
        return path

    yield make
    for thread in threads:
        thread.join(5)
    for end in ends:
        os.close(end)


ROWS = "".join(f"{word} {i},{label}\n" for i in range(10) for word, label in (("good", "pos"), ("bad", "neg")))


@pytest.mark.parametrize("content", [
    "text,label\n" + ROWS, "text\tlabel\n" + ROWS.replace(",", "\t"), gzip.compress(("text,label\n" + ROWS).encode(), mtime=0),
    "".join(f'{{"text": "t {i}", "label": "{"pn"[i % 2]}"}}\n' for i in range(20)),
], ids=["csv", "tsv", "gzip", "jsonl"])  # fmt: skip
@pytest.mark.parametrize("name", [None, "rows"])
def test_a_train_file_may_be_a_pipe(pipe, content, name):
    path = pipe(content, name)
    data = load(path)
    assert len(data.train) == len(data.dev) == 20 and len(data.task.labels) == 2
    assert load(path).fingerprint == data.fingerprint and len(sha256_file(path)) == 64


def test_a_run_keeps_what_its_pipes_gave(pipe, tmp_path):
    path = pipe("text;label\n" + ROWS.replace(",", ";"))
    settings = tasks.TaskSettings(task="custom", train_file=path, delimiter=";")
    data = tasks.load_data(settings)
    run = FinishedRun(RunLayout(tmp_path / "run"), data.task)
    keep_pipes(data.task, run.layout.piped)
    assert [p.name for p in run.layout.piped.iterdir()] == ["train.csv"]
    write_json(run.layout.run, {"data": data.fingerprint})
    run.layout.flags.write_text("--task=custom\n--train_file=/dev/fd/999\n--delimiter=;\n")
    assert run.data().fingerprint == data.fingerprint
    keep_pipes(tasks.custom(str(run.layout.piped / "train.csv"), files=FileSettings(delimiter=";")), tmp_path / "no")
    assert not (tmp_path / "no").exists()  # a file stays where it is


@pytest.mark.parametrize(
    ("content", "given", "taken"),
    [
        ("naïve".encode("cp1252"), "auto", "cp1252"),
        (b"plain", "auto", "cp1252"),
        ("naïve".encode(), "auto", "auto"),
        (b"plain " * 300_000 + "naïve".encode(), "auto", "auto"),
        ("naïve".encode("utf-16"), "auto", "auto"),
        (gzip.compress("naïve".encode(), mtime=0), "auto", "auto"),
        (gzip.compress("naïve".encode("cp1252"), mtime=0), "auto", "cp1252"),
        ("naïve".encode("latin-1"), "latin-1", "latin-1"),
    ],
)
def test_a_file_is_read_in_the_encoding_of_its_run(tmp_path, capsys, content, given, taken):
    run = FinishedRun(RunLayout(tmp_path), tasks.Task("toy", "single", ("neg", "pos")))
    run.layout.flags.write_text("--encoding=cp1252\n--seeds=2\n")
    (tmp_path / "new.csv").write_bytes(content)
    how = FileSettings(encoding=given, delimiter="tab")
    found = run.files_like(str(tmp_path / "new.csv"), how)
    assert (found.encoding, found.delimiter) == (taken, "tab")
    said = capsys.readouterr().err
    assert ("new.csv: read as cp1252, as the run's own files were" in said) == (taken == "cp1252")
    assert run.files_like(str(tmp_path / "nowhere.csv"), how).encoding in ("cp1252", given), "its reader says so"
    run.layout.flags.unlink()
    assert (
        FinishedRun(RunLayout(tmp_path), tasks.Task("toy", "single", ("neg", "pos"))).files_like(
            str(tmp_path / "new.csv"), how
        )
        is how
    )


def test_a_taggings_columns_are_those_of_its_run(tmp_path, capsys):
    run = FinishedRun(RunLayout(tmp_path), tagging("toy", ["LOC"], (), "made up"))
    run.layout.flags.write_text("--word_column=2\n--tag_column=3\n")
    lines = {"four.tsv": "7\tRome\tB-LOC\tO\n\n", "two.conll": "Rome B-LOC\n\n", "text.txt": "in Rome now\n"}
    for name, content in lines.items():
        (tmp_path / name).write_text(content)
    took = {name: run.files_like(str(tmp_path / name), FileSettings(), gold=name == "four.tsv") for name in lines}
    assert [(how.word_column, how.tag_column) for how in took.values()] == [(2, 3), (None, None), (None, None)]
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "four.tsv: read with the run's own --word_column=2 --tag_column=3" in said
    given = FileSettings(tag_column=4)
    assert run.files_like(str(tmp_path / "four.tsv"), given, gold=True) is given


@pytest.mark.parametrize(
    "content, columns, text",
    [
        ("one, two\nthree\n", {}, ["one, two", "three"]),
        ("text,n\none,1\n", {}, ["one"]),
        ('{"sentence": "one"}\n', {}, ["one"]),
        ("body\tn\none\t1\n", {"text_column": "body"}, ["one"]),
        ("body;n\none;1\n", {"text_column": "body", "files": FileSettings(delimiter=";", format="csv")}, ["one"]),
        ("text,n\none,1\n", {"files": FileSettings(format="text")}, ["text,n", "one,1"]),
        ("one\ttwo\n", {"text_b_column": "b"}, ["one"]),
        ('text\n"one"\n"two,\nand more"\n', {}, ["one", "two,\nand more"]),
        ('"text"\none\n', {}, ["one"]),
        ("text\none\n", {"files": FileSettings(format="text")}, ["text", "one"]),
    ],
)
def test_input_may_be_a_pipe_told_by_its_first_line(pipe, monkeypatch, content, columns, text):
    assert tasks.read_texts(pipe(content), **columns).text == text

    class Stdin:
        buffer = io.BytesIO(content.encode())

    monkeypatch.setattr("sys.stdin", Stdin)
    assert tasks.read_texts("-", **columns).text == text


def test_other_flags_take_pipes(pipe, tmp_path):
    sst2 = tasks.get("sst2")
    assert tasks.read_labelled(pipe("sentence\tlabel\ngood\t1\n"), sst2).label.tolist() == [1]
    assert unlabeled(pipe("one line\ntwo\n")) == ["one line", "two"]
    assert unlabeled(pipe("n,text\n1,one\n")) == ["one"]


def test_an_empty_pipe_and_a_device(pipe, tmp_path):
    with pytest.raises(UserError, match="the file is empty"):
        load(pipe(""))
    with pytest.raises(UserError, match="the file is empty"):
        load(os.devnull)
    node = tmp_path / "zero"
    try:
        os.mknod(node, 0o600 | 0o020000, os.makedev(1, 5))
    except OSError:
        pytest.skip("needs the right to make a device")
    with pytest.raises(UserError, match="--train_file: .*zero is a device"):
        require_file(node, "--train_file")
    assert not reading.is_stream(node)


# format by hand


def test_a_format_by_hand_is_for_names_that_say_nothing(tmp_path):
    path = write(tmp_path / "a.dat", "text;label\na;pos\n")
    with pytest.raises(UserError, match="or --format=csv"):
        read(path)
    assert read(path, format="csv", delimiter=";").text == ["a"]
    path = write(tmp_path / "a.json", '{"text": "a", "label": "pos"}\n')
    with pytest.raises(UserError, match=r"\.json cannot be read.*--format=jsonl"):
        read(path)
    assert read(path, format="jsonl").text == ["a"]
    path = write(tmp_path / "a.txt", "text\tlabel\na\tpos\n")
    assert tasks.read_texts(path, files=FileSettings(format="tsv")).text == ["a"]
    assert unlabeled(path, FileSettings(format="tsv")) == ["a"]
