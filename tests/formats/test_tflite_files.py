"""Every form and precision of TFLite against Keras, and what the files are made of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kd_keras.common.errors import UserError
from kd_keras.formats.format import EXPORTS, Format
from kd_keras.formats.litert import LiteRT
from kd_keras.formats.tflite import check_graph, convert, describe
from kd_keras.metrics import softmax
from kd_keras.students.settings import READS_PAIRS, StudentSettings
from kd_keras.students.weights import student_weights
from kd_keras.text.token_ids import TokenIds

VOCAB, LENGTH = 60, 9
SMALL = StudentSettings(student="bilstm", embedding_size=12, hidden_size=17, dense_size=9)
STUDENTS = {
    "plain": SMALL,
    "max-multichannel": replace(SMALL, pooling="max", channels="multichannel"),
    "mean": replace(SMALL, pooling="mean"),
    "siamese": replace(SMALL, student="siamese"),
    "siamese-max": replace(SMALL, student="siamese", pooling="max", channels="static"),
}
ALL = [f for f in EXPORTS.values() if f.is_tflite]
SOME = [EXPORTS[n] for n in ("tflite_float32", "tflite_int8", "tflite_loop_float32", "tflite_loop_dynamic")]
# Scores are between 0 and 1; random weights make logits of several units, where rounding shows most.
NEAR = {"float32": 2e-6, "float16": 5e-3, "dynamic": 0.06, "int8": 0.12}


def texts(count: int, seed: int) -> TokenIds:
    """Ids of 0 to LENGTH tokens, an empty text first, in the middle and last, no two neighbours alike."""
    draw = np.random.default_rng(seed)
    rows = [draw.integers(1, VOCAB, draw.integers(1, LENGTH + 1)) for _ in range(count)]
    for empty in (0, count // 2, count - 1):
        rows[empty] = []
    rows[1] = draw.integers(1, VOCAB, LENGTH)  # the longest after the shortest
    return TokenIds.of(rows)


def inputs(settings: StudentSettings, count: int = 40) -> dict[str, TokenIds]:
    if READS_PAIRS[settings.student]:
        other = texts(count, 2)
        shifted = TokenIds.of([other[(i + 5) % count] for i in range(count)])  # an empty text beside a long one
        return {"ids_a": texts(count, 1), "ids_b": shifted}
    return {"ids": texts(count, 1)}


def keras_scores(model, ids: dict[str, TokenIds]) -> np.ndarray:
    """One text at a time, with no more padding than an empty one needs."""
    from kd_keras.students.inference import predict

    return softmax(predict(model, ids, batch_size=1))


@pytest.fixture(scope="module", params=list(STUDENTS))
def student(request, make_model):
    settings = STUDENTS[request.param]
    model = make_model(settings, VOCAB, 3)
    ids = inputs(settings)
    return request.param, model, ids, keras_scores(model, ids)


@pytest.fixture(scope="module")
def converted():
    """Content by (student, format), each made once."""
    made: dict[tuple[str, str], bytes] = {}

    def make(name: str, model, fmt: Format, ids) -> bytes:
        if (name, fmt.name) not in made:
            length = LENGTH if fmt.form == "unrolled" else None
            made[name, fmt.name] = convert(student_weights(model), fmt, length, ids)
        return made[name, fmt.name]

    return make


def test_every_file_answers_as_keras_does(student, converted):
    name, model, ids, want = student
    assert np.ptp(want, axis=0).max() > 0.3, "answers that are all alike would prove nothing"
    for fmt in ALL if name == "plain" else SOME:
        run = LiteRT(converted(name, model, fmt, ids))
        got = run.scores(ids, extra_padding=4)
        worst = np.abs(got - want).max()
        assert worst < NEAR[fmt.precision], f"{name} {fmt.name}: {worst}"
        # The same instance, other neighbours, other padding: the very same answers.
        back = {n: TokenIds.of([t[i] for i in reversed(range(len(t)))]) for n, t in ids.items()}
        np.testing.assert_array_equal(run.scores(back, extra_padding=3)[::-1], got, err_msg=fmt.name)


def test_what_the_files_are_made_of(student, converted):
    name, model, ids, _ = student
    for fmt in ALL if name == "plain" else SOME:
        content = converted(name, model, fmt, ids)
        graph = describe(content)
        assert graph["custom_ops"] == [] and not [op for op in graph["ops"] if op.startswith(("FLEX", "VAR", "UNIDIR"))]
        assert ("WHILE" in graph["ops"]) == (fmt.form == "loop")
        if fmt.form == "unrolled":
            assert graph["subgraphs"] == 1
        if fmt.precision == "int8":
            assert graph["float_ops"] == ["DEQUANTIZE"], "all integer but for the answer"
        said = LiteRT(content).describe()
        batch, length = (1, LENGTH) if fmt.form == "unrolled" else (-1, -1)
        names = sorted(ids)
        assert said["inputs"] == [{"name": n, "dtype": "int32", "shape": [batch, length]} for n in names]
        assert said["output"] == {"name": "scores", "dtype": "float32", "shape": [batch, 3]}


def answer_batch(content: bytes, ids: dict[str, TokenIds], rows: list[int], more: int = 0) -> np.ndarray:
    """What a plain interpreter gives when it is resized to the rows, as TFLite's documentation has it."""
    from ai_edge_litert.interpreter import Interpreter

    run = Interpreter(model_content=content)
    given = {}
    for tensor in run.get_input_details():
        (name,) = (n for n in ids if f"_{n}:" in tensor["name"])
        x = np.zeros((len(rows), LENGTH + more), np.int32)
        for i, row in enumerate(rows):
            x[i, : len(ids[name][row])] = ids[name][row]
        given[tensor["index"]] = x
    for index, x in given.items():
        run.resize_tensor_input(index, x.shape)
    run.allocate_tensors()
    for index, x in given.items():
        run.set_tensor(index, x)
    run.invoke()
    return run.get_tensor(run.get_output_details()[0]["index"])


