"""Columns of words and tags: everything such files differ in, and every fault with its line."""

from __future__ import annotations

import gzip

import pytest

from kd_keras.common.errors import UserError
from kd_keras.common.ragged import Ragged
from kd_keras.tasks import Rows, Task, read_labelled, read_texts, words_of, write_conll
from kd_keras.tasks.columns import Columns
from kd_keras.tasks.conll import conll_lines
from kd_keras.tasks.file_settings import FileSettings
from kd_keras.tasks.readers import read_untagged
from kd_keras.tasks.records import iob2
from kd_keras.tasks.tables import BadRows
from kd_keras.tasks.tagged import TaggedFile, read_tagged
from kd_keras.tasks.tagging_forms import form_of
from kd_keras.tasks.untagged import read_words

TYPES = ("LOC", "PER")
TASK = Task("toy", "tagging", iob2(TYPES), "entity_f1", ("entity_f1",))


def write(path, content, encoding="utf-8"):
    path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
    return str(path)


def read(path, bad=None, **how):
    return read_tagged(path, TaggedFile(types=TYPES, files=FileSettings(**how)), bad or BadRows(), "train")


def seen(rows):
    """Words and tags of each row."""
    names = iob2(TYPES)
    return [(words_of(t), [names[n] for n in rows.label[i]]) for i, t in enumerate(rows.text)]


TWO = [(["Ann", "Lee", "left"], ["B-PER", "I-PER", "O"]), (["Rome", "."], ["B-LOC", "O"])]
PLAIN = "Ann\tB-PER\nLee\tI-PER\nleft\tO\n\nRome\tB-LOC\n.\tO\n"
ALIKE = {
    "tabs": PLAIN,
    "no last line end": PLAIN.rstrip("\n"),
    "a blank line at the end": PLAIN + "\n\n",
    "several blank lines, some of white space": "\n \n" + PLAIN.replace("\n\n", "\n\n \t\n\u3000\n"),
    "windows": PLAIN.replace("\n", "\r\n"),
    "old mac": PLAIN.replace("\n", "\r"),
    "bom": "\ufeff" + PLAIN,
    "spaces": PLAIN.replace("\t", "   "),
    "four columns": PLAIN.replace("\t", " NNP I-NP "),
    "documents": "-DOCSTART- -X- -X- O\n\n" + PLAIN.replace("\t", " NN O ").replace("\n\n", "\n-DOCSTART- -X- -X- O\n"),
    "comments": "# id = 7\n# text = Ann Lee left\n" + PLAIN.replace("\n\n", "\n\n# newpar\n#\n"),
}


@pytest.mark.parametrize("name", ALIKE)
def test_files_that_read_alike(tmp_path, name):
    found = read(write(tmp_path / "a.txt", ALIKE[name]))
    assert seen(found.rows) == TWO and found.rows.ids == ["train-0", "train-1"]
    assert found.scheme == "IOB2" and found.rows.label.dtype == "int32" and found.rows.group is None


def test_packed_and_in_other_encodings(tmp_path):
    assert seen(read(write(tmp_path / "a.conll.gz", gzip.compress(PLAIN.encode()))).rows) == TWO
    assert seen(read(write(tmp_path / "b.txt", PLAIN, "utf-16")).rows) == TWO
    path = write(tmp_path / "c.txt", "Köln\tB-LOC\n", "cp1252")
    assert seen(read(path, encoding="cp1252").rows) == [(["Köln"], ["B-LOC"])]
    with pytest.raises(UserError, match="line 1.*--encoding"):
        read(path)


def test_columns_are_chosen_by_number(tmp_path):
    path = write(tmp_path / "a.txt", "1 Rome X B-LOC _\n2 is X O _\n")
    assert seen(read(path, word_column=2, tag_column=4).rows) == [(["Rome", "is"], ["B-LOC", "O"])]
    with pytest.raises(UserError, match=r"line 1: expected O, or a tag such as .*found '_'"):
        read(path, word_column=2)
    with pytest.raises(UserError, match=r"--tag_column=6, but its lines have 5 columns; expected 1 to 5"):
        read(path, tag_column=6)
    with pytest.raises(UserError, match="--word_column=0: expected at least 1"):
        FileSettings(word_column=0)


