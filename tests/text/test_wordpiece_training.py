"""A vocabulary that is learned from text: the same each time, and no word of known letters is unknown."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest

from kd_keras.common.errors import UserError
from kd_keras.text.tokenizers import SPECIAL, UNK, load_tokenizer
from kd_keras.text.wordpiece import trained_wordpiece

WORDS = "Paris Parisian Berlin Berliner river riverside lake lakeside the of and in Zürich Ärzte".split()
DRAW = np.random.default_rng(0)
TEXTS = [" ".join(DRAW.choice(WORDS, DRAW.integers(3, 9))) + "." for _ in range(300)]


def test_the_order_of_texts_and_the_run_change_nothing(run_python):
    made = trained_wordpiece(TEXTS, 120, 32)
    for seed in range(5):
        mixed = list(TEXTS)
        random.Random(seed).shuffle(mixed)
        assert trained_wordpiece(iter(mixed), 120, 32).vocab == made.vocab
    code = (
        "import json, sys\n"
        "from kd_keras.text.wordpiece import trained_wordpiece\n"
        "print(json.dumps(trained_wordpiece(json.load(sys.stdin), 120, 32).vocab))\n"
    )
    assert json.loads(run_python("-c", code, input=json.dumps(TEXTS)).stdout) == made.vocab


def test_it_begins_with_the_special_pieces_and_keeps_what_is_frequent():
    made = trained_wordpiece(TEXTS, 120, 32)
    assert tuple(made.vocab[:5]) == SPECIAL and len(made) <= 120 and len(set(made.vocab)) == len(made)
    assert {"the", "Paris", "Berlin"} <= set(made.vocab), "cased"
    assert made.tokenize("Paris the lake.") == ["Paris", "the", "lake", "."]
    small = trained_wordpiece(TEXTS, 70, 32)
    assert len(small) == 70 and small.vocab == made.vocab[:70], "merges in order of their use"


def test_no_word_of_known_letters_is_unknown():
    """Fault 12 of the paper's code: its vocabulary had only pieces that were seen."""
    made = trained_wordpiece(TEXTS, 120, 64)
    for word in ("siraP", "nilreB", "Zhcirü", "kaleedis"):
        assert word not in WORDS and UNK not in made.tokenize(word)
    assert {p for p in made.vocab if len(p) == 1} == set("".join(TEXTS)) - {" "}
    letters = {p.removeprefix("##") for p in made.vocab if len(p) == 3 and p.startswith("##")}
    assert letters == set("".join(TEXTS)) - set(" ."), "what stands by itself goes on with no word"


def test_a_rare_letter_is_unknown_and_in_no_piece():
    texts = [*TEXTS, *["wow wow"] * 4, *["ẞẞ"] * 2]
    made = trained_wordpiece(texts, 200, 32, min_count=5)
    assert made.tokenize("ẞ") == [UNK] and not any("ẞ" in p for p in made.vocab)
    assert UNK not in made.tokenize("wow") and trained_wordpiece(texts, 200, 32, min_count=4).tokenize("ẞ") != [UNK]


def test_ideographs_and_punctuation_are_one_piece_each():
    made = trained_wordpiece(["北京 and 東京, Paris!"] * 5, 200, 32)
    assert made.tokenize("京北") == ["京", "北"] and "##京" not in made.vocab and "##," not in made.vocab


def test_lower_case_takes_accents_away():
    made = trained_wordpiece(TEXTS, 120, 32, lowercase=True)
    assert made.tokenize("ZÜRICH") == made.tokenize("zurich") and not any(p != p.lower() for p in made.vocab[5:])


def test_too_small_a_vocabulary_is_refused():
    with pytest.raises(UserError, match=r"--vocab_size=20: the special tokens and the characters .* alone are \d+ pie"):
        trained_wordpiece(TEXTS, 20, 32)


def test_the_mask_of_made_text_is_no_letters():
    made = trained_wordpiece([f"the [MASK] {t}" for t in TEXTS], 120, 32)
    assert made.tokenize("[MASK]") == ["[MASK]"] and "M" not in made.vocab


def test_it_is_saved_and_read_again(tmp_path):
    made = trained_wordpiece(TEXTS, 120, 32)
    made.save(tmp_path / "vocab.txt", tmp_path / "tokenizer.json")
    again = load_tokenizer(tmp_path / "vocab.txt", tmp_path / "tokenizer.json")
    assert again.fingerprint() == made.fingerprint() and again.tokenize("Zürich") == made.tokenize("Zürich")


def test_windows_of_rows_of_words():
    made = trained_wordpiece(TEXTS, 120, 4)
    rows = [["Paris", "Parisq", "the"], [], ["the"] * 6, ["\u200b", "of"]]
    got = made.windows(rows)
    assert got.words.tolist() == [3, 0, 6, 2] and got.ids.lengths.max() == 4
    seen = sorted(got.word.flat().tolist())
    assert seen == list(range(11)), "each word is decided once"
    first = {n: got.ids[w][at] for w in range(len(got)) for n, at in zip(got.word[w], got.at[w], strict=True)}
    want = [made.tokenize(word)[:1] or [UNK] for row in rows for word in row]
    assert [[made.vocab[first[n]]] for n in range(11)] == want
