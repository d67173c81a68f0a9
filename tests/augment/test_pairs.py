"""Pairs without labels: a user's files, new pairs of the training texts, and what is left out."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from kd_keras.augment import pairs as module
from kd_keras.augment.pairs import read_pairs, recombined
from kd_keras.augment.settings import UnlabeledSettings
from kd_keras.augment.transfer import NothingNew
from kd_keras.augment.unlabeled import UnlabeledText, check_unlabeled, split_like, unlabeled
from kd_keras.common import packages
from kd_keras.common.errors import UserError
from kd_keras.tasks import Columns, FileSettings, Rows, Task
from kd_keras.tasks.tables import BadRows

TASK = Task("custom", "pair", ("no", "yes"), columns=Columns(("a",), "b"))


def rows(*pairs: tuple[str, str], prefix: str = "r") -> Rows:
    first, second = zip(*pairs, strict=True) if pairs else ((), ())
    return Rows([f"{prefix}{n}" for n in range(len(pairs))], list(first), list(second), np.zeros(len(pairs), np.int32))


def made(settings: UnlabeledSettings, path, known=(), held_out=(), train=None):
    text = UnlabeledText(TASK, split_like(settings, TASK, rows(("a", "b"))), train=train)
    found = unlabeled(text, list(known), list(held_out), path / "unlabeled.parquet")
    return list(zip(found.rows.text, found.rows.text_b, strict=True)), found.notes


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("more.csv", 'b,a\n"two, three",one\nfive,four\n'),
        ("more.tsv", "a\tb\none\ttwo, three\nfour\tfive\n"),
        ("more.txt", "one\ttwo, three\n\n four \tfive\r\n"),
        ("more.jsonl", '{"sentence1": "one", "sentence2": "two, three"}\n{"sentence1": "four", "sentence2": "five"}\n'),
    ],
)
def test_files_are_read_as_the_training_file_is(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    found = list(read_pairs(tmp_path / name, TASK, BadRows(), FileSettings()))
    assert found == [("one", "two, three"), ("four", "five")]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("one.txt", "one\ttwo\nthree\n", r"one\.txt, line 2: expected two texts with a tab between, found 'three'"),
        ("many.txt", "one\ttwo\tthree\n", r"many\.txt, line 1: expected two texts with a tab between"),
        ("half.csv", "a,c\none,two\n", r"half\.csv: no column 'b'.*--text_b_column"),
        ("short.jsonl", '{"a": "x", "b": "y"}\n{"a": "x"}\n', r"short\.jsonl, line 2: no key 'b'"),
    ],
)
def test_a_bad_row_of_pairs_is_named(tmp_path, name, text, said):
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=said):
        list(read_pairs(tmp_path / name, TASK, BadRows(), FileSettings()))


def test_new_pairs_are_those_that_share_the_rarest_words(monkeypatch):
    """Against cosines of TF-IDF that are worked out here."""
    draw = np.random.default_rng(0)
    words = np.array([f"w{n}" for n in range(30)])
    pairs = [tuple(" ".join(draw.choice(words, 5, replace=False)) for _ in "ab") for _ in range(40)]
    monkeypatch.setattr(module, "NEAREST", 3)
    monkeypatch.setattr(module, "_BLOCK", 7)
    found = list(recombined(rows(*pairs)))
    a, b = ([p[side] for p in pairs] for side in (0, 1))
    has = np.array([[w in t.split() for w in words] for t in a + b], float)
    idf = np.log((1 + len(has)) / (1 + has.sum(0))) + 1
    vectors = has * idf
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    cosine = vectors[:40] @ vectors[40:].T
    for text in (a[0], a[17], a[39]):
        near = [cosine[a.index(text), b.index(y)] for x, y in found[: 3 * 40] if x == text]
        np.testing.assert_allclose(sorted(near), np.sort(cosine[a.index(text)])[-3:], rtol=1e-5)
    for text in (b[3], b[38]):
        near = [cosine[a.index(x), b.index(text)] for x, y in found[3 * 40 :] if y == text]
        np.testing.assert_allclose(sorted(near), np.sort(cosine[:, b.index(text)])[-3:], rtol=1e-5)


def test_new_pairs_are_none_that_is_known_in_either_order(tmp_path):
    train = rows(("a red cat", "a red dog"), ("a blue cat", "a blue dog"))
    held = rows(("A blue DOG!", "a red cat"), prefix="d")
    found, notes = made(UnlabeledSettings(unlabeled="task"), tmp_path, [train], [held], train)
    assert found == [("a blue cat", "a red dog")]
    assert "new pairs of the training texts" in notes[0] and "pairs; left out" in notes[0]


def test_of_a_pair_both_texts_overlap_with_dev_before_it_is_left_out(tmp_path):
    """Questions of dev have answers of train, and the other way round."""
    long, other = (" ".join(f"{c}{n}" for n in range(14)) for c in "xy")
    (tmp_path / "more.csv").write_text(f"a,b\n{long},new text here\nnew text here,{other}\n{other} more,{long} more\n")
    settings = UnlabeledSettings(unlabeled_files=str(tmp_path / "more.csv"))
    found, notes = made(settings, tmp_path, held_out=[rows((long, other))])
    assert found == [(long, "new text here"), ("new text here", other)]
    assert "1 with 13 words in a row" in notes[0]


def test_the_words_of_a_pair_count_together(tmp_path):
    (tmp_path / "more.txt").write_text("one\ttwo\none\ttwo three\n" + "long " * 100 + "\tshort\n")
    settings = UnlabeledSettings(unlabeled_files=str(tmp_path / "more.txt"))
    assert [b for _, b in made(settings, tmp_path)[0]] == ["two three", "short"]
    assert [b for _, b in made(replace(settings, min_words=2, max_words=3), tmp_path)[0]] == ["two", "two three"]


def test_text_of_pairs_is_checked_before_long_work(tmp_path, monkeypatch):
    with pytest.raises(UserError, match="--unlabeled=general: task custom reads pairs"):
        check_unlabeled(UnlabeledText(TASK, UnlabeledSettings(unlabeled="general")))
    with pytest.raises(UserError, match="--unlabeled_column=x: task custom reads pairs of two columns"):
        check_unlabeled(UnlabeledText(TASK, UnlabeledSettings(unlabeled_files="x.csv", unlabeled_column="x")))
    own = UnlabeledSettings(unlabeled="task")
    check_unlabeled(UnlabeledText(TASK, own))
    with pytest.raises(UserError, match="none.csv"):
        check_unlabeled(UnlabeledText(TASK, replace(own, unlabeled_files=str(tmp_path / "none.csv"))))
    there = packages.installed
    monkeypatch.setattr(packages, "installed", lambda module: module != "sklearn" and there(module))
    with pytest.raises(UserError, match="--unlabeled=task .*scikit-learn"):
        check_unlabeled(UnlabeledText(TASK, own))


def test_one_question_for_all_has_no_new_pair(tmp_path):
    train = rows(*(("is it good", f"it is {n}") for n in range(5)))
    with pytest.raises(NothingNew, match="none of 10 is left"):
        made(UnlabeledSettings(unlabeled="task"), tmp_path, [train], [], train)


def test_made_rows_say_so(tmp_path):
    """As label and other commands read them."""
    train = rows(("a red cat", "a red dog"), ("a blue cat", "a blue dog"))
    made(UnlabeledSettings(unlabeled="task"), tmp_path, [train], [], train)
    import pyarrow.parquet as pq

    table = pq.read_table(tmp_path / "unlabeled.parquet")
    about = json.loads(table.schema.metadata[b"kd_keras"])
    assert about["pair"] and set(table["rule"].to_pylist()) == {"unlabeled"}
