"""A run folder of an earlier version opens, evaluates, exports and compresses, and its command finds all of it again."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from kd_keras.runs.finished import FinishedRun

BEFORE = Path(__file__).resolve().parents[1] / "data" / "before"


@pytest.fixture
def old(tmp_path, monkeypatch) -> FinishedRun:
    """Its flags name files beside it."""
    shutil.copytree(BEFORE, tmp_path / "before")
    monkeypatch.chdir(tmp_path / "before")
    return FinishedRun.open("run")


def test_it_opens_with_data_teacher_and_scores(old):
    from kd_keras.deploy.runner import Runner
    from kd_keras.metrics import score
    from kd_keras.students.inference import predict
    from kd_keras.students.inputs import student_ids

    metrics = json.loads((old.layout.metrics).read_text())
    data = old.data()
    assert (old.kept_arm, len(data.train), len(data.dev)) == ("distilled-seed1", 96, 30)
    for name, rows in (("train", data.train), ("dev", data.dev)):
        logits = old.teacher_logits(name, rows)
        assert logits.shape == (len(rows), 2) and (logits.argmax(-1) == rows.label).mean() > 0.9
    runner = Runner.load(old)
    kept = score(old.task.metrics, data.dev.label, runner.scores(data.dev))
    assert kept == pytest.approx(metrics["student"]["dev"])
    np.testing.assert_allclose(
        Runner.load(old, "tflite_loop_float32").scores(data.dev), runner.scores(data.dev), atol=1e-5
    )
    arm = FinishedRun.open("run", "baseline-seed1")
    assert arm.home.root == old.layout.arms / "baseline-seed1"
    assert predict(arm.student(), student_ids(arm.tokenizer, data.dev)).shape == (30, 2)


def test_it_exports_and_compresses(old):
    from kd_keras.compression import compressor
    from kd_keras.compression.settings import CompressSettings
    from kd_keras.deploy.exporter import export
    from kd_keras.deploy.settings import ExportSettings

    done = export(old, ExportSettings(formats="tflite_float32"))
    assert list(done.files) == ["tflite/float32.tflite"] and not done.failures
    plan = compressor.check("run", "small", CompressSettings(updates=4, rounds=2, batch_size=16))
    found = compressor.run(plan)
    assert found["after"]["kernels"]["dense"]["zeros"] >= 0.5
    assert FinishedRun.open("small").data().fingerprint == old.data().fingerprint


def test_its_own_command_finds_all_of_it(old, run_python):
    again = run_python("-m", "kd_keras.train", "--flagfile=run/flags.txt", cwd=Path.cwd())
    assert again.returncode == 0, again.stderr[-2000:]
    for word in ("fine-tuning", "labelling", "updates/s"):
        assert word not in again.stderr, word
    assert again.stderr.count("found in run/") == 3, "the teacher and two students"


def test_quotes_of_its_tsv_are_text_as_they_were(old):
    from kd_keras.tasks import TaskSettings, load_data

    flags = old.layout.flags.read_text()
    (name,) = re.findall(r"^--train_file=(.*)$", flags, re.MULTILINE)
    rows = [line.split(",", 1) for line in Path(name).read_text().splitlines()]
    Path("quoted.tsv").write_text("\n".join("\t".join(f'"{cell}"' for cell in row) for row in rows) + "\n")
    head = [f'"{cell}"' for cell in rows[0]]
    as_text = TaskSettings(
        task="custom", train_file="quoted.tsv", quoting="none",
        **dict(zip(("text_column", "label_column"), sorted(head, key=lambda c: "label" in c), strict=True)),
    )  # fmt: skip
    data = load_data(as_text)
    old.layout.flags.write_text("\n".join(
        f"--{k}={getattr(as_text, k)}" for k in ("task", "train_file", "text_column", "label_column")) + "\n")  # fmt: skip
    run = json.loads(old.layout.run.read_text()) | {"data": data.fingerprint}
    old.layout.run.write_text(json.dumps(run))
    assert FinishedRun.open("run").data().fingerprint == data.fingerprint
