"""The objective that follows the teacher's vectors, of sentences or of words."""

from __future__ import annotations

import keras
from keras import ops

from kd_keras.common.errors import UserError
from kd_keras.distill import shapes
from kd_keras.distill.objective import Objective, register
from kd_keras.distill.settings import DISTANCES

SENTENCE, HIDDEN = "sentence", "hidden"


@register
class Representation(Objective):
    """The student's sentence vector, projected to the teacher's width, against the teacher's sentence vector.

    Mukherjee & Hassan Awadallah 2019 and 2020 (section 3.2). ``y["teacher_hidden"]`` is float[batch, units];
    the student's "sentence" is float32[batch, width]. Of a tagger, whose ``state`` is "hidden", both have a vector for
    each token, [batch, time, …].

    Args:
      weight: factor in the whole loss.
      distance: "mse", the mean over units; "cosine", 1 − cosine; "kl", KL(teacher ‖ student) of softmaxes over units.
      units: width of the teacher's vectors.
      activation: of the projection. The papers take GELU; a vector's negative values are out of its reach, so
        it goes with "kl", where only differences between units count.
      state: the student's output that is projected.

    Raises:
      UserError: an unknown distance.
      ValueError: a student without that output; teacher vectors of another width than ``units``.

    >>> from kd_keras.distill.objectives import Representation
    >>> y, outputs = {"teacher_hidden": [[3.0, 0.0, 4.0]]}, {"sentence": [[0.0, 0.0]]}
    >>> round(float(Representation(units=3)(y, outputs)), 4)
    8.3333
    """

    title = "representation"
    needs = ("teacher_hidden",)
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
        self.projection = keras.layers.Dense(self.units, activation=activation, name="projection")

    def build(self, outputs):
        if not self.projection.built:
            self.projection.build((None, outputs[self.state].shape[-1]))

    def rows(self, y, outputs):
        guess = shapes.full_precision({"guess": self.projection(outputs[self.state])})["guess"]
        advice = f"expected the teacher's vectors to have units={self.units} values"
        target = shapes.like(y["teacher_hidden"], guess, 'y["teacher_hidden"]', "the projection", advice)
        target = ops.cast(target, guess.dtype)
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
