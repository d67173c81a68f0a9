"""Inspects a student that the Distiller did not build."""

from __future__ import annotations

from collections.abc import Iterable

import keras

from kd_keras.distill.representation import VECTOR


def output_of(student: keras.Model) -> dict[str, keras.KerasTensor]:
    """The student's symbolic outputs by name, after a check of their types and shapes."""
    if not getattr(student, "inputs", None):
        raise ValueError(
            f"Distiller: the student is a {type(student).__name__} without known inputs: expected a functional or "
            "Sequential model; wrap any other in keras.Model(inputs, model(inputs)), with a keras.Input for each input"
        )
    output = student.outputs if isinstance(student, keras.Sequential) else student.output
    if isinstance(output, (list, tuple)) and len(output) == 1:
        (output,) = output
    if isinstance(output, (list, tuple)):
        raise ValueError(
            f"Distiller: the student returns a {type(output).__name__} of {len(output)} outputs: expected one tensor, "
            'its logits, or a dict with "logits"'
        )
    output = output if isinstance(output, dict) else {"logits": output}
    if "logits" not in output and VECTOR in output:
        return output
    if "logits" not in output:
        raise ValueError(f'Distiller: the student returns {quoted(output)}: expected "logits" among them')
    shape = output["logits"].shape
    if len(shape) not in (2, 3) or shape[-1] is None:
        raise ValueError(
            f"Distiller: the student's logits have the shape {shape}: expected (batch, outputs), or for a tagger "
            f"(batch, time, tags), with a known number of outputs"
        )
    return output


def policy_of(student: keras.Model) -> keras.DTypePolicy:
    """float16 if a layer computes in it, as a loaded model does not have the policy of its layers."""
    policies = [layer.dtype_policy for layer in student.layers]
    return next((policy for policy in policies if policy.name == "mixed_float16"), student.dtype_policy)


def quoted(names: Iterable[str]) -> str:
    """Quotes names for a message."""
    return ", ".join(f'"{name}"' for name in names)
