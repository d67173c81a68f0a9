"""A teacher without a task: BERT as it was pre-trained. It gives a vector of each text, reduced in a fixed way.

In Wu et al. 2020 the student approximates the sentence vectors of a BERT that was not fine-tuned.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from kd_keras.common import files
from kd_keras.common.progress import progress
from kd_keras.metrics.vectors import unit
from kd_keras.teachers.bert import Teacher
from kd_keras.teachers.checkpoints import Checkpoint, find_checkpoint
from kd_keras.teachers.encoded import Encoded, token_batches
from kd_keras.teachers.heads import encoder_of, mean_of_tokens
from kd_keras.teachers.labelling import layer_of, pool
from kd_keras.teachers.projection import Projection, find_or_fit, principal, read_projection
from kd_keras.teachers.settings import MEAN, NOTHING, WHITEN, LabelSettings, TargetSettings

# The axes are fitted to this many texts, those of words to the second number. More texts do not change them.
_TEXTS, _TEXTS_OF_WORDS = 20_000, 3_000
_NO_CLASSES, _SEED = 2, 0  # for the classifier, which is never asked


@dataclass(frozen=True)
class Reduction:
    """Reduces what BERT gives of a text to what a student learns.

    Attributes:
      unit: whether vectors are scaled to length 1, before and after the projection.
      projection: to fewer numbers. None: all stay.
      words: the projection of words' states, if these are learned too.
    """

    unit: bool = True
    projection: Projection | None = None
    words: Projection | None = None

    def __call__(self, vectors: np.ndarray) -> np.ndarray:
        """float[texts, width] → float32[texts, width or fewer]."""
        if self.unit:
            vectors = unit(vectors)
        if self.projection is None:
            return vectors
        told = self.projection(vectors).astype(np.float32)
        return unit(told) if self.unit else told

    def to_json(self) -> dict[str, Any]:
        """What signals depend on."""
        told = {"unit": self.unit, "projection": self.projection and self.projection.key}
        return told if self.words is None else told | {"words": self.words.key}


class SentenceTeacher(Teacher):
    """A BERT whose classifier is random and never asked.

    Attributes:
      label: pooling and layer of its vectors.
      reduction: of its vectors. :func:`reduced` finds one.
    """

    classifies = False
    label = LabelSettings(hidden=MEAN)
    reduction = Reduction()

    @classmethod
    def of(cls, checkpoint: Checkpoint, max_length: int, label: LabelSettings) -> SentenceTeacher:
        """The encoder of ``checkpoint``. UserError if it cannot be loaded, or is too short for ``max_length``."""
        teacher = cls.load(checkpoint, _NO_CLASSES, max_length, _SEED)
        teacher.label = label
        return teacher

    @property
    def weights(self) -> list:
        return [v for v in encoder_of(self.bert).weights if "/pooler/" not in v.name]

    @property
    def vector_size(self) -> int:
        projection = self.reduction.projection
        return super().vector_size if projection is None else projection.axes.shape[1]

    def told(self, vectors: np.ndarray) -> np.ndarray:
        return self.reduction(vectors)

    @property
    def tells_words(self) -> bool:
        return self.reduction.words is not None

    def told_words(self, states: np.ndarray, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The reduced states of a batch's words, float32[words, fewer], and the words of each text, int64[batch].

        Args:
          states: float32[batch, time, width].
          ids: int32[batch, time].
        """
        begins = self.tokenizer.begins[ids]
        return self.reduction.words(states[begins]), begins.sum(1)

    def _reading(self) -> dict[str, str]:
        return {}

    def raw(self, encoded: Encoded, what: str | None = None) -> np.ndarray:
        """float32[texts, width]: the vectors before the reduction. ``what`` names a progress bar."""
        out = np.zeros((len(encoded), self.bert.config.hidden_size), np.float32)
        for rows, x, states in self._states(encoded, what):
            out[rows] = pool(states, x["attention_mask"], self.label.hidden)
        return out

    def raw_words(self, encoded: Encoded, what: str | None = None) -> np.ndarray:
        """float32[words, width]: the state of the first piece of each word, in no fixed order."""
        found = self._states(encoded, what)
        return np.concatenate([states[self.tokenizer.begins[x["input_ids"]]] for _, x, states in found])

    def _states(
        self, encoded: Encoded, what: str | None
    ) -> Iterator[tuple[np.ndarray, dict[str, np.ndarray], np.ndarray]]:
        layer = layer_of(self, self.label)
        with progress(len(encoded), what or "", "texts", disable=what is None) as bar:
            for rows in token_batches(encoded.ids.lengths, self.label.label_batch_tokens):
                x = encoded.batch(rows)
                yield rows, x, self.predict_batch(x)[f"hidden_{layer}"].numpy()
                bar.update(len(rows))

    def logits(self, encoded: Encoded, tokens_per_batch: int = 4096) -> np.ndarray:
        """float32[texts, vector_size]: the reduced vectors, in place of logits."""
        return self.told(self.raw(encoded))

    def answer(self, batch: dict[str, tf.Tensor]) -> tf.Tensor:
        """float32[batch, vector_size], as a graph: :meth:`told` of one padded batch."""
        states = self.model(batch, training=False)[f"hidden_{layer_of(self, self.label)}"]
        vectors = mean_of_tokens(states, batch) if self.label.hidden == MEAN else states[:, 0]
        unit, projection = self.reduction.unit, self.reduction.projection
        if unit:
            vectors = tf.math.l2_normalize(vectors, -1)
        if projection is None:
            return vectors
        vectors = tf.matmul(vectors - projection.mean, projection.axes)
        return tf.math.l2_normalize(vectors, -1) if unit else vectors


