"""Distiller: a ``keras.Model`` that trains a student by objectives, with plain ``compile`` and ``fit``."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from kd_keras.common.team import Team
from kd_keras.distill import row_weights, shapes
from kd_keras.distill.objectives import Objective, mixture
from kd_keras.distill.row_weights import CLASS_WEIGHT
from kd_keras.distill.student_model import output_of, policy_of, quoted


@keras.saving.register_keras_serializable("kd_keras")
class Distiller(keras.Model):
    """Trains ``student`` towards ``objectives``.

    >>> import keras, numpy as np
    >>> from kd_keras.distill.distiller import Distiller
    >>> title, body = keras.Input((4,), name="title"), keras.Input((8,), name="body")
    >>> logits = keras.layers.Dense(3)(keras.layers.Concatenate()([title, body]))
    >>> distiller = Distiller(keras.Model([title, body], logits), alpha=0.25)
    >>> distiller.compile(optimizer="adam")
    >>> x = {"title": np.ones((32, 4)), "body": np.zeros((32, 8))}
    >>> y = {"label": np.arange(32) % 3, "teacher_logits": np.zeros((32, 3))}
    >>> history = distiller.fit(x, y, class_weight={2: 1.5}, validation_split=0.25, epochs=2, verbose=0).history
    >>> len(history["val_loss_hard"]), distiller.predict(x, verbose=0).shape
    (2, (32, 3))

    Afterwards save ``distiller.student``. It works without this package.

    Data are ``(x, y)`` or ``(x, y, sample_weight)``, as arrays or in a ``tf.data.Dataset``. ``x`` is the student's
    input: an array, a list in the order of its inputs, or a dict by their names, which may have more. ``y`` is the
    labels alone, or a dict with "label" and "teacher_logits" (float32[batch, outputs]). :class:`Representation` needs
    "teacher_hidden" (float[batch, width]). "label" is int32[batch], −1 if there is none; for a regression
    float32[batch], NaN if there is none; for several labels a text, with the objectives of distill/multilabel.py,
    int[batch, outputs] of 0 and 1, or a row of −1.

    [batch, 1] works as [batch]; other shapes raise. A tagger's targets have a second axis, time. Its "word"
    (float[batch, time]) is 1 at the first piece of each word and 0 elsewhere, so losses are means over words. A dict of
    sample weights has the keys of ``y``. An objective takes the weights of the first target that it needs.
    ``class_weight`` of ``fit`` multiplies them by the label's, for each objective. :class:`HardLabels` has its own
    ``class_weights``.

    Logs: loss, loss_<objective> if there are several, and accuracy over the rows with a gold label. A regression has no
    accuracy. With several labels a text it is binary_accuracy, the share of right decisions. Keras does not know
    whether higher is better: ``EarlyStopping("val_accuracy", mode="max")``. Losses are float32 in mixed precision too.

    Args:
      student: a functional or Sequential model. Its output is the logits, float32[batch, outputs], or a dict with
        "logits" (and "sentence" for :class:`Representation`), or with a universal student's "vector". One output is a
        regression. The last layer must have no softmax: it cannot be detected, and the student learns badly.
      objectives: what the student learns; by default ``mixture(alpha)``.
      alpha: weight of the gold labels, if ``objectives`` is not given.
      teacher: optional live teacher, called as ``teacher(x)`` on each batch. It returns logits or a dict with them. It
        may read its own inputs from ``x``; the student takes only those it names. It is never trained and never saved.

    Raises:
      ValueError: the student lacks logits, or an output that an objective reads; later, data have a wrong shape.
    """

    def __init__(
        self,
        student: keras.Model,
        objectives: Sequence[Objective] | None = None,
        alpha: float = 0.0,
        teacher: Callable | None = None,
        **kwargs,
    ):
        output = output_of(student)
        # The student casts its inputs itself. Its policy tells Keras whether to scale the loss.
        super().__init__(**({"dtype": policy_of(student), "autocast": False} | kwargs))
        self.student = student
        # The workers that train it too, each with a part of every batch: see kd_keras/common/team.py.
        self.team: Team | None = None
        self._classes = output["logits"].shape[-1] if "logits" in output else 0
        if objectives is None and not self._classes:
            raise ValueError("Distiller: the student returns a vector and no logits: expected objectives")
        self.objectives = tuple(mixture(alpha, regression=self._classes == 1) if objectives is None else objectives)
        if not self.objectives:
            raise ValueError("Distiller: expected at least one objective")
        for objective in self.objectives:
            lacking = [name for name in objective.reads if name not in output]
            if lacking:
                raise ValueError(
                    f"Distiller: the objective {objective.title} reads {quoted(lacking)}, but the student returns "
                    f"{quoted(output)}: let it return a dict with both, or leave the objective out"
                )
            objective.build(output)
        # Keras tracks layers in a list, so they are trained without being a part of the student.
        self.projections = [o.projection for o in self.objectives if o.projection is not None]
        # A closure hides the teacher, so that Keras neither tracks nor saves its weights.
        self._ask = None if teacher is None else (lambda x: teacher(x))
        self._by_key = not isinstance(student, keras.Sequential) and isinstance(student.input, dict)
        self._inputs = list(student.input) if self._by_key else [tensor.name for tensor in student.inputs]
        self.loss_tracker = keras.metrics.Mean(name="loss")
        titles = [o.title for o in self.objectives]
        names = [t if titles.count(t) == 1 else f"{t}_{n}" for n, t in enumerate(titles, 1)]
        self.part_trackers = [keras.metrics.Mean(name=f"loss_{name}") for name in names]
        self._tokens = self._classes > 0 and len(output["logits"].shape) == 3
        self._sets = any(o.label_sets for o in self.objectives)
        self.accuracy = keras.metrics.Mean(name="binary_accuracy" if self._sets else "accuracy")

    @property
    def metrics(self):
        parts = self.part_trackers if len(self.part_trackers) > 1 else []
        return [self.loss_tracker, *parts, *([self.accuracy] if self._classes > 1 or self._sets else [])]

    @property
    def trained_variables(self) -> list:
        """The weights that an update changes: the student's trainable ones, and the objectives' projections."""
        return [*self.student.trainable_variables, *(v for p in self.projections for v in p.trainable_variables)]

    def call(self, x, training=None):
        """The student's outputs."""
        return self.student(self._student_inputs(x), training=training)

    def fit(self, *args, **kwargs):
        """``keras.Model.fit``, with ``class_weight`` and ``sample_weight`` (both, if given) beside a dict ``y``.

        Both work with arrays and tf.data sets. A tf.data set keeps its own order, without Keras' warning.

        Raises:
          ValueError: a class weight is for a label that the student does not have.
        """
        bound = inspect.signature(keras.Model.fit).bind(self, *args, **kwargs)
        given = bound.arguments
        x, class_weight = given.get("x"), given.get("class_weight")
        if isinstance(x, tf.data.Dataset):
            given.setdefault("shuffle", False)
        if class_weight is not None and isinstance(x, tf.data.Dataset):
            weigh = self._by_class(class_weight)
            given["x"] = x.map(lambda x, y=None, *weight: (x, weigh(y), *weight)).prefetch(tf.data.AUTOTUNE)
            del given["class_weight"]
        elif class_weight is not None and given.get("y") is not None:
            given["y"] = self._by_class(class_weight)(given["y"])
            del given["class_weight"]
        if "sample_weight" in given:
            given["sample_weight"] = row_weights.spread(given.get("y"), given["sample_weight"])
        held = given.get("validation_data")
        if isinstance(held, (tuple, list)) and len(held) == 3:
            given["validation_data"] = (*held[:2], row_weights.spread(*held[1:]))
        return super().fit(*bound.args[1:], **bound.kwargs)

    def evaluate(self, *args, **kwargs):
        """``keras.Model.evaluate``, with ``sample_weight`` beside a dict ``y``."""
        bound = inspect.signature(keras.Model.evaluate).bind(self, *args, **kwargs)
        given = bound.arguments
        given["sample_weight"] = row_weights.spread(given.get("y"), given.get("sample_weight"))
        return super().evaluate(*bound.args[1:], **bound.kwargs)

    def train_on_batch(self, x, y=None, sample_weight=None, class_weight=None, return_dict=False):
        """``keras.Model.train_on_batch``, with ``class_weight`` beside a dict ``y``."""
        if class_weight is not None:
            y = self._by_class(class_weight)(y)
        return super().train_on_batch(x, y, sample_weight, return_dict=return_dict)

    def train_step(self, data):
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        y = self._targets(x, y, sample_weight)
        class_weight = y.pop(CLASS_WEIGHT, None)
        with tf.GradientTape() as tape:
            loss = self._total(y, self(x, training=True), sample_weight, class_weight)
            scaled = self.optimizer.scale_loss(loss)
        variables = self.trained_variables
        gradients = tape.gradient(scaled, variables)
        if self.team is not None:  # first summed, then clipped
            gradients = self.team.sums(gradients)
        self.optimizer.apply(gradients, variables)
        return {m.name: m.result() for m in self.metrics}

    def test_step(self, data):
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        y = self._targets(x, y, sample_weight)
        self._total(y, self(x, training=False), sample_weight)
        return {m.name: m.result() for m in self.metrics}

    def _by_class(self, class_weight) -> Callable[[Any], dict]:
        if self._sets:
            raise ValueError(
                "class_weight: a row with several labels has no class: give the objective class_weights, as in "
                "BinaryLabels(class_weights=[…]), or sample_weight"
            )
        return row_weights.by_class(class_weight, self._classes)

    def _student_inputs(self, x):
        if isinstance(x, dict):
            lacking = [name for name in self._inputs if name not in x]
            if lacking:
                raise ValueError(
                    f"Distiller: x has {quoted(x)}, but the student's inputs are {quoted(self._inputs)}: give x these "
                    "names, or a list in this order"
                )
            parts = [x[name] for name in self._inputs]
        else:
            parts = x if isinstance(x, (list, tuple)) else [x]
            if self._by_key and len(parts) > 1 and self._inputs != sorted(self._inputs):
                raise ValueError(
                    "Distiller: x is a list, but the student was made with a dict of inputs, which Keras takes in "
                    f"alphabetical order: expected a dict with {quoted(self._inputs)}"
                )
        if len(parts) != len(self._inputs):
            return x  # Keras reports the error
        if self._by_key:
            return dict(zip(self._inputs, parts, strict=True))
        return parts[0] if len(parts) == 1 else list(parts)

    def _targets(self, x, y, sample_weight) -> dict:
        if isinstance(y, (list, tuple)):
            raise ValueError(
                f"Distiller: y is a {type(y).__name__} of {len(y)}: expected labels, or a dict with "
                '"label", "teacher_logits" or other targets that the objectives need'
            )
        y = dict(y) if isinstance(y, dict) else {} if y is None else {"label": y}
        if isinstance(sample_weight, dict) and {CLASS_WEIGHT, *sample_weight} != {CLASS_WEIGHT, *y}:
            raise ValueError(
                f"Distiller: sample_weight has {quoted(sample_weight)} and y {quoted(y)}: expected the same keys, or "
                "one weight for each row"
            )
        if self._ask is not None:
            answer = self._ask(x)
            logits = answer["logits"] if isinstance(answer, dict) else getattr(answer, "logits", answer)
            y["teacher_logits"] = tf.stop_gradient(logits)
        needed = {n for o in self.objectives for n in o.needs}
        missing = sorted(needed - set(y))
        if missing:
            raise ValueError(
                f"Distiller: y has {sorted(y) or 'nothing'}, but the objectives need {', '.join(missing)} "
                "(give it in the data, or pass teacher=…)"
            )
        # Only labels mark padding, by -1. A teacher's values at padding mean nothing.
        if self._tokens and "word" not in y and sample_weight is None and needed - {"label"}:
            raise ValueError(
                'Distiller: the student has outputs for tokens, but y has no "word": give it, float[batch, time], 1 at '
                "each token that counts and 0 at padding, or such a sample_weight"
            )
        return y

    def _checked(self, y: dict, outputs: Any) -> tuple[shapes.Targets, dict]:
        """Targets and outputs as objectives take them, made once for all objectives."""
        outputs = shapes.full_precision(outputs if isinstance(outputs, dict) else {"logits": outputs})
        used = {name for objective in self.objectives for name in objective.needs}
        if "label" in y and self._classes > 1:
            used.add("label")
        return shapes.targets(y, outputs, used, self._sets), outputs

    def dev_loss(self, y: dict, outputs: Any):
        """The sum of the weighted objectives on a batch, without penalties and logs."""
        y, outputs = self._checked(y, outputs)
        return sum(o.weight * o(y, outputs) for o in self.objectives)

    def _total(self, y: dict, outputs: Any, sample_weight, class_weight=None):
        y, outputs = self._checked(y, outputs)
        if class_weight is not None:  # in the shape of the labels as given
            class_weight = shapes.labels(class_weight, outputs["logits"])
        counts = row_weights.combined(sample_weight, class_weight)
        # Means are over rows, or over words.
        one = next(iter(outputs.values()))
        rows = tf.reduce_sum(tf.cast(y["word"], tf.float32)) if "word" in y else tf.shape(one)[0]
        across = None if self.team is None else self.team.sum
        rows = self._whole(tf.cast(rows, tf.float32))
        total = 0.0
        for objective, tracker in zip(self.objectives, self.part_trackers, strict=True):
            part = objective(y, outputs, row_weights.for_target(counts, objective.needs), across)
            tracker.update_state(self._whole(part), sample_weight=rows)
            total += objective.weight * part
        for penalty in self.student.losses:
            total += tf.cast(penalty, total.dtype) / (1 if self.team is None else self.team.count)
        # Updated here and returned as a result, as Keras logs a bare loss as 0.
        self.loss_tracker.update_state(self._whole(total), sample_weight=rows)
        if "label" in y and (self._sets or self._classes > 1):
            right, gold = shapes.accuracy(y["label"], outputs["logits"], self._sets)
            hits, count = self._whole(tf.reduce_sum(right * gold)), self._whole(tf.reduce_sum(gold))
            self.accuracy.update_state(hits / tf.maximum(count, 1.0), sample_weight=count)
        return total

    def _whole(self, part: tf.Tensor) -> tf.Tensor:
        """The sum of all workers' parts."""
        return part if self.team is None else self.team.sum(tf.stop_gradient(part))

    def get_config(self):
        return {
            "student": keras.saving.serialize_keras_object(self.student),
            "objectives": [keras.saving.serialize_keras_object(o) for o in self.objectives],
        }

    @classmethod
    def from_config(cls, config):
        student = keras.saving.deserialize_keras_object(config["student"])
        return cls(student, [keras.saving.deserialize_keras_object(o) for o in config["objectives"]])
