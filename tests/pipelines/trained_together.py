"""Trains a student and a teacher on made-up data, alone or as a worker of TF_CONFIG.

python trained_together.py FOLDER student teacher
FOLDER/result-RANK.json has the loss of each update and a sum of the weights. The last batch of an epoch has one row.
Plain gradient descent takes Adam's place, which makes of a last bit of a small gradient a whole step.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from kd_keras.common import cli, team

cli.quiet()
cli.import_tensorflow()

with_others = team.join()

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
import tf_keras  # noqa: E402

from kd_keras.distill import stages  # noqa: E402
from kd_keras.distill.loop import DevSet, Training  # noqa: E402
from kd_keras.distill.objectives import HardLabels, LogitMSE, Representation  # noqa: E402
from kd_keras.distill.settings import TrainSettings  # noqa: E402
from kd_keras.distill.stages import Stage, TrainingSet, run_stages  # noqa: E402
from kd_keras.students.bilstm import build_student  # noqa: E402
from kd_keras.students.settings import StudentSettings  # noqa: E402
from kd_keras.tasks import Rows, Task, TaskData  # noqa: E402
from kd_keras.teachers import fine_tuner  # noqa: E402
from kd_keras.teachers.bert import Teacher  # noqa: E402
from kd_keras.teachers.checkpoints import from_folder  # noqa: E402
from kd_keras.teachers.finetune import fine_tune  # noqa: E402
from kd_keras.teachers.settings import TeacherSettings  # noqa: E402
from kd_keras.text.token_ids import TokenIds  # noqa: E402
from kd_keras.text.tokenizers import SPECIAL  # noqa: E402

ROWS = 33


class Dense(keras.optimizers.SGD):
    """Clips by the norm of the whole gradient: of a sparse one TensorFlow counts a word's rows one by one."""

    def apply(self, grads, trainable_variables=None):
        super().apply([tf.convert_to_tensor(g) for g in grads], trainable_variables)


class TeachersDense(tf_keras.optimizers.SGD):
    """The same, with what AdamW is given and this has not."""

    def __init__(self, rate, weight_decay=None, epsilon=None, **kwargs):
        super().__init__(rate, **kwargs)

    def apply_gradients(self, grads_and_vars, **kwargs):
        super().apply_gradients([(tf.convert_to_tensor(g), v) for g, v in grads_and_vars], **kwargs)


stages.make_optimizer = lambda settings, steps, rate: Dense(rate, global_clipnorm=settings.clip)
fine_tuner.FusedAdamW = TeachersDense
UPDATES = 200


def student(folder: Path) -> dict:
    draw = np.random.default_rng(1)
    ids = {"ids": TokenIds.of([draw.integers(1, 30, 1 + n % 7).tolist() for n in range(ROWS)])}
    label = draw.integers(0, 2, ROWS).astype(np.int32)
    label[::4] = -1  # rows that the teacher alone teaches: each objective has a mean of its own
    y = {
        "label": label,
        "teacher_logits": draw.normal(size=(ROWS, 2)).astype(np.float32),
        "teacher_hidden": draw.normal(size=(ROWS, 5)).astype(np.float32),
    }
    shape = StudentSettings(
        embedding_size=8, hidden_size=6, dense_size=6, dropout=0, word_dropout=0, embedding_dropout=0
    )
    model = build_student(shape, draw.normal(size=(30, 8)).astype(np.float32), 2, seed=3)
    keras.utils.set_random_seed(3)  # projections
    objectives = (HardLabels(), LogitMSE(), Representation(0.5, units=5))
    gold = np.where(label < 0, 0, label)
    stage = Stage("joint", objectives, TrainingSet(ids, y), UPDATES, 0.3, rounds=UPDATES)
    training = Training(
        DevSet(ids, gold, ("accuracy",)), TrainSettings(batch_size=8, clip=0.05), folder / "student", key="x"
    )
    history = run_stages(model, [stage], training)
    weights = np.concatenate([w.ravel() for w in model.get_weights()])
    return {
        "loss": [e["loss"] for e in history["epochs"]],
        "parts": [e["loss_hard"] for e in history["epochs"]],
        "accuracy": [e["accuracy"] for e in history["epochs"]],
        "weights": float(np.abs(weights).sum()),
    }


def teacher(folder: Path) -> dict:
    words = ["good", "bad", "film", "plot", "the", "is"]
    draw = np.random.default_rng(2)
    texts = [" ".join(draw.choice(words, 3 + n % 5)) for n in range(ROWS)]
    label = np.array(["good" in t for t in texts], np.int32)
    rows = Rows([f"r{n}" for n in range(ROWS)], texts, None, label)
    data = TaskData(Task("toy", "single", ("neg", "pos"), max_length=12), rows, rows.take(np.arange(10)), "made up", [])
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    base = folder / "base"
    Teacher.random([*SPECIAL, *words], 2, 12, seed=5, **shape).save(base)  # only the chief's is kept
    if with_others is not None:
        with_others.wait()
    (base / "teacher.json").unlink(missing_ok=True)
    settings = TeacherSettings(
        teacher_epochs=50 / 5, teacher_batch_size=8, teacher_learning_rate=0.1, teacher_evals=50, teacher_patience=0,
        teacher_dropout=0.0, teacher_clip=0.1, teacher_start="random",
    )  # fmt: skip
    fine_tune(from_folder("toy", base), data, settings, folder / "teacher")
    made = json.loads((folder / "teacher" / "teacher.json").read_text())
    return {"loss": [e["loss"] for e in made["history"] if "loss" in e], "dev": made["dev"]}


if __name__ == "__main__":
    where, wanted = Path(sys.argv[1]), sys.argv[2:]
    done = {name: {"student": student, "teacher": teacher}[name](where) for name in wanted}
    rank = with_others.rank if with_others else 0
    (where / f"result-{rank}.json").write_text(json.dumps(done))
