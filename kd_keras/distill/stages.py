"""A stage of training as data, and the loop that runs it: dev scores, best weights, checkpoint, resume."""

from __future__ import annotations

import json
import math
import time
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from kd_keras.common import files
from kd_keras.common.errors import UserError
from kd_keras.common.progress import progress, say
from kd_keras.distill.distiller import Distiller
from kd_keras.distill.objectives import Objective
from kd_keras.distill.optimizers import make_optimizer
from kd_keras.distill.settings import TrainSettings
from kd_keras.metrics import score
from kd_keras.text.batches import row_lengths, sorted_plan, steps_per_epoch, training_batches
from kd_keras.text.token_ids import TokenIds

# A checkpoint holds five copies of the weights: on a slow disk one a round takes longer than the round.
SAVE_SECONDS = 30.0


@dataclass(frozen=True)
class TrainingSet:
    """What a stage learns from.

    Attributes:
      ids: {"ids": TokenIds}, or "ids_a" and "ids_b" for pairs.
      y: {"label": int32[rows] (a regression: float32[rows]), "teacher_logits": float32[rows, classes], …}.
    """

    ids: Mapping[str, TokenIds]
    y: Mapping[str, np.ndarray]

    def __len__(self) -> int:
        return len(next(iter(self.ids.values())))


@dataclass(frozen=True)
class DevSet:
    """What chooses the best weights: inputs, gold labels, and the metrics to log (the first one chooses)."""

    ids: Mapping[str, TokenIds]
    labels: np.ndarray
    metrics: tuple[str, ...]


@dataclass(frozen=True)
class Stage:
    """One stage of a recipe.

    Attributes:
      name: for logs.
      objectives: what to train towards.
      data: what to learn from.
      steps: updates.
      learning_rate: peak rate.
      trainable: names of the layers that learn; None means all.
      rounds: dev scores, evenly over the updates; None: ``evals_per_epoch`` of ``data``.
    """

    name: str
    objectives: tuple[Objective, ...]
    data: TrainingSet
    steps: int
    learning_rate: float
    trainable: tuple[str, ...] | None = None
    rounds: int | None = None

    def describe(self) -> dict:
        """JSON-able, for keys and reports; the data are described by whoever made them."""
        return {
            "name": self.name,
            "objectives": [{"objective": o.title, **o.get_config()} for o in self.objectives],
            "rows": len(self.data),
            "steps": self.steps,
            "rounds": self.rounds,
            "learning_rate": self.learning_rate,
            "trainable": list(self.trainable) if self.trainable is not None else None,
        }


def predict(student: keras.Model, ids: Mapping[str, TokenIds], batch_size: int = 512) -> np.ndarray:
    """float32[rows, classes]: the student's logits in the order of the rows, batched by length."""
    import tensorflow as tf

    lengths = row_lengths(ids)
    out: np.ndarray | None = None
    # Traced once a student: it is asked for dev scores after each round.
    call = getattr(student, "_kd_predict", None)
    if call is None:
        spec = {k: tf.TensorSpec((None, None), tf.int32) for k in ids}
        call = tf.function(lambda x: student(x, training=False)["logits"], input_signature=[spec])
        object.__setattr__(student, "_kd_predict", call)
    for rows in sorted_plan(lengths, batch_size):
        logits = call({k: tf.constant(t.padded(rows)) for k, t in ids.items()}).numpy()
        if out is None:
            out = np.zeros((len(lengths), logits.shape[1]), np.float32)
        out[rows] = logits
    return np.zeros((0, 0), np.float32) if out is None else out


def run_stage(
    student: keras.Model,
    stage: Stage,
    dev: DevSet,
    settings: TrainSettings,
    folder: Path,
    seed: int,
    what: str,
    tensorboard: Path | None = None,
) -> dict:
    """Trains ``student`` through ``stage`` and leaves it with its best dev weights.

    A killed run goes on from ``folder/state.npz``, which holds weights, optimizer, dropout
    state, best weights and history, so it ends where an unbroken run ends. It is written after a round
    when the last one is ``SAVE_SECONDS`` old.

    Returns:
      {"epochs": [{"step", "loss", "dev_<metric>", …}, …], "best": …, "best_step": …, "seconds": …}.
    """  # fmt: skip
    if stage.trainable is not None:
        for layer in student.layers:
            layer.trainable = layer.name in stage.trainable
    distiller = Distiller(student, stage.objectives)
    per_epoch = steps_per_epoch(len(stage.data), settings.batch_size)
    rounds = stage.rounds or round(stage.steps / per_epoch * settings.evals_per_epoch)
    rounds = max(1, min(rounds, stage.steps))
    every = math.ceil(stage.steps / rounds)
    steps = rounds * every
    optimizer = make_optimizer(settings, steps, stage.learning_rate)
    optimizer.build(student.trainable_variables)
    distiller.compile(optimizer=optimizer)
    loop = _Loop(distiller, dev, settings, folder / "state.npz", every, per_epoch)
    with files.disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        loop.restore()
    done = loop.rounds_done
    if done:
        say(f"{what}: going on at update {done * every:,} of {steps:,}")
    if done < rounds and not loop.should_stop:
        data = training_batches(stage.data.ids, stage.data.y, settings.batch_size, seed, done * every)
        callbacks: list[keras.callbacks.Callback] = [loop]
        if tensorboard is not None:
            callbacks.append(keras.callbacks.TensorBoard(tensorboard, write_graph=False))
        with progress(steps, what, "updates", initial=done * every) as loop.bar:
            distiller.fit(
                data,
                steps_per_epoch=every,
                epochs=rounds,
                initial_epoch=done,
                callbacks=callbacks,
                verbose=0,
            )
    loop.restore_best()
    return loop.history()