@pytest.mark.parametrize("separator", ["\t", " "])
def test_a_word_that_is_a_number_sign_is_no_comment(tmp_path, separator):
    text = "# a comment\n#_O\n#_B-LOC\n1_I-LOC\n\n# another\n#tag_O\n".replace("_", separator)
    assert seen(read(write(tmp_path / "a.txt", text)).rows) == [
        (["#", "#", "1"], ["O", "B-LOC", "I-LOC"]),
        (["#tag"], ["O"]),
    ]
    bad = BadRows("skip")
    lacks = write(tmp_path / "b.txt", f"Rome{separator}O\n\n#tag\nRome{separator}O\n")
    assert len(read(lacks, bad).rows) == 1 and "line 3: expected 2 columns" in bad.first[0]


def test_unusual_white_space_is_kept(tmp_path):
    words = ["a\u00a0b", "\u200b", "\u200f", "c\u3000d", "\u00a0", "e\u2028f", "\x85"]
    rows = read(write(tmp_path / "a.tsv", "".join(f"{w}\tO\n" for w in words))).rows
    assert words_of(rows.text[0]) == words and rows.label.lengths.tolist() == [7]


def test_words_that_look_like_marks_are_words_and_types_are_told_by_their_whole_name(tmp_path):
    """Fault 3 of the paper's code: any tag with an X in it was a later piece's, "[CLS]" was skipped, ":" cut words."""
    words = ["X", "[CLS]", "[SEP]", "a:b", ":", "B-LOC", "[PAD]", "O"]
    tags = ["B-TAXON", "I-TAXON", "O", "B-X", "I-X", "B-X:y", "O", "B-TAX"]
    path = write(tmp_path / "a.tsv", "".join(f"{w}\t{t}\n" for w, t in zip(words, tags, strict=True)))
    found = read_tagged(path, TaggedFile(), BadRows(), "train")
    assert words_of(found.rows.text[0]) == words and tuple(found.types) == ("TAX", "TAXON", "X", "X:y")
    names = iob2(found.types)
    assert [names[t] for t in found.rows.label[0]] == tags


def test_words_with_spaces_or_nothing_are_kept_in_one_piece_and_counted(tmp_path):
    found = read(write(tmp_path / "a.tsv", "New York\tB-LOC\n\tO\nx\tO\n"))
    assert words_of(found.rows.text[0]) == ["New\u00a0York", "\u00a0", "x"]
    assert found.notes() == [
        "tags are IOB2",
        "2 words with white space inside, or empty: no-break spaces (U+00A0) replace it",
    ]


def test_words_that_all_begin_with_the_language(tmp_path):
    rows = read(write(tmp_path / "a.txt", "en:Rome\tB-LOC\nen::\tO\n\nen:\tO\n")).rows
    assert rows.text == ["Rome :", "\u00a0"] and rows.group == ["en", "en"]
    rows = read(write(tmp_path / "b.txt", "en:Rome\tB-LOC\nx\tO\n")).rows
    assert rows.text == ["en:Rome x"] and rows.group is None


def test_a_word_that_has_no_language_is_named(tmp_path):
    words = "".join(f"{code}:w{n}\tO\n\n" for code in ("en", "zh-min-nan") for n in range(100))
    bad = BadRows("skip")
    path = write(tmp_path / "a.txt", words + "en:Rome\tB-LOC\nis\tO\n\nen:a\tO\n")
    found = read(path, bad)
    assert len(found.rows) == 201 and found.rows.text[-1] == "a" and found.rows.group[99:101] == ["en", "zh-min-nan"]
    (said,) = bad.first
    assert "line 402: expected a word that begins with its language, such as en:" in said and "found 'is'" in said
    assert found.notes() == ["no entity", "words begin with their language, which is removed (en, zh-min-nan)"]
    bad = BadRows("skip")
    untagged = read_words(path, TaggedFile(), bad)
    assert untagged.rows.text == found.rows.text and bad.count == 1 and untagged.notes == found.notes()[-1:]


