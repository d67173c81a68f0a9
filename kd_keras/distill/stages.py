"""Stages of training as data, and the function that runs them in order.

>>> from pathlib import Path
>>> import numpy as np
>>> from kd_keras import StudentSettings, build_student
>>> from kd_keras.distill.loop import DevSet, Training
>>> from kd_keras.distill.objectives import LogitMSE
>>> from kd_keras.distill.settings import TrainSettings
>>> from kd_keras.text.token_ids import TokenIds
>>> ids = {"ids": TokenIds.of([[5, 6], [7], [6, 5, 7], [8]])}
>>> y = {"label": np.array([0, 1, 0, 1]), "teacher_logits": np.array([[2, -2], [-1, 1], [1, -1], [-2, 2]], np.float32)}
>>> student = build_student(StudentSettings(embedding_size=4, hidden_size=4), np.ones((9, 4), np.float32), 2, seed=1)
>>> stage = Stage("logits", (LogitMSE(),), TrainingSet(ids, y), steps=4, learning_rate=0.01)
>>> training = Training(DevSet(ids, y["label"], ("accuracy",)), TrainSettings(batch_size=2), Path("out"))
>>> history = run_stages(student, [stage], training)
>>> [entry["step"] for entry in history["epochs"]], sorted(history["epochs"][0])
([2, 4], ['accuracy', 'dev_accuracy', 'epoch', 'loss', 'stage', 'step'])
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import keras
import numpy as np

from kd_keras.common import files
from kd_keras.common.columns import JoinedArray
from kd_keras.common.errors import UserError
from kd_keras.common.progress import progress, say, say_above
from kd_keras.common.team import current, is_chief
from kd_keras.distill.distiller import Distiller
from kd_keras.distill.loop import Loop, Training
from kd_keras.distill.objectives import Objective
from kd_keras.distill.optimizers import make_optimizer
from kd_keras.distill.settings import STEADY
from kd_keras.students import cudnn
from kd_keras.students.settings import VECTOR
from kd_keras.text.batches import steps_per_epoch, training_batches
from kd_keras.text.token_ids import TokenIds
from kd_keras.text.windows import PerPiece


@dataclass(frozen=True)
class TrainingSet:
    """The training data of a stage.

    Attributes:
      ids: {"ids": TokenIds}, or "ids_a" and "ids_b" for pairs.
      y: {"label": int32[rows] (a regression: float32[rows]; several labels a text: int32[rows, labels]),
        "teacher_logits": float32[rows, classes], "teacher_hidden": float16[rows, width]}, as far as the objectives need
        them. They are arrays in memory or on disk. A tagger has the result of ``students.inputs.word_targets``.
    """

    ids: Mapping[str, TokenIds]
    y: Mapping[str, np.ndarray | JoinedArray | PerPiece]

    def take(self, rows: np.ndarray) -> TrainingSet:
        """The chosen rows, in that order."""
        return TrainingSet(
            {k: t.take(rows) for k, t in self.ids.items()}, {k: v.take(rows, 0) for k, v in self.y.items()}
        )

    def __len__(self) -> int:
        return len(next(iter(self.ids.values())))


@dataclass(frozen=True)
class Stage:
    """One stage of a recipe.

    Attributes:
      name: the name in logs.
      objectives: what the student learns.
      data: the training data.
      steps: number of updates.
      learning_rate: peak rate.
      trainable: names of the layers that learn; None means all. The layer of the sentence vector goes with the BiLSTM.
      rounds: number of dev scores, evenly over the updates; None: ``evals_per_epoch`` for each pass over ``data``.
      slow: names of layers that learn at another rate, because they were trained before.
      slow_rate: their rate, as a factor of ``learning_rate``.
      select: what the best weights have; see :data:`kd_keras.distill.loop.SELECT`.
    """

    name: str
    objectives: tuple[Objective, ...]
    data: TrainingSet
    steps: int
    learning_rate: float
    trainable: tuple[str, ...] | None = None
    rounds: int | None = None
    select: str = "metric"
    slow: tuple[str, ...] = ()
    slow_rate: float = 1.0

    def describe(self) -> dict:
        """JSON-able settings, for keys and reports. They do not describe the data; its maker does."""
        return {
            "name": self.name,
            "objectives": [{"objective": o.title, **o.get_config()} for o in self.objectives],
            "rows": len(self.data),
            "steps": self.steps,
            "rounds": self.rounds,
            "learning_rate": self.learning_rate,
            "trainable": list(self.trainable) if self.trainable is not None else None,
            "select": self.select,
            **({"slow": list(self.slow), "slow_rate": self.slow_rate} if self.slow else {}),
        }

    def teaches(self, layer: str) -> bool:
        """Whether the layer of this name learns."""
        return self.trainable is None or ("bilstm" if layer == VECTOR else layer) in self.trainable

    def factor(self, path: str) -> float:
        """The factor of the learning rate for the variable at ``path``, "bilstm/forward_lstm/…"."""
        return self.slow_rate if path.partition("/")[0] in self.slow else 1.0


def run_stages(student: keras.Model, stages: Sequence[Stage], training: Training) -> dict:
    """Trains ``student`` through ``stages`` in order. Each stage starts from the best dev weights of the one before.

    If nothing beats a stage's start on dev, the start stays. This holds if both stages choose by the metric, or by the
    loss of the same objectives. A killed run resumes inside its stage. Stages that share an objective share its
    projection.

    Returns:
      As :func:`run_stage`, over all stages; each entry of "epochs" has its "stage". Also "stages":
      [{"stage", "updates", "best", "seconds"}, …].
    """
    learns = {layer.name: layer.trainable for layer in student.layers}
    history: dict = {"epochs": [], "best": None, "best_step": 0, "seconds": 0.0, "stages": []}
    cudnn.prepare(student, training.dev.ids, *(stage.data.ids for stage in stages))
    if (lstm := cudnn.implementation(student)) != cudnn.LOOP:
        say(f"{training.title}: its LSTM runs in {lstm}")
        history["lstm"] = lstm
    before: Stage | None = None
    for n, stage in enumerate(stages):
        for layer in student.layers:  # frozen embeddings stay frozen, even if a stage names them
            layer.trainable = learns[layer.name] and stage.teaches(layer.name)
        kept = before is not None and _comparable(before, stage)
        several = len(stages) > 1
        own = training.of_stage(n, stage.name) if several else training
        info = run_stage(student, stage, own, history["best"] if kept else None, keep=several)
        start = history["epochs"][-1]["step"] if history["epochs"] else 0
        for entry in info["epochs"]:
            history["epochs"].append({**entry, "stage": stage.name, "step": start + entry["step"]})
        if info["best_step"] or not kept:
            history |= {"best": info["best"], "best_step": start + info["best_step"]}
        history["seconds"] += info["seconds"]
        history["stages"].append(
            {
                "stage": stage.name,
                "updates": info["epochs"][-1]["step"],
                "best": info["best"],
                "seconds": info["seconds"],
            }
        )
        before = stage
    for layer in student.layers:
        layer.trainable = learns[layer.name]
    return history


def _read(y: Mapping | None, objectives: Sequence[Objective]) -> Mapping | None:
    """``y`` without sets of labels, if no objective reads them. Otherwise a Distiller expects one label a row."""
    label = None if y is None else y.get("label")
    if label is None or isinstance(label, PerPiece) or len(label.shape) == 1 or any(o.label_sets for o in objectives):
        return y
    return {name: value for name, value in y.items() if name != "label"}


def _comparable(before: Stage, stage: Stage) -> bool:
    """Whether two stages choose the best weights by the same number."""
    return before.select == stage.select and (stage.select != "loss" or before.objectives == stage.objectives)


def whole_rounds(steps: int, rounds: int) -> tuple[int, int]:
    """(updates in a round, rounds): at most ``steps`` updates, and ``rounds`` of equal length, or as many as fit."""
    every = steps // max(1, min(rounds, steps))
    return every, steps // every


def run_stage(
    student: keras.Model, stage: Stage, training: Training, start_score: float | None = None, keep: bool = False
) -> dict:
    """Trains ``student`` through one stage, and leaves it with the best dev weights.

    A killed run resumes from ``folder/state.npz``, which has weights, optimizer, dropout state, best weights and
    history. So it ends where an unbroken run ends. The file is written after a round if the last one is
    ``SAVE_SECONDS`` old.

    Args:
      start_score: dev score of the first weights; they are kept if nothing beats it.
      keep: replaces the state by ``folder/done.npz``, from which a finished stage is found again.

    Returns:
      {"epochs": [{"step", "loss", "dev_<metric>" or "dev_loss", …}, …], "best": …, "best_step": …, "seconds": …};
      "best" is the metric, or the negative loss.
    """  # fmt: skip
    if stage.select in ("loss", STEADY) and training.dev.y is None:
        raise UserError(f"stage {stage.name}: chooses by its loss on dev, but dev has no teacher signals")
    settings, seed, title = training.settings, training.seed, training.title
    distiller = Distiller(student, stage.objectives)
    distiller.team = team = current()
    if team is not None and (whole := [o.title for o in stage.objectives if o.in_batch]):
        raise UserError(
            f"--workers: the objective {whole[0]} compares all rows of a batch, but a worker sees only a "
            f"part; leave out the objective or --workers"
        )
    training = replace(training, dev=replace(training.dev, y=_read(training.dev.y, stage.objectives)))
    per_epoch = steps_per_epoch(len(stage.data), settings.batch_size)
    rounds = stage.rounds or round(stage.steps / per_epoch * settings.evals_per_epoch)
    every, rounds = whole_rounds(stage.steps, rounds)
    steps = every * rounds
    optimizer = make_optimizer(settings, steps, stage.learning_rate)
    if stage.slow:
        optimizer.factors = [stage.factor(v.path) for v in distiller.trained_variables]
    optimizer.build(distiller.trained_variables)
    distiller.compile(optimizer=optimizer)
    key = files.hash_of(training.key, stage.describe(), asdict(settings), seed)
    loop = Loop(distiller, replace(training, key=key), stage.select, every, per_epoch, start_score)
    with files.disk_errors(training.folder):
        if team is not None:
            team.wait()  # the chief's files exist, and nobody writes until all have read them
        training.folder.mkdir(parents=True, exist_ok=True)
        loop.restore()
    done = loop.rounds_done
    if loop.finished:
        return loop.history()
    if done:
        say(f"{title}: going on at update {done * every:,} of {steps:,}")
    if done < rounds and not loop.should_stop:
        if not done and is_chief():
            say_above(f"{title}: at most {steps:,} updates, with a dev score after each {every:,}")
        y = _read(stage.data.y, stage.objectives)
        part = (0, 1) if team is None else (team.rank, team.count)
        data = training_batches(stage.data.ids, y, settings.batch_size, seed, done * every, part)
        callbacks: list[keras.callbacks.Callback] = [loop]
        if training.tensorboard is not None and is_chief():
            callbacks.append(keras.callbacks.TensorBoard(training.tensorboard, write_graph=False))
        bar = progress(steps, title, "updates", initial=done * every)
        with files.disk_errors(training.folder), bar as loop.bar:  # TensorBoard writes files too
            distiller.fit(
                data,
                steps_per_epoch=every,
                epochs=rounds,
                initial_epoch=done,
                callbacks=callbacks,
                verbose=0,
            )
        if loop.rounds_done < rounds and is_chief():
            say_above(f"{title}: {_stopped(loop, steps)}")
    loop.restore_best()
    if keep:
        loop.finish()
    return loop.history()


def _stopped(loop: Loop, steps: int) -> str:
    """What to say of a stage that patience has ended."""
    last, best, by_loss = loop.info["epochs"][-1]["step"], loop.info["best"], loop.select == "loss"
    name = "loss" if by_loss else loop.dev.metrics[0]
    what = "best" if loop.select != STEADY else "lowest loss near the best"
    when = f"at update {loop.info['best_step']:,}" if loop.info["best_step"] else "before the stage"
    return (
        f"stopped early, at update {last:,} of {steps:,}: the {what} dev {name}, {-best if by_loss else best:.4f}, "
        f"was {when} (--patience={loop.settings.patience})"
    )
