"""Reads a student's weights as arrays from the Keras model, by the names of its layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kd_keras.common.errors import UserError
from kd_keras.students.settings import LAST, MAX, MEAN, UNIT, VECTOR


@dataclass(frozen=True)
class Direction:
    """The LSTM of one direction. Gates are in the order forget, input, output, cell, so that the sigmoids are
    neighbors.

    Attributes:
      kernel: float32[width, 4 · hidden].
      recurrent: float32[hidden, 4 · hidden].
      bias: float32[4 · hidden].
    """

    kernel: np.ndarray
    recurrent: np.ndarray
    bias: np.ndarray

    @property
    def hidden(self) -> int:
        return self.recurrent.shape[0]


@dataclass(frozen=True)
class StudentWeights:
    """All weights and settings that a forward pass needs.

    Attributes:
      embeddings: float32[vocab, width], of both channels side by side if there are two.
      forward, backward: the BiLSTM.
      sentence: kernel and bias of the layer that turns the pooled states into a sentence vector, which is scaled to the
        length √size. None if the head reads the states.
      dense, logits: kernel and bias of the head's two layers; dense may be missing.
      pooling: how states are pooled over time, as ``StudentSettings`` names it.
      inputs: ("ids",), or ("ids_a", "ids_b") for pairs.
      sigmoid: whether each output is its own probability (several labels a text), instead of a softmax over all.
      tagging: whether each token has logits from its own states. Then there is no sentence vector.
      vector: whether the output is the vector of a universal student instead of logits.
      unit: whether this vector has length 1.
    """

    embeddings: np.ndarray
    forward: Direction
    backward: Direction
    dense: tuple[np.ndarray, np.ndarray] | None
    logits: tuple[np.ndarray, np.ndarray]
    pooling: str
    inputs: tuple[str, ...]
    sigmoid: bool = False
    tagging: bool = False
    vector: bool = False
    unit: bool = False
    sentence: tuple[np.ndarray, np.ndarray] | None = None

    @property
    def outputs(self) -> int:
        return self.logits[1].shape[0]


def student_weights(student: Any, sigmoid: bool = False) -> StudentWeights:
    """The weights of a BiLSTM student, siamese student, tagger or universal student; ``sigmoid`` as in the result.

    Raises:
      UserError: the model does not have the layers of these students.
    """
    try:
        channels = [layer for layer in student.layers if layer.name in ("embeddings", "embeddings_static")]
        channels.sort(key=lambda layer: layer.name)
        bilstm = student.get_layer("bilstm")
        vector = VECTOR in student.output
        answer = VECTOR if vector else "logits"
        tagging, names = len(student.output[answer].shape) == 3, {layer.name for layer in student.layers}
        has_dense = "dense" in names
        heads = [tuple(student.get_layer(n).get_weights()) for n in (*(["dense"] if has_dense else []), answer)]
        return StudentWeights(
            embeddings=np.concatenate([_array(c.embeddings) for c in channels], axis=1),
            forward=_direction(bilstm.forward_layer),
            backward=_direction(bilstm.backward_layer),
            dense=heads[0] if has_dense else None,
            logits=heads[-1],
            pooling=_pooling(student, bilstm, tagging),
            inputs=tuple(sorted(student.input_names if hasattr(student, "input_names") else student.input)),
            sigmoid=sigmoid,
            tagging=tagging,
            vector=vector,
            unit=UNIT in names,
            sentence=tuple(student.get_layer(VECTOR).get_weights()) if VECTOR in names and not vector else None,
        )
    except (AttributeError, KeyError, TypeError, ValueError) as e:
        raise UserError(f"student {getattr(student, 'name', '?')}: cannot be exported as a BiLSTM student ({e})") from e


def _pooling(student: Any, bilstm: Any, tagging: bool) -> str:
    if tagging or not bilstm.forward_layer.return_sequences:
        return LAST
    return MEAN if any(layer.name == MEAN for layer in student.layers) else MAX


def _array(weight: Any) -> np.ndarray:
    import keras

    return keras.ops.convert_to_numpy(weight)


def _direction(lstm: Any) -> Direction:
    cell = lstm.cell
    if cell.activation.__name__ != "tanh" or cell.recurrent_activation.__name__ != "sigmoid" or not cell.use_bias:
        raise ValueError(f"{lstm.name}: expected an LSTM with tanh, sigmoid and bias")
    kernel, recurrent, bias = (_array(w) for w in (cell.kernel, cell.recurrent_kernel, cell.bias))
    # Keras' order is input, forget, cell, output.
    i, f, g, o = np.split(np.arange(bias.shape[0]), 4)
    order = np.concatenate([f, i, o, g])
    return Direction(kernel[:, order], recurrent[:, order], bias[order])
