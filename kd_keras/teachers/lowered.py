"""A teacher's twin of lower precision: rounded products in TensorFlow, or int8 in LiteRT."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from kd_keras.common.errors import UserError
from kd_keras.common.machine import cpus
from kd_keras.common.quiet import silent
from kd_keras.teachers.heads import encoder_of, specs, tensors
from kd_keras.teachers.settings import INT8
from kd_keras.teachers.tflite import to_tflite

# Between the two largest logits of a text; where it may have several labels, half of it between a logit and 0. int8
# moves a logit by some 0.03.
NEAR = 0.25


def rounded(bert: tf_keras.Model, precision: str) -> tf_keras.Model:
    """A copy whose products with weight matrices, nearly all its work, are of ``precision``.

    Residual path, norms and attention stay float32: in bfloat16 too they move the logits by a fifth more.
    """
    twin = type(bert)(bert.config)
    twin(twin.dummy_inputs | {"input_ids": tf.zeros((1, 2), tf.int32)})
    twin.set_weights(bert.get_weights())
    for layer in twin.submodules:
        if isinstance(layer, tf_keras.layers.Dense):
            layer.call = functools.partial(_dense, layer, tf.cast(layer.kernel, precision))
    return twin


def _dense(layer: tf_keras.layers.Dense, kernel: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    """``layer``, its product in the precision of ``kernel``."""
    rows = tf.matmul(tf.reshape(tf.cast(x, kernel.dtype), (-1, kernel.shape[0])), kernel)
    shape = tf.concat([tf.shape(x)[:-1], kernel.shape[1:]], 0)
    return layer.activation(tf.reshape(tf.cast(rows, tf.float32), shape) + layer.bias)


def in_int8(teacher: Any, outputs: Sequence[str]) -> Any:
    """A copy that predicts with int8 weights, on the CPU; its batches have ``outputs`` and no other."""
    twin = copy.copy(teacher)
    twin.predict_batch = Int8(teacher, outputs)
    return twin


class Int8:
    """``Teacher.predict_batch`` of ``teacher``, by LiteRT's dynamic range.

    Embeddings stay in TensorFlow, as float32: a table has one scale in a TFLite file, and would move the logits more
    than all products do. Each row of a product is rounded by itself, so what shares a text's batch does not change it.
    A text whose two best labels are near each other is read in float32, or rounding would decide between them.
    """

    def __init__(self, teacher: Any, outputs: Sequence[str]):
        from ai_edge_litert.interpreter import Interpreter

        parts, inputs = _parts(teacher), teacher.tokenizer.inputs
        self._teacher, self._made = teacher, _made_before(teacher, parts)
        self._many = teacher.is_multilabel

        def answer(**given: tf.Tensor) -> dict[str, tf.Tensor]:
            with _instead(parts, {name: lambda *_, n=name, **__: given[n] for name in parts}):
                made = teacher.model({name: given[name] for name in inputs}, training=False)
            return {name: made[name] for name in outputs}

        before = {name: tf.TensorSpec(x.shape, x.dtype, name) for name, x in self._made.structured_outputs.items()}
        try:
            content = to_tflite(answer, specs(inputs) | before, teacher.model.weights, True)
        except Exception as e:
            kind = teacher.bert.config.model_type
            raise UserError(f"--label_precision={INT8}: TFLite has no form of this {kind}; take float32") from e
        threads = tf.config.threading.get_intra_op_parallelism_threads() or cpus()
        with silent():
            self._run = Interpreter(model_content=content, num_threads=threads).get_signature_runner()
        self._inputs = list(self._run.get_input_details())

    def __call__(self, batch: dict[str, np.ndarray], cls_only: bool = False) -> dict[str, tf.Tensor]:
        """All tokens' states in any case: a last layer for [CLS] alone would be another graph."""
        given = batch | {name: x.numpy() for name, x in self._made(tensors(batch)).items()}
        made = self._run(**{name: given[name] for name in self._inputs})
        if "logits" in made and len(near := _near(made["logits"], self._many)):
            whole = self._teacher.predict_batch({name: x[near] for name, x in batch.items()})
            for name, values in made.items():
                values[near] = whole[name]
        return {name: tf.constant(values) for name, values in made.items()}


def _near(logits: np.ndarray, many: bool) -> np.ndarray:
    """The rows that int8 may decide otherwise; none of words, or with one number."""
    if logits.ndim != 2 or logits.shape[1] < 2:
        return np.zeros(0, int)
    if many:
        return np.flatnonzero(np.abs(logits).min(1) < NEAR / 2)  # one logit moves, not two
    second, first = np.sort(logits)[:, -2:].T
    return np.flatnonzero(first - second < NEAR)


def _parts(teacher: Any) -> dict[str, tuple[Any, str]]:
    """What stays in TensorFlow: name → object and method. LiteRT has no form of MPNet's bias for any length."""
    encoder = encoder_of(teacher.bert)
    parts = {"states": (encoder.embeddings, "call")}
    layers, bias = getattr(encoder, "encoder", None), "compute_position_bias"
    return parts | ({"bias": (layers, bias)} if hasattr(layers, bias) else {})


def _made_before(teacher: Any, parts: Mapping[str, tuple[Any, str]]) -> Callable:
    """A batch → what each of ``parts`` gives for it."""
    seen: dict[str, tf.Tensor] = {}

    def kept(name: str, real: Callable) -> Callable:
        def call(*args: Any, **kwargs: Any) -> tf.Tensor:
            seen[name] = real(*args, **kwargs)
            return seen[name]

        return call

    @tf.function(input_signature=[specs(teacher.tokenizer.inputs)])
    def made(batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        with _instead(parts, {name: kept(name, getattr(*part)) for name, part in parts.items()}):
            teacher.model(batch, training=False)  # of which all else is pruned
        return {name: tf.identity(x) for name, x in seen.items()}

    return made.get_concrete_function()


@contextmanager
def _instead(parts: Mapping[str, tuple[Any, str]], calls: Mapping[str, Callable]) -> Iterator[None]:
    """Inside, each of ``parts`` is the one of ``calls``."""
    for name, (owner, method) in parts.items():
        setattr(owner, method, calls[name])
    try:
        yield
    finally:
        for owner, method in parts.values():
            delattr(owner, method)
