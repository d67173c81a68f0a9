"""WordPiece against transformers' own Python tokenizer; the cut vocabulary against the whole one; words."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from kd_keras.common.errors import UserError
from kd_keras.text.tokenizers import SPECIAL, WordPiece, Words, cut_wordpiece, load_tokenizer, word_vocab

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
WORDS = "film films filming the un ##able ##ing ##s good ##ness play ##ed a big naïve ca ##fé Über".split()
WHOLE = [
    *SPECIAL,
    *dict.fromkeys(
        [*LETTERS, *(f"##{c}" for c in LETTERS), *"!,.'\"-?$^~é中文☺ABÜ", *(f"##{c}" for c in "éABÜ")]
        + ["##ü", *(w for w in WORDS if len(w) > 1)]
    ),
]

TEXTS = [
    "",
    " \t\n ",
    "The FILMS were unable, un-filmed: played!",
    "goodness gracious; naïve café Über ÜBER ünder",
    "中文 film中文ing 日本語",
    "☺ 🎬 film🎬s 👩‍👩‍👧 é",
    "a\x00b\x07c\ufffdd\u200be\u00a0f\u3000g\x7fh\x85i",
    "tab\tnew\nline\r\nend\x0b\x0c",
    "don't can't \"quoted\" $5.00 ^~`",
    "x" * 100 + " " + "x" * 101,
    "[MASK] in text, [mask] too",
    "½ ① ﬁlm ＦＩＬＭ",
    "a" * 3000,
    "film " * 300,
]


@pytest.fixture(scope="module")
def hugging_face(tmp_path_factory):
    from transformers import BertTokenizer

    path = tmp_path_factory.mktemp("hf") / "vocab.txt"
    path.write_text("".join(p + "\n" for p in WHOLE), encoding="utf-8")
    return {low: BertTokenizer(str(path), do_lower_case=low, model_max_length=1 << 30) for low in (True, False)}


def fuzz(count: int) -> list[str]:
    draw = np.random.default_rng(0)
    alphabet = list("aabcdefgimnoSs ABÉéÜü中文☺🎬,.!'-\t\n\u00a0\u200b\x00\x07$~ñ")
    return ["".join(draw.choice(alphabet, draw.integers(1, 40))) for _ in range(count)]


@pytest.mark.parametrize("lowercase", [True, False])
def test_pieces_agree_with_transformers(hugging_face, lowercase):
    ours = WordPiece(WHOLE, 1 << 30, lowercase)
    texts = TEXTS + fuzz(300)
    got = ours.encode(texts)
    for i, text in enumerate(texts):
        want = hugging_face[lowercase].encode(text, add_special_tokens=False)
        assert got[i].tolist() == want, f"{text!r}: {ours.tokenize(text)}"
    pieces = set(np.concatenate([got[i] for i in range(len(texts))]).tolist())
    assert len(pieces) > 50, "the texts reach too little of the vocabulary to prove anything"


def test_a_text_that_names_a_special_token_means_its_letters():
    """Unlike transformers: a review that says "[PAD]" must not become padding."""
    tokenizer = WordPiece(WHOLE, 99)
    ids = tokenizer.encode(["a [PAD] b [SEP] [CLS] [UNK]"])[0].tolist()
    assert not {tokenizer.index[t] for t in ("[PAD]", "[SEP]", "[CLS]")} & set(ids)
    spaced = tokenizer.encode(["a [ PAD ] b [ SEP ] [ CLS ] [ UNK ]"])[0].tolist()
    assert ids == spaced
    assert tokenizer.tokenize("a [MASK]b") == ["a", "[MASK]", "b"], "augmented text"


@pytest.mark.parametrize("lowercase", [True, False])
def test_case_is_kept_where_asked(lowercase):
    assert WordPiece(WHOLE, 9, lowercase).tokenize("Über A") == (
        ["u", "##b", "##e", "##r", "a"] if lowercase else ["Über", "A"]
    )


@pytest.mark.parametrize("length", [3, 4, 5, 8, 9, 10, 30])
def test_pairs_are_cut_longest_first_as_transformers_does(hugging_face, length, caplog):
    caplog.set_level("ERROR", "transformers")
    ours = WordPiece(WHOLE, length)
    letters = "a b c d e f g h i j k l".split()
    sides = [" ".join(letters[:n]) for n in (0, 1, 2, 3, 4, 12)]
    pairs = list(itertools.product(sides, sides))
    ids, first = ours.encode_for_bert([a for a, _ in pairs], [b for _, b in pairs])
    for i, (a, b) in enumerate(pairs):
        want = hugging_face[True](a, b, truncation="longest_first", max_length=length)
        assert ids[i].tolist() == want["input_ids"], (a, b)
        assert first[i] == want["token_type_ids"].count(0), (a, b)


@pytest.mark.parametrize("length", [3, 5, 64])
def test_single_texts_for_bert(hugging_face, length):
    texts = TEXTS[:9]
    ids, first = WordPiece(WHOLE, length).encode_for_bert(texts)
    for i, text in enumerate(texts):
        assert ids[i].tolist() == hugging_face[True](text, truncation=True, max_length=length)["input_ids"]
    assert first == ids.lengths.tolist()


def test_encode_is_the_head_of_the_whole_without_cls_and_sep():
    text = "the films were unable"
    whole = WordPiece(WHOLE, 1 << 30).encode([text])[0].tolist()
    assert WordPiece(WHOLE, 3).encode([text, ""])[0].tolist() == whole[:3]
    assert WordPiece(WHOLE, 3).encode([text, ""]).lengths.tolist() == [3, 0]


# The cut vocabulary.


def test_a_cut_vocabulary_splits_its_own_texts_as_the_whole_one_does():
    whole = WordPiece(WHOLE, 16)
    texts = [*TEXTS[:9], *fuzz(200)]
    cut = cut_wordpiece(whole, texts, 1 << 30)
    uncut = WordPiece(WHOLE, 1 << 30)
    assert len(cut) < len(whole) and cut.vocab[:5] == list(SPECIAL)
    for text in texts:
        assert cut.tokenize(text) == uncut.tokenize(text)


@pytest.mark.parametrize("spare", [None, 0, 2])
def test_nothing_made_of_known_characters_is_unknown(spare):
    whole = WordPiece(WHOLE, 64)
    characters = len(SPECIAL) + sum(len(p.removeprefix("##")) == 1 for p in WHOLE)
    cut = cut_wordpiece(whole, ["the films", "films"], 64, None if spare is None else characters + spare)
    draw = np.random.default_rng(0)
    for _ in range(100):
        text = "".join(draw.choice(list(LETTERS + " ,.!"), 30))
        assert "[UNK]" not in cut.tokenize(text), text
    assert "".join(p.removeprefix("##") for p in cut.tokenize("unfilmable")) == "unfilmable"
    assert cut.tokenize("filming") != whole.tokenize("filming"), "'filming' was in no text, so it is cut out"
    if spare == 0:
        assert cut.tokenize("films") == ["f", "##i", "##l", "##m", "##s"]
    elif spare == 2:
        assert len(cut) == characters + 2 and cut.tokenize("films the") == ["films", "the"]


def test_the_most_frequent_pieces_are_kept():
    whole = WordPiece(WHOLE, 64)
    characters = len(SPECIAL) + sum(len(p.removeprefix("##")) == 1 for p in WHOLE)
    cut = cut_wordpiece(whole, ["good the the film film film"], 64, characters + 2)
    assert cut.vocab[characters:] == ["film", "the"]
    with pytest.raises(UserError, match=rf"--vocab_size={characters - 1}: .* alone are {characters}"):
        cut_wordpiece(whole, ["film"], 64, characters - 1)


def test_with_ascii_other_characters_stay_only_if_the_text_often_uses_them():
    special, ascii_only = list(SPECIAL), ["a", "b", "##a", "##b", "!"]
    whole = WordPiece([*special, *ascii_only, "é", "字", "##字", "…", "ab", "ba"], 64)
    assert len(cut_wordpiece(whole, ["ab"], 64)) == len(special) + 9 + 1
    texts = ["ab ba …", "ab …", "ab 字"]
    kept = [cut_wordpiece(whole, texts, 64, 10 + n, characters="ascii").vocab[5:] for n in range(4)]
    assert kept == [ascii_only, [*ascii_only, "ab"], [*ascii_only, "ab", "…"], [*ascii_only, "ab", "…", "字"]]
    cut = cut_wordpiece(whole, texts, 64, 11, characters="ascii")
    assert cut.tokenize("ab … ba!") == ["ab", "[UNK]", "b", "##a", "!"]
    with pytest.raises(
        UserError, match="--vocab_size=13: .* alone are 14 pieces; use a higher value, or --vocab_characters=ascii"
    ):
        cut_wordpiece(whole, texts, 64, 13)


# Words.


def test_words_are_split_at_what_is_no_letter_digit_or_apostrophe():
    words = Words(["[PAD]", "[UNK]", "don't", "stop", "naïve", "e3"], 9)
    assert words.words("Don't STOP--now; naïve_x 中文!e3") == ["don't", "stop", "now", "naïve_x", "中文", "e3"]
    assert words.encode(["Don't stop it, e3", "", "?!"])[0].tolist() == [2, 3, 1, 5]
    assert words.encode(["", "?!"]).lengths.tolist() == [0, 0]
    assert Words(["[PAD]", "[UNK]", "Stop"], 1, lowercase=False).encode(["Stop stop"])[0].tolist() == [2]


def test_a_vocabulary_of_words_is_by_frequency_then_alphabet():
    texts = ["b a c", "B a d", "b e", "rare"]
    assert word_vocab(texts, 9).vocab == ["[PAD]", "[UNK]", "[MASK]", "b", "a"]
    assert word_vocab(texts, 9, min_count=1).vocab[3:] == ["b", "a", "c", "d", "e", "rare"]
    assert word_vocab(texts, 9, size=4).vocab == ["[PAD]", "[UNK]", "[MASK]", "b"]


# On disk.


@pytest.mark.parametrize(
    "tokenizer",
    [WordPiece(WHOLE, 7), WordPiece(WHOLE, 7, lowercase=False), Words(["[PAD]", "[UNK]", "a", "B"], 5, False, "[ ]+")],
    ids=["uncased", "cased", "words"],
)
def test_a_saved_tokenizer_is_the_same_tokenizer(tokenizer, tmp_path):
    tokenizer.save(tmp_path / "vocab.txt", tmp_path / "tokenizer.json")
    loaded = load_tokenizer(tmp_path / "vocab.txt", tmp_path / "tokenizer.json")
    assert type(loaded) is type(tokenizer) and loaded.fingerprint() == tokenizer.fingerprint()
    assert [r.tolist() for r in map(loaded.encode(TEXTS).__getitem__, range(len(TEXTS)))] == [
        r.tolist() for r in map(tokenizer.encode(TEXTS).__getitem__, range(len(TEXTS)))
    ]


def test_fingerprints_tell_tokenizers_apart():
    made = [
        WordPiece(WHOLE, 7),
        WordPiece(WHOLE, 8),
        WordPiece(WHOLE, 7, lowercase=False),
        WordPiece(WHOLE[:-1], 7),
        Words(WHOLE, 7),
        Words(WHOLE, 7, delimiter=" "),
    ]
    assert len({t.fingerprint() for t in made}) == len(made)


@pytest.mark.parametrize(
    ("vocab", "config", "message"),
    [
        ("[PAD]\n[UNK]\na\na\n", '{"kind": "words", "max_length": 3, "lowercase": true}', "'a' occurs on two lines"),
        ("[UNK]\n[PAD]\n", '{"kind": "words", "max_length": 3, "lowercase": true}', r"expected \[PAD\] on line 1"),
        ("[PAD]\n[UNK]\n", '{"kind": "letters"}', "expected a kind of wordpiece or words, found 'letters'"),
        ("[PAD]\n[UNK]\n", "[]", "expected a kind of"),
        ("[PAD]\n[UNK]\n", '{"kind": "words", "size": 3}', "tokenizer.json: "),
        ("[PAD]\n[UNK]\n", '{"kind": ', "tokenizer.json, line 1"),
    ],
)
def test_files_that_are_no_tokenizer_are_named(tmp_path, vocab, config, message):
    (tmp_path / "vocab.txt").write_text(vocab)
    (tmp_path / "tokenizer.json").write_text(config)
    with pytest.raises(UserError, match=message):
        load_tokenizer(tmp_path / "vocab.txt", tmp_path / "tokenizer.json")
