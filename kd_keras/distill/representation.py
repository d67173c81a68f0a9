"""Objectives that follow the teacher's vectors: each vector alone, or the relations between the vectors of a batch."""

from __future__ import annotations

import keras
from keras import ops

from kd_keras.common.errors import UserError
from kd_keras.distill import shapes
from kd_keras.distill.objective import Objective, register
from kd_keras.distill.settings import DISTANCES

# A student's outputs. The last is compared directly, the others after a projection.
SENTENCE, HIDDEN, VECTOR = "sentence", "hidden", "vector"


@register
class Representation(Objective):
    """Compares the student's sentence vector, projected to the teacher's width, with the teacher's.

    Mukherjee & Hassan Awadallah 2019 and 2020 (section 3.2). ``y["teacher_hidden"]`` is float[batch, units]; the
    student's "sentence" is float32[batch, width]. For a tagger, whose ``state`` is "hidden", both have a vector for
    each token, [batch, time, …].

    Args:
      weight: factor in the whole loss.
      distance: "mse", the mean over units; "cosine", 1 − cosine; "kl", KL(teacher ‖ student) of softmaxes over units.
      units: width of the teacher's vectors.
      activation: activation of the projection. The papers use GELU. It cannot reach negative values, so it suits "kl",
        where only differences between units count.
      state: the student's output that is projected. A universal student's "vector" has the teacher's width and needs no
        projection.

    Raises:
      UserError: the distance is unknown.
      ValueError: the student lacks that output, or the teacher's vectors have another width than ``units``.

    >>> from kd_keras.distill.objectives import Representation
    >>> y, outputs = {"teacher_hidden": [[3.0, 0.0, 4.0]]}, {"sentence": [[0.0, 0.0]]}
    >>> round(float(Representation(units=3)(y, outputs)), 4)
    8.3333
    """

    title = "representation"
    target = "teacher_hidden"
    needs = (target,)
    reads = (SENTENCE,)

    def __init__(
        self,
        weight: float = 1.0,
        distance: str = "mse",
        units: int = 384,
        activation: str = "linear",
        state: str = SENTENCE,
    ):
        super().__init__(weight)
        if distance not in DISTANCES:
            raise UserError(
                f"objective representation: expected a distance of {', '.join(DISTANCES)}, found {distance!r}"
            )
        self.distance, self.units, self.activation = distance, int(units), activation
        self.state, self.reads = state, (state,)
        if state != VECTOR:
            self.projection = keras.layers.Dense(self.units, activation=activation, name="projection")

    def build(self, outputs):
        if self.projection is not None and not self.projection.built:
            self.projection.build((None, outputs[self.state].shape[-1]))

    def vectors(self, y, outputs):
        """The student's vectors, projected, and the teacher's: both float32[…, units]."""
        found = outputs[self.state] if self.projection is None else self.projection(outputs[self.state])
        guess = shapes.full_precision({"guess": found})["guess"]
        what = "the student's vector" if self.projection is None else "the projection"
        advice = f"expected the teacher's vectors to have units={self.units} values"
        target = shapes.like(y[self.target], guess, f'y["{self.target}"]', what, advice)
        return guess, ops.cast(target, guess.dtype)

    def rows(self, y, outputs):
        guess, target = self.vectors(y, outputs)
        if self.distance == "cosine":
            return 1.0 - ops.sum(ops.normalize(guess, axis=-1) * ops.normalize(target, axis=-1), axis=-1), None
        if self.distance == "kl":
            wanted, found = ops.log_softmax(target, axis=-1), ops.log_softmax(guess, axis=-1)
            return ops.sum(ops.exp(wanted) * (wanted - found), axis=-1), None
        return ops.mean(ops.square(guess - target), axis=-1), None

    def get_config(self):
        return super().get_config() | {
            "distance": self.distance,
            "units": self.units,
            "activation": self.activation,
            **({"state": self.state} if self.state != SENTENCE else {}),
        }


