"""BERT's forward pass with less work: transformers' layers and weights, without what a classifier never reads.

While a graph is traced, some layers get another ``call``. It gives the same numbers except for rounding.
"""

from __future__ import annotations

import functools
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import tensorflow as tf
import tf_keras
from transformers.models.bert.modeling_tf_bert import TFBertIntermediate, TFBertLayer

from kd_keras.common import devices
from kd_keras.teachers.settings import FLOAT32


@contextmanager
def lean(bert: tf_keras.Model, cls_only: bool, precision: str = FLOAT32, no_gradients: bool = False) -> Iterator[None]:
    """In this context, layers of ``bert`` do no more work than is needed.

    Args:
      cls_only: BERT's last layer works only for [CLS], which is all that the classifier reads. Its hidden state is then
        float32[batch, 1, width]. Other encoders work for all tokens.
      precision: of products with weight matrices, and of their gradients. All else stays float32.
      no_gradients: nothing is learned, so a norm may be an operation that has none.
    """
    one_norm = no_gradients and platform.machine().lower() in ("x86_64", "amd64") and not devices.gpu_names()
    product = tf.matmul if precision == FLOAT32 else _product_in(tf.as_dtype(precision))
    changed: list[tf_keras.layers.Layer] = []

    def put(layer: tf_keras.layers.Layer, call: Callable) -> None:
        layer.call = functools.partial(call, layer)
        changed.append(layer)

    for layer in bert.submodules:
        # A layer that already has its own call (of lower precision) keeps it.
        if isinstance(layer, tf_keras.layers.Dense) and "call" not in vars(layer):
            put(layer, functools.partial(_dense, product))
        elif isinstance(layer, TFBertIntermediate) and "call" not in vars(layer.dense):
            put(layer, functools.partial(_intermediate, product))
        elif isinstance(layer, tf_keras.layers.LayerNormalization) and one_norm:
            put(layer, _norm)
    if cls_only and bert.config.model_type == "bert":
        put(bert.bert.encoder.layer[-1], _cls_layer)
    try:
        yield
    finally:
        for layer in changed:
            del layer.call


Product = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def _matrix(product: Product, layer: tf_keras.layers.Dense, x: tf.Tensor) -> tf.Tensor:
    """float32[batch × time, units]. As a matrix, the product, the bias and a following GELU become one operation."""
    return tf.nn.bias_add(product(tf.reshape(x, (-1, layer.kernel.shape[0])), layer.kernel), layer.bias)


def _product_in(dtype: tf.DType) -> Product:
    @tf.custom_gradient
    def product(x: tf.Tensor, kernel: tf.Tensor) -> tuple[tf.Tensor, Callable]:
        x, kernel = tf.cast(x, dtype), tf.cast(kernel, dtype)

        def gradient(dy: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            dy = tf.cast(dy, dtype)
            dx, dk = tf.matmul(dy, kernel, transpose_b=True), tf.matmul(x, dy, transpose_a=True)
            return tf.cast(dx, tf.float32), tf.cast(dk, tf.float32)

        return tf.cast(tf.matmul(x, kernel), tf.float32), gradient

    return product


def _shaped(rows: tf.Tensor, like: tf.Tensor) -> tf.Tensor:
    return tf.reshape(rows, tf.concat([tf.shape(like)[:-1], rows.shape[1:]], 0))


def _dense(product: Product, layer: tf_keras.layers.Dense, inputs: tf.Tensor) -> tf.Tensor:
    return _shaped(layer.activation(_matrix(product, layer, inputs)), inputs)


def _intermediate(product: Product, layer: TFBertIntermediate, hidden_states: tf.Tensor) -> tf.Tensor:
    return _shaped(layer.intermediate_act_fn(_matrix(product, layer.dense, hidden_states)), hidden_states)


def _norm(layer: tf_keras.layers.LayerNormalization, inputs: tf.Tensor) -> tf.Tensor:
    """Layer norm as a batch norm whose channels are the tokens: one operation, where tf_keras has many."""
    shape, none = tf.shape(inputs), tf.constant([], tf.float32)
    count = tf.reduce_prod(shape[:-1])
    rows = tf.reshape(inputs, (1, count, layer.gamma.shape[0], 1))
    normed = tf.raw_ops.FusedBatchNormV3(
        x=rows, scale=tf.ones([count]), offset=tf.zeros([count]), mean=none, variance=none, epsilon=layer.epsilon,
        data_format="NCHW", is_training=True,
    ).y  # fmt: skip
    normed = tf.reshape(normed, shape)
    normed.set_shape(inputs.shape)
    return normed * layer.gamma + layer.beta


def _cls_layer(
    layer: TFBertLayer,
    hidden_states: tf.Tensor,
    attention_mask: tf.Tensor,
    head_mask: tf.Tensor | None,
    training: bool = False,
    **_: object,
) -> tuple[tf.Tensor]:
    # Cross-attention from [CLS] to all tokens: the same keys and values, but one query instead of all.
    attended = layer.attention(
        input_tensor=hidden_states[:, :1], attention_mask=None, head_mask=head_mask,
        encoder_hidden_states=hidden_states, encoder_attention_mask=attention_mask, past_key_value=None,
        output_attentions=False, training=training,
    )[0]  # fmt: skip
    inner = layer.intermediate(hidden_states=attended)
    return (layer.bert_output(hidden_states=inner, input_tensor=attended, training=training),)
