"""A .tflite file without what no interpreter reads. Of an unrolled graph of a small student that is a tenth."""

from __future__ import annotations

from typing import Any

import flatbuffers

_MODEL_ID = b"TFL3"


def slim(content: bytes) -> bytes:
    """The same graph with the same weights. Left out are the names of inner tensors, their empty buffers and empty
    descriptions of a quantization, and shapes that are said twice.

    >>> from kd_keras.formats.litert import LiteRT
    >>> content = Path("RUN/tflite/loop_dynamic.tflite").read_bytes()
    >>> LiteRT(slim(content)).inputs == LiteRT(content).inputs
    True

    Args:
      content: of the file, without associated files behind it.
    """
    model = unpacked(content)
    empty = {n for n, buffer in enumerate(model.buffers) if buffer.data is None or not len(buffer.data)}
    for number, graph in enumerate(model.subgraphs):
        named = {*graph.inputs, *graph.outputs} if number == 0 else set()
        for n, tensor in enumerate(graph.tensors):
            if n not in named:
                tensor.name = None
            if tensor.buffer in empty:
                tensor.buffer = 0  # which the schema keeps empty
            if tensor.quantization is not None and tensor.quantization.scale is None:
                tensor.quantization = None
            if tensor.shapeSignature is not None and list(tensor.shapeSignature) == list(tensor.shape):
                tensor.shapeSignature = None
    holders = [*(t for graph in model.subgraphs for t in graph.tensors), *(model.metadata or ())]
    kept = sorted({0, *(holder.buffer for holder in holders)})
    number_of = {old: new for new, old in enumerate(kept)}
    for holder in holders:
        holder.buffer = number_of[holder.buffer]
    model.buffers = [model.buffers[old] for old in kept]
    return packed(model, len(content))


def unpacked(content: bytes) -> Any:
    """The file's tables as objects."""
    from ai_edge_litert import schema_py_generated as schema

    return schema.ModelT.InitFromPackedBuf(content, 0)


def packed(model: Any, size: int) -> bytes:
    """The file of what :func:`unpacked` gave; ``size`` is about its number of bytes."""
    builder = _Builder(size)
    builder.Finish(model.Pack(builder), _MODEL_ID)
    return bytes(builder.Output())


class _Builder(flatbuffers.Builder):
    """Aligns bytes at multiples of 16. TFLite's schema asks this of weights, but its Python code does not do it."""

    def StartVector(self, elemSize: int, numElems: int, alignment: int) -> int:
        return super().StartVector(elemSize, numElems, 16 if elemSize == 1 else alignment)
