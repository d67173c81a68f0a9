"""A checkpoint's tokenizer files: what transformers makes of them, or an error that names the setting."""

from __future__ import annotations

import itertools
import json
import shutil

import pytest

from kd_keras.common.errors import UserError
from kd_keras.teachers.checkpoints import from_folder
from kd_keras.text.tokenizers import SPECIAL

LETTERS = "abcdefghilmnorstuéüÉÜÀà中文"
MORE = [*"ABCT", "##\u0301", "\u0301", "film", "The", "the", "café", "cafe", "中文", "##中文", "."]
PIECES = list(dict.fromkeys([*SPECIAL, *LETTERS, *(f"##{c}" for c in LETTERS), *MORE]))
SMALL_BERT = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32,
              "max_position_embeddings": 64}  # fmt: skip
TEXTS = ["The CAFÉ café cafe\u0301s", "film中文film", "中文", "ÀÜ the films.", "T\u0301he İ"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    from kd_keras.teachers.bert import Teacher

    path = tmp_path_factory.mktemp("pieces") / "bert"
    Teacher.random(PIECES, 2, 16, 1, **SMALL_BERT).save(path)
    for file in ("teacher.json", "tokenizer_config.json"):
        (path / file).unlink()
    return path


@pytest.fixture
def folder(made, tmp_path):
    return shutil.copytree(made, tmp_path / "bert")


def settings(folder, **said):
    (folder / "tokenizer_config.json").write_text(json.dumps(said), encoding="utf-8")


def ids(folder, texts=TEXTS):
    tokenizer = from_folder("x", folder).text.tokenizer(1 << 30)
    got = tokenizer.encode(texts)
    return [got[i].tolist() for i in range(len(texts))]


def of_transformers(folder, kind="BertTokenizerFast", texts=TEXTS):
    import transformers

    tokenizer = getattr(transformers, kind).from_pretrained(str(folder))
    return [tokenizer.encode(text, add_special_tokens=False) for text in texts]


def backend(folder, **changes):
    """tokenizer.json as tokenizers writes it, with ``part__key=value`` changed."""
    from transformers import BertTokenizerFast

    path = folder / "tokenizer.json"
    BertTokenizerFast(str(folder / "vocab.txt")).backend_tokenizer.save(str(path))
    content = json.loads(path.read_text(encoding="utf-8"))
    for name, value in changes.items():
        part, key = name.split("__")
        content[part] = value if not key else content[part] | {key: value}
    path.write_text(json.dumps(content), encoding="utf-8")


ALL = list(itertools.product([True, False], [True, False, None], [True, False]))


@pytest.mark.parametrize(("lower", "accents", "chinese"), ALL)
def test_settings_are_followed_as_transformers_does(folder, lower, accents, chinese):
    settings(folder, do_lower_case=lower, strip_accents=accents, tokenize_chinese_chars=chinese)
    got = ids(folder)
    assert got == of_transformers(folder)
    composed = [text for text in TEXTS if "\u0301" not in text]  # the slow one composes accents first
    assert ids(folder, composed) == of_transformers(folder, "BertTokenizer", composed)


def test_each_setting_tells_on_these_texts(folder):
    seen = set()
    for lower, accents, chinese in ALL:
        settings(folder, do_lower_case=lower, strip_accents=accents, tokenize_chinese_chars=chinese)
        seen.add(str(ids(folder)))
    assert len(seen) == 8


def test_settings_stay_with_the_teacher_and_its_student(folder, tmp_path):
    from kd_keras.teachers.bert import Teacher
    from kd_keras.text.tokenizers import cut_wordpiece, load_tokenizer

    settings(folder, do_lower_case=True, strip_accents=False, tokenize_chinese_chars=False)
    checkpoint = from_folder("x", folder)
    assert checkpoint.read_otherwise == {"read": {"strip_accents": False, "tokenize_chinese_chars": False}}
    teacher = Teacher.load(checkpoint, 2, 16)
    teacher.save(tmp_path / "saved", key={"max_length": 16})
    saved = Teacher.load_finished(from_folder("y", tmp_path / "saved"))
    assert saved.fingerprint() == teacher.fingerprint()
    want = teacher.tokenizer.tokenize(TEXTS[0])
    assert saved.tokenizer.tokenize(TEXTS[0]) == want and "café" in want
    student = cut_wordpiece(teacher.tokenizer, TEXTS, 16)
    assert [student.tokenize(t) for t in TEXTS] == [teacher.tokenizer.tokenize(t) for t in TEXTS]
    student.save(tmp_path / "vocab.txt", tmp_path / "tokenizer.json")
    loaded = load_tokenizer(tmp_path / "vocab.txt", tmp_path / "tokenizer.json")
    assert loaded.fingerprint() == student.fingerprint() and loaded.tokenize(TEXTS[0]) == want


def test_usual_settings_leave_keys_as_they_were(folder):
    for said in ({"do_lower_case": True}, {"do_lower_case": False}, {"do_lower_case": False, "strip_accents": False}):
        settings(folder, **said)
        assert from_folder("x", folder).read_otherwise == {}


@pytest.mark.parametrize(
    "changes", [{}, {"normalizer__strip_accents": False}, {"normalizer__lowercase": False},
                {"normalizer__handle_chinese_chars": False}]
)  # fmt: skip
def test_a_tokenizer_json_alone_is_read(folder, changes):
    from tokenizers import Tokenizer

    backend(folder, **changes)
    (folder / "vocab.txt").unlink()
    checkpoint = from_folder("x", folder)
    assert list(checkpoint.text.pieces) == PIECES and checkpoint.vocab.name == "tokenizer.json"
    plain = Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert ids(folder) == [plain.encode(text, add_special_tokens=False).ids for text in TEXTS]


def test_both_vocabularies_must_agree(folder):
    backend(folder)
    from_folder("x", folder)
    other = [*PIECES[:-2], PIECES[-1], PIECES[-2]]
    (folder / "vocab.txt").write_text("".join(p + "\n" for p in other), encoding="utf-8")
    with pytest.raises(UserError, match=f"vocab.txt and tokenizer.json differ .number {len(PIECES) - 2} is "):
        from_folder("x", folder)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model__type": "BPE"}, "a model of type BPE, expected WordPiece"),
        ({"model__type": "Unigram"}, "expected a Unigram vocabulary of pairs"),
        ({"normalizer__": {"type": "NFKC"}}, "a normalizer of type NFKC, expected BertNormalizer"),
        ({"normalizer__": None}, "a normalizer of type None"),
        ({"pre_tokenizer__": {"type": "Whitespace"}}, "a pre_tokenizer of type Whitespace"),
        ({"normalizer__clean_text": False}, "clean_text False"),
        ({"model__continuing_subword_prefix": "@@"}, "continuing_subword_prefix '@@'"),
        ({"model__max_input_chars_per_word": 20}, "max_input_chars_per_word 20"),
        ({"model__vocab": {"[PAD]": 0, "[UNK]": 2}}, "numbered from 0 without gaps"),
        ({"added_tokens__": [{"id": 900, "content": "<user>"}]}, "added tokens, which are not supported: <user>"),
    ],
)
def test_another_tokenizer_json_is_refused_by_name(folder, changes, said):
    backend(folder, **changes)
    with pytest.raises(UserError, match=f"--teacher=x: .*{said}"):
        from_folder("x", folder)


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"tokenizer_class": "BertJapaneseTokenizer"}, "tokenizer_class 'BertJapaneseTokenizer'"),
        ({"tokenizer_class": "RobertaTokenizerFast"}, "tokenizer_class 'RobertaTokenizerFast'"),
        ({"tokenizer_class": "PreTrainedTokenizerFast"}, "tokenizer_class 'PreTrainedTokenizerFast'"),
        ({"word_tokenizer_type": "mecab"}, "word_tokenizer_type 'mecab'; only 'basic'"),
        ({"subword_tokenizer_type": "character"}, "subword_tokenizer_type 'character'"),
        ({"do_basic_tokenize": False}, "do_basic_tokenize False"),
        ({"never_split": ["film"]}, "added tokens, which are not supported: film"),
        ({"cls_token": "<s>"}, r"cls_token '<s>'; only \[CLS\] is supported"),
        ({"pad_token": {"content": "<pad>"}}, "pad_token '<pad>'"),
        ({"additional_special_tokens": ["[E1]"]}, r"not supported: \[E1\]"),
        ({"added_tokens_decoder": {"99": {"content": "<url>"}}}, "not supported: <url>"),
        ({"added_tokens_decoder": {"9": {"content": "[MASK]"}}}, r"\[MASK\] is added as number 9, but is number 4"),
    ],
)
def test_settings_that_are_not_followed_are_refused_by_name(folder, told, said):
    settings(folder, do_lower_case=True, **told)
    with pytest.raises(UserError, match=f"--teacher=x: .*{said}"):
        from_folder("x", folder)


