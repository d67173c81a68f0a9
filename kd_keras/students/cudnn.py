"""Which code runs a student's LSTMs: on a GPU cuDNN's, else Keras' own loop over time.

Keras chooses: cuDNN has the arithmetic of an LSTM with the default activations and no recurrent dropout, which ours
are, and reads texts that are padded at their end, as ours are. It cannot read a text without a single token.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import keras

from kd_keras.common.devices import gpu_names
from kd_keras.text.token_ids import TokenIds

LOOP = "Keras' loop over time, on the CPU"


def prepare(student: keras.Model, *read: Mapping[str, TokenIds]) -> bool:
    """Before ``student`` reads these: from the first empty text on its LSTMs run in Keras' loop; whether they changed.

    They never change back, as a graph that was traced with cuDNN would end at an empty text.
    """
    if not gpu_names() or all((t.lengths > 0).all() for ids in read for t in ids.values()):
        return False
    changed = [layer for layer in _lstms(student) if layer.use_cudnn]
    for layer in changed:
        layer.use_cudnn = False
    return bool(changed)


def implementation(student: keras.Model) -> str:
    """What runs its LSTMs, in words."""
    gpus = gpu_names()
    if not gpus:
        return LOOP
    if all(layer.use_cudnn for layer in _lstms(student)):
        return f"cuDNN, on {gpus[0]}"
    return f"Keras' loop over time, on {gpus[0]}, as a text is empty, which cuDNN cannot read"


def _lstms(student: keras.Model) -> Iterator[keras.layers.LSTM]:
    for layer in student.layers:
        if isinstance(layer, keras.layers.Bidirectional):
            yield from (layer.forward_layer, layer.backward_layer)
