"""Tells which code runs a student's LSTMs: cuDNN on a GPU, or Keras' own loop over time.

Keras chooses. cuDNN can run LSTMs with the default activations and without recurrent dropout, as ours are. It reads
texts that are padded at their end, as ours are. It cannot read a text without tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import keras

from kd_keras.common.devices import gpu_names
from kd_keras.text.token_ids import TokenIds

LOOP = "Keras' loop over time, on the CPU"


def prepare(student: keras.Model, *read: Mapping[str, TokenIds]) -> bool:
    """Switches a student's LSTMs to Keras' loop if a text is empty; returns whether they changed. Call it before
    ``student`` reads the texts.

    They never change back, as a graph that was traced with cuDNN fails at an empty text.
    """
    if not gpu_names() or all((t.lengths > 0).all() for ids in read for t in ids.values()):
        return False
    changed = [layer for layer in _lstms(student) if layer.use_cudnn]
    for layer in changed:
        layer.use_cudnn = False
    return bool(changed)


def implementation(student: keras.Model) -> str:
    """A description of the code that runs the student's LSTMs."""
    gpus = gpu_names()
    if not gpus:
        return LOOP
    if all(layer.use_cudnn for layer in _lstms(student)):
        return f"cuDNN, on {gpus[0]}"
    return f"Keras' loop over time, on {gpus[0]}, because cuDNN cannot read an empty text"


def _lstms(student: keras.Model) -> Iterator[keras.layers.LSTM]:
    for layer in student.layers:
        if isinstance(layer, keras.layers.Bidirectional):
            yield from (layer.forward_layer, layer.backward_layer)
