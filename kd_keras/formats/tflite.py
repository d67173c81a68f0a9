"""Student → TFLite file: conversion, and what the file may consist of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kd_keras.common.errors import UserError
from kd_keras.common.quiet import silent
from kd_keras.formats.format import Format
from kd_keras.formats.tflite_inputs import input_name, model_inputs
from kd_keras.students.weights import StudentWeights
from kd_keras.text.token_ids import TokenIds


def convert(
    weights: StudentWeights,
    fmt: Format,
    length: int | None,
    calibration: Mapping[str, TokenIds] | None = None,
    bert_inputs: bool = False,
    aliases: Sequence[int] = (),
) -> bytes:
    """The file's content.

    Args:
      weights: of the student.
      fmt: form and precision.
      length: tokens of the unrolled form; None for the loop form.
      calibration: ids of real text, for int8.
      bert_inputs: of the unrolled form: it reads ids, mask and segment_ids (``deploy.inputs``).
      aliases: the ids that vocab, vocab + 1, … stand for (``deploy.mediapipe``).

    Raises:
      UserError: the file is not made of built-in ops only, or not of the form that was asked for.
    """
    import tensorflow as tf

    from kd_keras.formats.graph import forward_pass

    with silent():
        function = forward_pass(weights, length, fmt.precision == "dynamic", bert_inputs, aliases)
        converter = tf.lite.TFLiteConverter.from_concrete_functions([function], tf.Module())
        if fmt.precision != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if fmt.precision == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if fmt.precision == "int8":
            assert calibration is not None and length is not None
            rows = range(len(next(iter(calibration.values()))))
            converter.representative_dataset = lambda: (model_inputs(calibration, i, length, bert_inputs) for i in rows)
            # Ids stay int32, and what is asked for is a float: the scores' integers are turned into it by the file.
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        content = converter.convert()
    check_graph(content, fmt)
    return content


def check_graph(content: bytes, fmt: Format) -> None:
    """Reads the file and raises UserError where an app could not run it, or it is not what ``fmt`` says."""
    graph = describe(content)
    if graph["custom_ops"]:
        raise UserError(f"{fmt.file}: needs ops that are not built into TFLite: {', '.join(graph['custom_ops'])}")
    if fmt.form == "unrolled" and graph["subgraphs"] != 1:
        raise UserError(f"{fmt.file}: has {graph['subgraphs']} subgraphs, expected 1 of an unrolled graph")
    if fmt.precision == "int8" and graph["float_ops"] != ["DEQUANTIZE"]:
        raise UserError(f"{fmt.file}: not all integer: {', '.join(graph['float_ops'])} still read or write floats")


def describe(content: bytes) -> dict:
    """{"inputs": names in the file's order, "subgraphs": int, "ops": sorted names, "custom_ops": […], "float_ops":
    names of ops that touch floats}."""
    from ai_edge_litert import schema_py_generated as schema

    names = {v: k for k, v in vars(schema.BuiltinOperator).items() if isinstance(v, int)}
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    codes = [names[max(c.builtinCode, c.deprecatedBuiltinCode)] for c in model.operatorCodes]
    floats = set()
    for graph in model.subgraphs:
        for op in graph.operators:
            tensors = [graph.tensors[i] for i in (*op.inputs, *op.outputs) if i >= 0]
            if any(t.type == schema.TensorType.FLOAT32 for t in tensors):
                floats.add(codes[op.opcodeIndex])
    custom = [c.customCode.decode() for c in model.operatorCodes if c.customCode]
    graph = model.subgraphs[0]
    return {
        "inputs": [input_name(graph.tensors[i].name.decode()) for i in graph.inputs],
        "subgraphs": len(model.subgraphs),
        "ops": sorted(set(codes)),
        "custom_ops": custom,
        "float_ops": sorted(floats),
    }
