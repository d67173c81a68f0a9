"""Students on a GPU: cuDNN's LSTM, here a plain one in its place that is given what cuDNN would be given."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import tensorflow as tf

from kd_keras.students import cudnn
from kd_keras.students.bilstm import build_student
from kd_keras.students.inference import predict
from kd_keras.students.settings import StudentSettings
from kd_keras.text.token_ids import TokenIds

TEXTS = TokenIds.of([[3, 1, 4, 1, 5], [2], [6, 5, 3], [5, 8]])
WITH_AN_EMPTY_ONE = TokenIds.of([[3, 1, 4], [], [6, 5]])
SHAPES = {
    "last": {},
    "max": {"pooling": "max"},
    "mean": {"pooling": "mean"},
    "two channels": {"channels": "multichannel"},
}


def cudnn_rnn_v3(*, input, input_h, input_c, params, is_training, rnn_mode, sequence_lengths, time_major):
    """As TensorFlow documents CudnnRNNV3, for one direction of one layer: gates i, f, c, o; zeros behind a text's end."""
    assert (is_training, rnn_mode, time_major) == (True, "lstm", False)
    cudnn_rnn_v3.calls += 1
    units, width = input_h.shape[-1], input.shape[-1]
    matrix, part = 4 * units * width, 4 * units * units
    cut = [matrix, matrix + part, matrix + part + 4 * units]
    w = tf.reshape(params[: cut[0]], (4, units, width))
    u = tf.reshape(params[cut[0] : cut[1]], (4, units, units))
    bias = tf.reshape(params[cut[1] :], (2, 4, units))

    def step(before, now):
        (x, inside), (_, h, c) = now, before
        i, f, g, o = (x @ tf.transpose(w[n]) + h @ tf.transpose(u[n]) + bias[0, n] + bias[1, n] for n in range(4))
        after = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(g)
        new = tf.sigmoid(o) * tf.tanh(after)
        return tf.where(inside, new, 0.0), tf.where(inside, new, h), tf.where(inside, after, c)

    inside = tf.transpose(tf.sequence_mask(sequence_lengths, tf.shape(input)[1]))[:, :, None]
    h, c = input_h[:, 0], input_c[:, 0]
    out, h, c = tf.scan(step, (tf.transpose(input, (1, 0, 2)), inside), (tf.zeros_like(h), h, c))
    return tf.transpose(out, (1, 0, 2)), h[-1][:, None], c[-1][:, None], None, None


@pytest.fixture
def gpu(monkeypatch):
    """A GPU is there, whose LSTM is the one above."""
    cudnn_rnn_v3.calls = 0
    monkeypatch.setattr(sys.modules["keras.src.backend.tensorflow.rnn"], "_is_gpu_available", lambda: True)
    monkeypatch.setattr(tf.raw_ops, "CudnnRNNV3", cudnn_rnn_v3)
    monkeypatch.setattr(cudnn, "gpu_names", lambda: ["H200"])


def made(**shape):
    settings = StudentSettings(**{"embedding_size": 5, "hidden_size": 3, "dense_size": 4, **shape})
    matrix = np.random.default_rng(0).normal(size=(9, 5)).astype(np.float32)
    return build_student(settings, matrix, 2, seed=1, tagging=shape.get("student") == "tagger")


def gradients(student, ids):
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(student({"ids": ids.padded(np.arange(len(ids)))})["logits"] ** 2)
    return loss, tape.gradient(loss, student.trainable_variables)


@pytest.mark.parametrize("shape", [*SHAPES, "tagger"])
def test_keras_gives_cudnn_what_gives_the_same_answers_and_gradients(shape, request):
    student = made(**SHAPES.get(shape, {"student": "tagger"}))
    loss, slopes = gradients(student, TEXTS)
    request.getfixturevalue("gpu")
    other_loss, others = gradients(student, TEXTS)
    assert cudnn_rnn_v3.calls == 2, "each direction once"
    np.testing.assert_allclose(loss, other_loss, rtol=1e-5)
    for one, other in zip(slopes, others, strict=True):
        np.testing.assert_allclose(tf.convert_to_tensor(one), tf.convert_to_tensor(other), atol=1e-6)
    assert cudnn.implementation(student) == "cuDNN, on H200"


def test_an_empty_text_is_read_by_keras_own_loop(request):
    student = made()
    wanted = predict(student, {"ids": WITH_AN_EMPTY_ONE})
    request.getfixturevalue("gpu")
    fresh = made()
    with_cudnn = tf.function(lambda x: fresh({"ids": x})["logits"])
    with pytest.raises(tf.errors.InvalidArgumentError):
        with_cudnn(WITH_AN_EMPTY_ONE.padded(np.arange(3)))
    assert cudnn.prepare(fresh, {"ids": TEXTS}) is False and cudnn.implementation(fresh).startswith("cuDNN")
    assert cudnn.prepare(fresh, {"ids": TEXTS}, {"ids": WITH_AN_EMPTY_ONE}) is True
    assert cudnn.implementation(fresh) == "Keras' loop over time, on H200, because cuDNN cannot read an empty text"
    assert cudnn.prepare(fresh, {"ids": WITH_AN_EMPTY_ONE}) is False
    again = made()
    before = predict(again, {"ids": TEXTS})  # traced with cuDNN, and once more without
    np.testing.assert_allclose(predict(again, {"ids": WITH_AN_EMPTY_ONE}), wanted, atol=1e-6)
    np.testing.assert_allclose(predict(again, {"ids": TEXTS}), before, atol=1e-6)


def test_without_a_gpu_nothing_changes():
    student = made()
    assert cudnn.prepare(student, {"ids": WITH_AN_EMPTY_ONE}) is False
    assert cudnn.implementation(student) == cudnn.LOOP
    assert all(layer.use_cudnn == "auto" for layer in cudnn._lstms(student))
