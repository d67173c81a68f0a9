"""The students of flags/sst2_*.txt: each file is as small as its name promises."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from string import ascii_lowercase

import pytest

from kd_keras.common.config import from_flagfile
from kd_keras.common.flagfiles import expanded
from kd_keras.students.settings import StudentSettings
from kd_keras.tasks import get
from kd_keras.text.tokenizers import SPECIAL, WordPiece

ROOT = Path(__file__).resolve().parents[2]
MOST = {"nano": 300_000, "micro": 700_000, "mobile": 2_000_000}


def shape(name: str) -> StudentSettings:
    return from_flagfile(StudentSettings, "\n".join(expanded([f"--flagfile=flags/sst2_{name}.txt"])))


@pytest.mark.parametrize("name", MOST)
def test_both_files_of_dynamic_range_keep_the_limit(name, make_model, monkeypatch):
    from kd_keras.formats import mediapipe
    from kd_keras.formats.format import EXPORTS
    from kd_keras.formats.tflite import convert
    from kd_keras.students.weights import student_weights

    monkeypatch.chdir(ROOT)
    settings, task = replace(shape(name), student="bilstm"), get("sst2")
    first = [*SPECIAL, *ascii_lowercase, *(f"##{letter}" for letter in ascii_lowercase)]
    pieces = [f"{n:06}" for n in range(settings.vocab_size - len(first))]  # a real one has 5.6 letters
    tokenizer = WordPiece([*first, *pieces], 64)
    weights = student_weights(make_model(settings, len(tokenizer), task.num_outputs))
    loop = convert(weights, EXPORTS["tflite_loop_dynamic"], None)
    unrolled = convert(weights, EXPORTS["tflite_dynamic"], 64, None, True, [*mediapipe.accented(tokenizer).values()])
    unrolled = mediapipe.add_metadata(unrolled, task, tokenizer)
    assert len(loop) < len(unrolled) <= MOST[name]
    # Room that is left over is words that the student does not know.
    assert len(unrolled) > 0.9 * MOST[name]


def test_they_differ_in_the_student_alone(monkeypatch):
    """So that one teacher and its signals serve all."""
    monkeypatch.chdir(ROOT)
    own = {"vocab_size", "vocab_characters", "embedding_size", "hidden_size", "dense_size"}
    own |= {"embedding_dropout", "word_dropout", "dropout", "learning_rate"}
    for name in ("nano", "micro", "large"):
        first, *rest = expanded([f"--flagfile=flags/sst2_{name}.txt"])
        mobile = expanded(["--flagfile=flags/sst2_mobile.txt"])
        assert [first, *rest][: len(mobile)] == mobile
        assert {flag.removeprefix("--").partition("=")[0] for flag in [first, *rest][len(mobile) :]} <= own
