"""Teachers that are no BERT: transformers' own answers, refusals by name, fine-tuning, and what a phone runs."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from made_encoders import OTHERS, change_json, write_encoder
from safetensors.numpy import load_file, save_file

from kd_keras.common.errors import UserError
from kd_keras.teachers.checkpoints import from_folder
from kd_keras.teachers.families import FAMILIES
from kd_keras.teachers.settings import LabelSettings, TeacherSettings
from kd_keras.teachers.weight_files import canonical

TEXTS = ["good film", "the plot is dull", "a lovely film and a very bad plot . awful", "fine"]
SECOND = ["bad", "a very lovely plot", "dull", "the film"]
WORDS = "a lovely film and a dull plot"


@pytest.fixture(autouse=True)
def eagerly():
    """No graph is traced, which takes longer than all these models compute."""
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def transformers_classes(folder, tagging=False):
    import transformers

    auto = transformers.TFAutoModelForTokenClassification if tagging else (
        transformers.TFAutoModelForSequenceClassification)  # fmt: skip
    return auto.from_pretrained(folder), transformers.AutoTokenizer.from_pretrained(
        folder, **({"add_prefix_space": True} if tagging else {})
    )


def padded(tokenizer, *texts, length=38):
    made = tokenizer(*texts, padding=True, truncation=True, max_length=length, return_tensors="np")
    return {k: v.astype(np.int32) for k, v in made.items()}


@pytest.mark.parametrize("kind", OTHERS)
def test_logits_and_states_are_those_of_transformers(encoder_folder, kind):
    from kd_keras.teachers.bert import Teacher

    folder = encoder_folder(kind)
    model, tokenizer = transformers_classes(folder)
    teacher = Teacher.load(from_folder("x", folder), 2, 38)
    x = padded(tokenizer, TEXTS)
    want = model(x, output_hidden_states=True)
    batch = teacher.encode_texts(TEXTS).batch(np.arange(4))
    assert batch["input_ids"].tolist() == x["input_ids"].tolist(), "padding too"
    assert set(batch) == set(FAMILIES[kind].inputs)
    for cls_only in (True, False):
        got = teacher.predict_batch(batch, cls_only)
        np.testing.assert_allclose(got["logits"], want.logits, atol=2e-5)
    assert len(want.hidden_states) == 3
    for n, states in enumerate(want.hidden_states):
        np.testing.assert_allclose(got[f"hidden_{n}"], states, atol=2e-5)
    pairs = padded(tokenizer, TEXTS, SECOND)
    encoded = teacher.encode_texts(TEXTS, SECOND)
    batch = encoded.batch(np.arange(4))
    for name in batch:
        assert (batch[name] == pairs.get(name, batch[name])).all(), name
    np.testing.assert_allclose(teacher.logits(encoded), model(pairs).logits, atol=2e-5)
    np.testing.assert_allclose(teacher(TEXTS[:1])[0], want.logits[0], atol=2e-5, err_msg="padding changes nothing")


@pytest.mark.parametrize("kind", ["roberta", "xlm-roberta", "mpnet", "distilbert"])
def test_tags_are_those_of_transformers(encoder_folder, kind):
    from kd_keras.teachers.tagger import TaggingTeacher

    folder = encoder_folder(kind, True)
    model, tokenizer = transformers_classes(folder, True)
    checkpoint = from_folder("x", folder)
    assert (checkpoint.found.tags, checkpoint.found.classes) == (3, None)
    teacher = TaggingTeacher.load(checkpoint, 3, 38, own_classifier=True)
    made = tokenizer([WORDS.split()], is_split_into_words=True, return_tensors="np")
    want = model({k: v.astype(np.int32) for k, v in made.items()}).logits.numpy()[0]
    words = made.word_ids(0)
    firsts = [words.index(n) for n in range(7)]
    np.testing.assert_allclose(teacher([WORDS])[0], want[firsts], atol=2e-5)


@pytest.mark.parametrize("kind", OTHERS)
def test_a_few_updates_save_load_and_label(encoder_folder, kind, toy_data, tmp_path):
    from kd_keras.teachers.bert import Teacher
    from kd_keras.teachers.finetune import fine_tune
    from kd_keras.teachers.labelling import label_shard

    settings = TeacherSettings(teacher_epochs=1.0, teacher_learning_rate=0.01, teacher_pooling="cls")
    before = from_folder("x", encoder_folder(kind))
    teacher = fine_tune(before, toy_data(), settings, tmp_path / "teacher")
    first, after = before.found.arrays(), from_folder("y", tmp_path / "teacher").found.arrays()
    pieces = "embeddings.word_embeddings.weight"  # a Unigram's are cut
    same = [n for n, a in after.items() if n != pieces and np.array_equal(a, first[n])]
    assert [n for n in same if not n.startswith("pooler")] == [], "every weight moves"
    again = Teacher.load_finished(from_folder("y", tmp_path / "teacher"))
    assert again.fingerprint() == teacher.fingerprint() and (again(TEXTS) == teacher(TEXTS)).all()
    model, tokenizer = transformers_classes(tmp_path / "teacher")
    np.testing.assert_allclose(model(padded(tokenizer, TEXTS, length=16)).logits, again(TEXTS), atol=2e-5)
    made = label_shard(again, TEXTS, LabelSettings(hidden="mean"))
    np.testing.assert_allclose(made["logits"], again(TEXTS), atol=2e-5)
    assert made["hidden"].shape == (4, 16)


def test_a_probe_on_the_mean_is_where_a_roberta_starts(encoder_folder, toy_data, tmp_path):
    from kd_keras.teachers.bert import Teacher
    from kd_keras.teachers.finetune import fine_tune
    from kd_keras.teachers.settings import MEAN

    settings = TeacherSettings(teacher_epochs=0.0, teacher_pooling="mean", teacher_start="probe")
    made = fine_tune(from_folder("x", encoder_folder("roberta")), toy_data(), settings, tmp_path / "teacher")
    again = Teacher.load_finished(from_folder("y", tmp_path / "teacher"))
    assert again.pooling == MEAN
    encoded = made.encode(toy_data().train)
    linear = made.bert.classifier.out_proj
    want = made.vectors(encoded) @ linear.kernel.numpy() + linear.bias.numpy()
    np.testing.assert_allclose(again.logits(encoded), want, atol=1e-5)
    states = made.predict_batch(encoded.batch(np.arange(3)))["hidden_2"].numpy()
    mask = encoded.batch(np.arange(3))["attention_mask"][:, :, None]
    np.testing.assert_allclose(made.vectors(encoded)[:3], (states * mask).sum(1) / mask.sum(1), atol=1e-5)


def of_pytorch(folder, family):
    """model.safetensors with the names that PyTorch's model has."""
    arrays = {}
    for name, array in load_file(folder / "model.safetensors").items():
        plain, transposed = canonical(name)
        arrays[plain] = np.ascontiguousarray(array.T if transposed else array)
    return arrays


