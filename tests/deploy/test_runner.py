"""A run folder as a classifier, and folders that are none."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from kd_keras.common.errors import UserError
from kd_keras.deploy.runner import Runner
from kd_keras.metrics import softmax
from kd_keras.runs.finished import FinishedRun
from kd_keras.tasks import Rows


def rows_of(texts) -> Rows:
    return Rows([f"r-{i}" for i in range(len(texts))], list(texts), None, np.full(len(texts), -1, np.int32))


def test_logits_are_those_of_the_student_on_the_tokenizers_ids(trained_run):
    runner = Runner.load(trained_run.folder)
    texts = ["good film", "", "the dull plot is awful . " * 2000, "naïve 中文"]
    got = runner.logits(rows_of(texts))
    assert got.shape == (4, 2) and np.isfinite(got).all()
    for text, row in zip(texts, got, strict=True):
        ids = runner.tokenizer.encode([text])[0][:12]  # --student_max_length=12
        ids = np.array([ids if len(ids) else [0]])
        np.testing.assert_allclose(np.array(runner.student({"ids": ids})["logits"])[0], row, atol=1e-5)
    assert runner.logits(rows_of([])).shape == (0, 2)
    assert (runner.task.name, runner.task.labels) == ("custom", ("neg", "pos"))


@pytest.mark.parametrize("missing", ["student.keras", "task.json", "tokenizer.json", "vocab.txt"])
def test_an_unfinished_run_names_what_is_missing(trained_run, tmp_path, missing):
    for name in {"student.keras", "task.json", "tokenizer.json", "vocab.txt"} - {missing}:
        shutil.copy(trained_run.folder / name, tmp_path / name)
    with pytest.raises(UserError, match=f"--model_dir=.*expected a finished run of train, but {missing} is missing"):
        FinishedRun.open(tmp_path)


def test_files_that_do_not_fit_together_are_refused(trained_run, tmp_path):
    for name in ("student.keras", "task.json", "tokenizer.json", "vocab.txt"):
        shutil.copy(trained_run.folder / name, tmp_path / name)
    lines = (tmp_path / "vocab.txt").read_text().splitlines()
    (tmp_path / "vocab.txt").write_text("".join(f"{w}\n" for w in lines[:-1]))
    with pytest.raises(UserError, match=rf"vocab.txt: has {len(lines) - 1} lines, .* trained with {len(lines)}"):
        Runner.load(tmp_path)
    (tmp_path / "student.keras").write_bytes(b"no model")
    with pytest.raises(UserError, match=r"student\.keras: cannot be loaded as a student") as error:
        Runner.load(tmp_path)
    assert "\n" not in str(error.value)
    with pytest.raises(UserError, match="no such folder"):
        Runner.load(tmp_path / "none")


def test_softmax_of_large_logits():
    got = softmax(np.array([[1000.0, 1001.0], [0.0, 0.0]], np.float32))
    np.testing.assert_allclose(got, [[1 / (1 + np.e), np.e / (1 + np.e)], [0.5, 0.5]])


def test_one_label_for_every_text():
    from kd_keras.deploy.runner import only_label
    from kd_keras.tasks import Rows, Task

    def asked(labels, scores, kind="single"):
        labels = np.array(labels)
        rows = Rows([str(i) for i in range(len(labels))], ["x"] * len(labels), None, labels)
        return only_label(Task("toy", kind, ("ham", "spam") if kind == "single" else ()), rows, np.array(scores))

    ham, spam = [0.9, 0.1], [0.2, 0.8]
    assert asked([0, 1] * 10, [ham] * 20) == "ham" and asked([0, 1] * 10, [spam] * 20) == "spam"
    assert asked([0, 1] * 10, [ham] * 19 + [spam]) is None
    assert asked([0, 1] * 9, [ham] * 18) is None, "too few to tell"
    assert asked([0] * 20, [ham] * 20) is None, "as it should"
    assert asked([0, 1] * 10 + [-1], [ham] * 20 + [spam]) == "ham", "without a gold label it does not count"
    assert asked([0.5, 1.5] * 10, [[1.0]] * 20, "regression") is None