def test_other_files_with_added_tokens_and_classes_are_refused(folder):
    (folder / "added_tokens.json").write_text('{"<ent>": 70}')
    with pytest.raises(UserError, match="not supported: <ent>"):
        from_folder("x", folder)
    (folder / "added_tokens.json").unlink()
    (folder / "special_tokens_map.json").write_text('{"unk_token": "<unk>"}')
    with pytest.raises(UserError, match=r"unk_token '<unk>'; only \[UNK\]"):
        from_folder("x", folder)
    (folder / "special_tokens_map.json").unlink()
    config = json.loads((folder / "config.json").read_text()) | {"tokenizer_class": "BertJapaneseTokenizer"}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="config.json says tokenizer_class 'BertJapaneseTokenizer'"):
        from_folder("x", folder)


@pytest.mark.parametrize(
    ("pieces", "said"),
    [
        ([p for p in PIECES if p != "[SEP]"], r"vocab.txt has no \[SEP\]"),
        (["a", *(p for p in PIECES if p != "a")], r"has \[PAD\] as number 1, expected 0"),
        ([*PIECES, "film"], f"line {len(PIECES) + 1}: 'film' stands on two lines"),
        ([*PIECES, "more", "and", "more and"], f"a vocabulary of {len(PIECES) + 3} pieces, but embeddings of"),
    ],
)
def test_a_vocabulary_that_does_not_fit_is_refused(folder, pieces, said):
    (folder / "vocab.txt").write_text("".join(p + "\n" for p in pieces), encoding="utf-8")
    with pytest.raises(UserError, match=said):
        from_folder("x", folder)