def test_lines_of_another_separator_are_named(tmp_path):
    odd = write(tmp_path / "a.txt", "a O\n" * 9 + "Rome\tB-LOC\n")
    with pytest.raises(
        UserError, match=r"line 10: expected 2 columns with a space between, .*; found 1 in 'Rome\\tB-LOC'"
    ):
        read(odd)
    with pytest.raises(UserError, match="line 10: expected 2 columns with a tab between, .*; found 1 in 'Rome B-LOC'"):
        read(write(tmp_path / "b.txt", "a\tO\n" * 9 + "Rome B-LOC\n"))
    parts = write(tmp_path / "c.txt", "-DOCSTART-|O\na|O\n-DOCSTART-\tO\nb|O\n")
    assert read(parts, delimiter="pipe").rows.text == ["a", "b"]


def test_one_tag_of_another_scheme_is_its_lines_fault(tmp_path):
    good, bad = "a\tB-LOC\nb\tI-LOC\nc\tO\n\n" * 1000, BadRows("skip")
    path = write(tmp_path / "a.txt", good + "d\tS-LOC\n\n" + good)
    assert len(read(path, bad).rows) == 2000 and bad.count == 1
    assert "line 4001: S-LOC at the start is impossible in IOB2" in bad.first[0]
    strays = read_tagged(path, TaggedFile(types=TYPES, begin_strays=True), BadRows("skip"), "train")
    assert len(strays.rows) == 2000 and strays.strays == 0, "a stray goes on, and S- does not"


UNIVERSAL = """# sent_id = 1
# text = Vámonos al mar.
1-2\tVámonos\t_\t_\t_\t_\t_\t_\t_\t_
1\tVamos\tir\tVERB\t_\t_\t0\troot\t_\tO
2\tnos\tnosotros\tPRON\t_\t_\t1\tobj\t_\tO
2.1\tnada\t_\t_\t_\t_\t_\t_\t_\t_
3\tmar\tmar\tNOUN\t_\t_\t1\tobl\t_\tB-LOC
"""


def test_conllu(tmp_path):
    path = write(tmp_path / "a.conllu", UNIVERSAL)
    assert read_texts(path, task=TASK).text == ["Vamos nos mar"]
    assert seen(read(path).rows) == [(["Vamos", "nos", "mar"], ["O", "O", "B-LOC"])]
    with pytest.raises(UserError, match="line 4: expected O, or a tag such as .*found '0'"):
        read(path, tag_column=7)
    assert read_texts(write(tmp_path / "b.conllu", PLAIN), task=TASK).text == ["Ann Lee left", "Rome ."]


def test_no_word_is_dropped(tmp_path):
    lines = ["# a comment", "#\tO", "# 7\t\u00a0", "##\tx", "Rome\tB-LOC", "-DOCSTART-\tO", "# another", "b\tO"]
    path = write(tmp_path / "a.tsv", "\n".join(lines))
    assert read_texts(path, task=TASK, files=FileSettings(format="conll")).text == ["# #\u00a07 ## Rome", "b"]
    with pytest.raises(UserError, match="line 2: expected O, or a tag.*found 'o'"):
        read(write(tmp_path / "b.tsv", "Rome\tO\n#\to\n"))
    with pytest.raises(UserError, match="line 2: expected O, or a tag.*found 'o'"):
        read(write(tmp_path / "c.txt", "Rome O\n# o\n"))
    assert read(write(tmp_path / "d.txt", "# comment\nRome O\n")).rows.text == ["Rome"]
    # Of words alone nothing tells a comment from a row.
    assert read_texts(write(tmp_path / "e.conll", "# o\nRome o\n"), task=TASK).text == ["# Rome"]


@pytest.mark.parametrize("comment", ["# newdoc", "# doc-7", "#"])
def test_a_comment_is_one_whether_tags_are_asked_for_or_not(tmp_path, comment):
    for columns, name in (("{} {}", "a.conll"), ("{} NNP x {}", "b.conll")):
        if "x" in columns:
            comment = "# sent_id = 1"
        lines = [comment, *(columns.format(w, t) for w, t in (("Paris", "B-LOC"), ("is", "O")))]
        path = write(tmp_path / name, "\n".join([*lines, "", *lines, ""]))
        assert read_texts(path, task=TASK).text == ["Paris is"] * 2 == read(path).rows.text


