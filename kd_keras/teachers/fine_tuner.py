"""One fine-tuning: updates, dev scores, best weights, and the state from which a killed one continues."""

from __future__ import annotations

import json
import math
import shutil
import time
from pathlib import Path

import numpy as np
import tensorflow as tf
import tf_keras

from kd_keras.common import files
from kd_keras.common.errors import UserError
from kd_keras.common.places import without_pattern
from kd_keras.common.progress import progress, say
from kd_keras.common.team import current, is_chief
from kd_keras.metrics import score
from kd_keras.metrics.answers import less, sigmoid, thresholds
from kd_keras.metrics.linear import Linear, probe
from kd_keras.metrics.spread import NEAR, standard_error
from kd_keras.tasks import Rows, TaskData, has_label, is_gold
from kd_keras.teachers.bert import Teacher
from kd_keras.teachers.encoded import Encoded
from kd_keras.teachers.finished import link_folder, reads
from kd_keras.teachers.heads import linear_of, logits_of, specs, tags_of, tensors, unread
from kd_keras.teachers.lean import lean
from kd_keras.teachers.losses import loss_of, moved
from kd_keras.teachers.optimizer import FusedAdamW, WarmupLinear
from kd_keras.teachers.schedule import PROBE_C
from kd_keras.teachers.settings import CLS, EMBEDDINGS, FLOAT16, LAST, PROBE, TeacherSettings
from kd_keras.teachers.targets import SoftText, Targets, targets_of
from kd_keras.text.batches import steps_per_epoch, training_plan

# Dev is scored at least this often, so that the best point of a large set is not missed.
_EVAL_EXAMPLES = 17_000
# The length of a batch in tokens is a multiple of this.
_PAD_TO = 4


def start_from_probe(teacher: Teacher, data: TaskData, found: Linear | None = None) -> None:
    """Sets the classifier to ``found``: logistic regression on the vectors of the encoder before fine-tuning."""
    if found is None:
        rows = labelled_rows(data)
        found = probe(teacher.vectors(teacher.encode(rows)), rows.label, len(data.task.labels), PROBE_C)
    linear = linear_of(teacher.bert)
    linear.kernel.assign(found.kernel)
    linear.bias.assign(found.bias)


def labelled_rows(data: TaskData) -> Rows:
    """The training rows with a label."""
    where = np.flatnonzero(has_label(data.train))
    if not len(where):
        raise UserError(f"task {data.task.name}: no training row has a label, so a teacher cannot be fine-tuned")
    return data.train.take(where) if len(where) < len(data.train) else data.train


