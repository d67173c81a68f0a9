"""The lines for a phone, taken apart as two shells and the tool take them."""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np
import pytest

from kd_keras.formats.format import EXPORTS
from kd_keras.formats.litert import LiteRT
from kd_keras.students.settings import StudentSettings
from kd_keras.timing.phone import commands


def flags_of(words: list[str]) -> dict[str, str]:
    assert all(w.startswith("--") for w in words), words
    return dict(w[2:].split("=", 1) for w in words)


def inputs_of(flags: dict[str, str]) -> dict[str, tuple[list[int], int, int]]:
    """Name → (shape, low, high), by the rules of the tool's README: names with ',', shapes and ranges with ':'."""
    names, shapes = flags["input_layer"].split(","), flags["input_layer_shape"].split(":")
    ranges = {r.split(",")[0]: [int(v) for v in r.split(",")[1:]] for r in flags["input_layer_value_range"].split(":")}
    assert len(names) == len(shapes) and set(ranges) == set(names)
    return {n: ([int(v) for v in s.split(",")], *ranges[n]) for n, s in zip(names, shapes, strict=True)}


def test_the_app_and_the_binary_get_the_same_flags():
    said = commands(Path("my runs/tflite/dynamic.tflite"), [("ids", [1, 32])], 1000, 16, threads=2)
    assert shlex.split(said["push"]) == [
        "adb",
        "push",
        "my runs/tflite/dynamic.tflite",
        "/data/local/tmp/dynamic.tflite",
    ]
    here = shlex.split(said["app"])
    assert here[:5] == ["adb", "shell", "am", "start", "-S"] and here[-3:-1] == ["--es", "args"]
    assert here[here.index("-n") + 1] == "org.tensorflow.lite.benchmark/.BenchmarkModelActivity"
    # adb joins its words by spaces and the phone's shell splits them again; the app splits the rest at spaces.
    (args,) = shlex.split(here[-1])
    app = flags_of(args.split())
    binary = shlex.split(said["binary"])
    assert binary[:3] == ["adb", "shell", "/data/local/tmp/benchmark_model"] and flags_of(binary[3:]) == app
    assert app["graph"] == "/data/local/tmp/dynamic.tflite" and app["num_threads"] == "2"
    assert inputs_of(app) == {"ids": ([1, 32], 1, 999)}, "a fixed shape is the file's, every id is a token"
    for line in said.values():
        assert "\n" not in line


def test_several_inputs_and_any_length():
    bert = [("attention_mask", [1, 9]), ("input_ids", [1, 9]), ("token_type_ids", [1, 9])]
    got = inputs_of(flags_of(shlex.split(commands(Path("t.tflite"), bert, 30522, 9)["binary"])[3:]))
    assert list(got) == [n for n, _ in bert], "the file's order"
    assert [v[1:] for v in got.values()] == [(1, 1), (1, 30521), (0, 0)]
    pair = [("ids_a", [-1, -1]), ("ids_b", [-1, -1])]
    got = inputs_of(flags_of(shlex.split(commands(Path("t.tflite"), pair, 50, 12)["binary"])[3:]))
    assert got == {"ids_a": ([1, 12], 1, 49), "ids_b": ([1, 12], 1, 49)}


@pytest.mark.parametrize("form", ["float32", "loop_float32"])
def test_a_real_file_takes_the_smallest_and_the_largest_value(make_model, tmp_path, form):
    from kd_keras.formats.tflite import convert
    from kd_keras.students.weights import student_weights

    model = make_model(StudentSettings(student="bilstm", embedding_size=12, hidden_size=17, dense_size=9), 60, 3)
    path = tmp_path / f"{form}.tflite"
    path.write_bytes(convert(student_weights(model), EXPORTS[f"tflite_{form}"], None if "loop" in form else 9))
    run = LiteRT(path)
    said = inputs_of(flags_of(shlex.split(commands(path, run.inputs_in_order(), 60, 9)["binary"])[3:]))
    assert said == {"ids": ([1, 9], 1, 59)}
    shape, low, high = said["ids"]
    answers = [run.answer({"ids": np.full(shape, value, np.int32)}) for value in (low, high)]
    for answer, value in zip(answers, (low, high), strict=True):
        want = np.array(model({"ids": np.full(shape, value)})["logits"])[0]
        np.testing.assert_allclose(np.log(answer) - np.log(answer).mean(), want - want.mean(), atol=1e-3)