COUNTED = "1\tAngela\tB-PER\n2\tMerkel\tI-PER\n\n1\tParis\tB-LOC\n"


@pytest.mark.parametrize("name", ["a.conllu", "a.tsv", "a.conll", "a.txt"])
def test_a_column_that_counts_is_no_word(tmp_path, name, capsys):
    path = write(tmp_path / name, "# x\n" + COUNTED)
    found = read(path)
    assert found.rows.text == ["Angela Merkel", "Paris"] and found.types == ("LOC", "PER")
    assert "first column counts" in " ".join(found.notes())
    assert read_texts(path, task=TASK, files=FileSettings(format="conll")).text == ["Angela Merkel", "Paris"]
    assert read_labelled(path, TASK).text == ["Angela Merkel", "Paris"]
    said = capsys.readouterr().err
    assert said.count("words are in the second") == 2
    assert read(path, word_column=1).rows.text == ["1 2", "1"]


@pytest.mark.parametrize(
    ("content", "tags", "note"),
    [
        (
            "1\tBonn\tB-LOC\tO\n2\tFC\tB-PER\tB-LOC\n\n1\tis\tO\tO\n",
            [["B-LOC", "B-PER"], ["O"]],
            "from column 3 (--tag_column=4",
        ),
        (
            "Bonn B-LOC I-LOC O\nFC B-PER I-LOC B-LOC\n\nis O O O\n",
            [["B-LOC", "B-PER"], ["O"]],
            "from column 2 (--tag_column=4",
        ),
        ("Bonn I-NP I-LOC\nFC I-NP I-PER\n\nis O O\n", [["B-LOC", "B-PER"], ["O"]], None),
        ("Bonn X B-LOC\nFC B-LOC B-PER\n\nis O O\n", [["B-LOC", "B-PER"], ["O"]], None),
    ],
    ids=["nested", "two models", "chunks", "words"],
)
def test_of_several_columns_of_the_same_types_the_first_has_the_tags(tmp_path, content, tags, note):
    found = read(write(tmp_path / "a.conll", content))
    assert [t for _, t in seen(found.rows)] == tags
    assert (note in " ".join(found.notes())) if note else "same types" not in " ".join(found.notes())
    last = read(tmp_path / "a.conll", tag_column=content.split("\n")[0].replace("\t", " ").count(" ") + 1)
    assert "same types" not in " ".join(last.notes())


def test_ranges_of_a_short_conllu_are_no_words(tmp_path):
    lines = "# sent\n1-2\tzum\tO\n1\tzu\tO\n2\tdem\tO\n3\tRom\tB-LOC\n"
    assert read(write(tmp_path / "a.conllu", lines)).rows.text == ["zu dem Rom"]


@pytest.mark.parametrize("content", ["1\tO\n2\tO\n4\tO\n", "1\tO\n\n1\tO\n", "2\tO\n3\tO\n"])
def test_numbers_that_do_not_count_are_words(tmp_path, content):
    assert read(write(tmp_path / "a.tsv", content)).rows.text[0].split()[0] == content[0]


TEXTS = [
    "blood type O\n", "Wir fahren mit der U-Bahn\nMit der U-Bahn\n", "I take vitamin B-12\nYou take vitamin B-12\n", "We need a Plan-B\n",
    "blood type O\n\nblood type O\n", "type O\nblood type O\n", "O\nO\n", "\n",
]  # fmt: skip


@pytest.mark.parametrize("content", TEXTS)
def test_text_is_no_columns(tmp_path, content):
    found = read_words(write(tmp_path / "a.txt", content), TaggedFile(), BadRows())
    assert found.texts == content.split("\n")[:-1]
    assert form_of(tmp_path / "a.txt", FileSettings(format="conll")) == "columns"


@pytest.mark.parametrize("content", [PLAIN, "a O\nb B-LOC\n", "# x\na\tO\n", "a\tO\n\nb\tO\n"])
def test_columns_without_a_name_that_says_so(tmp_path, content):
    assert read_words(write(tmp_path / "a.txt", content), TaggedFile(), BadRows()).texts[0] is None
    assert read_words(tmp_path / "a.txt", TaggedFile(files=FileSettings(format="text")), BadRows()).texts[0] is not None


