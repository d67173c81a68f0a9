"""Run folders made in code, without training: random weights, so that a slip in any of them shows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from kd_keras.common import files
from kd_keras.common.layout import RunLayout
from kd_keras.students.settings import READS_PAIRS, StudentSettings
from kd_keras.tasks import Columns, Rows, Task
from kd_keras.text.tokenizers import WordPiece, Words

# Above 1,024 values a matrix is quantized by dynamic range.
SMALL = StudentSettings(student="bilstm", embedding_size=12, hidden_size=17, dense_size=9)
LENGTH = 9


@dataclass(frozen=True)
class MadeRun:
    folder: Path
    task: Task
    tokenizer: object
    model: object


def random_student(settings: StudentSettings, vocab: int, outputs: int, seed: int = 3):
    from kd_keras.students.bilstm import build_student

    draw = np.random.default_rng(seed)
    matrix = draw.normal(size=(vocab, settings.width())).astype(np.float32)  # padding's row too
    model = build_student(settings, matrix, outputs, seed, READS_PAIRS[settings.student])
    for w in model.trainable_weights:
        w.assign(draw.normal(size=w.shape, scale=0.7))
    return model


def as_rows(texts, text_b=None, label=None) -> Rows:
    label = np.full(len(texts), -1, np.int32) if label is None else np.array(label)
    return Rows([f"r-{i}" for i in range(len(texts))], list(texts), None if text_b is None else list(text_b), label)


@pytest.fixture(scope="session")
def make_model():
    """(settings, vocab, outputs, seed=3) → a Keras student of random weights."""
    return random_student


@pytest.fixture(scope="session")
def make_run(tmp_path_factory, vocab):
    """(settings=SMALL, words=False, regression=False, truncation="head") → MadeRun."""

    def make(
        settings: StudentSettings = SMALL, words: bool = False, regression: bool = False, truncation: str = "head"
    ) -> MadeRun:
        layout = RunLayout(tmp_path_factory.mktemp("run"))
        kind, entries = (Words, [w for w in vocab if not w.startswith("##")]) if words else (WordPiece, vocab)
        tokenizer = kind(entries, LENGTH, truncation=truncation)
        pair = READS_PAIRS[settings.student]
        columns = Columns(("text",), "text_b" if pair else None)
        kind = "regression" if regression else "pair" if pair else "single"
        metrics = ("pearson",) if regression else ("accuracy",)
        task = Task("toy", kind, () if regression else ("neg", "so-so", "pos"), metrics[0], metrics, columns=columns)
        model = random_student(settings, len(tokenizer), task.num_outputs)
        model.save(layout.student)
        tokenizer.save(layout.vocab, layout.tokenizer)
        files.write_json(layout.task, task.to_json())
        return MadeRun(layout.root, task, tokenizer, model)

    return make
