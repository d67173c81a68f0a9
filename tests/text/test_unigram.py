"""Unigram as the package tokenizers splits text, our order of pieces, cut to some text, and as a file."""

import json

import numpy as np
import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from kd_keras.common.errors import UserError
from kd_keras.text.unigram import Unigram, read_unigram, used_pieces

PIECES = ["<s>", "<pad>", "</s>", "<unk>", "▁b", "▁abc", "▁", "a", "b", "c", "▁a", "▁ab", "abc", "bc", "é", "<mask>"]
SCORES = [0.0, 0.0, 0.0, 0.0, *(-float(n) - 1 for n in range(11)), 0.0]


@pytest.fixture
def backend() -> dict:
    made = Tokenizer(models.Unigram(list(zip(PIECES, SCORES, strict=True)), 3, False))
    made.normalizer = normalizers.NFKC()
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    return json.loads(made.to_str())


def made(backend: dict) -> tuple[Unigram, np.ndarray]:
    pieces, scores, parts, rows = read_unigram("tokenizer.json", backend)
    return Unigram(pieces, scores, parts, 16), rows


TEXTS = ["abc", "ab c", "a bcabc", "aé", "xyz", "", "abc [PAD] <x>", "ﬁ a"]


def test_text_is_split_as_by_the_package(backend):
    ours, rows = made(backend)
    theirs = Tokenizer.from_str(json.dumps(backend))
    for text in TEXTS:
        assert rows[ours.encode([text])[0]].tolist() == theirs.encode(text, add_special_tokens=False).ids, text


def test_special_pieces_come_first_and_no_text_has_them(backend):
    ours, rows = made(backend)
    assert ours.vocab[:5] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    assert [PIECES[r] for r in rows[:5]] == ["<pad>", "<unk>", "<s>", "</s>", "<mask>"]
    said = ours.encode(["[PAD] [CLS] <pad>"])[0]
    assert (said == 1).any() and not np.isin(said, [0, 2, 3, 4]).any()


def test_the_mask_of_augmented_text_is_one_piece(backend):
    ours, _ = made(backend)
    assert (ours.encode(["a [MASK] b"])[0] == ours.vocab.index("[MASK]")).sum() == 1
    words = ours.windows([["a", "[MASK]"]], for_bert=True)
    assert words.ids[0][words.at[0][1]] == ours.vocab.index("[MASK]")


def test_a_vocabulary_that_is_cut_splits_its_text_as_the_whole_one(backend):
    ours, _ = made(backend)
    kept = used_pieces(ours, TEXTS)
    cut = Unigram([ours.vocab[i] for i in kept], [ours.scores[i] for i in kept], ours.parts, 16)
    for text in TEXTS:
        assert kept[cut.encode([text])[0]].tolist() == ours.encode([text])[0].tolist(), text
    assert len(cut) < len(ours) and {"a", "b", "c", "é"} <= set(cut.vocab)


def test_what_is_saved_is_read_again_here_and_by_the_package(backend):
    ours, _ = made(backend)
    again, rows = made(json.loads(json.dumps(ours.to_json())))
    assert again.vocab == ours.vocab and rows.tolist() == list(range(len(ours)))
    theirs = Tokenizer.from_str(json.dumps(ours.to_json()))
    assert theirs.encode("abc").ids == [2, *ours.encode(["abc"])[0].tolist(), 3]


def test_words_have_pieces_and_a_word_without_any_is_unknown(backend):
    ours, _ = made(backend)
    found = ours.windows([["abc", "", "b"]], for_bert=True)
    pieces = [ours.vocab[i] for i in found.ids[0]]
    assert pieces == ["[CLS]", "▁abc", "[UNK]", "▁b", "[SEP]"] and found.at[0].tolist() == [1, 2, 3]


def test_a_bare_space_is_no_piece_of_a_word_that_has_none_before_it(backend):
    """It would be the first piece of every Chinese character, and so all that tells the character's tag."""
    backend["model"]["vocab"] += [["東", -9.0], ["。", -9.5]]
    ours, _ = made(backend)
    assert [ours.vocab[i] for i in ours.encode(["c 東"])[0]] == ["▁", "c", "▁", "東"], "text has it"
    found = ours.windows([["c", "東", "。", "b"]], for_bert=True)
    assert [ours.vocab[i] for i in found.ids[0]] == ["[CLS]", "▁", "c", "東", "。", "▁b", "[SEP]"]
    assert found.at[0].tolist() == [1, 3, 4, 5], "a word of a script with spaces begins with its own"
    assert [[ours.vocab[i] for i in ours.pieces_of(w, begins=True)] for w in ("c", "東")] == [["▁", "c"], ["東"]]


def test_the_beginning_of_a_word_is_another_piece_than_its_inside(backend):
    ours, _ = made(backend)
    assert [ours.vocab[i] for i in ours.pieces_of("b", True)] == ["▁b"]
    assert [ours.vocab[i] for i in ours.pieces_of("b", False)] == ["b"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda b: b["model"].update(vocab=[["a"]]), "pairs [piece, score]"),
        (lambda b: b.update(pre_tokenizer={"type": "ByteLevel"}), "expected Metaspace"),
        (lambda b: b["model"].update(vocab=b["model"]["vocab"][1:]), "has no <s>"),
        (lambda b: b["model"].update(unk_id=0), "unk_id is 0"),
    ],
)
def test_another_tokenizer_is_refused_by_name(backend, change, said):
    change(backend)
    with pytest.raises(UserError, match=said.replace("[", r"\[")):
        read_unigram("tokenizer.json", backend)