@pytest.mark.parametrize("kind", OTHERS)
def test_pytorchs_names_and_what_does_not_fit(encoder_folder, kind, tmp_path):
    folder = shutil.copytree(encoder_folder(kind), tmp_path / "x")
    want = from_folder("x", folder).found.arrays()
    state = of_pytorch(folder, FAMILIES[kind])
    one = next(name for name in state if name.endswith("word_embeddings.weight"))
    base = FAMILIES[kind].base
    assert one == f"{base}.embeddings.word_embeddings.weight"

    def load(changes=None, without=()):
        kept = {n: a for n, a in (state | (changes or {})).items() if n not in without}
        save_file(kept, folder / "model.safetensors", {"format": "pt"})
        return from_folder("x", folder).found

    got = load().arrays()
    assert got.keys() == want.keys() and all((got[n] == want[n]).all() for n in want)
    norm = next(n for n in state if n.endswith("LayerNorm.bias") or n.endswith("layer_norm.bias"))
    with pytest.raises(UserError, match=f"--teacher=x: .* is not the {kind} that .*missing: {norm[len(base) + 1 :]}"):
        load(without=[norm])
    with pytest.raises(UserError, match=r"unexpected: \w+\.embeddings\.more"):
        load({f"{base}.embeddings.more": np.zeros(2, np.float32)})
    with pytest.raises(UserError, match=r"of another shape: .* \[17\] instead of \[(8|16)\]"):
        load({norm: np.zeros(17, np.float32)})
    head = FAMILIES[kind].features[0]
    lacking = head if head.startswith(("classifier", "pre_classifier")) else f"{base}.{head}"
    with pytest.raises(UserError, match=f"missing: {head.replace('.', '[.]')}"):
        load(without=[lacking])
    assert "lm_head.bias" in load({"lm_head.bias": np.zeros(2, np.float32)}).extra


