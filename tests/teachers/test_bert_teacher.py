"""The teacher's numbers against transformers' model called directly, on other padding."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from kd_keras.common.errors import UserError
from kd_keras.tasks import Rows
from kd_keras.teachers.bert import Teacher
from kd_keras.teachers.checkpoints import find_checkpoint
from kd_keras.teachers.encoded import token_batches
from kd_keras.teachers.labelling import pool

TEXTS = ["good film", "", "a very dull plot and the awful film is bad .", "unknownword", "lovely", "[MASK] film"] * 2


def rows_of(texts, texts_b=None) -> Rows:
    return Rows([f"r-{i}" for i in range(len(texts))], texts, texts_b, np.full(len(texts), -1, np.int32))


@pytest.fixture(scope="module")
def teacher(make_teacher):
    return make_teacher(labels=3)


def direct(folder, texts, texts_b=None, **padding):
    """Logits and hidden states from transformers alone: its tokenizer, its model, one row at a time."""
    from transformers import BertTokenizer, TFBertForSequenceClassification

    tokenizer = BertTokenizer.from_pretrained(str(folder))
    bert = TFBertForSequenceClassification.from_pretrained(str(folder))
    out = []
    for i, text in enumerate(texts):
        pair = None if texts_b is None else texts_b[i]
        x = tokenizer(text, pair, truncation="longest_first", max_length=16, return_tensors="tf", **padding)
        out.append(bert(x, output_hidden_states=True, training=False))
    return out


@pytest.mark.parametrize("padding", [{}, {"padding": "max_length"}])
@pytest.mark.parametrize("pairs", [False, True])
def test_logits_are_those_of_transformers(teacher, tmp_path, pairs, padding):
    texts_b = TEXTS[::-1] if pairs else None
    teacher.save(tmp_path / "t")
    want = direct(tmp_path / "t", TEXTS, texts_b, **padding)
    got = teacher.logits(teacher.encode(rows_of(TEXTS, texts_b)), tokens_per_batch=64)
    assert got.shape == (12, 3) and got.dtype == np.float32
    np.testing.assert_allclose(got, np.concatenate([w.logits for w in want]), atol=1e-5)
    assert np.abs(got - got[0]).max() > 1e-3, "texts that get equal logits would prove nothing"


@pytest.mark.parametrize("cls_only", [False, True])
def test_hidden_states_and_their_pooling_are_those_of_transformers(teacher, tmp_path, cls_only):
    teacher.save(tmp_path / "t")
    x = teacher.encode(rows_of(TEXTS)).batch(np.arange(len(TEXTS)))
    out = teacher.predict_batch(x, cls_only)
    for layer in range(3):
        states = out[f"hidden_{layer}"].numpy()
        want = [w.hidden_states[layer].numpy()[0] for w in direct(tmp_path / "t", TEXTS)]
        np.testing.assert_allclose(pool(states, x["attention_mask"], "cls"), [w[0] for w in want], atol=1e-5)
        if cls_only and layer == 2:
            assert states.shape == (len(TEXTS), 1, 16), "the last layer must work for [CLS] alone"
        else:
            np.testing.assert_allclose(pool(states, x["attention_mask"], "mean"), [w.mean(0) for w in want], atol=1e-5)


def test_inference_leaves_the_layers_as_they_were(teacher):
    x = teacher.encode(rows_of(TEXTS)).batch(np.arange(3))
    before = teacher.model(x, training=False)["hidden_2"].numpy()
    teacher.predict_batch(x, cls_only=True)
    assert not [layer.name for layer in teacher.bert.submodules if "call" in vars(layer)]
    np.testing.assert_array_equal(teacher.model(x, training=False)["hidden_2"], before)


def test_the_second_text_has_type_1_and_padding_has_type_0(teacher):
    batch = teacher.encode(rows_of(["good film", "a"], ["bad", "the plot is dull"])).batch(np.array([0, 1]))
    assert batch["token_type_ids"].tolist() == [[0, 0, 0, 0, 1, 1, 0, 0], [0, 0, 0, 1, 1, 1, 1, 1]]
    assert batch["attention_mask"].tolist() == [[1] * 6 + [0] * 2, [1] * 8]
    plain = teacher.encode(rows_of(["good film", "a"])).batch(np.array([0, 1]))
    assert not plain["token_type_ids"].any()


def test_types_matter(teacher):
    one = teacher.logits(teacher.encode(rows_of(["good [SEP] bad"])))
    two = teacher.logits(teacher.encode(rows_of(["good"], ["bad"])))
    assert np.abs(one - two).max() > 1e-4, "the same ids with other types must not give the same logits"


def test_padding_changes_nothing(teacher):
    encoded = teacher.encode(rows_of(["good film"]))
    short = encoded.batch(np.array([0]))
    long = {k: np.pad(v, ((0, 0), (0, 9))) for k, v in short.items()}
    np.testing.assert_allclose(teacher.predict_batch(short)["logits"], teacher.predict_batch(long)["logits"], atol=1e-6)


def test_the_call_for_notebooks_keeps_the_order(teacher):
    np.testing.assert_allclose(teacher(TEXTS), np.concatenate([teacher([t]) for t in TEXTS]), atol=1e-5)


def test_a_saved_teacher_loads_equal(teacher, tmp_path):
    teacher.save(tmp_path / "t", key={"a": 1})
    loaded = Teacher.load(find_checkpoint(str(tmp_path / "t")), 3, 16)
    assert loaded.fingerprint() == teacher.fingerprint()
    assert (loaded(TEXTS) == teacher(TEXTS)).all()
    assert (loaded.word_embeddings() == teacher.word_embeddings()).all()
    assert loaded.word_embeddings().shape == (len(teacher.tokenizer), 16)
    manifest = json.loads((tmp_path / "t" / "teacher.json").read_text())
    assert manifest["key"] == {"a": 1} and len(manifest["weights_sha256"]) == 64


def test_fingerprints_hang_on_weights_vocabulary_and_length(make_teacher):
    base = make_teacher()
    assert base.fingerprint() == make_teacher().fingerprint()
    assert base.fingerprint()["weights"] != make_teacher(seed=2).fingerprint()["weights"]
    assert base.fingerprint()["max_length"] != make_teacher(max_length=15).fingerprint()["max_length"]


def test_parameters_agree_with_the_formula(teacher):
    h, inner, positions, vocab = 16, 32, 64, len(teacher.tokenizer)
    embeddings = (vocab + positions + 2) * h + 2 * h
    layer = 4 * (h * h + h) + 2 * h * inner + inner + h + 4 * h
    total = embeddings + 2 * layer + (h * h + h) + (h * 3 + 3)
    about = teacher.about()
    assert (about["parameters"], about["parameters_without_embeddings"]) == (total, total - embeddings)


def test_a_classifier_of_another_size_is_drawn_anew_from_the_seed(bert_folder):
    checkpoint = find_checkpoint(str(bert_folder))
    a, b, c = (Teacher.load(checkpoint, 5, 16, seed=s) for s in (1, 1, 2))
    assert a.num_labels == 5 and a(["good"]).shape == (1, 5)
    assert (a(TEXTS) == b(TEXTS)).all() and (a(TEXTS) != c(TEXTS)).any()
    assert (a.word_embeddings() == c.word_embeddings()).all()


def test_a_length_over_the_positions_and_broken_weights_are_refused(bert_folder, tmp_path):
    with pytest.raises(UserError, match="--teacher_max_length=65: .* reads at most 64 tokens"):
        Teacher.load(find_checkpoint(str(bert_folder)), 2, 65)
    broken = shutil.copytree(bert_folder, tmp_path / "b")
    (broken / "model.safetensors").write_bytes(b"\0" * 100)
    with pytest.raises(UserError, match=r"--teacher=.*model.safetensors cannot be loaded \(") as error:
        Teacher.load(find_checkpoint(str(broken)), 2, 16)
    assert "\n" not in str(error.value)


def test_batches_by_tokens_keep_their_limit_and_every_row():
    lengths = np.random.default_rng(0).integers(2, 40, 200)
    batches = token_batches(lengths, 128)
    assert sorted(np.concatenate(batches).tolist()) == list(range(200))
    for b in batches:
        assert len(b) * lengths[b].max() <= 128
    assert len(batches) <= 1.3 * lengths.sum() / 128, "batches are filled, not one row each"
    assert [len(b) for b in token_batches(np.array([50, 60]), 16)] == [1, 1]
