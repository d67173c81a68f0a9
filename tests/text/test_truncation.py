"""What stays of long texts: by hand, for BERT, for the student, on disk, and the same wherever it is cut."""

from __future__ import annotations

import numpy as np
import pytest

from kd_keras.common.errors import UserError
from kd_keras.text.token_ids import TokenIds
from kd_keras.text.tokenizers import WordPiece, Words, cut_wordpiece, load_tokenizer, word_vocab
from kd_keras.text.truncation import TRUNCATIONS, cut, ends, of_longer

LETTERS = "a b c d e f g h i j k l".split()
VOCAB = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS]
TEXTS = ["", "a", "a b c d e", "a b c d e f", "a b c d e f g h i j k l", "a [MASK] c d e f g h"]
KEPT = {
    ("head", 5): "a b c d e",
    ("tail", 5): "h i j k l",
    ("head_tail", 5): "a b j k l",
    ("head", 1): "a",
    ("tail", 1): "l",
    ("head_tail", 1): "a",
    ("head_tail", 4): "a j k l",
    ("head_tail", 8): "a b g h i j k l",
}


def test_the_split_of_sun_et_al_is_a_quarter_of_every_length():
    assert ends(510, "head_tail") == (128, 382)
    for room in range(1, 600):
        first, last = ends(room, "head_tail")
        assert first + last == room and 0 <= first - room / 4 < 1
    assert (ends(9, "head"), ends(9, "tail")) == ((9, 0), (0, 9))
    with pytest.raises(UserError, match="truncation 'middle': expected one of head, tail, head_tail"):
        ends(9, "middle")


@pytest.mark.parametrize(("how", "room"), KEPT)
def test_what_stays(how, room):
    want = KEPT[how, room].split()
    assert cut(LETTERS, room, how) == want
    for tokenizer in (WordPiece(VOCAB, room, truncation=how), Words(VOCAB, room, truncation=how)):
        assert tokenizer.tokenize(" ".join(LETTERS)) == want
    ids, first = WordPiece(VOCAB, room + 2, truncation=how).encode_for_bert([" ".join(LETTERS)])
    assert [VOCAB[i] for i in ids[0]] == ["[CLS]", *want, "[SEP]"] and first == [room + 2]


@pytest.mark.parametrize("how", TRUNCATIONS)
def test_a_text_that_fits_is_whole(how):
    for count in range(6):
        assert cut(LETTERS[:count], 5, how) == LETTERS[:count]
    assert WordPiece(VOCAB, 8, truncation=how).tokenize("a [MASK] c d e f g h") == "a [MASK] c d e f g h".split()


@pytest.mark.parametrize("how", TRUNCATIONS)
def test_ragged_ids_are_cut_as_lists_are_and_twice_is_once(how):
    draw = np.random.default_rng(0)
    rows = [draw.integers(1, 99, n).tolist() for n in [0, 1, 30, *draw.integers(0, 30, 40)]]
    whole = TokenIds.of(rows)
    for length in (1, 2, 3, 4, 7, 16, 30):
        short = whole.cut(length, how)
        assert [short[i].tolist() for i in range(len(rows))] == [cut(r, length, how) for r in rows]
        assert short.values.dtype == np.int32 and short.offsets.dtype == np.int64
        for longer in range(length, 31):
            twice = whole.cut(longer, how).cut(length, how)
            assert (twice.values == short.values).all() and (twice.offsets == short.offsets).all()
    assert len(TokenIds.of([]).cut(3, how)) == 0


def test_pairs_take_the_head_only():
    tokenizer = WordPiece(VOCAB, 9, truncation="tail")
    with pytest.raises(UserError, match="truncation 'tail': works only for single texts; use head for pairs"):
        tokenizer.encode_for_bert(["a"], ["b"])


def test_the_students_vocabularies_carry_it(tmp_path):
    made = [
        cut_wordpiece(WordPiece(VOCAB, 99), TEXTS, 4, truncation="head_tail"),
        word_vocab(TEXTS, 4, min_count=1, truncation="head_tail"),
    ]
    for tokenizer in made:
        tokenizer.save(tmp_path / "vocab.txt", tmp_path / "tokenizer.json")
        loaded = load_tokenizer(tmp_path / "vocab.txt", tmp_path / "tokenizer.json")
        assert loaded.tokenize(" ".join(LETTERS)) == ["a", "j", "k", "l"]
        assert loaded.fingerprint() == tokenizer.fingerprint()


def test_the_head_leaves_no_trace_and_the_others_do(tmp_path):
    for kind in (WordPiece, Words):
        prints = {kind(VOCAB, 4, truncation=how).fingerprint() for how in TRUNCATIONS}
        assert len(prints) == 3 and kind(VOCAB, 4).fingerprint() in prints
    WordPiece(VOCAB, 4).save(tmp_path / "v", tmp_path / "t.json")
    assert "truncation" not in (tmp_path / "t.json").read_text()
    # Of a run that was made before there was a choice.
    assert WordPiece(["[PAD]", "[UNK]"], 7).fingerprint() == "2913d7cd46b18ccf"
    assert Words(["[PAD]", "[UNK]"], 7).fingerprint() == "3cf48447cdc0785c"


def test_a_file_that_asks_for_something_else_is_refused(tmp_path):
    (tmp_path / "v").write_text("[PAD]\n[UNK]\n")
    (tmp_path / "t.json").write_text('{"kind": "words", "max_length": 3, "lowercase": true, "truncation": "middle"}')
    with pytest.raises(UserError, match="truncation 'middle'"):
        load_tokenizer(tmp_path / "v", tmp_path / "t.json")


def test_what_a_report_says():
    assert of_longer(64, "head") == "" and of_longer(64, "tail") == ", of longer ones the last 64"
    assert of_longer(510, "head_tail") == ", of longer ones the first 128 and the last 382"
