"""The teacher as a TFLite file for a phone: a fixed length and built-in ops only."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kd_keras.common.progress import progress
from kd_keras.formats.format import Format
from kd_keras.formats.litert import LiteRT
from kd_keras.formats.tflite import check_graph
from kd_keras.text.base import BackedTokenizer


def convert(teacher: Any, fmt: Format, length: int, batch: int = 1) -> bytes:
    """The file's content. It maps int32[batch, length] of the teacher's inputs to logits float32[batch, labels].

    The inputs are, for example, input_ids, attention_mask and token_type_ids. A teacher of words gives
    float32[batch, length, labels], one of vectors float32[batch, numbers].

    Args:
      teacher: ``kd_keras.teachers.bert.Teacher``.
      fmt: float32, or dynamic for int8 weights.
      length: tokens, with [CLS] and [SEP].
      batch: texts a call.

    Raises:
      UserError: the file needs ops that are not built into TFLite.
    """
    from kd_keras.teachers.heads import specs
    from kd_keras.teachers.tflite import to_tflite

    signature = specs(teacher.tokenizer.inputs, batch, length)
    weights, dynamic = teacher.model.weights, fmt.precision == "dynamic"
    content = to_tflite(lambda **ids: {"logits": teacher.answer(ids)}, signature, weights, dynamic)
    check_graph(content, fmt)
    return content


def bert_inputs(
    tokenizer: BackedTokenizer, texts: list[str], texts_b: list[str] | None, length: int
) -> dict[str, np.ndarray]:
    """int32[rows, length] for each input, cut to ``length`` or padded."""
    reader = tokenizer.like(length)
    return reader.laid_out(*reader.encode_for_bert(texts, texts_b), np.arange(len(texts)), length)


def logits(path: Path, inputs: Mapping[str, np.ndarray], what: str = "teacher") -> np.ndarray:
    """float32[rows, labels] of a file of :func:`convert`. It reads one row after the other."""
    model, out = LiteRT(path), []
    with progress(len(inputs["input_ids"]), what, "texts") as bar:
        for i in range(len(inputs["input_ids"])):
            out.append(model.answer({name: x[i : i + 1] for name, x in inputs.items()}))
            bar.update()
    return np.stack(out)
