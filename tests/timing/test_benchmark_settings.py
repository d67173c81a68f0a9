"""What is refused before any work, and a run's data found again by its flags."""

from __future__ import annotations

import pytest

from kd_keras.common.config import from_flagfile
from kd_keras.common.errors import UserError
from kd_keras.tasks import TaskSettings
from kd_keras.timing.settings import BenchmarkSettings


def test_the_lists():
    settings = BenchmarkSettings(lengths="32, 8,16,8", threads="2,1", teacher_formats="dynamic,float32")
    assert settings.length_list() == [8, 16, 32] and settings.thread_list() == [1, 2]
    assert settings.teacher_list() == ["float32", "dynamic"]
    assert BenchmarkSettings(teacher_formats="none").teacher_list() == []
    assert BenchmarkSettings().length_list(64) == [8, 16, 32]
    assert BenchmarkSettings().length_list(20) == [8, 16] and BenchmarkSettings().length_list(6) == [6]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"lengths": "8,x"}, "--lengths=8,x: expected whole numbers from 4 to 512 with commas, such as 8,16,32"),
        ({"lengths": ""}, "--lengths=: expected whole numbers"),
        ({"lengths": "3"}, "--lengths=3: expected whole numbers from 4"),
        ({"lengths": "8,,16"}, "--lengths=8,,16: expected"),
        ({"lengths": "-8"}, "--lengths=-8: expected"),
        ({"lengths": "1e3"}, "--lengths=1e3: expected"),
        ({"lengths": "²"}, "--lengths=²: expected"),
        ({"threads": "0"}, "--threads=0: expected whole numbers from 1 to 64 with commas, such as 1,2"),
        ({"threads": "1;2"}, "--threads=1;2: expected"),
        ({"teacher_formats": "float23"}, "--teacher_formats=float23: expected one or more of .* Did you mean float32"),
        ({"teacher_formats": "float32,none"}, "--teacher_formats=none: expected one or more of float32, dynamic"),
        ({"texts": 9}, "--texts=9: expected at least 10"),
        ({"rounds": 1}, "--rounds=1: expected at least 2"),
        ({"texts": 20, "rounds": 21}, "--texts=20: expected at least one for each of the 21 rounds"),
        ({"data_dir": "a", "data_file": "b"}, "--data_dir and --data_file exclude each other"),
    ],
)
def test_what_cannot_be_is_refused(given, says):
    with pytest.raises(UserError, match=says):
        BenchmarkSettings(**given)


def test_lengths_that_a_model_cannot_read():
    with pytest.raises(UserError, match="--lengths=32: the student reads at most 20 tokens"):
        BenchmarkSettings(lengths="8,32").length_list(20, "the student")


def test_flags_of_a_run():
    text = (
        "--task=custom\n--train_file=my data/a=b.csv\n--regression\n--teacher=minilm-l6\n--epochs=2.0\n--nobaseline\n"
        "# at their defaults:\n# --text_column=other\n--on_bad_row=skip\n"
    )
    want = TaskSettings(task="custom", train_file="my data/a=b.csv", regression=True, on_bad_row="skip")
    assert from_flagfile(TaskSettings, text) == want
    assert from_flagfile(TaskSettings, "--noregression\n--task=sst2\n") == TaskSettings(task="sst2")
    few = from_flagfile(TaskSettings, "--labels_per_class=50\n--labels_seed=2\n")
    assert few == TaskSettings(labels_per_class=50, labels_seed=2), "numbers, not their digits"
