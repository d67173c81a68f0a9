"""The SavedModel's tokenizer gives the ids of training's, on text of every odd kind."""

from __future__ import annotations

import pytest

from kd_keras.text.tokenizers import SPECIAL, WordPiece, Words

NASTY = (
    "", " ", "a good film", "Crème BRÛLÉE naïve e\u0301 i\u0307", "中文和english混合", "🙂 ok 👩‍👩‍👧 x",
    "don't... stop!!! (really) — “quoted”", "x_y __ it's 'quoted' ''", "$5 + 3 = 8 ~ ^ ` | #tag @user http://a.b/c?d=e&f",
    "a" * 100, "a" * 101, "é" * 100, "é" * 101, "я" * 60 + " x", "good " * 300,
    "tab\there\nnew\rline\x0bvt\x0cff\x85nel\xa0nb\u2003em\u3000id\u2028line\u2029para",
    "nul\x00l \x01\x7f\u200b\u200d\ufeffbom \ufffd soft\u00adhyphen \ue000private \U000e0001tag a\u0378b",
    "[MASK] x[MASK]y [PAD] [SEP][UNK][CLS] [mask] [MASK][MASK] [ MASK ] [MASK",
    "ΣΑΣ ΟΔΟΣ.", "İstanbul ISTANBUL ı", "ﬁne ǅ 𝔘 ½ ² Ⅷ ㎏ ｆｕｌｌ", "ßtraße STRASSE ẞ", "한국어", "日本語 カタカナ",
    "हिन्दी", "العربية", "ไทย", "##ly ##s s ##",
)  # fmt: skip


def pieces() -> list[str]:
    """Every character of NASTY as a word and inside a word, so that any slip shows in the ids."""
    import unicodedata

    text = "".join(NASTY)
    text += text.lower() + text.upper() + unicodedata.normalize("NFD", text + text.lower())
    single = sorted(c for c in set(text) if c.strip() and c != "\x00")
    return [*SPECIAL, *single, *("##" + c for c in single), "good", "film", "##ly", "mask"]


def tokenizers():
    vocab = pieces()
    words = sorted({w for t in NASTY for low in (True, False) for w in Words(["[PAD]", "[UNK]"], 99, low).words(t)})
    words = [w for w in words if w not in ("[MASK]", "ok")]  # a word that is unknown
    with_mask = ["[PAD]", "[UNK]", "[MASK]", *words]
    return {
        "wordpiece": WordPiece(vocab, 150),
        "wordpiece cased": WordPiece(vocab, 150, lowercase=False),
        "wordpiece with accents": WordPiece(vocab, 150, strip_accents=False),
        "wordpiece cased without accents": WordPiece(vocab, 150, lowercase=False, strip_accents=True),
        "wordpiece that splits no Chinese": WordPiece(vocab, 150, tokenize_chinese_chars=False),
        "wordpiece without mask": WordPiece([p for p in vocab if p != "[MASK]"], 150),
        "wordpiece of three": WordPiece(vocab, 3),
        "words": Words(with_mask, 150),
        "words cased": Words(with_mask, 150, lowercase=False),
        "words without mask": Words([w for w in with_mask if w != "[MASK]"], 150),
        "words of three": Words(with_mask, 3),
        "wordpiece, tail of three": WordPiece(vocab, 3, truncation="tail"),
        "wordpiece, both ends of eleven": WordPiece(vocab, 11, truncation="head_tail"),
        "wordpiece without mask, both ends": WordPiece([p for p in vocab if p != "[MASK]"], 5, truncation="head_tail"),
        "words, tail of three": Words(with_mask, 3, truncation="tail"),
        "words, both ends of five": Words(with_mask, 5, truncation="head_tail"),
        "words at spaces": Words(with_mask, 150, delimiter=r"[ ]+"),
    }


@pytest.fixture(scope="module", params=list(tokenizers()))
def tokenizer(request):
    return tokenizers()[request.param]


def test_the_ids_are_those_of_training(tokenizer):
    import tensorflow as tf

    from kd_keras.formats.graph_tokenizer import InGraphTokenizer

    graph = InGraphTokenizer(tokenizer)
    got = tf.function(graph.__call__)(tf.constant(NASTY)).to_list()
    want = tokenizer.encode(NASTY)
    for text, a, b in zip(NASTY, got, want, strict=True):
        assert a == list(b), f"{text!r}: {[tokenizer.vocab[i] for i in a]} instead of {[tokenizer.vocab[i] for i in b]}"
    assert sum(map(len, got)) > 50 and len({i for row in got for i in row}) > 40
    padded = graph.padded(tf.constant(["", ""])).numpy()
    assert padded.tolist() == [[0], [0]] and padded.dtype == "int32"
    padded = graph.padded(tf.constant(["good film", ""])).numpy()
    assert padded.shape == (2, 2) and padded[1].tolist() == [0, 0]


def test_an_unknown_kind_is_refused():
    from kd_keras.common.errors import UserError
    from kd_keras.formats.graph_tokenizer import InGraphTokenizer

    class Other(Words):
        kind = "other"

    with pytest.raises(UserError, match="expected wordpiece or words"):
        InGraphTokenizer(Other(["[PAD]", "[UNK]"], 5))
