"""Converts a student to a TFLite file, and checks what the file consists of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kd_keras.common.errors import UserError
from kd_keras.common.quiet import silent
from kd_keras.formats.format import Format
from kd_keras.formats.slim import slim
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
      weights: the student's.
      fmt: form and precision.
      length: tokens of the unrolled form. None: the loop form.
      calibration: ids of real text, for int8.
      bert_inputs: the unrolled form reads ids, mask and segment_ids (``formats.tflite_inputs``).
      aliases: the ids that vocab, vocab + 1, … stand for (``formats.mediapipe``).

    Raises:
      UserError: the file needs ops that are not built into TFLite, or does not have the form of ``fmt``.
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
            # Ids stay int32. The file turns the scores' integers into floats.
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        content = slim(converter.convert())
    check_graph(content, fmt)
    return content


def check_graph(content: bytes, fmt: Format) -> None:
    """Raises UserError if an app could not run the file, or if the file is not what ``fmt`` says."""
    graph = describe(content)
    if graph["custom_ops"]:
        raise UserError(f"{fmt.file} needs ops that are not built into TFLite: {', '.join(graph['custom_ops'])}")
    if fmt.form == "unrolled" and graph["subgraphs"] != 1:
        raise UserError(f"{fmt.file} has {graph['subgraphs']} subgraphs; expected 1 in an unrolled graph")
    if fmt.precision == "int8" and graph["float_ops"] != ["DEQUANTIZE"]:
        raise UserError(f"{fmt.file} is not all integer: {', '.join(graph['float_ops'])} still read or write floats")


def describe(content: bytes) -> dict:
    """{"inputs": names in the file's order, "subgraphs": int, "ops": sorted names, "custom_ops": […], "float_ops":
    names of the ops that read or write floats}."""
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
