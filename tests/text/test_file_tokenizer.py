"""A tokenizer.json that is followed as it is: transformers' ids, and what a student takes of it."""

from __future__ import annotations

import numpy as np
import pytest
from made_encoders import TEXT, write_tokenizer

from kd_keras.common.errors import UserError
from kd_keras.teachers.families import FAMILIES
from kd_keras.teachers.own_tokenizer import read_own
from kd_keras.text import embeddings
from kd_keras.text.file_tokenizer import FileTokenizer
from kd_keras.text.tokenizers import SPECIAL, cut_wordpiece

TEXTS = ["good film", "A lovely,  plot!", "", "très naïve", *TEXT[:40:9]]
CLASSES = {"roberta": "RobertaTokenizerFast", "mpnet": "MPNetTokenizerFast"}


def made(kind, folder, max_length=12, truncation="head"):
    import json

    write_tokenizer(kind, folder)
    file = folder / "tokenizer.json"
    backend = json.loads(file.read_text("utf-8")) if file.is_file() else {}
    return read_own("x", folder, FAMILIES[kind], {}, {}, backend).like(max_length, truncation)


def of_transformers(kind, folder):
    import transformers

    return getattr(transformers, CLASSES[kind]).from_pretrained(folder)


def rows(ids):
    return [ids[n].tolist() for n in range(len(ids))]


@pytest.mark.parametrize("kind", CLASSES)
def test_ids_of_vocabulary_files_are_those_of_transformers(kind, tmp_path):
    tokenizer, theirs = made(kind, tmp_path), of_transformers(kind, tmp_path)
    uncut = tokenizer.like(1 << 30)
    assert rows(uncut.encode(TEXTS)) == [theirs.encode(t, add_special_tokens=False) for t in TEXTS]
    got, _ = tokenizer.encode_for_bert(TEXTS)
    assert rows(got) == theirs(TEXTS, truncation=True, max_length=12)["input_ids"]
    got, _ = tokenizer.encode_for_bert(TEXTS, TEXTS[::-1])
    for row, a, b in zip(rows(got), TEXTS, TEXTS[::-1], strict=True):
        both = [theirs.encode(t, add_special_tokens=False) for t in (a, b)]
        if sum(map(len, both)) <= 8:
            assert row == theirs([a], [b])["input_ids"][0]
        assert len(row) <= 12 and row.count(2) == 3, "two [SEP] between the texts"


@pytest.mark.parametrize("kind", CLASSES)
def test_special_tokens_are_letters_and_the_mask_is_one_piece(kind, tmp_path):
    tokenizer = made(kind, tmp_path)
    special = [tokenizer.index[name] for name in SPECIAL]
    for text in ("</s>", "<pad>", "<mask>", "[SEP]"):
        assert not set(tokenizer.encode([text])[0].tolist()) & {special[n] for n in (0, 2, 3, 4)}, text
    assert tokenizer.encode(["a [MASK] film"])[0].tolist().count(tokenizer.index["[MASK]"]) == 1
    assert tokenizer.pad_id == 1 and tokenizer.vocab[0] == "[CLS]" and tokenizer.vocab[2] == "[SEP]"


def test_a_student_takes_the_pieces_of_an_mpnet(tmp_path):
    tokenizer = made("mpnet", tmp_path, 30)
    texts = [t for t in TEXTS if t.isascii()]
    student = cut_wordpiece(tokenizer.wordpiece, texts, 30)
    assert tokenizer.is_wordpiece and student.vocab[:5] == list(SPECIAL) and len(student) < len(tokenizer)
    assert [student.tokenize(t) for t in texts] == [tokenizer.tokenize(t) for t in texts]
    assert all(piece in tokenizer.index for piece in student.vocab)
    whole = tokenizer.wordpiece
    for piece in ("film", "##f", "zzz"):
        bare = piece.removeprefix("##")
        want = [whole.vocab[i] for i in whole.pieces_of(bare, bare == piece)]
        assert [tokenizer.vocab[i] for i in tokenizer.pieces_of(bare, bare == piece)] == want


def test_pieces_of_words_of_a_bpe_are_those_behind_a_space(tmp_path):
    tokenizer = made("roberta", tmp_path)
    assert not tokenizer.is_wordpiece
    name = lambda text, begins: [tokenizer.vocab[i] for i in tokenizer.pieces_of(text, begins)]  # noqa: E731
    assert name("film", True) == ["Ġfilm"] and "".join(name("film", False)) == "film"
    pieces = embeddings.teacher_pieces([*SPECIAL, "film", "##film"], tokenizer.pieces_of)
    matrix = np.random.default_rng(0).normal(size=(len(tokenizer), 6)).astype(np.float32)
    first = embeddings.from_pieces(matrix, pieces, 4)
    assert pieces[5].tolist() == [tokenizer.index["Ġfilm"]] and not first[:5].any() and first[5:].any(1).all()
    windows = tokenizer.windows([["a", "film"]], for_bert=True)
    assert [tokenizer.vocab[i] for i in windows.ids[0]] == ["[CLS]", "Ġa", "Ġfilm", "[SEP]"]


def test_a_cut_unigram_splits_as_before(tmp_path):
    from kd_keras.text.file_tokenizer import cut_content
    from kd_keras.text.unigram import used_pieces

    for kind in ("xlm-roberta", "albert"):
        (tmp_path / kind).mkdir()
        whole = made(kind, tmp_path / kind, 30)
        kept = used_pieces(whole, TEXTS[:2])
        cut = FileTokenizer(cut_content(whole.content, kept), whole.names, 30)
        assert len(cut) < len(whole) and cut.pad_id == whole.pad_id
        assert [cut.tokenize(t) for t in TEXTS[:2]] == [whole.tokenize(t) for t in TEXTS[:2]]
        assert rows(whole.encode(TEXTS[:2])) == [kept[row].tolist() for row in rows(cut.encode(TEXTS[:2]))]
        assert [kept[i] for i in cut.encode_for_bert(["good"])[0][0]] == whole.encode_for_bert(["good"])[0][0].tolist()


def test_files_that_are_no_tokenizer(tmp_path):
    tokenizer = made("roberta", tmp_path)
    with pytest.raises(UserError, match="expected a post_processor that puts"):
        FileTokenizer(dict(tokenizer.content) | {"post_processor": None}, tokenizer.names, 9)
    with pytest.raises(UserError, match="has no <begin> in its vocabulary"):
        FileTokenizer(tokenizer.content, tokenizer.names | {"[CLS]": "<begin>"}, 9)
    with pytest.raises(UserError, match="is not a tokenizer"):
        FileTokenizer(dict(tokenizer.content) | {"model": {"type": "Other"}}, tokenizer.names, 9)