def test_tables_of_text(tmp_path):
    path = write(tmp_path / "a.csv", 'id,review\n1,"  Ann, Lee"\n2,\n')
    found = read_words(path, TaggedFile(), BadRows(), "review")
    assert found.rows.text == ["Ann , Lee", ""] and found.texts == ["  Ann, Lee", ""]
    assert found.places[0] == [(2, 5), (5, 6), (7, 10)]
    own = TaggedFile(Columns(("review",)))
    assert read_words(path, own, BadRows()).rows.text == found.rows.text
    with pytest.raises(UserError, match="no column 'text'.*id, review.*--text_column names another"):
        read_words(path, TaggedFile(), BadRows())
    for name, content, how in (("b.txt", "n,data\n1,Rome\n", "csv"), ("c.tsv", "text\tn\nRome\t1\n", "auto")):
        file = TaggedFile(own.columns, files=FileSettings(format=how))
        assert read_words(write(tmp_path / name, content), file, BadRows()).texts == ["Rome"], "a usual name"
    with pytest.raises(UserError, match="--text_column=x: .*b.txt is plain text, which has no columns"):
        read_texts(write(tmp_path / "b.txt", "Rome\n"), "x", task=TASK)
    for form in ("csv", "text"):
        with pytest.raises(UserError, match=f"--format={form} has no tags of words; expected conll or jsonl"):
            read(path, format=form)


def test_keys_of_words(tmp_path):
    path = write(tmp_path / "a.jsonl", '{"toks": ["a", "b"], "text": "no"}\n{"data": "It\'s"}\n')
    found = read_words(path, TaggedFile(Columns(("toks",))), BadRows())
    assert found.rows.text == ["a b", "It 's"] and found.texts == [None, "It's"], "the run's own key, else a usual one"
    with pytest.raises(UserError, match="line 2: no key 'toks'; the keys are: data"):
        read_words(path, TaggedFile(), BadRows(), "toks")


FAULTS = [
    ("", "the file is empty"),
    ("Rome\n", "expected a word and its tag in each line.*found 1 column, 'Rome'"),
    ("Rome\tB-LOC\nx\n", "line 2: expected 2 columns with a tab between, as in the other lines; found 1 in 'x'"),
    ("Rome\tB-LOC\nx\tO\tO\n", "line 2: expected 2 columns.*found 3"),
    ("Rome\tX-LOC\n", "line 1: expected O, or a tag such as B-PER and I-PER; found 'X-LOC'"),
    ("Rome\t\n", "line 1: expected O, or a tag.*found nothing"),
    ("Rome\tB-LOCK\n", "line 1: the tag 'B-LOCK' is of an unknown type; expected one of LOC, PER$"),
    ("Ann\tB-PER\n\nRome\tB-LOC\nx\tI-PER\n", "line 4: I-PER after B-LOC is impossible in IOB2"),
    ("Ann\tS-PER\n\nRome\tB-LOC\nx\tO\n", "line 4: O after B-LOC is impossible in BIOES"),
]


@pytest.mark.parametrize(("content", "says"), FAULTS)
def test_faults_are_named_with_their_line(tmp_path, content, says):
    with pytest.raises(UserError, match=says) as e:
        read(write(tmp_path / "a.txt", content))
    assert "a.txt" in str(e.value) and len(str(e.value).splitlines()) == 1


def test_skipped_sentences_are_counted_and_the_others_keep_their_numbers(tmp_path):
    bad = BadRows("skip")
    text = "a\tO\n\nb\n\nc\tB-LOC\nd\tI-PER\n\ne\tQ\n\nf\tB-NEW\n\ng\tB-PER\n"
    rows = read(write(tmp_path / "a.txt", text), bad).rows
    assert rows.ids == ["train-0", "train-5"] and rows.text == ["a", "g"] and bad.count == 4
    assert "4 rows skipped" in bad.notes()[0]


def test_other_schemes_are_said_and_kept_as_iob2(tmp_path):
    found = read(write(tmp_path / "a.txt", "a I-PER\nb I-PER\nc B-PER\n"))
    assert found.rows.label[0].tolist() == [3, 4, 3] and found.notes() == ["tags are IOB1, kept as IOB2"]