def test_the_case_of_the_vocabulary(folder, bert_folder, tmp_path):
    cased = from_folder("x", folder).text
    assert not cased.lowercase and "no file says do_lower_case" in cased.notes[0]
    settings(folder, do_lower_case=True)
    assert from_folder("x", folder).lowercase and "never read" in from_folder("x", folder).notes[0]
    small = shutil.copytree(bert_folder, tmp_path / "small")
    settings(small, do_lower_case=False)
    assert (
        not from_folder("x", small).lowercase and "words with capitals are unknown" in from_folder("x", small).notes[0]
    )


def test_model_max_length_is_followed(folder):
    settings(folder, do_lower_case=True, model_max_length=20)
    from_folder("x", folder).check_length(20)
    with pytest.raises(UserError, match=r"--teacher_max_length=21: x reads at most 20 tokens \(model_max_length"):
        from_folder("x", folder).check_length(21)
    settings(folder, do_lower_case=True, model_max_length=int(1e30))
    from_folder("x", folder).check_length(64)


@pytest.mark.parametrize("setting", ["strip_accents", "tokenize_chinese_chars"])
def test_a_student_that_splits_otherwise_has_no_mediapipe_metadata(setting):
    from kd_keras.formats.format import FORMATS
    from kd_keras.formats.mediapipe import why_not
    from kd_keras.tasks import Task
    from kd_keras.text.tokenizers import WordPiece

    task, unrolled = Task("toy", "single", ("a", "b")), next(f for f in FORMATS.values() if f.form == "unrolled")
    assert why_not(task, WordPiece(PIECES, 9), unrolled) is None
    assert f"has no {setting}" in why_not(task, WordPiece(PIECES, 9, **{setting: False}), unrolled)
