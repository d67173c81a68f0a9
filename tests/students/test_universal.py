"""Universal students: their vectors by hand, and students of tasks that start from them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kd_keras.common.errors import UserError
from kd_keras.common.ragged import Ragged
from kd_keras.compression.twin import twin
from kd_keras.distill.stages import Stage
from kd_keras.formats.format import EXPORTS
from kd_keras.formats.litert import LiteRT
from kd_keras.formats.tflite import convert
from kd_keras.metrics.vectors import cosines
from kd_keras.students.bilstm import build_student
from kd_keras.students.inference import load_student, predict
from kd_keras.students.inputs import state_targets
from kd_keras.students.settings import POOLINGS, StudentSettings, WarmSettings, shape_of, student_name
from kd_keras.students.universal import universal
from kd_keras.students.warm_start import warm_start
from kd_keras.students.weights import student_weights
from kd_keras.text.token_ids import TokenIds
from kd_keras.text.tokenizers import SPECIAL, WordPiece

VOCAB, SIZE, LENGTH = 40, 9, 8
SMALL = StudentSettings(embedding_size=10, hidden_size=7, pooling="mean")
MATRIX = np.random.default_rng(0).normal(size=(VOCAB, 10)).astype(np.float32)
IDS = TokenIds.of([[5, 6, 7], [], [8], [9, 10, 11, 12, 13, 14, 15, 16], [7, 6, 5]])


def made(pooling: str = "mean", unit: bool = True, seed: int = 1):
    student = universal(replace(SMALL, pooling=pooling), MATRIX, SIZE, unit)
    draw = np.random.default_rng(seed)
    for w in student.trainable_weights:
        w.assign(draw.normal(size=w.shape, scale=0.6))
    return student


@pytest.mark.parametrize("unit", [True, False])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_vector_is_a_line_of_the_sentence(pooling, unit, tmp_path):
    student = made(pooling, unit)
    padded = np.array([[5, 6, 7, 0, 0, 0, 0], [0] * 7, [8, 0, 0, 0, 0, 0, 0]], np.int32)
    out = {k: np.array(v) for k, v in student({"ids": padded}).items()}
    assert set(out) == {"vector", "sentence"} and out["vector"].shape == (3, SIZE)
    kernel, bias = student.get_layer("vector").get_weights()
    want = out["sentence"] @ kernel + bias
    want = want / np.linalg.norm(want, axis=1, keepdims=True) if unit else want
    np.testing.assert_allclose(out["vector"], want, atol=1e-5)
    assert np.abs(out["sentence"][1]).max() == 0, "an empty text has no states"
    np.testing.assert_allclose(np.array(student({"ids": padded[:1, :3]})["vector"]), out["vector"][:1], atol=1e-6)

    got = predict(student, {"ids": IDS}, batch_size=2)
    np.testing.assert_allclose(got[:3], out["vector"], atol=1e-5)
    assert np.abs(got[0] - got[4]).max() > 1e-2, "the order of words counts"
    student.save(tmp_path / "student.keras")
    np.testing.assert_array_equal(predict(load_student(tmp_path / "student.keras"), {"ids": IDS}, 2), got)


@pytest.mark.parametrize("name", [n for n, f in EXPORTS.items() if f.is_tflite])
def test_every_file_gives_the_vectors(name):
    student, fmt = made(), EXPORTS[name]
    length = LENGTH if fmt.form == "unrolled" else None
    want = predict(student, {"ids": IDS}, batch_size=1)
    got = LiteRT(convert(student_weights(student), fmt, length, {"ids": IDS})).scores({"ids": IDS}, 3)
    assert got.shape == want.shape and np.ptp(want, axis=0).max() > 0.3
    near = {"float32": 1e-5, "float16": 2e-3, "dynamic": 0.05, "int8": 0.2}[fmt.precision]
    assert np.abs(got - want).max() < near
    assert cosines(got, want).min() > (0.999 if fmt.precision != "int8" else 0.95)


def test_vectors_of_any_length_are_exported_as_they_are():
    student = made(unit=False)
    want = predict(student, {"ids": IDS}, batch_size=1)
    assert np.ptp(np.linalg.norm(want, axis=1)) > 0.1
    content = convert(student_weights(student), EXPORTS["tflite_loop_float32"], None)
    np.testing.assert_allclose(LiteRT(content).scores({"ids": IDS}), want, atol=1e-5)


def test_it_is_what_vectors_are_asked_of():
    assert student_name(StudentSettings(), False, vectors=True) == "universal"
    with pytest.raises(UserError, match="--student=bilstm: does not give vectors"):
        student_name(StudentSettings(student="bilstm"), False, vectors=True)
    with pytest.raises(UserError, match="--student=universal: does not read single sentences"):
        student_name(StudentSettings(student="universal"), False)


@pytest.mark.parametrize(("pair", "tagging"), [(False, False), (True, False), (False, True)])
def test_students_of_every_task_start_from_it(pair, tagging):
    source = made("last" if tagging else "mean")
    shape = replace(SMALL, pooling="last" if tagging else "mean", dense_size=5)
    student = build_student(shape, MATRIX, 3, 2, pair, tagging)
    before = student.get_layer("dense").get_weights()[0]
    assert warm_start(student, source) is student
    for layer in ("embeddings", "bilstm"):
        for mine, theirs in zip(
            student.get_layer(layer).get_weights(), source.get_layer(layer).get_weights(), strict=True
        ):
            np.testing.assert_array_equal(mine, theirs)
    np.testing.assert_array_equal(student.get_layer("dense").get_weights()[0], before)
    if not pair and not tagging:
        ids = {"ids": np.array([[5, 6, 7, 0]], np.int32)}
        np.testing.assert_allclose(student(ids)["sentence"], source(ids)["sentence"], atol=1e-6)


def test_another_shape_is_refused():
    other = build_student(replace(SMALL, hidden_size=8), MATRIX, 2, 1)
    with pytest.raises(UserError, match=r"layer bilstm has weights of \(10, 32\).*; expected \(10, 28\)"):
        warm_start(other, made())
    static = build_student(replace(SMALL, channels="multichannel"), MATRIX, 2, 1)
    with pytest.raises(UserError, match="embeddings_static has weights of .*; expected none, as"):
        warm_start(static, made())

    known = {
        "tokenizer": "wordpiece",
        "channels": "nonstatic",
        "embedding_size": 10,
        "hidden_size": 7,
        "pooling": "mean",
    }
    taken = shape_of(StudentSettings(dense_size=3, hidden_size=7), known, "RUN")
    assert (taken.hidden_size, taken.embedding_size, taken.pooling, taken.dense_size) == (7, 10, "mean", 3)
    learnt_with = known | {"embedding_dropout": 0.0, "word_dropout": 0.05, "dropout": 0.2}
    taken = shape_of(StudentSettings(word_dropout=0.2), learnt_with, "RUN")
    assert (taken.embedding_dropout, taken.word_dropout) == (0.0, 0.2), "its own, unless another is asked for"
    assert taken.dropout == StudentSettings().dropout, "the head is new"
    with pytest.raises(UserError, match="--hidden_size=8: the student of --student_from=RUN has 7"):
        shape_of(StudentSettings(hidden_size=8), known, "RUN")
    with pytest.raises(UserError, match="--student_from=RUN: has no student's shape"):
        shape_of(StudentSettings(), {}, "RUN")


@pytest.mark.parametrize("flags", [{"student_rate": 0.0}, {"student_unfreeze": True}])
def test_how_layers_learn_goes_with_where_they_are_from(flags):
    with pytest.raises(UserError, match=f"--{next(iter(flags))}.*: needs --student_from=RUN"):
        WarmSettings(**flags)
    assert WarmSettings(student_from="RUN", **flags).key("abc") != WarmSettings(student_from="RUN").key("abc")
    assert WarmSettings().key("abc") == {}, "keys of other runs stay what they were"


def test_a_linear_head_has_no_layer_between():
    student = build_student(replace(SMALL, dense_size=0), MATRIX, 3, 1)
    assert "dense" not in {layer.name for layer in student.layers}
    ids = {"ids": np.array([[5, 6, 7]], np.int32)}
    kernel, bias = student.get_layer("logits").get_weights()
    np.testing.assert_allclose(student(ids)["logits"], np.array(student(ids)["sentence"]) @ kernel + bias, atol=1e-6)
    want = predict(student, {"ids": IDS}, 1)
    got = LiteRT(convert(student_weights(student), EXPORTS["tflite_float32"], LENGTH)).scores({"ids": IDS})
    odds = np.exp(want - want.max(1, keepdims=True))
    np.testing.assert_allclose(got, odds / odds.sum(1, keepdims=True), atol=1e-5)


def test_words_meet_their_states_whatever_their_pieces():
    """The student reads six pieces, and of the last text fewer words than the teacher; of the first it reads more."""
    tokenizer = WordPiece([*SPECIAL, "good", "film", "##s", "##ly", "bad", ","], 6)
    texts = ["good films , badly", "", "badly films films films"]
    ids = tokenizer.encode(texts)
    assert [tokenizer.vocab[i] for i in ids[0]] == ["good", "film", "##s", ",", "bad", "##ly"]
    states = Ragged.of([np.array([[10.0], [11], [12]]), np.zeros((0, 1)), np.array([[20.0], [21], [22], [23]])])
    got = state_targets(tokenizer, ids, states.take(np.array([0, 1, 2])))
    rows = np.array([2, 0, 1])
    np.testing.assert_array_equal(
        got["word"].padded(rows, 6), [[1, 0, 1, 0, 1, 0], [1, 1, 0, 1, 0, 0], [0, 0, 0, 0, 0, 0]]
    )
    np.testing.assert_array_equal(
        got["teacher_states"].padded(rows, 6)[..., 0], [[20, 0, 21, 0, 22, 0], [10, 11, 0, 12, 0, 0], [0] * 6]
    )
    swapped = state_targets(tokenizer, ids, states.take(np.array([2, 1, 0])))["teacher_states"]
    assert swapped.padded(np.array([0]), 6)[0, :, 0].tolist() == [20, 21, 0, 22, 23, 0]


@pytest.mark.parametrize("pair", [False, True])
def test_a_students_sentence_vector_is_the_universal_ones(pair):
    """Told in numbers of about 1; what reads it, and what becomes of it in files and in the twin."""
    source, shape = made(), replace(SMALL, dense_size=5, sentence_size=SIZE)
    student = warm_start(build_student(shape, MATRIX, 3, 2, pair), source)
    one, other = np.array([[5, 6, 7, 0]], np.int32), np.array([[9, 10]], np.int32)
    u, v = (np.array(source({"ids": ids})["vector"]) * SIZE**0.5 for ids in (one, other))
    want = np.concatenate([u, v, u * v, abs(u - v)], 1) if pair else u
    x = {"ids_a": one, "ids_b": other} if pair else {"ids": one}
    np.testing.assert_allclose(student(x)["sentence"], want, atol=1e-5)

    ids = {name: IDS if name != "ids_b" else TokenIds.of([[9], [4, 3], [], [5, 6], [30, 31]]) for name in x}
    logits = predict(student, ids, batch_size=1)
    np.testing.assert_allclose(predict(twin(student), ids, 1), logits, atol=1e-5)
    odds = np.exp(logits - logits.max(1, keepdims=True))
    for name, near in (("tflite_float32", 1e-5), ("tflite_loop_float32", 1e-5), ("tflite_dynamic", 0.05)):
        fmt = EXPORTS[name]
        content = convert(student_weights(student), fmt, LENGTH if fmt.form == "unrolled" else None)
        np.testing.assert_allclose(LiteRT(content).scores(ids), odds / odds.sum(1, keepdims=True), atol=near)


@pytest.mark.parametrize("trainable", [("logits",), ("bilstm", "logits"), None])
def test_the_sentence_vector_learns_when_the_bilstm_does(trainable):
    stage = Stage("some", (), None, 1, 0.1, trainable)
    assert stage.teaches("vector") == stage.teaches("bilstm") == (trainable != ("logits",))
    assert stage.teaches("embeddings") == (trainable is None)


def test_the_sentence_vector_comes_with_its_run():
    other = {
        "tokenizer": "wordpiece",
        "channels": "nonstatic",
        "embedding_size": 10,
        "hidden_size": 7,
        "pooling": "max",
    }
    assert shape_of(StudentSettings(), other | {"sentence_size": 9}, "RUN").sentence_size == 9
    assert shape_of(StudentSettings(), other, "RUN").sentence_size == 0
    with pytest.raises(UserError, match="--sentence_size=8: the student of --student_from=RUN has 9"):
        shape_of(StudentSettings(sentence_size=8), other | {"sentence_size": 9}, "RUN")
