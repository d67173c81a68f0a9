"""The numbers of a benchmark, its turns and its processes. Nothing here asserts how long anything takes."""

from __future__ import annotations

import json
import statistics

import numpy as np
import pytest

from kd_keras.common.errors import UserError
from kd_keras.formats.format import EXPORTS
from kd_keras.timing.duration import expected, in_words
from kd_keras.timing.settings import BenchmarkSettings
from kd_keras.timing.turns import Worker, load_and_memory, percentiles, ratio, take_turns


def test_percentiles_are_those_of_the_standard_library():
    ms = np.random.default_rng(5).gamma(2.0, 3.0, 237)
    cuts = statistics.quantiles(ms.tolist(), n=100, method="inclusive")
    got = percentiles(ms)
    assert [got["p50"], got["p90"], got["p99"]] == pytest.approx([cuts[49], cuts[89], cuts[98]])
    assert got["mean"] == pytest.approx(statistics.fmean(ms)) and got["calls"] == 237 and got["min"] == min(ms)
    assert percentiles(np.array([2.0]))["p99"] == 2.0


def test_a_ratio_is_computed_round_by_round():
    slow = [np.array([10.0, 12.0, 500.0]), np.array([20.0, 20.0, 20.0]), np.array([9.0, 9.0, 9.0])]
    fast = [np.array([2.0, 2.0, 2.0]), np.array([5.0, 400.0, 5.0]), np.array([1.0, 1.0, 1.0])]
    assert ratio(slow, fast) == {"median": 6.0, "min": 4.0, "max": 9.0, "rounds": 3}


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.2, "1 second"), (59.4, "59 seconds"), (60, "1 minute"), (3590, "1 hour"), (5401, "1 hour 30 minutes")],
)
def test_durations_are_words(seconds, said):
    assert in_words(seconds) == said


def test_the_expected_time_is_that_of_all_texts_by_all_models():
    settings = BenchmarkSettings(texts=40, rounds=4, threads="1,2")
    # Two models of 10 and 20 ms, 40 texts and 5 before each of 4 turns, 3 lengths, 2 batches, 2 numbers of threads.
    assert expected(settings, [10.0, 20.0], 3, 2) == pytest.approx(0.03 * (40 + 4 * 5) * 3 * 2 * 2)


class Recorder:
    """A worker that writes down who was asked for what."""

    def __init__(self, name: str, log: list):
        self.name, self.log = name, log

    def run(self, inputs, batch=1):
        self.log.append((self.name, list(inputs["ids"])))
        return np.full(len(inputs["ids"]), 1.0)


def test_all_take_turns_on_the_same_texts():
    log, names = [], ["a", "b", "c", "d"]
    texts = [[n] for n in range(11)]
    workers = {n: Recorder(n, log) for n in names}
    took = take_turns(workers, {n: {"ids": texts} for n in names}, 3, "test")
    assert all(sum(len(r) for r in took[n]) == 11 and len(took[n]) == 3 for n in names)
    rounds = [log[i : i + 4] for i in range(0, 12, 4)]
    for turns in rounds:
        assert sorted(name for name, _ in turns) == names, "each once a round"
        assert all(asked == turns[0][1] for _, asked in turns), "the same texts in a round"
    assert len({tuple(name for name, _ in turns) for turns in rounds}) > 1, "not always after the same neighbour"
    assert sorted(t for turns in rounds for t in turns[0][1]) == texts, "each text once"
    with pytest.raises(ValueError, match="12 rounds of"):
        take_turns(workers, {n: {"ids": texts} for n in names}, 12, "test")


@pytest.fixture(scope="module")
def files(make_model, tmp_path_factory):
    """An unrolled and a loop file, and one whose embeddings are 20 MB."""
    from kd_keras.formats.tflite import convert
    from kd_keras.students.settings import StudentSettings
    from kd_keras.students.weights import student_weights

    folder, small = (
        tmp_path_factory.mktemp("files"),
        StudentSettings(student="bilstm", embedding_size=12, hidden_size=17, dense_size=9),
    )
    model = make_model(small, 60, 3)
    for name, length in (("float32", 9), ("loop_float32", None)):
        (folder / f"{name}.tflite").write_bytes(convert(student_weights(model), EXPORTS[f"tflite_{name}"], length))
    large = make_model(StudentSettings(student="bilstm", embedding_size=100, hidden_size=17, dense_size=9), 50_000, 3)
    (folder / "large.tflite").write_bytes(convert(student_weights(large), EXPORTS["tflite_float32"], 9))
    return folder


def test_a_process_of_its_own_times_each_text(files):
    texts = {"ids": [[5, 6, 7], [], [8], [9, 10, 11, 12, 13]]}
    for name in ("float32", "loop_float32"):
        with Worker("tflite", 1) as worker:
            assert worker.load(files / f"{name}.tflite")["ms"] > 0
            ms = worker.run(texts)
            assert ms.shape == (4,) and (ms > 0).all()
            assert worker.run({"ids": np.array([[1, 2], [3, 4]])}, warm_up=0).shape == (2,)


def test_memory_is_the_models(files, run_python):
    texts = {"ids": [list(range(1, 10)), [3]]}
    small = load_and_memory("tflite", files / "float32.tflite", texts)
    ids = {"ids": np.random.default_rng(0).integers(1, 50_000, (5000, 9)).tolist()}
    large = load_and_memory("tflite", files / "large.tflite", ids)
    assert large["model_mb"] - small["model_mb"] > 15, "each row of a table of 20 MB was read"
    assert small["text_ms"] > 0 and large["text_ms"] > 0
    assert small["model_mb"] < 15 < small["peak_mb"], "Python and NumPy are in the whole peak only"
    # Against another reading of the same process, before and after 80 MB are taken and given back.
    code = (
        "import json, mmap, psutil\nfrom kd_keras.common.machine import memory_mb\n"
        "said = [memory_mb()]; true = psutil.Process().memory_info().rss / 1e6\n"
        "block = mmap.mmap(-1, 80_000_000); block.write(bytes(80_000_000)); block.close()\n"
        "said.append(memory_mb()); print(json.dumps([*said, true]))"
    )
    before, after, true = json.loads(run_python("-c", code).stdout)
    assert before["now"] == pytest.approx(true, rel=0.1)
    assert after["peak"] - before["now"] > 79 and after["now"] < after["peak"] - 70


def test_what_fails_in_the_process_is_said(files, tmp_path):
    (tmp_path / "none.tflite").write_bytes(b"no model at all, but some bytes that are long enough")
    with Worker("tflite", 1) as worker:
        with pytest.raises(UserError, match="none.tflite: cannot be loaded as a TFLite file"):
            worker.load(tmp_path / "none.tflite")
        worker.load(files / "float32.tflite")
        with pytest.raises(UserError, match="the process that timed tflite run ended: .*other"):
            worker.run({"other": [[1]]})
