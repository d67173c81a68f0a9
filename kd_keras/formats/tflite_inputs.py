"""What a .tflite file reads: the student's ids, or BERT's three inputs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from kd_keras.text.token_ids import TokenIds

# Inputs are found by name, because the converter chooses their order.
MEDIAPIPE_INPUTS = ("ids", "mask", "segment_ids")
# These texts go into metadata.json.
READS = {
    "ids": "The ids are padded with 0 on the right, without [CLS] and [SEP]. An empty text is all 0. If the first size "
    "is -1, a call reads many texts, else one",
    "bert": "The ids are [CLS], the text and [SEP], then 0. Any id will do for [CLS] and [SEP], as the graph leaves "
    "them out. The mask is 1 from [CLS] to [SEP], then 0. The segment_ids are 0",
}
# The graph leaves out [CLS] and [SEP], so any id will do. With 0 a test could not see it if the graph kept them.
_CLS_OR_SEP = 1


def input_name(tensor: str) -> str:
    """The name without the converter's additions: serving_default_ids:0 → ids."""
    return tensor.removeprefix("serving_default_").split(":")[0]


def padded(tokens: np.ndarray, length: int) -> np.ndarray:
    """int32[1, length]: cut, or right-padded with 0."""
    x = np.zeros((1, length), np.int32)
    x[0, : min(length, len(tokens))] = tokens[:length]
    return x


def bert_inputs(tokens: np.ndarray, length: int) -> dict[str, np.ndarray]:
    """[CLS] tokens [SEP] as int32[1, length + 2]: ids, their mask, and the segment, which is 0.

    Args:
      tokens: ids of a text, without [CLS] and [SEP].
      length: at most this many tokens; later ones are cut.
    """
    x = {name: np.zeros((1, length + 2), np.int32) for name in MEDIAPIPE_INPUTS}
    framed = [_CLS_OR_SEP, *tokens[:length], _CLS_OR_SEP]
    x["ids"][0, : len(framed)] = framed
    x["mask"][0, : len(framed)] = 1
    return x


def model_inputs(
    ids: Mapping[str, TokenIds], row: int, length: int | None, bert: bool = False, extra_padding: int = 0
) -> dict[str, np.ndarray]:
    """One row for an interpreter: name → int32[1, time].

    Args:
      ids: the ids of each of the file's inputs.
      row: the number of the text.
      length: the file's. None: each text's own length, at least 1, and ``extra_padding`` zeros more.
      bert: give the three inputs of :func:`bert_inputs` instead of the ids alone.
    """
    if bert:
        (texts,) = ids.values()
        return bert_inputs(texts[row], length)
    return {name: padded(t[row], length or max(1, len(t[row])) + extra_padding) for name, t in ids.items()}