def test_strays_of_official_files_begin_an_entity(tmp_path):
    path = write(tmp_path / "a.txt", "a\tB-PER\n\nb\tO\nc\tI-LOC\nd\tI-LOC\n")
    found = read_tagged(path, TaggedFile(types=TYPES, begin_strays=True), BadRows(), "train")
    assert found.rows.label[1].tolist() == [0, 1, 2] and found.strays == 1


def test_what_is_written_is_read_back(tmp_path):
    path = write(tmp_path / "a.txt", PLAIN)
    rows = read(path).rows
    out = tmp_path / "out" / "b.txt"
    out.parent.mkdir()
    write_conll(out, rows, [tags for _, tags in seen(rows)])
    assert out.read_text(encoding="utf-8") == PLAIN + "\n"
    with pytest.raises(ValueError):
        write_conll(tmp_path / "c.txt", rows, [["O"], ["O"]])
    assert not (tmp_path / "c.txt").exists() and len(list(tmp_path.iterdir())) == 2
    none = Rows(["row-0"], [""], None, Ragged.cut(rows.label.values[:0], rows.label.lengths[:1] * 0))
    assert list(conll_lines(none, [[]])) == ["\n"]


def test_words_to_predict_from(tmp_path):
    tagged = read_texts(write(tmp_path / "a.txt", PLAIN), task=TASK)
    assert tagged.text == ["Ann Lee left", "Rome ."] and tagged.label.lengths.tolist() == [0, 0]
    one = read_texts(write(tmp_path / "b.conll", "Ann\nLee\n\n#\n"), task=TASK)
    assert one.text == ["Ann Lee", "#"] and one.ids == ["row-0", "row-1"]
    raw = read_texts(write(tmp_path / "c.txt", "Ann left Rome.\n\nIt's 東京\n"), task=TASK)
    assert raw.text == ["Ann left Rome .", "", "It 's 東 京"], "a line is a row, a blank one too"
    forced = read_words(
        write(tmp_path / "d.txt", "a b\nc d\n"), TaggedFile(files=FileSettings(format="conll")), BadRows()
    )
    assert forced.rows.text == ["a c"]
    assert read_texts(write(tmp_path / "e.jsonl", '{"tokens": ["a", "b"]}\n{"text": "It\'s"}\n'), task=TASK).text == [
        "a b",
        "It 's",
    ]


def test_evaluate_reads_gold_tags(tmp_path):
    rows = read_labelled(write(tmp_path / "a.txt", PLAIN), TASK)
    assert seen(rows) == TWO and rows.ids == ["row-0", "row-1"]
    with pytest.raises(UserError, match="line 1: expected O"):
        read_labelled(write(tmp_path / "b.txt", "one sentence here\n"), TASK)


@pytest.mark.parametrize(
    ("name", "line", "said"),
    [
        (
            "gold.txt",
            "call Rome B-LOC\nit now O\n",
            "3 in a line with spaces between; the word is in column 1, the tag in",
        ),
        ("gold", "Rome\tB-LOC\nis\tO\n", "2 in a line with tabs between; the word is in column 1, the tag in column 2"),
        ("gold.conll", "Rome\tB-LOC\nis\tO\n", ""),
        ("gold.tsv", "Rome\tB-LOC\nis\tO\n", ""),
        ("gold.jsonl", '{"tokens": ["Rome"], "tags": ["B-LOC"]}\n', ""),
    ],
)
def test_a_file_that_is_taken_for_columns_says_so(tmp_path, capsys, name, line, said):
    path = write(tmp_path / name, line)
    read_labelled(path, TASK)
    gold = capsys.readouterr().err
    read_untagged(path, TASK)
    untagged = capsys.readouterr().err
    assert all(
        ("read as columns, " in err) == bool(said) and said.split(", the tag")[0] in err for err in (gold, untagged)
    )
    assert said in gold
    assert ("(--word_column and --tag_column name others)" in gold) == bool(said)
    assert ("(--format=text reads it as plain text)" in untagged) == bool(said)
    read_untagged(path, TASK, files=FileSettings(format="conll" if said else "auto"))
    assert "read as columns" not in capsys.readouterr().err
