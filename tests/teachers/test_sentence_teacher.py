"""Teachers that give vectors alone: against transformers and scikit-learn, and as signals on disk."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from sklearn.decomposition import PCA

from kd_keras.common.errors import UserError
from kd_keras.metrics.vectors import unit
from kd_keras.tasks import Rows
from kd_keras.teachers import labelling, precision
from kd_keras.teachers.checkpoints import find_checkpoint
from kd_keras.teachers.labelling import label, label_shard
from kd_keras.teachers.projection import Projection, principal
from kd_keras.teachers.sentences import Reduction, SentenceTeacher, reduced
from kd_keras.teachers.settings import LabelSettings, TargetSettings
from kd_keras.teachers.signals import SignalStore

TEXTS = ["good film", "", "a very dull plot and the awful film is bad .", "lovely", "the plot is fine"]


@pytest.fixture(scope="module")
def teacher(bert_folder):
    return SentenceTeacher.of(find_checkpoint(str(bert_folder)), 24, LabelSettings(hidden="mean"))


def by_transformers(folder, texts, layer: int, how: str) -> np.ndarray:
    """One text at a time, without padding."""
    from transformers import BertTokenizer, TFBertModel

    tokenizer, bert = BertTokenizer.from_pretrained(str(folder)), TFBertModel.from_pretrained(str(folder))
    out = []
    for text in texts:
        states = bert(tokenizer(text, return_tensors="tf"), output_hidden_states=True).hidden_states[layer].numpy()
        out.append(states[0].mean(0) if how == "mean" else states[0, 0])
    return np.array(out)


@pytest.mark.parametrize("layer", [-1, 1])
@pytest.mark.parametrize("how", ["mean", "cls"])
def test_vectors_are_transformers(teacher, bert_folder, how, layer):
    settings = LabelSettings(hidden=how, hidden_layer=layer, label_batch_tokens=32)
    want = by_transformers(bert_folder, TEXTS, layer, how)
    teacher.reduction, teacher.label = Reduction(unit=False), settings
    np.testing.assert_allclose(teacher.raw(teacher.encode_texts(TEXTS)), want, atol=2e-5)
    made = label_shard(teacher, TEXTS, settings)
    assert list(made) == ["hidden"] and made["hidden"].dtype == np.float16
    np.testing.assert_allclose(made["hidden"], want, atol=2e-3, rtol=2e-3)
    teacher.reduction = Reduction()
    np.testing.assert_allclose(label_shard(teacher, TEXTS, settings)["hidden"], unit(want), atol=1e-3)


@pytest.mark.parametrize("layer", [-1, 1])
def test_states_of_words_are_transformers(teacher, bert_folder, layer):
    from transformers import BertTokenizerFast, TFBertModel

    settings = LabelSettings(hidden="mean", hidden_layer=layer, label_batch_tokens=32)
    teacher.label, teacher.reduction = settings, Reduction(words=Projection(np.zeros(16), np.eye(16), 1.0))
    tokenizer, bert = BertTokenizerFast.from_pretrained(str(bert_folder)), TFBertModel.from_pretrained(str(bert_folder))
    made = label_shard(teacher, TEXTS, settings)["states"]
    assert len(made) == len(TEXTS) and made.dtype == np.float16
    for n, text in enumerate(TEXTS):
        read = tokenizer(text, return_tensors="tf")
        words = read.word_ids(0)
        first = [i for i, word in enumerate(words) if word is not None and word != words[i - 1]]
        want = bert(read, output_hidden_states=True).hidden_states[layer].numpy()[0, first]
        np.testing.assert_allclose(made[n], want, atol=2e-3, rtol=2e-3)


def test_axes_are_scikit_learns():
    x = np.random.default_rng(1).normal(size=(60, 8)) @ np.random.default_rng(2).normal(size=(8, 8))
    found, model = principal(x, 3), PCA(3, svd_solver="full").fit(x)
    assert found.kept == pytest.approx(model.explained_variance_ratio_.sum(), abs=1e-6)
    got, want = found(x), model.transform(x)
    np.testing.assert_allclose(np.abs(got / got.std()), np.abs(want / want.std()), atol=1e-4)
    white = principal(x, 3, whiten=True)(x)
    np.testing.assert_allclose(
        np.abs(white), np.abs(PCA(3, whiten=True, svd_solver="full").fit_transform(x)) * np.sqrt(60 / 59), atol=1e-4
    )


def test_reduced_vectors_are_kept_as_signals_and_found_again(teacher, tmp_path, capsys):
    settings, target = LabelSettings(hidden="mean", shard_rows=3), TargetSettings(vector_size=4)
    teacher.label = settings
    rows = Rows([f"r{n}" for n in range(5)], TEXTS, None, np.full(5, -1, np.int32))
    teacher.reduction = reduced(teacher, rows.text, target, tmp_path / "projection.npz")
    signals = label(teacher, rows, tmp_path / "text", settings, "universal", "text")
    assert (
        signals.logits is None and signals.hidden.shape == (5, 4) and signals.manifest["columns"].keys() == {"hidden"}
    )
    lengths = np.linalg.norm(np.asarray(signals.hidden, np.float32), axis=1)
    np.testing.assert_allclose(lengths, 1, atol=2e-3)
    raw = unit(teacher.raw(teacher.encode_texts(TEXTS)))
    want = unit(teacher.reduction.projection(raw))
    np.testing.assert_allclose(np.asarray(signals.hidden), want, atol=2e-3)

    batch = {k: v for k, v in teacher.encode_texts(TEXTS).batch(np.arange(5)).items()}
    np.testing.assert_allclose(teacher.answer(batch), want, atol=1e-5)  # as a graph, for files
    np.testing.assert_allclose(teacher.logits(teacher.encode_texts(TEXTS)), want, atol=1e-5)

    again = reduced(teacher, rows.text, target, tmp_path / "projection.npz", ())
    assert again.projection.key == teacher.reduction.projection.key
    (tmp_path / "text" / "complete.json").unlink()
    (tmp_path / "text" / "shard-00001.parquet").unlink()
    more = label(teacher, rows, tmp_path / "text", settings, "universal", "text")
    assert "going on with shard 2 of 2" in capsys.readouterr().err
    np.testing.assert_array_equal(np.asarray(more.hidden), np.asarray(signals.hidden))

    teacher.reduction = Reduction(unit=False)
    with pytest.raises(UserError, match="signals from another text or setting .*told"):
        label(teacher, rows, tmp_path / "text", settings, "universal", "text")
    assert SignalStore(tmp_path / "text").is_complete


def test_the_classifier_that_nobody_asks_is_no_part_of_it(teacher, bert_folder, tmp_path):
    other = shutil.copytree(bert_folder, tmp_path / "other")
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(
        json.dumps(config | {"id2label": {"0": "x", "1": "y"}, "label2id": {"x": 0, "y": 1}})
    )
    again = SentenceTeacher.of(find_checkpoint(str(other)), 24, LabelSettings(hidden="mean"))
    again.bert.classifier.kernel.assign(again.bert.classifier.kernel + 1.0)
    assert again.fingerprint() == teacher.fingerprint()
    assert again.about()["parameters"] == sum(int(np.prod(v.shape)) for v in teacher.weights)
    again.bert.bert.embeddings.weight.assign(again.bert.bert.embeddings.weight * 1.01)
    assert again.fingerprint() != teacher.fingerprint()


def test_vectors_that_bfloat16_moves_are_refused(monkeypatch):
    settings = LabelSettings(hidden="mean")
    object.__setattr__(settings, "label_precision", "bfloat16")
    x = np.random.default_rng(0).normal(size=(300, 8))
    precision.checked_vectors(lambda how: x + (how.label_precision == "bfloat16") * 1e-3, settings)
    with pytest.raises(UserError, match=r"--label_precision=bfloat16: of 300 texts .* take --label_precision=float32"):
        precision.checked_vectors(lambda how: x + (how.label_precision == "bfloat16") * 0.3, settings)
    assert labelling.checked_vectors is precision.checked_vectors


def test_a_target_fits_the_teacher():
    assert TargetSettings(reduction="none").of_teacher(384).vector_size == 384
    assert TargetSettings(vector_size=100).of_teacher(384).vector_size == 100
    with pytest.raises(UserError, match="--vector_size=400: the teacher's vectors have 384 numbers"):
        TargetSettings(vector_size=400).of_teacher(384)
