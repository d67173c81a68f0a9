"""Lines that time a file on a phone with TensorFlow Lite's own tools, on inputs that the model can take.

Flags: tensorflow/lite/tools/benchmark/README.md. App: tensorflow/lite/tools/benchmark/android/README.md.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

FOLDER = "/data/local/tmp"
_ACTIVITY = "org.tensorflow.lite.benchmark/.BenchmarkModelActivity"
# By default the tool feeds 0 to 99, which is no text. A file of any length would even get a single token.
_RUNS = "--warmup_runs=50 --num_runs=500"


def value_range(name: str, vocab: int) -> tuple[int, int]:
    """Smallest and largest value of an input, both inclusive. Every id is a token and in range.

    Args:
      name: the input's.
      vocab: number of ids; id 0 is padding.
    """
    if name.endswith("mask"):
        return 1, 1
    if name in ("segment_ids", "token_type_ids"):
        return 0, 0
    return 1, vocab - 1


def tool_flags(
    graph: str, inputs: Sequence[tuple[str, Sequence[int]]], vocab: int, length: int, threads: int = 1
) -> str:
    """The flags of ``benchmark_model``.

    Args:
      graph: the file's path on the phone.
      inputs: name and shape, [batch, time], of each input in the file's order. −1 is any size. One text is timed.
      vocab: number of ids.
      length: tokens for a file of any length.
      threads: how many threads the interpreter uses.
    """
    names = [name for name, _ in inputs]
    shapes = [f"1,{length if time < 0 else time}" for _, (_, time) in inputs]
    ranges = ["{},{},{}".format(name, *value_range(name, vocab)) for name in names]
    return (
        f"--graph={graph} --num_threads={threads} {_RUNS} --input_layer={','.join(names)} "
        f"--input_layer_shape={':'.join(shapes)} --input_layer_value_range={':'.join(ranges)}"
    )


def commands(
    path: Path, inputs: Sequence[tuple[str, Sequence[int]]], vocab: int, length: int, threads: int = 1
) -> dict[str, str]:
    """{"push", "app", "binary"}: shell lines that copy the file, time it in the app, and time it with the binary."""
    graph = f"{FOLDER}/{path.name}"
    said = tool_flags(graph, inputs, vocab, length, threads)
    return {
        "push": f"adb push {shlex.quote(str(path))} {graph}",
        # The single quotes are for the computer's shell, the double ones for the phone's.
        "app": f"adb shell am start -S -n {_ACTIVITY} --es args '\"{said}\"'",
        "binary": f"adb shell {FOLDER}/benchmark_model {said}",
    }
