"""The training loop of a stage: dev scores, best weights, checkpoints, resuming."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np

from kd_keras.common import files
from kd_keras.common.errors import UserError
from kd_keras.common.npz import open_npz
from kd_keras.common.progress import say
from kd_keras.common.ragged import Ragged
from kd_keras.common.team import is_chief
from kd_keras.distill.distiller import Distiller
from kd_keras.distill.settings import STEADY, TrainSettings
from kd_keras.metrics import score
from kd_keras.metrics.answers import less, thresholds
from kd_keras.metrics.spread import NEAR, standard_error
from kd_keras.students.inference import predict, predict_tags
from kd_keras.tasks import is_gold
from kd_keras.text.batches import padded, row_lengths, sorted_plan
from kd_keras.text.token_ids import TokenIds
from kd_keras.text.windows import PerPiece, Windows

# What the best weights have. "loss" is for stages in which the head learns nothing. Few dev rows do not tell weights
# apart, but the student's distance from its teacher on them does (STEADY).
SELECT = {
    "metric": "best dev metric",
    "loss": "best dev loss",
    STEADY: "lowest dev loss within two standard errors of the best dev metric",
}
# A checkpoint has five copies of the weights. On a slow disk, saving one each round takes longer than the round.
SAVE_SECONDS = 30.0


@dataclass(frozen=True)
class DevSet:
    """The dev set, which chooses the best weights.

    Attributes:
      ids: as in :class:`TrainingSet`.
      labels: gold labels. With several labels a text, each is scored at its best threshold. For a tagging task ragged,
        a tag for each word.
      metrics: metrics to log; the first one chooses.
      y: as in :class:`TrainingSet`; only a stage that chooses by its loss needs it.
      windows: for a tagging task, the student's windows over the rows; ``ids`` are theirs.
    """

    ids: Mapping[str, TokenIds]
    labels: np.ndarray | Ragged
    metrics: tuple[str, ...]
    y: Mapping[str, np.ndarray | PerPiece] | None = None
    windows: Windows | None = None


@dataclass(frozen=True)
class Training:
    """The settings, folder and name of a training.

    Attributes:
      dev: chooses the best weights.
      settings: optimizer, batches, patience.
      folder: keeps the state from which a killed run resumes.
      seed: draws the batches.
      title: the student's name on the screen.
      tensorboard: folder for logs, if they are wanted.
      key: key of data and settings that no stage describes. A killed run resumes only if it is the same.
    """

    dev: DevSet
    settings: TrainSettings
    folder: Path
    seed: int = 1
    title: str = "student"
    tensorboard: Path | None = None
    key: str = ""

    def of_stage(self, number: int, name: str) -> Training:
        """The training of one of several stages, each with its own folder and logs; ``number`` counts from 0."""
        return replace(
            self,
            folder=self.folder / f"stage-{number + 1}",
            seed=self.seed + 7919 * number,
            title=f"{self.title}, {name}",
            tensorboard=self.tensorboard and self.tensorboard / f"{number + 1}-{name}",
        )


def dev_loss(distiller: Distiller, dev: DevSet, batch_size: int = 512) -> float:
    """The stage's loss on dev: the mean over rows, or over words."""
    import tensorflow as tf

    call = getattr(distiller, "_kd_dev_loss", None)
    if call is None:
        call = tf.function(lambda x, y: distiller.dev_loss(y, distiller(x, training=False)), reduce_retracing=True)
        object.__setattr__(distiller, "_kd_dev_loss", call)
    total = weight = 0.0
    for rows in sorted_plan(row_lengths(dev.ids), batch_size):
        x, y = padded(dev.ids, dev.y, rows)
        count = float(y["word"].sum()) if "word" in y else len(rows)
        total += count * float(call(*tf.nest.map_structure(tf.constant, (x, y))))
        weight += count
    return total / weight


