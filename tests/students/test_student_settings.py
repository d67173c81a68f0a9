"""What a command can refuse before anything heavy is imported."""

from __future__ import annotations

import numpy as np
import pytest

from kd_keras.common.errors import UserError
from kd_keras.students.settings import READS_PAIRS, StudentSettings, student_name


def test_every_registered_student_says_what_it_reads():
    from kd_keras.students.bilstm import STUDENTS

    assert sorted(READS_PAIRS) == STUDENTS.names()


@pytest.mark.parametrize(
    ("asked", "pair", "got"),
    [(None, False, "bilstm"), (None, True, "siamese"), ("bilstm", False, "bilstm"), ("siamese", True, "siamese")],
)
def test_a_task_gets_the_student_that_fits(asked, pair, got):
    assert student_name(StudentSettings(student=asked), pair) == got


@pytest.mark.parametrize(
    ("asked", "pair", "message"),
    [
        ("bilstm", True, "--student=bilstm: does not read pairs, .* expected siamese, or leave --student out"),
        ("siamese", False, "--student=siamese: does not read single sentences, .* expected bilstm, or leave"),
    ],
)
def test_a_student_that_does_not_fit_is_refused(asked, pair, message):
    from kd_keras.students.bilstm import build_student

    settings = StudentSettings(student=asked)
    with pytest.raises(UserError, match=message):
        student_name(settings, pair)
    with pytest.raises(UserError, match=message):
        build_student(settings, np.zeros((8, 4), np.float32), 2, 1, pair)


def test_the_width_is_as_asked_for_or_tangs():
    assert StudentSettings().width() == 300
    assert StudentSettings(embedding_size=8).width() == 8
    assert StudentSettings(tokenizer="words", embeddings="random").width() == 300


def test_the_width_of_vectors_is_that_of_their_file(tmp_path):
    path = tmp_path / "v.txt"
    path.write_text("film 1 2 3\n")
    vectors = {"tokenizer": "words", "embeddings": "vectors", "vectors": str(path)}
    assert StudentSettings(**vectors).width() == 3
    assert StudentSettings(embedding_size=3, **vectors).width() == 3
    with pytest.raises(UserError, match="--embedding_size=300: expected 3, the width of --vectors=.*v.txt; leave"):
        StudentSettings(embedding_size=300, **vectors).width()
    path.unlink()
    with pytest.raises(UserError, match="--vectors: no such file"):
        StudentSettings(**vectors).width()


def test_channels_are_one_of_three():
    with pytest.raises(UserError, match="--channels=both: expected one of nonstatic, static, multichannel"):
        StudentSettings(channels="both")


def test_the_checks_import_nothing_heavy(run_python):
    code = (
        "import sys\n"
        "from kd_keras.students.settings import StudentSettings, student_name\n"
        "student_name(StudentSettings(), True), StudentSettings().width()\n"
        "print([m for m in ('keras', 'tensorflow', 'pyarrow', 'tokenizers') if m in sys.modules])\n"
    )
    done = run_python("-c", code)
    assert done.stdout.strip() == "[]", done.stderr[-2000:]
