"""What ``import kd_keras`` hands on: quickly, lazily, and with examples that run."""

from __future__ import annotations

import doctest
import inspect

import pytest

import kd_keras

LIGHT = "import sys, time; start = time.perf_counter(); import kd_keras; took = time.perf_counter() - start\n"


def test_importing_the_package_is_cheap(run_python):
    code = LIGHT + (
        "heavy = {'tensorflow', 'keras', 'tf_keras', 'transformers', 'numpy', 'sklearn', 'pyarrow'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "kd_keras.TaskSettings, kd_keras.load_data\n"
        "assert not {'tensorflow', 'keras', 'transformers'} & set(sys.modules)\n"
        "assert set(kd_keras.__all__) <= set(dir(kd_keras))\n"
    )
    done = run_python("-c", code)
    assert done.returncode == 0, done.stderr


def test_a_student_opens_without_a_teacher(make_run, run_python):
    """Keras alone: neither transformers nor the Keras of teachers is imported."""
    run = make_run()
    code = (
        # transformers sets it in this process, and TensorFlow then looks for the other Keras.
        "import os, sys\nos.environ.pop('TF_USE_LEGACY_KERAS', None)\n"
        "import numpy as np\nimport kd_keras as kd\nfrom kd_keras.tasks import Rows\n"
        f"runner = kd.Runner.load({str(run.folder)!r})\n"
        "scores = runner.scores(Rows(['a'], ['good film'], None, np.array([-1], np.int32)))\n"
        "assert scores.shape == (1, 3), scores\n"
        "heavy = {'transformers', 'tf_keras', 'tensorflow_text'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = run_python("-c", code)
    assert done.returncode == 0, done.stderr


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(AttributeError, match="has no attribute 'Distil'; it has Distiller, Runner"):
        kd_keras.Distil  # noqa: B018


@pytest.mark.parametrize("name", [n for n in kd_keras.__all__ if n != "__version__"])
def test_each_has_an_example_that_runs(name, tmp_path, monkeypatch, make_run, vocab):
    thing = getattr(kd_keras, name)
    assert inspect.getdoc(thing), name
    found = doctest.DocTestFinder(recurse=False).find(thing, name)
    assert sum(len(test.examples) for test in found), f"{name} has no example"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "RUN").symlink_to(make_run().folder)
    (tmp_path / "mine.csv").write_text("text,label\n" + "".join(f"good film {n},{'yn'[n % 2]}\n" for n in range(20)))
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    said: list[str] = []
    for test in found:
        test.globs = {**vars(inspect.getmodule(thing)), "vocab": vocab}
        runner.run(test, out=said.append)
    assert not runner.summarize(verbose=False).failed, "".join(said)
