"""What a classifier reads of a text, as functions of transformers' model: [CLS], or the mean of the tokens.

[CLS] goes through a layer first: BERT's pooler, or one of the classifier's own. The mean is what sentence encoders
were trained to give (Reimers & Gurevych 2019, section 3). The model stays a ``TF…ForSequenceClassification``, with the
same last layer on another vector.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf
import tf_keras
from transformers.activations_tf import get_tf_activation

from kd_keras.teachers.checkpoints import POOLING_KEY
from kd_keras.teachers.settings import CLS, MEAN

# Variables that learn only if the classifier reads [CLS]. The pooler of BERT and ALBERT is one of them.
_OF_CLS = ("/classifier/dense/", "/pre_classifier/")
_HAVE_POOLER = ("bert", "albert")


def specs(inputs: Sequence[str], batch: int | None = None, length: int | None = None) -> dict[str, tf.TensorSpec]:
    """The specs of a batch, of any size if not given."""
    return {name: tf.TensorSpec((batch, length), tf.int32, name=name) for name in inputs}


def encoder_of(bert: tf_keras.Model) -> tf_keras.layers.Layer:
    """The model without its classifier."""
    return getattr(bert, bert.base_model_prefix)


def linear_of(bert: tf_keras.Model) -> tf_keras.layers.Dense:
    """The classifier's last layer, which gives the logits."""
    return getattr(bert.classifier, "out_proj", bert.classifier)


def unread(bert: tf_keras.Model, tagging: bool) -> tuple[str, ...]:
    """Parts of the names of variables that no logit depends on."""
    cls = pooling_of(bert) == CLS and not tagging
    pooler = () if cls and bert.config.model_type in _HAVE_POOLER else ("/pooler/",)
    return pooler if cls else (*pooler, *_OF_CLS)


def pooling_of(bert: tf_keras.Model) -> str:
    return getattr(bert.config, POOLING_KEY, CLS)


def set_pooling(bert: tf_keras.Model, pooling: str) -> None:
    """Sets what the classifier reads in the model's own configuration, which is saved with it."""
    if pooling != CLS or hasattr(bert.config, POOLING_KEY):
        setattr(bert.config, POOLING_KEY, pooling)


def pooled_of(bert: tf_keras.Model, batch: dict[str, tf.Tensor], training: bool) -> tf.Tensor:
    """float32[batch, width]: what the classifier's last layer reads of each text, before dropout."""
    out = encoder_of(bert)(batch, training=training, return_dict=True)
    if pooling_of(bert) == MEAN:
        return mean_of_tokens(out.last_hidden_state, batch)
    if bert.config.model_type in _HAVE_POOLER:
        return out.pooler_output
    state = out.last_hidden_state[:, 0]
    if hasattr(bert, "pre_classifier"):
        return bert.pre_classifier(state)
    made = bert.classifier.dense(bert.classifier.dropout(state, training=training))
    return get_tf_activation("gelu")(made) if bert.config.model_type == "electra" else made


def logits_of(bert: tf_keras.Model, batch: dict[str, tf.Tensor], training: bool) -> tf.Tensor:
    """float32[batch, labels]."""
    return _classified(bert, pooled_of(bert, batch, training), training)


def _classified(bert: tf_keras.Model, pooled: tf.Tensor, training: bool) -> tf.Tensor:
    dropout = bert.dropout if hasattr(bert, "dropout") else bert.classifier.dropout
    return linear_of(bert)(dropout(pooled, training=training))


def mean_of_tokens(states: tf.Tensor, batch: dict[str, tf.Tensor]) -> tf.Tensor:
    """float32[batch, time, width] → float32[batch, width]: sentence-transformers' mean, with [CLS] and [SEP]."""
    weights = tf.expand_dims(tf.cast(batch["attention_mask"], states.dtype), -1)
    return tf.reduce_sum(states * weights, 1) / tf.reduce_sum(weights, 1)


def functional(bert: tf_keras.Model, names: Sequence[str]) -> tf_keras.Model:
    """The inputs called ``names``, int32[batch, time] each → {"logits", "hidden_0", … "hidden_<layers>"}.

    hidden_0 are the embeddings. Outputs that are not read cost nothing, because a tf.function removes them.
    """
    inputs = {n: tf_keras.Input((None,), dtype=tf.int32, name=n) for n in names}
    if pooling_of(bert) == MEAN and "TokenClassification" not in type(bert).__name__:
        out = encoder_of(bert)(inputs, output_hidden_states=True, return_dict=True)
        logits = _classified(bert, mean_of_tokens(out.last_hidden_state, inputs), training=False)
    else:
        out = bert(inputs, output_hidden_states=True, return_dict=True)
        logits = out.logits
    hidden = {f"hidden_{i}": h for i, h in enumerate(out.hidden_states)}
    return tf_keras.Model(inputs, {"logits": logits, **hidden}, name="teacher")


def tags_of(bert: tf_keras.Model, batch: dict[str, tf.Tensor], training: bool) -> tf.Tensor:
    """float32[batch, time, labels]: a classifier of words, asked about every piece."""
    states = encoder_of(bert)(batch, training=training, return_dict=True).last_hidden_state
    return bert.classifier(bert.dropout(states, training=training))


def set_dropout(bert: tf_keras.Model, rate: float) -> None:
    """Sets the rate of the dropout layers of encoder and classifier, for graphs that are traced from now on."""
    for layer in bert.submodules:
        if isinstance(layer, tf_keras.layers.Dropout):
            layer.rate = rate


def tensors(batch: dict[str, np.ndarray]) -> dict[str, tf.Tensor]:
    return {k: tf.constant(v) for k, v in batch.items()}
