"""Distiller: a ``keras.Model`` that trains a student by objectives, in plain ``compile`` and ``fit``."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

from kd_keras.distill.objectives import Objective, mixture


@keras.saving.register_keras_serializable("kd_keras")
class Distiller(keras.Model):
    """Trains ``student`` towards ``objectives``.

        distiller = Distiller(student, alpha=0.0)
        distiller.compile(optimizer="adam")
        distiller.fit(dataset, validation_data=dev, epochs=5)
        distiller.student.save("student.keras")

    Data are ``(x, y)`` or ``(x, y, sample_weight)``: ``x`` is a dict with the student's inputs, ``y`` a
    dict with "label" (int32[batch], −1 where there is none) and "teacher_logits"
    (float32[batch, classes]), for :class:`Representation` "teacher_hidden" (float[batch, width]); or the labels
    alone. Logs: loss, loss_<objective> where there
    are several, accuracy (rows with a gold label; not of a regression). Keras does not know which way these are better:
    ``EarlyStopping("val_accuracy", mode="max")``.

    Args:
      student: a functional model that returns a dict with "logits".
      objectives: what to train towards; by default ``mixture(alpha)``.
      alpha: weight of the gold labels where ``objectives`` is not given.
      teacher: optional live teacher, called as ``teacher(x)`` on each batch; it returns logits or a
        dict with them. It may read inputs of its own from ``x``: the student takes only
        those it names. It is never trained and never saved.
    """

    def __init__(
        self,
        student: keras.Model,
        objectives: Sequence[Objective] | None = None,
        alpha: float = 0.0,
        teacher: Callable | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.student = student
        self.objectives = tuple(mixture(alpha) if objectives is None else objectives)
        if not self.objectives:
            raise ValueError("Distiller: expected at least one objective")
        for objective in self.objectives:
            objective.build(student.output)
        # Keras tracks layers in a list: they are trained, and no part of the student.
        self.projections = [o.projection for o in self.objectives if o.projection is not None]
        # In a closure, so that Keras neither tracks nor saves the teacher's weights.
        self._ask = None if teacher is None else (lambda x: teacher(x))
        self._inputs = [tensor.name for tensor in student.inputs]
        self._classes = student.output["logits"].shape[-1]
        self.loss_tracker = keras.metrics.Mean(name="loss")
        titles = [o.title for o in self.objectives]
        names = [t if titles.count(t) == 1 else f"{t}_{n}" for n, t in enumerate(titles, 1)]
        self.part_trackers = [keras.metrics.Mean(name=f"loss_{name}") for name in names]
        self.accuracy = keras.metrics.Mean(name="accuracy")

    @property
    def metrics(self):
        parts = self.part_trackers if len(self.part_trackers) > 1 else []
        return [self.loss_tracker, *parts, *([self.accuracy] if self._classes > 1 else [])]

    @property
    def trained_variables(self) -> list:
        """What an update changes: the student's weights that learn, and the objectives' projections."""
        return [*self.student.trainable_variables, *(v for p in self.projections for v in p.trainable_variables)]

    def call(self, x, training=None):
        """The student's dict of outputs."""
        return self.student(self._student_inputs(x), training=training)

    def fit(self, x=None, *args, **kwargs):
        """``keras.Model.fit``; a tf.data set keeps its own order without a warning that it does."""
        if isinstance(x, tf.data.Dataset):
            kwargs.setdefault("shuffle", False)
        return super().fit(x, *args, **kwargs)

    def train_step(self, data):
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        y = self._targets(x, y)
        with tf.GradientTape() as tape:
            outputs = self(x, training=True)
            loss = self._total(y, outputs, sample_weight)
            scaled = self.optimizer.scale_loss(loss)
        variables = self.trained_variables
        self.optimizer.apply(tape.gradient(scaled, variables), variables)
        return {m.name: m.result() for m in self.metrics}

    def test_step(self, data):
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        y = self._targets(x, y)
        self._total(y, self(x, training=False), sample_weight)
        return {m.name: m.result() for m in self.metrics}

    def _student_inputs(self, x):
        return {name: x[name] for name in self._inputs} if isinstance(x, dict) else x

    def _targets(self, x, y) -> dict:
        y = dict(y) if isinstance(y, dict) else {} if y is None else {"label": y}
        if self._ask is not None:
            answer = self._ask(x)
            logits = answer["logits"] if isinstance(answer, dict) else getattr(answer, "logits", answer)
            y["teacher_logits"] = tf.stop_gradient(logits)
        missing = sorted({n for o in self.objectives for n in o.needs} - set(y))
        if missing:
            raise ValueError(
                f"Distiller: y has {sorted(y) or 'nothing'}, but the objectives need {', '.join(missing)} "
                "(give it in the data, or pass teacher=…)"
            )
        return y

    def dev_loss(self, y: dict, outputs: dict):
        """Sum of weighted objectives on a batch; no penalties, no logs."""
        return sum(o.weight * o(y, outputs) for o in self.objectives)

    def _total(self, y: dict, outputs: dict, sample_weight):
        rows = tf.shape(outputs["logits"])[0]
        total = 0.0
        for objective, tracker in zip(self.objectives, self.part_trackers, strict=True):
            part = objective(y, outputs, sample_weight)
            tracker.update_state(part, sample_weight=rows)
            total += objective.weight * part
        for penalty in self.student.losses:
            total += penalty
        # Updated here and returned as a result: Keras logs a bare loss as 0.
        self.loss_tracker.update_state(total, sample_weight=rows)
        if "label" in y and self._classes > 1:
            gold = tf.cast(y["label"] >= 0, tf.float32)
            right = tf.cast(tf.argmax(outputs["logits"], -1, tf.int32) == tf.cast(y["label"], tf.int32), tf.float32)
            self.accuracy.update_state(right, sample_weight=gold)
        return total

    def get_config(self):
        return {
            "student": keras.saving.serialize_keras_object(self.student),
            "objectives": [keras.saving.serialize_keras_object(o) for o in self.objectives],
        }

    @classmethod
    def from_config(cls, config):
        student = keras.saving.deserialize_keras_object(config["student"])
        return cls(student, [keras.saving.deserialize_keras_object(o) for o in config["objectives"]])
