"""Texts of an exact length, the same for student and teacher, and never padding."""

from __future__ import annotations

import numpy as np
import pytest

from kd_keras.common.errors import UserError
from kd_keras.formats.teacher_tflite import bert_inputs
from kd_keras.tasks import Rows
from kd_keras.text.tokenizers import WordPiece, Words
from kd_keras.timing.texts import timing_texts


def rows_of(texts, text_b=None) -> Rows:
    return Rows([str(i) for i in range(len(texts))], list(texts), text_b, np.zeros(len(texts), np.int32))


@pytest.fixture
def rows(toy_sentences):
    texts, _ = toy_sentences(40, 3)
    return rows_of(["", *texts, ""])


def test_each_text_has_the_length_that_is_asked_for(rows, vocab):
    student, teacher = WordPiece(vocab, 20), WordPiece(vocab, 32)
    for length in (4, 7, 20):
        got = timing_texts(rows, student, teacher, length, 60)
        ids = got.student["ids"]
        assert len(got) == 60 and (ids.lengths == length).all() and (ids.values > 0).all()
        assert got.different == 40, "the empty rows are no start"
        assert len({tuple(ids[i]) for i in range(40)}) > 20, "many different ones"
        assert all(a.shape == (60, length) for a in got.teacher.values())
        assert got.teacher["attention_mask"].all(), "real tokens throughout"
        # The teacher reads the same text, less its last two tokens, between [CLS] and [SEP].
        words = [vocab[i] for i in ids[0]]
        assert [vocab[i] for i in got.teacher["input_ids"][0]] == ["[CLS]", *words[: length - 2], "[SEP]"]
    long = timing_texts(rows, student, None, 20, 60)
    assert long.joined == 60 and long.teacher is None
    sizes = student.encode(rows.text).lengths
    few = timing_texts(rows, student, None, 4, int((sizes >= 4).sum()))
    assert few.joined == 0, "rows that are long enough come first"


def test_text_as_it_comes(rows, vocab):
    student, teacher = WordPiece(vocab, 20), WordPiece(vocab, 12)
    got = timing_texts(rows, student, teacher, None, 40)
    want = {tuple(student.encode([t])[0]) for t in rows.text if t}
    assert {tuple(got.student["ids"][i]) for i in range(40)} == want and got.joined == 0
    assert got.teacher["input_ids"].shape == (40, 12)


def test_words_and_pieces_are_both_long_enough(rows, vocab):
    words = Words([w for w in vocab if not w.startswith("##")], 20)
    got = timing_texts(rows, words, WordPiece(vocab, 32), 9, 30)
    assert (got.student["ids"].lengths == 9).all() and got.teacher["attention_mask"].all()


def test_a_pair_has_half_of_it_in_each_text(rows, vocab):
    pairs = rows_of(rows.text[1:-1], rows.text[1:-1][::-1])
    got = timing_texts(pairs, WordPiece(vocab, 20), WordPiece(vocab, 32), 12, 30)
    assert set(got.student) == {"ids_a", "ids_b"}
    assert all((t.lengths == 6).all() for t in got.student.values())
    assert got.teacher["attention_mask"].all() and (got.teacher["token_type_ids"].sum(1) >= 4).all()


def test_the_teachers_inputs_are_those_of_transformers(rows, vocab, tmp_path):
    from transformers import BertTokenizer

    (tmp_path / "vocab.txt").write_text("\n".join(vocab))
    theirs = BertTokenizer(str(tmp_path / "vocab.txt"))
    for text_b in (None, rows.text[::-1]):
        got = bert_inputs(WordPiece(vocab, 64), rows.text, text_b, 10)
        want = theirs(rows.text, text_b, truncation="longest_first", padding="max_length", max_length=10)
        for name, values in got.items():
            np.testing.assert_array_equal(values, want[name], err_msg=name)


def test_too_little_text_is_an_error(vocab):
    tokenizer = WordPiece(vocab, 512)
    with pytest.raises(UserError, match="no row has text to time"):
        timing_texts(rows_of(["", ""]), tokenizer, None, 8, 4)
    one = timing_texts(rows_of(["good film", ""]), tokenizer, None, 512, 4)
    assert (one.student["ids"].lengths == 512).all() and one.different == 1
