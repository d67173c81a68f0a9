"""Runs a .tflite file of the export with LiteRT and NumPy. TensorFlow is not needed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from kd_keras.common.errors import UserError
from kd_keras.common.quiet import silent
from kd_keras.formats.tflite_inputs import MEDIAPIPE_INPUTS, input_name, model_inputs
from kd_keras.text.token_ids import TokenIds
from kd_keras.text.windows import Windows


class LiteRT:
    """An interpreter that answers one text after another, as an app does.

    Args:
      model: a file, or its content.
      threads: how many threads the interpreter uses.

    Attributes:
      length: how many tokens of a text the file reads. None: any number.
      inputs: names of the ids that it reads, sorted. A file with BERT's three inputs has ("ids",) too.
      batch: texts a call. None: any number.
      per_token: whether it is a tagger's file, which answers for each token.
    """

    def __init__(self, model: Path | bytes, threads: int = 1):
        from ai_edge_litert.interpreter import Interpreter

        given = {"model_content": model} if isinstance(model, bytes) else {"model_path": str(model)}
        try:
            with silent():
                self._interpreter = Interpreter(num_threads=threads, **given)
                self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as e:
            what = "content" if isinstance(model, bytes) else model
            raise UserError(f"{what}: cannot be loaded as a TFLite file ({' '.join(str(e).split())})") from None
        details = self._interpreter.get_input_details()
        self._tensors = {input_name(d["name"]): d for d in details}
        self._bert = set(self._tensors) == set(MEDIAPIPE_INPUTS)
        self.inputs = ("ids",) if self._bert else tuple(sorted(self._tensors))
        length = int(details[0]["shape_signature"][-1]) - 2 * self._bert
        self.length = length if length > 0 else None
        batch = int(details[0]["shape_signature"][0])
        self.batch = batch if batch > 0 else None
        self._output = self._interpreter.get_output_details()[0]
        self.per_token = len(self._output["shape_signature"]) == 3
        self._shapes: dict[str, tuple[int, ...]] = {}

    def inputs_in_order(self) -> list[tuple[str, list[int]]]:
        """Name and shape of each input, in the file's order. −1 is any size."""
        return [(name, [int(n) for n in d["shape_signature"]]) for name, d in self._tensors.items()]

    def describe(self, answer: str = "scores") -> dict:
        """{"inputs": [{"name", "dtype", "shape"}], "output": {"name", "dtype", "shape"}}. −1 is any size.

        ``answer`` names the output, unless the file answers for each token.
        """
        inputs = [_tensor(n, self._tensors[n]) for n in sorted(self._tensors)]
        return {"inputs": inputs, "output": _tensor("logits" if self.per_token else answer, self._output)}

    def scores(self, ids: Mapping[str, TokenIds], extra_padding: int = 0) -> np.ndarray:
        """float32[rows, outputs].

        Args:
          ids: the ids of each input. What is longer than ``length`` is cut.
          extra_padding: if the file takes any length, row i gets i modulo this many zeros more. They change nothing.
        """
        if set(ids) != set(self.inputs):
            raise UserError(f"the file reads {', '.join(self.inputs)}; expected {', '.join(sorted(ids))}")
        count = len(next(iter(ids.values())))
        out = []
        for i in range(count):
            out.append(self.answer(self.prepared(ids, i, i % extra_padding if extra_padding else 0)))
        return np.stack(out) if out else np.zeros((0, int(self._output["shape"][-1])), np.float32)

    def tag_logits(self, windows: Windows, extra_padding: int = 0) -> np.ndarray:
        """A tagger's float32[words, tags]. ``extra_padding`` is as in :meth:`scores`.

        Raises:
          UserError: a window is longer than the file reads. Nothing is cut, because a word would lose its answer.
        """
        longest = int(windows.ids.lengths.max(initial=0))
        if self.length and longest > self.length:
            raise UserError(f"a window of the text has {longest} tokens; the file reads at most {self.length}")
        out = np.zeros((int(windows.words.sum()), int(self._output["shape"][-1])), np.float32)
        for i in range(len(windows)):
            said = self.answer(self.prepared({"ids": windows.ids}, i, i % extra_padding if extra_padding else 0))
            windows.collect(out, np.array([i]), said[None])
        return out

    def prepared(self, ids: Mapping[str, TokenIds], row: int, more: int = 0) -> dict[str, np.ndarray]:
        """One row: int32[1, time] for each of the file's inputs. A file of any length gets ``more`` zeros too."""
        return model_inputs(ids, row, self.length, self._bert, more)

    def answer(self, x: Mapping[str, np.ndarray]) -> np.ndarray:
        """The answer to one text: float32[outputs], or a tagger's float32[time, outputs].

        The text is int32[1, time] for each of the file's inputs.

        Raises:
          UserError: it is not one text.
        """
        if any(a.shape[0] != 1 for a in x.values()):
            raise UserError(f"expected one text, int32[1, time], found {', '.join(str(a.shape) for a in x.values())}")
        return self.answers(x)[0]

    def answers(self, x: Mapping[str, np.ndarray]) -> np.ndarray:
        """As :meth:`answer`, for int32[texts, time]. Only a file of any length takes more than one text."""
        run = self._interpreter
        if not self.length and (shapes := {n: a.shape for n, a in x.items()}) != self._shapes:
            for name, shape in shapes.items():
                run.resize_tensor_input(self._tensors[name]["index"], shape)
            run.allocate_tensors()
            self._shapes = shapes
        for name, a in x.items():
            run.set_tensor(self._tensors[name]["index"], a)
        run.invoke()
        return run.get_tensor(self._output["index"])


def _tensor(name: str, details: dict) -> dict:
    shape = [int(n) for n in details["shape_signature"]]
    return {"name": name, "dtype": np.dtype(details["dtype"]).name, "shape": shape}
