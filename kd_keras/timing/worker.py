"""A fresh process that holds one model, answers texts, and reports milliseconds and memory.

``turns.Worker`` starts it. It reads a JSON object a line, {"do": "load" | "run" | "memory", …}, and writes one a line.
It imports nothing before "load" says what the model needs.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from kd_keras.common.errors import UserError
from kd_keras.common.machine import memory_mb
from kd_keras.common.processes import end_with

# Answer takes prepared texts. Prepare takes ids by input name, and row numbers, and gives prepared texts.
Answer = Callable[[Any], Any]
Prepare = Callable[[dict, list[int]], Any]


def main() -> None:
    end_with(os.getppid())
    # Native libraries print to standard output, so the answers have a file descriptor of their own.
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    held = _Held()
    for line in sys.stdin:
        ask = json.loads(line)
        try:
            said = getattr(held, ask.pop("do"))(**ask)
        except UserError as e:
            said = {"error": str(e)}
        out.write(json.dumps(said) + "\n")
        out.flush()


class _Held:
    """The model, and the functions that prepare and answer texts."""

    def __init__(self) -> None:
        self._answer: Answer | None = None
        self._prepare: Prepare | None = None

    def load(self, kind: str, path: str, threads: int) -> dict:
        """{"ms", "before"}: the time from file to model, without imports, and the memory in MB before that."""
        make = KINDS[kind](threads)
        self._answer = self._prepare = None
        gc.collect()
        before = memory_mb()["now"]
        started = time.perf_counter()
        self._answer, self._prepare = make(path)
        return {"ms": 1e3 * (time.perf_counter() - started), "before": before}

    def run(self, inputs: dict[str, list[list[int]]], warm_up: int, batch: int = 1) -> dict:
        """{"ms": […]} of each text or batch. The last batch is filled up with the first texts.

        The first ``warm_up`` ones are answered once before.
        """
        count = len(next(iter(inputs.values())))
        rows = [n % count for n in range(-(-count // batch) * batch)]
        texts = [self._prepare(inputs, rows[i : i + batch]) for i in range(0, len(rows), batch)]
        answer, clock, took = self._answer, time.perf_counter_ns, []
        for text in texts[:warm_up]:
            answer(text)
        gc.disable()
        for text in texts:
            started = clock()
            answer(text)
            took.append((clock() - started) / 1e6)
        gc.enable()
        return {"ms": took}

    def memory(self) -> dict:
        return memory_mb()


def _tflite(threads: int) -> Callable[[str], tuple[Answer, Prepare]]:
    import ai_edge_litert.interpreter  # noqa: F401  so that load times do not include the import

    from kd_keras.formats.litert import LiteRT
    from kd_keras.text.token_ids import TokenIds

    def make(path: str) -> tuple[Answer, Prepare]:
        model = LiteRT(Path(path), threads)

        def prepare(inputs: dict, rows: list[int]) -> list[dict[str, np.ndarray]]:
            if len(rows) > 1 and not model.length:
                return [_padded(inputs, rows)]
            # A file of a fixed length answers one text a call.
            return [model.prepared({n: TokenIds.of([t[row]]) for n, t in inputs.items()}, 0) for row in rows]

        return lambda calls: [model.answers(x) for x in calls], prepare

    return make


def _bert_tflite(threads: int) -> Callable[[str], tuple[Answer, Prepare]]:
    student = _tflite(threads)

    def make(path: str) -> tuple[Answer, Prepare]:
        # A file made for many texts reads that many in one call.
        return student(path)[0], lambda inputs, rows: [_padded(inputs, rows)]

    return make


def _keras(threads: int) -> Callable[[str], tuple[Answer, Prepare]]:
    tf = _tensorflow(threads)
    from kd_keras.students.inference import answer_of, load_student

    def make(path: str) -> tuple[Answer, Prepare]:
        student = load_student(Path(path))
        spec = {i.name: tf.TensorSpec((None, None), tf.int32) for i in student.inputs}
        name = answer_of(student)
        call = tf.function(lambda x: student(x, training=False)[name], input_signature=[spec])
        call.get_concrete_function()
        return lambda x: call(x).numpy(), lambda inputs, rows: _constants(tf, inputs, rows)

    return make


def _saved_model(threads: int) -> Callable[[str], tuple[Answer, Prepare]]:
    tf = _tensorflow(threads)
    import tensorflow_text  # noqa: F401  registers the graph's ops

    def make(path: str) -> tuple[Answer, Prepare]:
        model = tf.saved_model.load(path)
        call = model.signatures["ids"]
        # The signature does not keep its model alive.
        call.kept = model
        (name,) = call.structured_outputs
        return lambda x: call(**x)[name].numpy(), lambda inputs, rows: _constants(tf, inputs, rows)

    return make


def _tensorflow(threads: int) -> Any:
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    return tf


def _padded(inputs: dict[str, list[list[int]]], rows: list[int]) -> dict[str, np.ndarray]:
    """int32[rows, time] of each input, right-padded with 0. If all texts are empty, time is 1."""
    out = {}
    for name, texts in inputs.items():
        out[name] = np.zeros((len(rows), max(1, *(len(texts[row]) for row in rows))), np.int32)
        for n, row in enumerate(rows):
            out[name][n, : len(texts[row])] = texts[row]
    return out


def _constants(tf: Any, inputs: dict[str, list[list[int]]], rows: list[int]) -> dict[str, Any]:
    """The same as tensors."""
    return {name: tf.constant(x) for name, x in _padded(inputs, rows).items()}


KINDS = {"tflite": _tflite, "bert_tflite": _bert_tflite, "keras": _keras, "saved_model": _saved_model}
