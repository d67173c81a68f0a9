"""Fine-tuning a teacher: AdamW, linear warm-up and decay, clipping, best dev weights, resume after a kill."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
import tf_keras

from kd_keras.common import files
from kd_keras.common.config import key_of
from kd_keras.common.errors import UserError
from kd_keras.common.progress import progress, say
from kd_keras.metrics import score
from kd_keras.tasks import TaskData, has_label
from kd_keras.teachers.bert import Encoded, Teacher
from kd_keras.teachers.checkpoints import Checkpoint, from_folder
from kd_keras.teachers.lean import lean
from kd_keras.teachers.optimizer import FusedAdamW
from kd_keras.teachers.settings import TeacherSettings
from kd_keras.text.batches import steps_per_epoch, training_plan

# What changes nothing, or stands in the key under another name.
_NOT_IN_KEY = ("teacher", "teacher_max_length", "checkpoint_seconds", "teacher_seeds")
# Dev is scored at least this often, so that a large set's best point is not missed.
_EVAL_EXAMPLES = 17_000
# Batches are as many tokens long as a multiple of this.
_PAD_TO = 4


class WarmupLinear(tf_keras.optimizers.schedules.LearningRateSchedule):
    """0 → ``peak`` over ``warmup`` steps, then linearly to 0 at ``total``."""

    def __init__(self, peak: float, warmup: int, total: int):
        self.peak, self.warmup, self.total = peak, warmup, total

    def __call__(self, step):
        step = tf.cast(step, tf.float32) + 1.0
        rise = step / max(1, self.warmup)
        fall = (self.total + 1 - step) / max(1, self.total + 1 - self.warmup)
        return self.peak * tf.maximum(0.0, tf.minimum(rise, fall))

    def get_config(self):
        return {"peak": self.peak, "warmup": self.warmup, "total": self.total}


def teacher_key(checkpoint: Checkpoint, data: TaskData, settings: TeacherSettings, max_length: int) -> dict:
    """All that a fine-tuned teacher depends on; equal keys mean an equal teacher."""
    return {
        "base_weights_sha256": files.sha256_file(checkpoint.weights),
        "task": data.task.name,
        "data": data.fingerprint,
        "max_length": max_length,
        **key_of(settings, leave_out=_NOT_IN_KEY),
    }


def fine_tune(
    checkpoint: Checkpoint,
    data: TaskData,
    settings: TeacherSettings,
    folder: Path,
    known: Sequence[Path] = (),
) -> Teacher:
    """The teacher of ``data.task`` in ``folder``: found, resumed or trained.

    Args:
      checkpoint: where the weights start.
      data: train is learnt from, dev chooses the best weights.
      settings: see TeacherSettings.
      folder: where the result goes; ``folder/../.teacher-checkpoint`` holds the state meanwhile.
      known: other folders that may hold the very same teacher already.

    Returns:
      The teacher with its best dev weights. ``folder/teacher.json`` has its dev score and history.
    """
    task = data.task
    max_length = settings.teacher_max_length or task.max_length
    regression = task.kind == "regression"
    num_labels = 1 if regression else len(task.labels)
    if checkpoint.fine_tuned_for(task.name, data.fingerprint):
        checkpoint.check_reading(settings)
        say(f"teacher: {checkpoint.path} was fine-tuned for this task and data; it is used as it is")
        if checkpoint.path.resolve() != folder.resolve():
            _link_folder(checkpoint.path, folder)
        return Teacher.load_finished(checkpoint)
    key = teacher_key(checkpoint, data, settings, max_length)

    for place in [folder, *known]:
        if (found := _finished(place, key)) is not None:
            if place != folder:
                say(f"teacher: the same one was fine-tuned before ({place}); it is taken from there")
                _link_folder(place, folder)
            else:
                say(f"teacher: found in {folder}")
            return Teacher.load_finished(found)

    if before := (checkpoint.manifest() or {}).get("key"):
        other = f"task {before['task']}" if before["task"] != task.name else "other data of this task"
        say(f"teacher: {checkpoint.path} was fine-tuned for {other}; fine-tuning goes on from its weights")
    as_it_is = settings.teacher_epochs == 0
    teacher = Teacher.load(
        checkpoint, num_labels, max_length, regression, settings.teacher_seed, as_it_is, settings.teacher_truncation
    )
    if as_it_is:
        dev = score([task.metric], data.dev.label, teacher.logits(teacher.encode(data.dev)))
        teacher.save(folder, name=checkpoint.name, key=key, dev=dev, history=[], seconds=0.0)
        return teacher
    _Run(teacher, data, settings, key, folder).go()
    return Teacher.load_finished(from_folder(str(folder), folder))


def _finished(place: Path, key: dict) -> Checkpoint | None:
    try:
        found = from_folder(str(place), place) if place.is_dir() else None
        manifest = found.manifest() if found else None
    except UserError:
        return None
    if not found or not manifest or manifest.get("key") != key:
        return None
    if files.sha256_file(found.weights) != manifest["weights_sha256"]:
        say(f"teacher: {found.weights} does not match its manifest and is made again")
        return None
    return found


def _link_folder(source: Path, target: Path) -> None:
    with files.atomic_dir(target) as temp:
        for f in source.iterdir():
            if f.is_file():
                files.link_or_copy(f, temp / f.name)


class _Run:
    """One fine-tuning, resumable at any step: order, dropout and optimizer state are all in the checkpoint."""

    def __init__(self, teacher: Teacher, data: TaskData, settings: TeacherSettings, key: dict, folder: Path):
        self.teacher, self.data, self.settings, self.key, self.folder = teacher, data, settings, key, folder
        labelled = np.flatnonzero(has_label(data.train))
        if not len(labelled):
            raise UserError(f"task {data.task.name}: no training row has a label, so a teacher cannot be fine-tuned")
        self.train = data.train.take(labelled) if len(labelled) < len(data.train) else data.train
        self.per_epoch = steps_per_epoch(len(self.train), settings.teacher_batch_size)
        self.steps = max(1, round(self.per_epoch * settings.teacher_epochs))
        per_eval = math.ceil(self.per_epoch / max(1, round(len(self.train) / _EVAL_EXAMPLES)))
        self.evals = {*range(per_eval, self.steps, per_eval), self.steps}
        self.optimizer = FusedAdamW(
            WarmupLinear(settings.teacher_learning_rate, round(self.steps * settings.teacher_warmup), self.steps),
            weight_decay=settings.teacher_weight_decay,
            global_clipnorm=settings.teacher_clip,
            epsilon=1e-6,
            jit_compile=False,
        )
        self.optimizer.exclude_from_weight_decay(var_names=["bias", "LayerNorm"])
        self.optimizer.build(teacher.bert.trainable_variables)
        self.state = tf.Variable(json.dumps(self._fresh()), dtype=tf.string)
        state_dir = folder.parent / f".{folder.name}-checkpoint-{files.hash_of(key)}"
        self.manager = tf.train.CheckpointManager(
            tf.train.Checkpoint(
                model=teacher.model, optimizer=self.optimizer, dropout=teacher.dropout_states(), state=self.state
            ),
            state_dir,
            1,
        )
        self.regression = data.task.kind == "regression"

    @staticmethod
    def _fresh() -> dict:
        return {"step": 0, "best": None, "history": [], "seconds": 0.0}

    def go(self) -> None:
        with files.disk_errors(self.folder.parent):
            self._go()

    def _go(self) -> None:
        s, metric = self.settings, self.data.task.metric
        encoded, dev = self.teacher.encode(self.train), self.teacher.encode(self.data.dev)
        labels = self.train.label.astype(np.float32 if self.regression else np.int32)
        update = self._update_function()
        info = self._fresh()
        if self.manager.latest_checkpoint:
            self.manager.checkpoint.restore(self.manager.latest_checkpoint).expect_partial()
            info = json.loads(self.state.numpy())
            say(f"teacher: going on at update {info['step']:,} of {self.steps:,}")
        plan = training_plan(encoded.ids.lengths, s.teacher_batch_size, s.teacher_seed, info["step"])
        losses: list[tf.Tensor] = []
        saved = started = time.monotonic()
        before = info["seconds"]
        bar = progress(self.steps * s.teacher_batch_size, "fine-tuning", initial=info["step"] * s.teacher_batch_size)
        with bar:
            for step in range(info["step"] + 1, self.steps + 1):
                rows = next(plan)
                losses.append(update(_tensors(encoded, rows), tf.constant(labels[rows])))
                bar.update(s.teacher_batch_size)
                scored = step in self.evals
                if scored:
                    dev_score = score([metric], self.data.dev.label, self.teacher.logits(dev))[metric]
                    loss = float(np.mean([float(x) for x in losses]))
                    if not math.isfinite(loss):
                        raise UserError(
                            f"the teacher's loss is {loss}: lower --teacher_learning_rate={s.teacher_learning_rate:g}"
                        )
                    losses = []
                    info["history"].append({"step": step, "loss": loss, f"dev_{metric}": dev_score})
                    bar.set_postfix_str(f"loss {loss:.3f}, dev {metric} {dev_score:.4f}")
                    bar.refresh()
                    if info["best"] is None or dev_score > info["best"]:
                        info["best"] = dev_score
                        self._save(info)
                if scored or step == self.steps or time.monotonic() - saved > s.checkpoint_seconds:
                    info |= {"step": step, "seconds": before + time.monotonic() - started}
                    self.state.assign(json.dumps(info))
                    self.manager.save()
                    saved = time.monotonic()
        self._save_manifest(info)
        say(f"teacher: best dev {metric} {info['best']:.4f} after {info['seconds']:.0f} s")
        for path in self.manager.directory, self._best:
            _remove(path)

    @property
    def _best(self) -> Path:
        return Path(self.manager.directory).with_name(Path(self.manager.directory).name + "-best")

    def _save(self, info: dict) -> None:
        # Complete but without a key, so that nobody takes a half-trained teacher for a finished one.
        self.teacher.save(self._best, name=self.teacher.name, dev={self.data.task.metric: info["best"]})

    def _save_manifest(self, info: dict) -> None:
        _link_folder(self._best, self.folder)
        manifest = files.read_json(self.folder / "teacher.json")
        done = {"key": self.key, "history": info["history"], "seconds": info["seconds"]}
        files.write_json(self.folder / "teacher.json", manifest | done)

    def _update_function(self):
        bert, optimizer, regression = self.teacher.bert, self.optimizer, self.regression
        variables = bert.trainable_variables
        spec = tf.TensorSpec((None, None), tf.int32)
        x_spec = {n: spec for n in ("input_ids", "attention_mask", "token_type_ids")}

        @tf.function(input_signature=[x_spec, tf.TensorSpec((None,), tf.float32 if regression else tf.int32)])
        def update(x, y):
            with tf.GradientTape() as tape, lean(bert, cls_only=True):
                logits = bert(x, training=True).logits
                if regression:
                    loss = tf.reduce_mean(tf.square(logits[:, 0] - y))
                else:
                    loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits))
            optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
            return loss

        return update


def _tensors(encoded: Encoded, rows: np.ndarray) -> dict[str, tf.Tensor]:
    return {k: tf.constant(v) for k, v in encoded.batch(rows, multiple=_PAD_TO).items()}


def _remove(path: str | Path) -> None:
    import shutil

    shutil.rmtree(path, ignore_errors=True)
