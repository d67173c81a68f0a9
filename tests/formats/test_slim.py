"""What a file loses, and that it answers as before."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from kd_keras.formats.slim import slim
from kd_keras.formats.tflite import describe
from kd_keras.students.settings import StudentSettings
from kd_keras.students.weights import student_weights

LENGTH = 9


@pytest.fixture(scope="module", params=[LENGTH, None], ids=["unrolled", "loop"])
def content(request, make_model):
    """As the converter gives it: dynamic range."""
    import tensorflow as tf

    from kd_keras.formats.graph import forward_pass

    student = make_model(StudentSettings(student="bilstm", embedding_size=48, hidden_size=40, dense_size=0), 60, 3)
    function = forward_pass(student_weights(student), request.param, int8_rows=True)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], tf.Module())
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    return converter.convert()


def test_it_answers_the_same_to_the_last_bit(content):
    draw = np.random.default_rng(0)
    for count in (0, 3, LENGTH):
        ids = np.zeros((1, LENGTH), np.int32)
        ids[0, :count] = draw.integers(1, 60, count)
        before, after = (answer(c, ids) for c in (content, slim(content)))
        assert np.array_equal(before, after) and abs(before.sum() - 1) < 1e-5


def answer(content: bytes, ids: np.ndarray) -> np.ndarray:
    model = Interpreter(model_content=content)
    (entry,) = model.get_input_details()
    assert entry["name"].startswith("ids") or "_ids" in entry["name"]
    model.resize_tensor_input(entry["index"], ids.shape)
    model.allocate_tensors()
    model.set_tensor(entry["index"], ids)
    model.invoke()
    return model.get_tensor(model.get_output_details()[0]["index"])


def test_weights_and_ops_stay_and_the_rest_goes(content):
    after = slim(content)
    assert describe(after) == describe(content)
    old, new = (schema.ModelT.InitFromPackedBuf(c, 0) for c in (content, after))
    data = [Counter(bytes(b.data) for b in m.buffers if b.data is not None and len(b.data)) for m in (old, new)]
    assert data[0] == data[1]
    tensors = [[t for graph in m.subgraphs for t in graph.tensors] for m in (old, new)]
    for a, b in zip(*tensors, strict=True):
        assert (a.type, list(a.shape)) == (b.type, list(b.shape))
        assert (a.quantization is not None and a.quantization.scale is not None) == (b.quantization is not None)
    assert sum(b.data is None or not len(b.data) for b in new.buffers) <= 2  # the first, and none of a tensor
    assert len(after) < len(content) - 20 * len(tensors[0])
    again = schema.Model.GetRootAs(after, 0)
    for i, buffer in enumerate(new.buffers):
        if buffer.data is not None and len(buffer.data):
            held = again.Buffers(i)
            assert held._tab.Vector(held._tab.Offset(4)) % 16 == 0
