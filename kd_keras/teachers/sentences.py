"""A teacher of no task: BERT as it was pre-trained, and its vector of each text, reduced once and for all.

Wu et al. 2020 let the student approximate the sentence representation of a BERT that was not fine-tuned.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from kd_keras.common import files
from kd_keras.metrics.vectors import unit
from kd_keras.teachers.bert import Teacher
from kd_keras.teachers.checkpoints import Checkpoint, find_checkpoint
from kd_keras.teachers.encoded import Encoded, token_batches
from kd_keras.teachers.heads import mean_of_tokens
from kd_keras.teachers.labelling import layer_of, pool
from kd_keras.teachers.projection import Projection, find_or_fit, principal, read_projection
from kd_keras.teachers.settings import MEAN, NOTHING, WHITEN, LabelSettings, TargetSettings

# Texts that the axes are found by; more do not move them.
_TEXTS = 20_000
_NO_CLASSES, _SEED = 2, 0  # of the classifier that nobody asks


@dataclass(frozen=True)
class Reduction:
    """From what BERT gives of a text to what a student learns.

    Attributes:
      unit: whether vectors are brought to length 1, before the projection and behind it.
      projection: to fewer numbers; None: all stay.
    """

    unit: bool = True
    projection: Projection | None = None

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
        return {"unit": self.unit, "projection": self.projection and self.projection.key}


class SentenceTeacher(Teacher):
    """A BERT whose classifier, drawn by chance, is none of its own.

    Attributes:
      label: pooling and layer of its vectors.
      reduction: of its vectors; :func:`reduced` finds one.
    """

    classifies = False
    label = LabelSettings(hidden=MEAN)
    reduction = Reduction()

    @classmethod
    def of(cls, checkpoint: Checkpoint, max_length: int, label: LabelSettings) -> SentenceTeacher:
        """The encoder of ``checkpoint``; UserError where it cannot be loaded, or reads fewer than ``max_length``."""
        teacher = cls.load(checkpoint, _NO_CLASSES, max_length, _SEED)
        teacher.label = label
        return teacher

    @property
    def weights(self) -> list:
        return [v for v in self.bert.bert.weights if "/pooler/" not in v.name]

    @property
    def vector_size(self) -> int:
        projection = self.reduction.projection
        return super().vector_size if projection is None else projection.axes.shape[1]

    def told(self, vectors: np.ndarray) -> np.ndarray:
        return self.reduction(vectors)

    def _reading(self) -> dict[str, str]:
        return {}

    def raw(self, encoded: Encoded) -> np.ndarray:
        """float32[texts, width]: what is there to be reduced."""
        layer, settings = layer_of(self, self.label), self.label
        out = np.zeros((len(encoded), self.bert.config.hidden_size), np.float32)
        for rows in token_batches(encoded.ids.lengths, settings.label_batch_tokens):
            x = encoded.batch(rows)
            states = self.predict_batch(x)[f"hidden_{layer}"].numpy()
            out[rows] = pool(states, x["attention_mask"], settings.hidden)
        return out

    def logits(self, encoded: Encoded, tokens_per_batch: int = 4096) -> np.ndarray:
        """float32[texts, vector_size]: there are no logits, but these are what is asked for."""
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


def reduced(
    teacher: SentenceTeacher, texts: Sequence[str], target: TargetSettings, path: Path, known: Iterable[Path] = ()
) -> Reduction:
    """How ``target`` wants the vectors of ``teacher``; its axes are found at ``path`` or made there.

    Args:
      texts: which axes are fitted to, or rather 20,000 of them.
      known: places of other runs.
    """
    if target.reduction == NOTHING:
        return Reduction(target.unit)
    chosen = np.unique(np.linspace(0, len(texts) - 1, min(_TEXTS, len(texts))).astype(int)).tolist()
    some = [texts[i] for i in chosen]
    layer = layer_of(teacher, teacher.label)
    key = files.hash_of(teacher.fingerprint(), teacher.label.hidden, layer, asdict(target), some)

    def make() -> Projection:
        vectors = teacher.raw(teacher.encode_texts(some))
        return principal(unit(vectors) if target.unit else vectors, target.vector_size, target.reduction == WHITEN)

    return Reduction(target.unit, find_or_fit("projection of vectors", path, key, make, known))


def found_again(
    axes: Path, name: str, max_length: int, label: LabelSettings, target: TargetSettings
) -> SentenceTeacher:
    """The teacher of a finished run, with the ``axes`` that it kept; UserError where they, or the teacher, are gone."""
    teacher = SentenceTeacher.of(find_checkpoint(name), max_length, label)
    teacher.reduction = Reduction(target.unit, None if target.reduction == NOTHING else read_projection(axes))
    return teacher
