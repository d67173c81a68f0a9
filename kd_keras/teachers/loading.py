"""Loads all of a checkpoint's weights into transformers' TensorFlow model, or raises a UserError."""

from __future__ import annotations

import numpy as np
import tf_keras
from transformers import AutoConfig, TFAutoModelForSequenceClassification, TFAutoModelForTokenClassification

from kd_keras.common.errors import UserError
from kd_keras.teachers.checkpoints import Checkpoint
from kd_keras.teachers.families import CLASSIFIER, ROWS
from kd_keras.teachers.weight_files import canonical, one_line

# transformers' names of what a classifier answers.
REGRESSION, MANY_LABELS = "regression", "multi_label_classification"
_TYPES, _WORDS = ROWS["type_vocab_size"], ROWS["vocab_size"]


def load_model(checkpoint: Checkpoint, num_labels: int, seed: int, tagging: bool = False) -> tf_keras.Model:
    """The model of ``checkpoint``. Only a missing classifier of ``num_labels`` or pooler is drawn from ``seed``.

    The embeddings have as many rows as the weights, even if config.json differs. If a model reads token types, has only
    one, and was not fine-tuned here, the second text of a pair gets the same one.

    Args:
      num_labels: outputs of the classifier.
      tagging: whether it classifies words.

    Raises:
      UserError: config.json makes no model, or the weights contain numbers that are not finite.
    """
    arrays, family = checkpoint.found.arrays(), checkpoint.found.family
    typed = _TYPES in arrays and "token_type_ids" in family.inputs
    if typed and len(arrays[_TYPES]) == 1 and checkpoint.manifest() is None:
        arrays[_TYPES] = np.repeat(arrays[_TYPES], 2, axis=0)
    if checkpoint.text.rows is not None:
        arrays[_WORDS] = arrays[_WORDS][checkpoint.text.rows]
    if checkpoint.outputs(tagging) != num_labels:
        for name in CLASSIFIER + family.linear:
            arrays.pop(name, None)
    tf_keras.utils.set_random_seed(seed)
    try:
        config = AutoConfig.from_pretrained(
            str(checkpoint.path), num_labels=num_labels, local_files_only=True,
            **({"problem_type": REGRESSION} if num_labels == 1 else {}),
            **{key: len(arrays[name]) for key, name in family.rows.items()},
        )  # fmt: skip
        model = (TFAutoModelForTokenClassification if tagging else TFAutoModelForSequenceClassification).from_config(
            config
        )
        model.build_in_name_scope()
    except Exception as e:
        raise UserError(
            f"--teacher={checkpoint.name}: {checkpoint.path / 'config.json'} makes no {family.shown} ({one_line(e)})"
        ) from e
    for variable in model.weights:
        name, transposed = canonical(variable.name)
        own = name.split(".", 1)[1].removeprefix(f"{family.base}.")
        if own in arrays:
            variable.assign(arrays[own].T if transposed else arrays[own])
        elif own not in family.features + family.pooler + CLASSIFIER + family.linear:
            raise AssertionError(f"{own} is in no checkpoint")
    return model