def opened(name: str, max_length: int, label: LabelSettings) -> SentenceTeacher:
    """:meth:`SentenceTeacher.of`, by the value of ``--teacher``. Another process can call it."""
    return SentenceTeacher.of(find_checkpoint(name), max_length, label)


def reduced(
    teacher: SentenceTeacher, texts: Sequence[str], target: TargetSettings, path: Path, known: Iterable[Path] = ()
) -> Reduction:
    """The reduction of ``teacher``'s vectors that ``target`` asks for. Its axes are found at ``path`` or made there.

    Args:
      texts: the axes are fitted to 20,000 of them.
      known: places in other runs.
    """
    if target.reduction == NOTHING:
        return Reduction(target.unit)
    some = _spread(texts, _TEXTS)
    layer = layer_of(teacher, teacher.label)
    key = files.hash_of(teacher.fingerprint(), teacher.label.hidden, layer, asdict(target), some)

    def make() -> Projection:
        vectors = teacher.raw(teacher.encode_texts(some), "fitting the vectors' axes")
        return principal(unit(vectors) if target.unit else vectors, target.vector_size, target.reduction == WHITEN)

    return Reduction(target.unit, find_or_fit("projection of vectors", path, key, make, known))


def reduced_words(
    teacher: SentenceTeacher, texts: Sequence[str], width: int, path: Path, known: Iterable[Path] = ()
) -> Projection:
    """The projection of words' states to ``width`` numbers, or all numbers of a state. See :func:`reduced`."""
    some, layer = _spread(texts, _TEXTS_OF_WORDS), layer_of(teacher, teacher.label)
    key = files.hash_of(teacher.fingerprint(), "words", layer, width, some)
    make = lambda: principal(teacher.raw_words(teacher.encode_texts(some), "fitting the words' axes"), width)  # noqa: E731
    return find_or_fit("projection of states", path, key, make, known)


def _spread(texts: Sequence[str], count: int) -> list[str]:
    """``count`` of the texts, evenly from first to last."""
    return [texts[i] for i in np.unique(np.linspace(0, len(texts) - 1, min(count, len(texts))).astype(int)).tolist()]


def found_again(
    axes: Path, name: str, max_length: int, label: LabelSettings, target: TargetSettings
) -> SentenceTeacher:
    """The teacher of a finished run, with the ``axes`` that it kept. UserError if either is missing."""
    teacher = SentenceTeacher.of(find_checkpoint(name), max_length, label)
    teacher.reduction = Reduction(target.unit, None if target.reduction == NOTHING else read_projection(axes))
    return teacher
