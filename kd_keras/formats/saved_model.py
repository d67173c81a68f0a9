"""Writes a student as a SavedModel that reads strings, and loads it. An app needs tensorflow and tensorflow_text only.

The signature "text" reads text string[batch]; a pair reads text and text_b. It returns

- classes: labels string[batch], scores and logits float32[batch, classes];
- several labels a text: labels string[batch] (their names, a comma between), scores and logits;
- a regression: score float32[batch];
- a universal student: vector float32[batch, vector_size].

The signature "ids" reads ids int32[batch, time], right-padded with 0; a pair reads ids_a and ids_b. It returns logits
float32[batch, classes]. A tagger returns logits float32[batch, time, tags], a universal student its vector. A tagger
has no "text": the app has to know the words of the pieces and the windows of a long text.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from kd_keras.common import packages
from kd_keras.common.errors import UserError
from kd_keras.common.places import without_pattern
from kd_keras.students.inference import answer_of
from kd_keras.tasks import Rows, Task
from kd_keras.text.token_ids import TokenIds
from kd_keras.text.tokenizers import Tokenizer
from kd_keras.text.windows import Windows

_BATCH = 256


def write_saved_model(student: Any, tokenizer: Tokenizer, task: Task, folder: Path) -> None:
    """Writes the SavedModel into ``folder``, which must exist."""
    module = tf.Module(name="student")
    # The variables instead of the Keras model, whose loading would need Keras' classes.
    module.weights = [v.value for v in student.variables]
    names = ("ids_a", "ids_b") if task.is_pair else ("ids",)
    texts = ("text", "text_b")[: len(names)]

    answer = answer_of(student)

    def logits_of(ids: dict[str, tf.Tensor]) -> tf.Tensor:
        return student(ids, training=False)[answer]

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.int32, n) for n in names])
    def from_ids(*ids: tf.Tensor) -> dict[str, tf.Tensor]:
        return {answer: logits_of(dict(zip(names, ids, strict=True)))}

    if task.is_tagging:
        tf.saved_model.save(module, str(folder), signatures={"ids": from_ids})
        return
    from kd_keras.formats.graph_tokenizer import InGraphTokenizer  # tensorflow-text is optional

    module.tokenizer = InGraphTokenizer(tokenizer)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, n) for n in texts])
    def from_text(*given: tf.Tensor) -> dict[str, tf.Tensor]:
        logits = logits_of({n: module.tokenizer.padded(t) for n, t in zip(names, given, strict=True)})
        if task.is_text:
            return {answer: logits}
        if task.is_regression:
            return {"score": logits[:, 0]}
        if task.is_multilabel:
            rows = tf.ragged.boolean_mask(tf.tile([task.labels], [tf.shape(logits)[0], 1]), logits > 0)
            return {"labels": tf.strings.reduce_join(rows, 1, separator=", "), "scores": tf.sigmoid(logits),
                    "logits": logits}  # fmt: skip
        labels = tf.gather(tf.constant(task.labels), tf.argmax(logits, 1))
        return {"labels": labels, "scores": tf.nn.softmax(logits), "logits": logits}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "text")])
    def pieces(text: tf.Tensor) -> tf.Tensor:
        return module.tokenizer.padded(text)

    module.pieces = pieces
    tf.saved_model.save(module, str(folder), signatures={"text": from_text, "ids": from_ids})


class LoadedModel:
    """A SavedModel that :func:`write_saved_model` made."""

    def __init__(self, folder: Path):
        if packages.installed("tensorflow_text"):
            import tensorflow_text  # noqa: F401  registers the ops of all students but taggers

        try:
            with without_pattern(Path(folder)) as place:
                self._model = tf.saved_model.load(str(place))
            self._text, self._ids = self._model.signatures.get("text"), self._model.signatures["ids"]
        except (OSError, KeyError, ValueError, RuntimeError, tf.errors.OpError) as e:
            why = " ".join(str(e).split())[:200]
            raise UserError(f"{folder}: cannot be loaded as a SavedModel of this package ({why})") from None

    def answers(self, rows: Rows) -> dict[str, np.ndarray]:
        """The outputs of the signature "text"."""
        parts = []
        for start in range(0, len(rows), _BATCH):
            some = slice(start, start + _BATCH)
            given = {"text": tf.constant(rows.text[some], tf.string)}
            if rows.text_b is not None:
                given["text_b"] = tf.constant(rows.text_b[some], tf.string)
            parts.append({k: v.numpy() for k, v in self._text(**given).items()})
        return {k: np.concatenate([p[k] for p in parts]) for k in parts[0]} if parts else {}

    def scores(self, rows: Rows) -> np.ndarray:
        """float32[rows, classes]. A regression has one class; a universal student gives its vectors."""
        answers = self.answers(rows)
        if "score" in answers:
            return answers["score"][:, None]
        return answers.get("vector", answers.get("scores", np.zeros((0, 1), np.float32)))

    def pieces(self, texts: list[str]) -> list[np.ndarray]:
        """The ids of each text, by the tokenizer in the graph."""
        out = []
        for start in range(0, len(texts), _BATCH):
            padded = self._model.pieces(tf.constant(texts[start : start + _BATCH], tf.string)).numpy()
            out += [row[: np.count_nonzero(row)] for row in padded]
        return out

    def logits_of_ids(self, ids: dict[str, TokenIds]) -> np.ndarray:
        """float32[rows, classes] of the signature "ids". A universal student gives its vectors."""
        (answer,) = self._ids.structured_outputs
        count = len(next(iter(ids.values())))
        starts = range(0, count, _BATCH)
        parts = [np.arange(s, min(s + _BATCH, count)) for s in starts]
        return np.concatenate(
            [self._ids(**{n: tf.constant(t.padded(p)) for n, t in ids.items()})[answer].numpy() for p in parts]
        )

    def tag_logits(self, windows: Windows) -> np.ndarray:
        """A tagger's float32[words, tags] of the signature "ids"."""
        tags = self._ids.structured_outputs["logits"].shape[-1]
        out = np.zeros((int(windows.words.sum()), tags), np.float32)
        for start in range(0, len(windows), _BATCH):
            some = np.arange(start, min(start + _BATCH, len(windows)))
            windows.collect(out, some, self._ids(ids=tf.constant(windows.ids.padded(some)))["logits"].numpy())
        return out
