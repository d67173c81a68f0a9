"""What a .tflite file reads: the student's ids as they are, or as BERT's three inputs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from kd_keras.text.token_ids import TokenIds

# By name: a file's own order is the converter's.
MEDIAPIPE_INPUTS = ("ids", "mask", "segment_ids")
# For metadata.json.
READS = {
    "ids": "The ids are padded with 0 on the right, without [CLS] and [SEP]. An empty text is all 0. If the first size "
    "is -1, a call reads many texts, else one",
    "bert": "The ids are [CLS], the text and [SEP], then 0. Any id will do for [CLS] and [SEP], as the graph leaves "
    "them out. The mask is 1 from [CLS] to [SEP], then 0. The segment_ids are 0",
}
# Where [CLS] and [SEP] stand, any id will do, as the graph leaves it out. A 0 would hide it if it did not.
_CLS_OR_SEP = 1


def input_name(tensor: str) -> str:
    """The name without what the converter adds: serving_default_ids:0 → ids."""
    return tensor.removeprefix("serving_default_").split(":")[0]


def padded(tokens: np.ndarray, length: int) -> np.ndarray:
    """int32[1, length]: cut, or right-padded with 0."""
    x = np.zeros((1, length), np.int32)
    x[0, : min(length, len(tokens))] = tokens[:length]
    return x


def bert_inputs(tokens: np.ndarray, length: int) -> dict[str, np.ndarray]:
    """[CLS] tokens [SEP] as int32[1, length + 2]: ids, the mask of these, and the segment, which is 0.

    Args:
      tokens: ids of a text, without [CLS] and [SEP].
      length: most tokens of the text; more are cut.
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
      ids: of the file's inputs.
      row: which text.
      length: of the file; None: each text's own, at least 1, and ``extra_padding`` zeros more.
      bert: the three of :func:`bert_inputs` instead of the ids alone.
    """
    if bert:
        (texts,) = ids.values()
        return bert_inputs(texts[row], length)
    return {name: padded(t[row], length or max(1, len(t[row])) + extra_padding) for name, t in ids.items()}