class Loop(keras.callbacks.Callback):
    """Scores dev after each round, keeps the best weights, saves checkpoints, and stops when patience is used up."""

    def __init__(
        self,
        distiller: Distiller,
        training: Training,
        select: str,
        every: int,
        per_epoch: int,
        start_score: float | None = None,
    ):
        super().__init__()
        self.distiller, self.dev, self.settings, self.select = distiller, training.dev, training.settings, select
        self.state, self.done, self.key = training.folder / "state.npz", training.folder / "done.npz", training.key
        self.every, self.per_epoch = every, per_epoch
        self.info: dict = {"epochs": [], "best": start_score, "best_step": 0, "seconds": 0.0}
        if select == STEADY:  # the best dev metric, its standard error, and the kept weights' loss
            self.info |= {"top": start_score, "error": 0.0, "best_loss": math.inf}
        self.best: list[np.ndarray] = [] if start_score is None else _values(self._weights())
        self.finished = False
        self.bar = None
        self._started = self._saved = time.monotonic()

    # The student's own variables include the state of its dropout generators.
    def _weights(self) -> list:
        return [*self.distiller.student.variables, *(v for p in self.distiller.projections for v in p.variables)]

    def _variables(self) -> list:
        return [*self._weights(), *self.distiller.optimizer.variables]

    @property
    def rounds_done(self) -> int:
        return len(self.info["epochs"])

    @property
    def should_stop(self) -> bool:
        patience = self.settings.patience
        last = self.info["epochs"][-1]["step"] if self.info["epochs"] else 0
        return bool(patience) and last - self.info["best_step"] >= patience * self.every

    def restore(self) -> None:
        """Resumes from the state of a killed run, if it belongs to this stage."""
        path = self.done if self.done.is_file() else self.state
        if not path.is_file():
            return
        with open_npz(path, "damaged checkpoint", "; delete it to train this student again") as saved:
            if str(saved["key"]) != self.key:
                say(f"{path}: belongs to other data or settings; this student starts anew")
                return
            self.info = json.loads(str(saved["info"]))
            self.best = [saved[f"b{n}"] for n in range(len(self._weights()))]
            if path == self.done:
                self.finished = True
                self.restore_best()
            else:
                _assign(self._variables(), [saved[f"v{n}"] for n in range(len(self._variables()))])
        self._started = time.monotonic() - self.info["seconds"]

    def on_train_batch_end(self, batch, logs=None):
        if self.bar is not None:
            self.bar.update(1)

    def on_epoch_end(self, epoch, logs=None):
        step = (epoch + 1) * self.every
        if not math.isfinite(logs["loss"]):
            raise UserError(f"the student's loss is {logs['loss']} at update {step}: use a lower --learning_rate")
        raw = _values(self._weights())
        if self.settings.ema:
            self.distiller.optimizer.finalize_variable_values(self.distiller.trained_variables)
        scores, error = self._agreed_scores()
        entry = {"step": step, "epoch": step / self.per_epoch, **{k: float(v) for k, v in logs.items()}}
        entry |= {f"dev_{m}": v for m, v in scores.items()}
        logs.update({f"val_{m}": v for m, v in scores.items()})
        self.info["epochs"].append(entry)
        if self._is_best(scores, error):
            self.info["best_step"] = step
            self.best = _values(self._weights())
        _assign(self._weights(), raw)
        if self.bar is not None:
            name = next(iter(scores))
            self.bar.set_postfix_str(f"dev {name} {scores[name]:.4f}, loss {entry['loss']:.4f}")
        self.info["seconds"] = time.monotonic() - self._started
        if time.monotonic() - self._saved >= SAVE_SECONDS:
            self._save()
        if self.should_stop:
            self.distiller.stop_training = True

    def _is_best(self, scores: Mapping[str, float], error: float) -> bool:
        """Whether these weights are better than those that are kept; then ``info`` has their score."""
        mine, best = next(iter(scores.values())), self.info["best"]
        if self.select == "loss":
            mine = -mine
        if self.select != STEADY:
            better = best is None or mine > best
        else:
            if self.info["top"] is None or mine > self.info["top"]:
                self.info |= {"top": mine, "error": error}
            near = self.info["top"] - NEAR * self.info["error"]
            closer = scores["loss"] < self.info["best_loss"]
            if better := best is None or (mine >= near and (closer or best < near)):
                self.info["best_loss"] = scores["loss"]
        if better:
            self.info["best"] = mine
        return better

    def _agreed_scores(self) -> tuple[dict[str, float], float]:
        """:meth:`_scores` of the chief, if several workers train."""
        team = self.distiller.team
        if team is None:
            return self._scores()
        scores, error = self._scores() if team.chief else ({}, 0.0)
        *values, error = team.of_chief([*scores.values(), error])
        names = ["loss"] if self.select == "loss" else [*self.dev.metrics, *["loss"] * (self.select == STEADY)]
        return dict(zip(names, values, strict=True)), error

    def _scores(self) -> tuple[dict[str, float], float]:
        """The dev scores. If they choose STEADY and are the best so far, also the standard error of the first."""
        if self.select == "loss":
            return {"loss": dev_loss(self.distiller, self.dev)}, 0.0
        if self.dev.windows is not None:
            logits = self.dev.windows.rows(predict_tags(self.distiller.student, self.dev.windows))
        else:
            logits = predict(self.distiller.student, self.dev.ids)
        over = thresholds(self.dev.labels, logits)
        scores = score(self.dev.metrics, self.dev.labels, less(logits, over))
        if self.select != STEADY:
            return scores, 0.0
        first, top, error = self.dev.metrics[0], self.info["top"], 0.0
        if top is None or scores[first] > top:
            gold = is_gold(self.dev.labels)
            error = standard_error(first, self.dev.labels[gold], less(logits, over)[gold])
        return scores | {"loss": dev_loss(self.distiller, self.dev)}, error

    def _save(self) -> None:
        self._write(self.state, {f"v{n}": v for n, v in enumerate(_values(self._variables()))})
        self._saved = time.monotonic()

    def finish(self) -> None:
        self._write(self.done, {})
        if is_chief():
            self.state.unlink(missing_ok=True)

    def _write(self, path: Path, arrays: dict[str, np.ndarray]) -> None:
        if not is_chief():
            return
        arrays |= {f"b{n}": v for n, v in enumerate(self.best)}
        with files.atomic_path(path) as temp:
            np.savez(temp, key=self.key, info=json.dumps(self.info), **arrays)

    def restore_best(self) -> None:
        _assign(self._weights(), self.best)

    def history(self) -> dict:
        return self.info


def _values(variables: Sequence) -> list[np.ndarray]:
    return [keras.ops.convert_to_numpy(v) for v in variables]


def _assign(variables: Sequence, values: Sequence[np.ndarray]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