class FineTuner:
    """One fine-tuning. It can resume at any step, because the checkpoint has order, dropout and optimizer state."""

    def __init__(
        self,
        teacher: Teacher,
        data: TaskData,
        settings: TeacherSettings,
        key: dict,
        folder: Path,
        start: Linear | None,
        soft: SoftText | None = None,
    ):
        self.start, self.soft = start, soft
        self.teacher, self.data, self.settings, self.key, self.folder = teacher, data, settings, key, folder
        teacher.precision = settings.teacher_precision
        self.train = labelled_rows(data)
        self.encoded = teacher.encode(self.train) if soft is None else teacher.encode_texts(*soft.behind(self.train))
        self.per_epoch = steps_per_epoch(len(self.encoded), settings.teacher_batch_size)
        self.steps = max(1, round(self.per_epoch * settings.teacher_epochs))
        per_eval = math.ceil(self.per_epoch / max(1, round(len(self.encoded) / _EVAL_EXAMPLES)))
        if settings.teacher_evals:
            per_eval = math.ceil(self.steps / settings.teacher_evals)
        self.evals = {*range(per_eval, self.steps, per_eval), self.steps}
        self.optimizer = FusedAdamW(
            WarmupLinear(settings.teacher_learning_rate, round(self.steps * settings.teacher_warmup), self.steps),
            weight_decay=settings.teacher_weight_decay,
            global_clipnorm=settings.teacher_clip,
            epsilon=1e-6,
            jit_compile=False,
        )
        self.optimizer.exclude_from_weight_decay(var_names=["bias", "LayerNorm", "layer_norm"])
        # Weights that the logits do not depend on have no gradient: the pooler, if the mean of tokens is read.
        frozen = ("/embeddings/",) if settings.teacher_freeze == EMBEDDINGS else ()
        still = (*unread(teacher.bert, teacher.tagging), *frozen)
        self.variables = [v for v in teacher.bert.trainable_variables if not any(part in v.name for part in still)]
        self.optimizer.build(self.variables)
        if settings.teacher_precision == FLOAT16:  # without it, small gradients become 0
            self.optimizer = tf_keras.mixed_precision.LossScaleOptimizer(self.optimizer)
        self.state = tf.Variable(json.dumps(self._fresh()), dtype=tf.string)
        self.state_dir = folder.parent / f".{folder.name}-checkpoint-{files.hash_of(key)}"
        self.team = current()
        self.checkpoint = tf.train.Checkpoint(
            model=teacher.model, optimizer=self.optimizer, dropout=teacher.dropout_states(), state=self.state
        )

    @staticmethod
    def _fresh() -> dict:
        return {"step": 0, "best": None, "top": None, "error": 0.0, "history": [], "seconds": 0.0}

    def go(self) -> None:
        with files.disk_errors(self.folder.parent), without_pattern(self.state_dir) as state_dir:
            self.manager = tf.train.CheckpointManager(self.checkpoint, state_dir, 1)
            self._go()

    def _go(self) -> None:
        s, metric = self.settings, self.data.task.metric
        encoded, dev = self.encoded, self.teacher.encode(self.data.dev)
        targets = targets_of(self.data.task, self.train, encoded, self.soft)
        update = self._update_function(targets)
        info = self._fresh()
        if self.team is not None:
            self.team.wait()  # the chief's files are written, and nobody writes before all have read them
        if self.manager.latest_checkpoint:
            self.checkpoint.restore(self.manager.latest_checkpoint).expect_partial()
            info |= json.loads(self.state.numpy())  # earlier versions wrote fewer entries
            say(f"teacher: going on at update {info['step']:,} of {self.steps:,}")
        elif s.teacher_start == PROBE:
            start_from_probe(self.teacher, self.data, self.start)
            self._score(info, dev, 0, None)
            say(f"teacher: the soft probe that it starts from has dev {metric} {info['best']:.4f}")
        plan = training_plan(encoded.ids.lengths, s.teacher_batch_size, s.teacher_seed, info["step"])
        losses: list[tf.Tensor] = []
        saved = started = time.monotonic()
        before = info["seconds"]
        bar = progress(self.steps * s.teacher_batch_size, "fine-tuning", initial=info["step"] * s.teacher_batch_size)
        with bar:
            for step in range(info["step"] + 1, self.steps + 1):
                if self._patience_ends(info):
                    break
                rows = next(plan)
                own, count = self._part(rows)
                batch = encoded.batch(own, multiple=_PAD_TO)
                losses.append(update(tensors(batch), tf.constant(targets(own, batch)), tf.constant(count)))
                bar.update(s.teacher_batch_size)
                scored = step in self.evals
                if scored:
                    loss = float(np.mean([float(x) for x in losses]))
                    if not math.isfinite(loss):
                        raise UserError(
                            f"the teacher's loss is {loss}; lower --teacher_learning_rate={s.teacher_learning_rate:g}"
                        )
                    losses = []
                    dev_score = self._score(info, dev, step, loss)
                    bar.set_postfix_str(f"dev {metric} {dev_score:.4f}, loss {loss:.3f}")
                    bar.refresh()
                if scored or step == self.steps or time.monotonic() - saved > s.checkpoint_seconds:
                    info |= {"step": step, "seconds": before + time.monotonic() - started}
                    self.state.assign(json.dumps(info))
                    if is_chief():
                        self.manager.save()
                    saved = time.monotonic()
        if is_chief():
            self._save_manifest(info)
            kept = "best" if s.teacher_keep != LAST else "last that is near the best:"
            say(f"teacher: {kept} dev {metric} {info['best']:.4f} after {info['seconds']:.0f} s")
            for path in self.state_dir, self._best:
                shutil.rmtree(path, ignore_errors=True)
        if self.team is not None:
            self.team.wait()

    def _score(self, info: dict, dev: Encoded, step: int, loss: float | None) -> float:
        """The dev score at ``step``. The weights are saved if they are the ones to keep so far."""
        metric, over, found, error = self.data.task.metric, None, 0.0, 0.0
        if is_chief():
            gold, logits = self.data.dev.label, self.teacher.logits(dev)
            over = thresholds(gold, logits)
            found = score([metric], gold, less(logits, over))[metric]
            better = info["top"] is None or found > info["top"]
            if better and self.settings.teacher_keep == LAST and not self.teacher.tagging:
                error = standard_error(metric, gold[is_gold(gold)], less(logits, over)[is_gold(gold)])
        if self.team is not None:
            (found,) = self.team.of_chief([found])
        info["history"].append({"step": step} | ({} if loss is None else {"loss": loss}) | {f"dev_{metric}": found})
        if info["top"] is None or found > info["top"]:
            info |= {"top": found, "error": error}
        near = info["top"] - NEAR * info["error"]
        if info["best"] is None or (found >= near if self.settings.teacher_keep == LAST else found > info["best"]):
            info["best"] = found
            if is_chief():
                self._save(info, over)
        return found

    def _patience_ends(self, info: dict) -> bool:
        scores = [entry[f"dev_{self.data.task.metric}"] for entry in info["history"]]
        since = len(scores) - 1 - scores.index(max(scores)) if scores else 0
        return 0 < self.settings.teacher_patience <= since

    @property
    def _best(self) -> Path:
        return self.state_dir.with_name(self.state_dir.name + "-best")

    def _save(self, info: dict, over: np.ndarray) -> None:
        # It is complete but has no key, so that a half-trained teacher is not taken for a finished one.
        made = {"dev": {self.data.task.metric: info["best"]}}
        if self.data.task.is_multilabel:
            made["thresholds"] = sigmoid(over).tolist()
        with moved(self.teacher, over, self.data.task):
            self.teacher.save(self._best, name=self.teacher.name, **made)

    def _save_manifest(self, info: dict) -> None:
        link_folder(self._best, self.folder)
        manifest = files.read_json(self.folder / "teacher.json")
        done = {"key": self.key, "history": info["history"], "seconds": info["seconds"]}
        files.write_json(self.folder / "teacher.json", manifest | done | reads(self.data.task))

    def _update_function(self, targets: Targets):
        bert, optimizer, variables = self.teacher.bert, self.optimizer, self.variables
        losses = loss_of(self.data.task, self.soft is not None)
        of_words, precision = self.teacher.tagging, self.teacher.precision
        ask, cls_only = (tags_of, False) if of_words else (logits_of, self.teacher.pooling == CLS)

        team = self.team

        @tf.function(
            input_signature=[specs(self.teacher.tokenizer.inputs), targets.spec, tf.TensorSpec((), tf.float32)]
        )
        def update(x, y, count):
            with tf.GradientTape() as tape, lean(bert, cls_only, precision):
                each = losses(y, ask(bert, x, training=True))
                if team is None:
                    loss = tf.reduce_mean(each)
                else:  # this worker's part of the mean over all workers
                    size = team.sum(count * tf.cast(tf.size(each), tf.float32))
                    loss = count * tf.reduce_sum(each) / tf.maximum(size, 1.0)
                goal = optimizer.get_scaled_loss(loss) if precision == FLOAT16 else loss
            gradients = tape.gradient(goal, variables)
            if team is not None:  # clipped after summing
                gradients, loss = team.sums(gradients), team.sum(loss)
            if precision == FLOAT16:
                gradients = optimizer.get_unscaled_gradients(gradients)
            optimizer.apply_gradients(zip(gradients, variables, strict=True))
            return loss

        return update

    def _part(self, rows: np.ndarray) -> tuple[np.ndarray, float]:
        """This process's rows of a batch, and their weight. It has none if there are more workers than rows."""
        if self.team is None:
            return rows, 1.0
        own = rows[self.team.rank :: self.team.count]
        return (own, 1.0) if len(own) else (rows[:1], 0.0)
