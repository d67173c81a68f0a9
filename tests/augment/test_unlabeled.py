"""Unlabeled text: sentences, repeats, what other splits hold, caps, files."""

from __future__ import annotations

import gzip
import hashlib
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kd_keras.augment import parts
from kd_keras.augment import unlabeled as module
from kd_keras.augment.settings import UnlabeledSettings
from kd_keras.augment.transfer import Transfer, load
from kd_keras.augment.unlabeled import (
    UnlabeledText,
    check_unlabeled,
    read_unlabeled,
    sentences,
    unlabeled,
    unlabeled_files,
)
from kd_keras.common import firsts
from kd_keras.common.errors import UserError
from kd_keras.tasks import Columns, FileSettings, Rows, Task
from kd_keras.tasks.records import iob2

TASK = Task("toy", "single", ("neg", "pos"))


def read(settings, known=(), held_out=(), task=TASK) -> Transfer:
    """What :func:`read_unlabeled` writes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "unlabeled.parquet"
        read_unlabeled(UnlabeledText(task, settings), known, held_out, path, {})
        assert [p.name for p in Path(folder).iterdir()] == [path.name], "nothing else is left"
        made = load(path, None, np.zeros(0, np.int32))
        return replace(made, rows=made.rows.take(range(len(made))), rule=list(made.rule))


def rows(*texts: str) -> Rows:
    return Rows([f"r{n}" for n in range(len(texts))], list(texts), None, np.zeros(len(texts), np.int32))


@pytest.mark.parametrize(
    ("document", "parts"),
    [
        ("I saw it. It was good! Was it?", ["I saw it.", "It was good!", "Was it?"]),
        ("Mr. Brown met J. Smith. They left.", ["Mr. Brown met J. Smith.", "They left."]),
        ('He said "go." Then he went.', ['He said "go."', "Then he went."]),
        ("It cost 3.50 in all... and more", ["It cost 3.50 in all... and more"]),
        ("我住在北京。他住在上海！她呢？好", ["我住在北京。", "他住在上海！", "她呢？", "好"]),
        ("「行くか。」彼は言った。はい！！", ["「行くか。」", "彼は言った。", "はい！！"]),
        ("मैं रोम में हूँ। तुम कहाँ हो? यहाँ।", ["मैं रोम में हूँ।", "तुम कहाँ हो?", "यहाँ।"]),
        ("یہ روم ہے۔ وہ کہاں ہے؟ یہاں۔", ["یہ روم ہے۔", "وہ کہاں ہے؟", "یہاں۔"]),
        ("no end here", ["no end here"]),
        (" . ", ["."]),
        ("", []),
    ],
)
def test_sentences(document, parts):
    assert list(sentences(document)) == parts


@pytest.fixture
def settings(tmp_path):
    path = tmp_path / "more.txt"
    lines = [f"Sentence number {n} is here. And a second one of {n}." for n in range(50)]
    path.write_text("\n".join([*lines, lines[0], "Too short.", "word " * 80]) + "\n", encoding="utf-8")
    return UnlabeledSettings(unlabeled_files=str(path))


def test_repeats_and_known_texts_are_left_out_and_counted(settings):
    made = read(settings, [rows("sentence NUMBER 3 is here!"), rows("and a second one of 4 .")])
    texts = made.rows.text
    assert len(texts) == 98 and "Sentence number 3 is here." not in texts and "And a second one of 4." not in texts
    assert len(set(texts)) == 98 and (made.rows.label == -1).all() and (made.source == -1).all()
    assert set(made.rule) == {"unlabeled"}
    assert "104 sentences" in made.notes[0] and "2 shorter than 3 or longer than 60 words" in made.notes[0]
    assert "4 repeats" in made.notes[0] and "98 of the 98" in made.notes[0]


def test_what_overlaps_with_dev_or_test_is_left_out(tmp_path):
    words = [f"word{n}" for n in range(20)]
    path = tmp_path / "more.txt"
    lines = [
        "He wrote: " + " ".join(words[:13]).upper() + "!",  # 13 in a row, other case
        "He wrote: " + " ".join(words[5:17]) + ".",  # 12
        ", ".join(words[:6]) + " and " + ", ".join(words[6:]),  # 6, then 14
        "Nothing in common with it.",
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    settings = UnlabeledSettings(unlabeled_files=str(path))
    held_out = rows(" ".join(words), "nothing in COMMON with it")
    made = read(settings, [], [held_out])
    assert made.rows.text == [lines[1]]
    assert "1 repeats" in made.notes[0] and "2 with 13 words in a row of dev or test" in made.notes[0]
    assert "from 8 words on" in made.notes[0]
    # Train may overlap: its rows teach anyway.
    assert len(read(settings, [held_out]).rows) == 3


def test_a_cap_is_a_fair_draw_that_grows(settings):
    whole = read(settings)
    few, more = (read(replace(settings, max_unlabeled=n)).rows.text for n in (20, 40))
    assert len(few) == 20 and set(few) < set(more) < set(whole.rows.text), "a larger cap keeps what a smaller one drew"
    for seed in (0, 2, 3, 5):  # a draw of its own: of 98 texts 40 twice, about 16 of them in both
        other = read(replace(settings, max_unlabeled=40, unlabeled_seed=seed)).rows.text
        assert 8 <= len(set(other) & set(more)) <= 25
    order = {t: n for n, t in enumerate(whole.rows.text)}
    assert [order[t] for t in few] == sorted(order[t] for t in few), "in the order of the files"
    spread = [order[t] for t in more]
    assert min(spread) < 25 and max(spread) > 75, "from all over the file"


def by_hand(documents, known, held_out, cap, seed):
    """Ids and texts of what is left, with nothing but a dict."""
    first, gone = {}, {words(t) for t in known + held_out}
    runs = {tuple(w[i : i + 13]) for w in (t.split() for t in held_out) for i in range(len(w) - 12)}
    every = [t for d in documents for t in sentences(d)]
    for number, text in enumerate(every, 1):
        if 3 <= len(text.split()) <= 60 and words(text) not in gone:
            first.setdefault(words(text), (number, text))
    left = {
        w: found for w, found in first.items()
        if runs.isdisjoint(tuple(found[1].lower().rstrip(".").split()[i : i + 13]) for i in range(len(found[1].split())))
    }  # fmt: skip
    digest = {w: hashlib.blake2b(w.encode(), digest_size=8, key=str(seed).encode()).digest() for w in left}
    drawn = sorted(left, key=lambda w: int.from_bytes(digest[w], "little"))[:cap]
    return [(f"unlabeled-{n}", t) for w, (n, t) in left.items() if w in set(drawn)]


def words(text):
    return "".join(c for c in text.lower() if c.isalnum())


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize("cap", [None, 25])
def test_parts_keep_what_a_dict_over_all_text_keeps(tmp_path, monkeypatch, size, cap):
    monkeypatch.setattr(module, "_DOCUMENTS", size)
    monkeypatch.setattr(firsts, "_TOGETHER", 20)
    draw = np.random.default_rng(4)
    held_out = [" ".join(f"h{n}" for n in range(20)), "what dev has"]
    some = [f"A {a} of {b}." for a in range(6) for b in range(9)] + ["a 1 OF 2!", "Too short."]
    some += ["He said " + held_out[0][:60] + ".", "What dev has.", held_out[0].upper() + "."]
    documents = [" ".join(draw.choice(some, 4)) for _ in range(60)]
    (tmp_path / "a.txt").write_text("\n".join(documents) + "\n")
    settings = UnlabeledSettings(unlabeled_files=f"{tmp_path}/a.txt", max_unlabeled=cap, unlabeled_seed=3)
    made = read(settings, [rows("a 3 of 3")], [rows(*held_out)])
    want = by_hand(documents, ["a 3 of 3"], held_out, cap, 3)
    assert list(zip(made.rows.ids, made.rows.text, strict=True)) == want and len(want) > 20


def test_a_killed_reading_goes_on(settings, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_DOCUMENTS", 5)
    path, text = tmp_path / "run" / "made.parquet", UnlabeledText(TASK, settings)
    read_unlabeled(text, [], [], path, {"n": 1})
    want = path.read_bytes()
    path.unlink()
    left = iter(range(4))

    def dies(opens, folder, jobs):
        for n, _ in zip(parts.alone(opens, folder, jobs), left, strict=False):
            yield n
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        read_unlabeled(text, [], [], path, {"n": 1}, dies)
    asked = []

    def watched(opens, folder, jobs):
        return parts.alone(opens, folder, (asked.append(job.number) or job for job in jobs))

    read_unlabeled(text, [], [], path, {"n": 1}, watched)
    assert path.read_bytes() == want and asked and min(asked) >= 4
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_columns_packed_files_and_patterns(tmp_path):
    with gzip.open(tmp_path / "a.csv.gz", "wt", encoding="utf-8") as f:
        f.write("id,review\n1,one two three four\n2,five six seven\n")
    (tmp_path / "b.jsonl").write_text('{"review": "eight nine ten"}\n')
    (tmp_path / "c1.txt").write_text("eleven twelve thirteen\n")
    (tmp_path / "c2.txt").write_text("fourteen fifteen sixteen\n")
    names = f"{tmp_path}/a.csv.gz, {tmp_path}/b.jsonl,{tmp_path}/c*.txt"
    settings = UnlabeledSettings(unlabeled_files=names, unlabeled_column="review", split_sentences=False)
    assert read(settings).rows.text == [
        "one two three four", "five six seven", "eight nine ten", "eleven twelve thirteen", "fourteen fifteen sixteen",
    ]  # fmt: skip


def test_bad_rows_of_tables_are_named_or_counted(tmp_path):
    (tmp_path / "a.ndjson").write_text(
        '{"text": "one two three"}\n{"other": "x"}\n{"text": ["a", "list"]}\n{"text": "half \\ud83d an emoji"}\n'
    )
    settings = UnlabeledSettings(unlabeled_files=f"{tmp_path}/a.ndjson")
    with pytest.raises(UserError, match=r"a\.ndjson, line 2: no key 'text'.*--on_bad_row=skip"):
        read(settings)
    path = tmp_path / "made.parquet"
    made = unlabeled(UnlabeledText(TASK, settings, on_bad_row="skip"), [], [], path)
    assert made.rows.text == ["one two three", "half \ufffd an emoji"]
    assert "2 rows skipped" in made.notes[1] and "line 3, column 'text': expected text" in made.notes[1]
    (tmp_path / "b.json").write_text('[{"text": "one two three"}]')
    with pytest.raises(UserError, match=r"b\.json: \.json cannot be read.*\.jsonl"):
        check_unlabeled(UnlabeledText(TASK, UnlabeledSettings(unlabeled_files=f"{tmp_path}/b.json")))


def test_words_are_what_any_space_parts(tmp_path):
    (tmp_path / "a.txt").write_text("one\ttwo\u00a0three\none   two\n", encoding="utf-8")
    assert read(UnlabeledSettings(unlabeled_files=f"{tmp_path}/a.txt")).rows.text == ["one\ttwo\u00a0three"]


def test_scripts_without_spaces_have_words_too(tmp_path):
    (tmp_path / "t.txt").write_text("我喜欢这部电影。\n好。\nto be\nここは東京です。\n", encoding="utf-8")
    found = read(UnlabeledSettings(unlabeled_files=str(tmp_path / "t.txt")))
    assert list(found.rows.text) == ["我喜欢这部电影。", "ここは東京です。"]


def test_tasks_of_whole_texts_get_whole_texts(tmp_path):
    document = "This is one. " * 30
    (tmp_path / "a.txt").write_text(document + "\n")
    settings = UnlabeledSettings(unlabeled_files=f"{tmp_path}/a.txt")
    assert read(settings).rows.text == ["This is one."]
    imdb = Task("imdb", "single", ("neg", "pos"))
    assert read(settings, task=imdb).rows.text == [document.strip()]
    given = replace(settings, split_sentences=True, max_words=7)
    assert given.for_task("imdb") == given and settings.for_task("imdb").max_words == 2500


def test_a_home_folder_is_understood(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a.txt").write_text("one two three\n")
    assert read(UnlabeledSettings(unlabeled_files="~/a.txt")).rows.text == ["one two three"]


def test_the_tasks_own_text_is_known_by_what_it_holds(tmp_path):
    imdb = Task("imdb", "single", ("neg", "pos"))
    own, path = UnlabeledSettings(unlabeled="task"), tmp_path / "made.parquet"
    for text in ("one two three\n", "four five six\n"):
        (tmp_path / "unlabeled.txt").write_text(text)
        assert unlabeled(UnlabeledText(imdb, own, str(tmp_path)), [], [], path).rows.text == [text.strip()]
    (tmp_path / "unlabeled.txt").unlink()
    (tmp_path / "train" / "unsup").mkdir(parents=True)
    with pytest.raises(UserError, match=r"unlabeled text \(.*unsup\): has no text"):
        check_unlabeled(UnlabeledText(imdb, own, str(tmp_path)))


def test_found_again_for_the_same_files_only(settings, tmp_path, monkeypatch):
    path = tmp_path / "run" / "unlabeled.parquet"
    first = unlabeled(UnlabeledText(TASK, settings), [rows("x y z")], [], path)
    made, really = [], read_unlabeled
    monkeypatch.setattr("kd_keras.augment.unlabeled.read_unlabeled", lambda *a: made.append(a) or really(*a))
    assert unlabeled(UnlabeledText(TASK, settings), [rows("x y z")], [], path).rows.text == first.rows.text and not made
    unlabeled(UnlabeledText(TASK, settings), [], [rows("another dev split")], path)
    with open(settings.unlabeled_files, "a") as f:
        f.write("One line more.\n")
    unlabeled(UnlabeledText(TASK, settings), [], [rows("another dev split")], path)
    assert len(made) == 2


def test_refusals(settings, tmp_path):
    with pytest.raises(UserError, match="--unlabeled=task: task toy has no unlabeled text"):
        check_unlabeled(UnlabeledText(TASK, UnlabeledSettings(unlabeled="task")))
    (tmp_path / "latin.txt").write_bytes(b"na\xefve\n")
    with pytest.raises(UserError, match=r"latin\.txt, line 1: not UTF-8"):
        check_unlabeled(UnlabeledText(TASK, UnlabeledSettings(unlabeled_files=str(tmp_path / "latin.txt"))))
    check_unlabeled(UnlabeledText(TASK, UnlabeledSettings()))
    with pytest.raises(UserError, match="--min_words=9 and --max_words=4"):
        UnlabeledSettings(min_words=9, max_words=4)
    with pytest.raises(UserError, match="none of 104 is left; 104 have fewer than --min_words=100"):
        read(replace(settings, min_words=100, max_words=200))


def test_a_file_whose_name_has_brackets_is_found(tmp_path):
    for name in ("a[1].txt", "a1.txt"):
        (tmp_path / name).write_text("text\n")
    found = unlabeled_files(UnlabeledSettings(unlabeled_files=f"{tmp_path}/a[1].txt"))
    assert [p.name for p in map(Path, found)] == ["a[1].txt"]
    found = unlabeled_files(UnlabeledSettings(unlabeled_files=f"{tmp_path}/a*.txt"))
    assert len(found) == 2


TAGGING = Task("toy", "tagging", iob2(("LOC",)), "entity_f1", ("entity_f1",), columns=Columns(("toks",)))
OF_WORDS = {
    "a.conll": "3.1x\tO\nin\tB-LOC\nRome.\tO\n\n# id\nA\tO\nb\tO\nc\tO\n",
    "b.jsonl": '{"toks": ["3.1x", "in", "Rome."]}\n{"text": "A b c"}\n',
    "c.jsonl": '{"tokens": ["en:3.1x", "en:in", "en:Rome."]}\n{"tokens": ["en:A", "en:b", "en:c"]}\n',
}


@pytest.mark.parametrize("name", OF_WORDS)
def test_a_tagging_reads_what_its_train_file_may_be(tmp_path, name):
    (tmp_path / name).write_text(OF_WORDS[name], encoding="utf-8")
    made = read(UnlabeledSettings(unlabeled_files=f"{tmp_path}/{name}"), task=TAGGING).rows
    assert sorted(made.text) == ["3.1x in Rome.", "A b c"], "words stay as they are"


def test_text_of_a_tagging_is_split_into_sentences_and_words(tmp_path):
    (tmp_path / "a.txt").write_text("It's in Rome. We saw it.\nblood type O\n", encoding="utf-8")
    made = read(UnlabeledSettings(unlabeled_files=f"{tmp_path}/a.txt"), task=TAGGING).rows
    assert sorted(made.text) == ["It 's in Rome .", "We saw it .", "blood type O"]
    (tmp_path / "a.csv").write_text('n,review\n1,"In Rome, at last"\n', encoding="utf-8")
    settings = UnlabeledSettings(unlabeled_files=f"{tmp_path}/a.csv", unlabeled_column="review")
    assert read(settings, task=TAGGING).rows.text == ["In Rome , at last"]
    settings = replace(settings, unlabeled_column="rewiev")
    with pytest.raises(UserError, match="no column 'rewiev'.*--unlabeled_column names another"):
        read(settings, task=TAGGING)
    (tmp_path / "w").write_text("in\nRome\nagain\n", encoding="utf-8")
    settings, path = UnlabeledSettings(unlabeled_files=f"{tmp_path}/w"), tmp_path / "made.parquet"
    in_columns = UnlabeledText(TAGGING, settings, how=FileSettings(format="conll"))
    assert unlabeled(in_columns, [], [], path).rows.text == ["in Rome again"]