def test_a_batch_gives_each_text_its_own_answer(student, converted):
    """Of texts of unequal length, empty ones among them; and a file of one text refuses to be resized."""
    name, model, ids, want = student
    for fmt in ALL if name == "plain" else SOME:
        content = converted(name, model, fmt, ids)
        if fmt.form == "unrolled":
            for rows in ([1, 2], [0, 1, 2]):
                with pytest.raises((RuntimeError, ValueError)):
                    answer_batch(content, ids, rows)
            continue
        alone = LiteRT(content).scores(ids)
        for rows in ([1, 2], [0, 1, 2, 3, 20], [0, 0], [1], list(range(40)), []):
            got = answer_batch(content, ids, rows, more=len(rows) % 3)
            assert got.shape == (len(rows), 3)
            np.testing.assert_allclose(got, alone[rows], atol=2e-6, err_msg=f"{name} {fmt.name} {rows}")
            np.testing.assert_allclose(got, want[rows], atol=NEAR[fmt.precision])


def test_the_runner_takes_one_text_a_call(make_model):
    run = LiteRT(convert(student_weights(make_model(SMALL, VOCAB, 3)), EXPORTS["tflite_loop_float32"], None))
    with pytest.raises(UserError, match=r"expected one text, int32\[1, time\], found \(2, 3\)"):
        run.answer({"ids": np.ones((2, 3), np.int32)})


def test_smaller_precisions_make_smaller_files(make_model, converted):
    model = make_model(replace(SMALL, embedding_size=64), 2000, 3)
    size = {
        p: len(converted("wide", model, EXPORTS[f"tflite_loop_{p}"], None)) for p in ("float32", "float16", "dynamic")
    }
    assert size["float16"] < 0.6 * size["float32"] and size["dynamic"] < 0.35 * size["float32"]


def test_a_regression_gives_its_number(make_model):
    from kd_keras.students.inference import predict

    model = make_model(SMALL, VOCAB, 1)
    ids = inputs(SMALL)
    want = predict(model, ids)
    got = LiteRT(convert(student_weights(model), EXPORTS["tflite_float32"], LENGTH)).scores(ids)
    assert np.ptp(want) > 0.5
    np.testing.assert_allclose(got, want, atol=1e-5)


def test_longer_text_is_cut(make_model):
    model = make_model(SMALL, VOCAB, 3)
    run = LiteRT(convert(student_weights(model), EXPORTS["tflite_float32"], 4))
    ids = {"ids": TokenIds.of([[5, 6, 7, 8, 9, 10], [5, 6, 7, 8]])}
    got = run.scores(ids)
    np.testing.assert_array_equal(got[0], got[1])


def test_a_file_that_is_not_what_its_format_says_is_refused(make_model):
    model = make_model(SMALL, VOCAB, 3)
    loop = convert(student_weights(model), EXPORTS["tflite_loop_float32"], None)
    with pytest.raises(UserError, match=r"float32\.tflite has 3 subgraphs; expected 1"):
        check_graph(loop, EXPORTS["tflite_float32"])
    unrolled = convert(student_weights(model), EXPORTS["tflite_float32"], 4)
    with pytest.raises(UserError, match=r"int8\.tflite is not all integer: .*FULLY_CONNECTED"):
        check_graph(unrolled, EXPORTS["tflite_int8"])
    with pytest.raises(UserError, match="cannot be loaded as a TFLite file"):
        LiteRT(b"no model at all, but some bytes that are long enough")
    with pytest.raises(UserError, match="reads ids; expected ids_a, ids_b"):
        LiteRT(unrolled).scores({"ids_a": TokenIds.of([[1]]), "ids_b": TokenIds.of([[1]])})


def test_another_model_is_refused():
    import keras

    other = keras.Sequential([keras.Input((None,), dtype="int32"), keras.layers.Embedding(5, 2, name="embeddings")])
    with pytest.raises(UserError, match="cannot be exported as a BiLSTM student"):
        student_weights(other)