class _Loop(keras.callbacks.Callback):
    """After each round: dev score, best weights, checkpoint; stops when patience is spent."""

    def __init__(self, distiller, dev, settings, state: Path, every: int, per_epoch: int):
        super().__init__()
        self.distiller, self.dev, self.settings, self.state = distiller, dev, settings, state
        self.every, self.per_epoch = every, per_epoch
        self.info: dict = {"epochs": [], "best": None, "best_step": 0, "seconds": 0.0}
        self.best: list[np.ndarray] = []
        self.bar = None
        self._started = self._saved = time.monotonic()

    # The student's own variables include the state of its dropout generators.
    def _variables(self) -> list:
        return [*self.distiller.student.variables, *self.distiller.optimizer.variables]

    @property
    def rounds_done(self) -> int:
        return len(self.info["epochs"])

    @property
    def should_stop(self) -> bool:
        patience = self.settings.patience
        last = self.info["epochs"][-1]["step"] if self.info["epochs"] else 0
        return bool(patience) and last - self.info["best_step"] >= patience * self.every

    def restore(self) -> None:
        if not self.state.is_file():
            return
        try:
            with np.load(self.state, allow_pickle=False) as saved:
                self.info = json.loads(str(saved["info"]))
                variables = self._variables()
                for n, v in enumerate(variables):
                    v.assign(saved[f"v{n}"])
                self.best = [saved[f"b{n}"] for n in range(len(self.distiller.student.variables))]
        except (KeyError, ValueError, OSError, EOFError, zipfile.BadZipFile) as e:
            raise UserError(f"{self.state}: damaged checkpoint ({e}); delete it to train this student again") from None
        self._started = time.monotonic() - self.info["seconds"]

    def on_train_batch_end(self, batch, logs=None):
        if self.bar is not None:
            self.bar.update(1)

    def on_epoch_end(self, epoch, logs=None):
        student, metrics = self.distiller.student, self.dev.metrics
        step = (epoch + 1) * self.every
        if not math.isfinite(logs["loss"]):
            raise UserError(f"the student's loss is {logs['loss']} at update {step}: lower --learning_rate")
        raw = [keras.ops.convert_to_numpy(v) for v in student.variables]
        if self.settings.ema:
            self.distiller.optimizer.finalize_variable_values(student.trainable_variables)
        scores = score(metrics, self.dev.labels, predict(student, self.dev.ids))
        entry = {"step": step, "epoch": step / self.per_epoch, **{k: float(v) for k, v in logs.items()}}
        entry |= {f"dev_{m}": v for m, v in scores.items()}
        logs.update({f"val_{m}": v for m, v in scores.items()})
        self.info["epochs"].append(entry)
        chosen = scores[metrics[0]]
        if self.info["best"] is None or chosen > self.info["best"]:
            self.info |= {"best": chosen, "best_step": step}
            self.best = [keras.ops.convert_to_numpy(v) for v in student.variables]
        for v, value in zip(student.variables, raw, strict=True):
            v.assign(value)
        if self.bar is not None:
            self.bar.set_postfix_str(f"loss {logs['loss']:.4f}, dev {metrics[0]} {chosen:.4f}")
        self.info["seconds"] = time.monotonic() - self._started
        if time.monotonic() - self._saved >= SAVE_SECONDS:
            self._save()
        if self.should_stop:
            self.distiller.stop_training = True

    def _save(self) -> None:
        arrays = {f"v{n}": keras.ops.convert_to_numpy(v) for n, v in enumerate(self._variables())}
        arrays |= {f"b{n}": v for n, v in enumerate(self.best)}
        with files.atomic_path(self.state) as temp:
            np.savez(temp, info=json.dumps(self.info), **arrays)
        self._saved = time.monotonic()

    def restore_best(self) -> None:
        for v, value in zip(self.distiller.student.variables, self.best, strict=True):
            v.assign(value)

    def history(self) -> dict:
        return self.info
