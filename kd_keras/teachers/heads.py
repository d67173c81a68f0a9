"""What a BERT classifier reads of a text, as functions of transformers' model: the pooler, or the mean of the tokens.

The mean is what sentence encoders were trained to give (Reimers & Gurevych 2019, section 3); the model stays a
``TFBertForSequenceClassification``, with the same classifier behind another vector.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf
import tf_keras
from transformers import TFBertForSequenceClassification, TFBertForTokenClassification

from kd_keras.teachers.checkpoints import POOLING_KEY
from kd_keras.teachers.settings import CLS, MEAN
from kd_keras.text.tokenizers import BERT_INPUTS

BATCH = dict.fromkeys(BERT_INPUTS, tf.TensorSpec((None, None), tf.int32))


def pooling_of(bert: TFBertForSequenceClassification) -> str:
    return getattr(bert.config, POOLING_KEY, CLS)


def set_pooling(bert: TFBertForSequenceClassification, pooling: str) -> None:
    """Says in the model's own configuration, which is saved with it, what the classifier reads."""
    if pooling != CLS or hasattr(bert.config, POOLING_KEY):
        setattr(bert.config, POOLING_KEY, pooling)


def pooled_of(bert: TFBertForSequenceClassification, batch: dict[str, tf.Tensor], training: bool) -> tf.Tensor:
    """float32[batch, width]: what the classifier reads of each text."""
    out = bert.bert(batch, training=training, return_dict=True)
    return out.pooler_output if pooling_of(bert) == CLS else mean_of_tokens(out.last_hidden_state, batch)


def logits_of(bert: TFBertForSequenceClassification, batch: dict[str, tf.Tensor], training: bool) -> tf.Tensor:
    """float32[batch, labels]."""
    return bert.classifier(bert.dropout(pooled_of(bert, batch, training), training=training))


def mean_of_tokens(states: tf.Tensor, batch: dict[str, tf.Tensor]) -> tf.Tensor:
    """float32[batch, width] from float32[batch, time, width]: sentence-transformers' mean, [CLS] and [SEP] included."""
    weights = tf.cast(batch["attention_mask"], states.dtype)[:, :, None]
    return tf.reduce_sum(states * weights, 1) / tf.reduce_sum(weights, 1)


def functional(bert: TFBertForSequenceClassification | TFBertForTokenClassification) -> tf_keras.Model:
    """{"input_ids", "attention_mask", "token_type_ids"} → {"logits", "hidden_0", … "hidden_<layers>"}.

    hidden_0 are the embeddings. Outputs that nobody reads cost nothing: a tf.function prunes them.
    """
    inputs = {n: tf_keras.Input((None,), dtype=tf.int32, name=n) for n in BERT_INPUTS}
    if pooling_of(bert) == MEAN and not isinstance(bert, TFBertForTokenClassification):
        out = bert.bert(inputs, output_hidden_states=True, return_dict=True)
        logits = bert.classifier(bert.dropout(mean_of_tokens(out.last_hidden_state, inputs)))
    else:
        out = bert(inputs, output_hidden_states=True, return_dict=True)
        logits = out.logits
    hidden = {f"hidden_{i}": h for i, h in enumerate(out.hidden_states)}
    return tf_keras.Model(inputs, {"logits": logits, **hidden}, name="teacher")


def tags_of(bert: TFBertForTokenClassification, batch: dict[str, tf.Tensor], training: bool) -> tf.Tensor:
    """float32[batch, time, labels]: a classifier of words, asked about every piece."""
    states = bert.bert(batch, training=training, return_dict=True).last_hidden_state
    return bert.classifier(bert.dropout(states, training=training))


def set_dropout(bert: tf_keras.Model, rate: float) -> None:
    """Of the encoder's and the classifier's dropout layers, in what is traced from now on."""
    for layer in bert.submodules:
        if isinstance(layer, tf_keras.layers.Dropout):
            layer.rate = rate


def tensors(batch: dict[str, np.ndarray]) -> dict[str, tf.Tensor]:
    return {k: tf.constant(v) for k, v in batch.items()}