@register
class TokenStates(Representation):
    """Compares the student's state at each word's first piece, projected, with the teacher's state of the word.

    It is an extra objective beside the sentence's vector.

    ``y["teacher_states"]`` is float[batch, time, units], and ``y["word"]``, float[batch, time], is 1 at the start of
    each word that both have read. The student's "hidden" is float32[batch, time, width].

    Args:
      weight: factor in the whole loss.
      distance: as for :class:`Representation`.
      units: width of the teacher's states.

    Raises:
      UserError: the distance is unknown.
      ValueError: the student lacks that output, or the states have another width.

    >>> from kd_keras.distill.objectives import TokenStates
    >>> y, outputs = {"teacher_states": [[[2.0], [9.0]]], "word": [[1.0, 0.0]]}, {"hidden": [[[0.0], [0.0]]]}
    >>> float(TokenStates(units=1)(y, outputs))
    4.0
    """

    title = "tokens"
    target = "teacher_states"
    needs = (target, "word")

    def __init__(self, weight: float = 1.0, distance: str = "mse", units: int = 64):
        super().__init__(weight, distance, units, "linear", HIDDEN)

    def get_config(self):
        return {k: v for k, v in super().get_config().items() if k not in ("activation", "state")}


class _InBatch(Representation):
    """Base of the objectives that compare a row's vector with those of the batch's other rows."""

    in_batch = True

    def __init__(self, weight: float = 1.0, units: int = 384, state: str = SENTENCE):
        super().__init__(weight, "cosine", units, "linear", state)

    def cosines(self, y, outputs):
        """Cosines, each float32[batch, batch]: student with student, student with teacher, teacher with teacher."""
        guess, target = (ops.normalize(v, axis=-1) for v in self.vectors(y, outputs))
        if len(guess.shape) != 2:
            raise ValueError(
                f"objective {self.title}: expected a vector for each row, [batch, units], found {tuple(guess.shape)}; "
                "for a tagger's tokens use the objective representation"
            )
        return tuple(ops.matmul(a, ops.transpose(b)) for a, b in ((guess, guess), (guess, target), (target, target)))

    def get_config(self):
        return {k: v for k, v in super().get_config().items() if k not in ("distance", "activation")}


@register
class Similarities(_InBatch):
    """Compares the cosines between a batch's rows, of the student's vectors, with the teacher's cosines.

    This is similarity-preserving distillation (Tung and Mori 2019, section 3.1), with cosines instead of products. A
    row's cosine with itself is left out, as it is always 1.

    Args:
      weight: factor in the whole loss.
      units: width of the teacher's vectors.
      state: the student's output that is projected.

    Raises:
      ValueError: a student without that output; teacher vectors of another width; a vector for each token.

    >>> from kd_keras.distill.objectives import Similarities
    >>> y = {"teacher_hidden": [[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]}
    >>> objective = Similarities(units=2)
    >>> objective.projection = lambda sentence: sentence
    >>> float(objective(y, {"sentence": [[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]}))  # 4 of 6 cosines are off by 1
    0.6666666865348816
    """

    title = "similarities"

    def rows(self, y, outputs):
        guess, _, target = self.cosines(y, outputs)
        count = ops.shape(guess)[0]
        gaps = ops.square(guess - target) * (1.0 - ops.eye(count, dtype=guess.dtype))
        return ops.sum(gaps, axis=-1) / ops.cast(ops.maximum(count - 1, 1), guess.dtype), None


@register
class Contrast(_InBatch):
    """Asks which row of the batch a vector belongs to (InfoNCE: van den Oord et al. 2018, equation 4).

    It is the cross-entropy of the vector's cosines with all of the teacher's vectors.

    A text that occurs twice in a batch competes with itself, so each text should occur once.

    Args:
      weight: factor in the whole loss.
      units: width of the teacher's vectors.
      state: the student's output that is projected.
      temperature: divides the cosines.

    Raises:
      UserError: a temperature that is not over 0.
      ValueError: a student without that output; teacher vectors of another width; a vector for each token.

    >>> from kd_keras.distill.objectives import Contrast
    >>> objective = Contrast(units=2, temperature=0.5)
    >>> objective.projection = lambda sentence: sentence
    >>> vectors = [[1.0, 0.0], [0.0, 1.0]]
    >>> round(float(objective({"teacher_hidden": vectors}, {"sentence": vectors})), 4)  # −log(e² / (e² + 1))
    0.1269
    """

    title = "contrast"

    def __init__(self, weight: float = 1.0, units: int = 384, state: str = SENTENCE, temperature: float = 0.05):
        super().__init__(weight, units, state)
        if temperature <= 0:
            raise UserError(f"objective {self.title}: expected a temperature over 0, found {temperature:g}")
        self.temperature = float(temperature)

    def rows(self, y, outputs):
        _, across, _ = self.cosines(y, outputs)
        own = ops.arange(ops.shape(across)[0])
        return keras.losses.sparse_categorical_crossentropy(own, across / self.temperature, from_logits=True), None

    def get_config(self):
        return super().get_config() | {"temperature": self.temperature}