def test_positions_of_roberta_begin_behind_the_padding(encoder_folder):
    checkpoint = from_folder("x", encoder_folder("roberta"))
    assert checkpoint.found.rows["max_position_embeddings"] == 40 and checkpoint.positions == 38
    checkpoint.check_length(38)
    with pytest.raises(UserError, match="--teacher_max_length=39: x reads at most 38 tokens"):
        checkpoint.check_length(39)


@pytest.mark.parametrize(
    ("file", "change", "said"),
    [
        ("config.json", {"model_type": "t5"}, "model_type 't5'; expected one of bert, distilbert, electra, roberta, "
         "xlm-roberta, mpnet, albert$"),
        ("config.json", {"pad_token_id": 0}, "pad_token_id 0, but positions of roberta are counted for 1"),
        ("config.json", {"num_attention_heads": 3}, "expected a multiple of num_attention_heads 3"),
        ("vocab.json", {"<pad>": 1000, "more": 1}, "<pad> as number 1000, but positions of roberta"),
    ],
)  # fmt: skip
def test_what_cannot_be_followed_is_refused(encoder_folder, tmp_path, file, change, said):
    folder = shutil.copytree(encoder_folder("roberta"), tmp_path / "x")
    change_json(folder / file, **change)
    with pytest.raises(UserError, match=f"--teacher=x: .*{said}"):
        from_folder("x", folder)


def test_a_tokenizer_that_is_not_there(encoder_folder, tmp_path):
    folder = shutil.copytree(encoder_folder("xlm-roberta"), tmp_path / "x")
    (folder / "tokenizer.json").rename(folder / "sentencepiece.bpe.model")
    with pytest.raises(UserError, match=r"has sentencepiece.bpe.model but no tokenizer.json; .*AutoTokenizer"):
        from_folder("x", folder)
    (folder / "sentencepiece.bpe.model").unlink()
    with pytest.raises(UserError, match=r"has no tokenizer; expected tokenizer.json, vocab.json .* or vocab.txt"):
        from_folder("x", folder)


def test_a_large_vocabulary_is_cut_to_the_text(encoder_folder, tmp_path):
    from kd_keras.teachers.bert import Teacher

    whole = from_folder("x", encoder_folder("xlm-roberta"))
    cut = whole.cut_to(TEXTS[:2])
    assert 20 < len(cut.text.pieces) < len(whole.text.pieces) and list(cut.text.rows[:4]) == [0, 1, 2, 3]
    want = Teacher.load(whole, 2, 24)
    got = Teacher.load(cut, 2, 24)
    assert got.word_embeddings().shape == (len(cut.text.pieces), 16)
    np.testing.assert_allclose(got(TEXTS[:2]), want(TEXTS[:2]), atol=1e-6)
    got.save(tmp_path / "cut", key={"max_length": 24})
    again = Teacher.load_finished(from_folder("y", tmp_path / "cut"))
    assert (again(TEXTS[:2]) == got(TEXTS[:2])).all()


@pytest.mark.parametrize("kind", ["roberta", "mpnet"])
def test_a_phone_can_run_it(encoder_folder, kind, tmp_path):
    from kd_keras.formats import teacher_tflite
    from kd_keras.teachers.bert import Teacher
    from kd_keras.timing.models import TEACHER_FORMATS

    teacher = Teacher.load(from_folder("x", encoder_folder(kind)), 2, 24)
    path = tmp_path / "teacher.tflite"
    path.write_bytes(teacher_tflite.convert(teacher, TEACHER_FORMATS["float32"], 16))
    inputs = teacher_tflite.bert_inputs(teacher.tokenizer, TEXTS, SECOND, 16)
    assert set(inputs) == {"input_ids", "attention_mask"}
    reader = Teacher(teacher.bert, teacher.tokenizer.like(16), "x")
    np.testing.assert_allclose(
        teacher_tflite.logits(path, inputs), reader.logits(reader.encode_texts(TEXTS, SECOND)), atol=1e-4
    )


def test_numbers_of_another_classifier_are_drawn_anew(encoder_folder):
    from kd_keras.teachers.bert import Teacher

    checkpoint = from_folder("x", encoder_folder("electra"))
    assert Teacher.load(checkpoint, 5, 24)(TEXTS).shape == (4, 5)
    with pytest.raises(UserError, match="has no classifier of 5 outputs"):
        Teacher.load(checkpoint, 5, 24, own_classifier=True)


def test_one_token_type_stays_one(tmp_path):
    from kd_keras.teachers.bert import Teacher

    folder = write_encoder("roberta", tmp_path / "x")
    assert Teacher.load(from_folder("x", folder), 2, 24).bert.config.type_vocab_size == 1
