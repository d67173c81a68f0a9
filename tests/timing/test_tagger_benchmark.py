"""A tagger in the benchmark: batches, its words in files made for timing, and its teacher's."""

from __future__ import annotations

from copy import deepcopy
from types import SimpleNamespace

import numpy as np
import pytest
from made_taggers import ODD, random_tagger, tagged_rows

from kd_keras.formats import teacher_tflite
from kd_keras.formats.format import EXPORTS, Format
from kd_keras.formats.litert import LiteRT
from kd_keras.formats.tflite import convert
from kd_keras.runs.finished import FinishedRun
from kd_keras.students.weights import student_weights
from kd_keras.text.base import BERT_INPUTS
from kd_keras.text.windows import windows, word_pieces
from kd_keras.timing import report, tagging
from kd_keras.timing.models import MadeModels
from kd_keras.timing.turns import Worker
from kd_keras.timing.worker import KINDS

TEXTS = {"ids": [[5, 6, 7], [], [8], [9, 10, 11, 12, 13], [5, 6, 8]]}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder, weights = tmp_path_factory.mktemp("files"), student_weights(random_tagger(60, 5))
    for name, length in (("float32", 9), ("loop_float32", None)):
        (folder / f"{name}.tflite").write_bytes(convert(weights, EXPORTS[f"tflite_{name}"], length))
    return folder


def test_a_loop_answers_a_batch_in_one_call(files):
    answer, prepare = KINDS["tflite"](1)(str(files / "loop_float32.tflite"))
    (many,) = answer(prepare(TEXTS, [0, 2, 3]))
    assert many.shape == (3, 5, 5)
    for n, row in enumerate([0, 2, 3]):
        (one,) = answer(prepare(TEXTS, [row]))
        np.testing.assert_allclose(many[n, : one.shape[1]], one[0], atol=1e-5)


def test_a_fixed_length_answers_one_after_the_other(files):
    answer, prepare = KINDS["tflite"](1)(str(files / "float32.tflite"))
    said = answer(prepare(TEXTS, [0, 1, 3]))
    assert [x.shape for x in said] == [(1, 9, 5)] * 3 and not np.array_equal(said[0], said[2])


@pytest.mark.parametrize("name", ["float32", "loop_float32"])
def test_a_process_times_batches(files, name):
    with Worker("tflite", 1) as worker:
        worker.load(files / f"{name}.tflite")
        assert worker.run(TEXTS, batch=2).shape == (3,), "the last one is filled"
        assert worker.run(TEXTS, batch=32).shape == (1,) and worker.run(TEXTS).shape == (5,)


def test_a_student_made_for_timing_is_compared_by_words(make_tagger_run):
    folder, _ = make_tagger_run()
    rows = tagged_rows([t for t in ODD if t])
    made = MadeModels(FinishedRun.open(folder), rows)
    path = made.student(EXPORTS["tflite_float32"], 7)
    assert LiteRT(path).length == 7
    (found,) = made.checks().values()
    assert found["words"] > 600 and found["agreement"] == 1.0 and found["cut"] > 3
    assert made.student(EXPORTS["tflite_float32"], 7) == path


class Reader:
    """As a tagging teacher's tokenizer: windows between [CLS] and [SEP]."""

    def __init__(self, tokenizer, length: int = 12):
        self._tokenizer, self._length = tokenizer, length

    def like(self, length: int) -> Reader:
        return Reader(self._tokenizer, length)

    def windows(self, words, for_bert: bool):
        assert for_bert
        pieces = word_pieces(self._tokenizer._backend, words, self._tokenizer.unk_id)
        return windows(pieces, self._length - 2, 2, 3)


class Teacher:
    """Logits that depend on the piece, on all pieces that the mask lets through, and on the segment."""

    def __init__(self, vocab: int):
        import tensorflow as tf

        draw = np.random.default_rng(2)
        self.own, self.all = (tf.Variable(draw.normal(size=(vocab, 5)).astype(np.float32)) for _ in range(2))
        self.model = self
        self.weights = [self.own, self.all]
        self.tokenizer = SimpleNamespace(inputs=BERT_INPUTS)

    def __call__(self, batch, training=False):
        import tensorflow as tf

        ids, mask = batch["input_ids"], tf.cast(batch["attention_mask"], tf.float32)[:, :, None]
        near = tf.reduce_sum(tf.gather(self.all, ids) * mask, 1, keepdims=True)
        return {
            "logits": tf.gather(self.own, ids) + near + 9.0 * tf.cast(batch["token_type_ids"], tf.float32)[:, :, None]
        }

    def answer(self, batch):
        return self.model(batch, training=False)["logits"]


@pytest.mark.parametrize("batch", [1, 4])
def test_the_teachers_file_answers_for_words(tagger_tokenizer, tmp_path, batch):
    teacher, rows = Teacher(len(tagger_tokenizer)), tagged_rows(ODD)
    path = tmp_path / "teacher.tflite"
    path.write_bytes(teacher_tflite.convert(teacher, Format("t", "unrolled"), 10, batch))
    assert LiteRT(path).batch == batch
    some = tagging.teacher_windows(Reader(tagger_tokenizer), rows, 10)
    assert len(some) % 4 and int(some.ids.lengths.max()) == 10
    got = tagging.file_logits(path, some, tagger_tokenizer, 10, "test")
    assert got.lengths.tolist() == [len(t.split(" ")) if t else 0 for t in ODD]
    own, near = teacher.own.numpy(), teacher.all.numpy()
    want = np.zeros_like(got.flat())
    for i in range(len(some)):
        want[some.word[i]] = own[some.ids[i][some.at[i]]] + near[some.ids[i]].sum(0)
    np.testing.assert_allclose(got.flat(), want, atol=1e-4)


def test_the_page_tells_batches_apart():
    latency = lambda ms, **more: {"length": 8, "threads": 1, "p50": ms, "p90": ms, "p99": ms} | more  # noqa: E731
    models = [
        {"name": name, "latency": [latency(one), latency(many, batch=32)]}
        for name, one, many in (("tflite_loop_float32", 1.5, 20.25), ("teacher_float32", 15.0, 405.0))
    ]
    ratio = {"fast": "tflite_loop_float32", "slow": "teacher_float32", "length": 8, "threads": 1}
    said = {
        "models": models,
        "text": {"timed": [{"length": 8}]},
        "ratios": [ratio | {"median": 10.0}, ratio | {"median": 20.0, "batch": 32}],
    }
    lines = report._percentiles(said).splitlines()
    assert any("tflite_loop_float32, 32 texts" in x and "20.25 / 20.25" in x for x in lines)
    assert any("| tflite_loop_float32 " in x and "1.50 / 1.50" in x for x in lines)
    lines = report._ratios(said).splitlines()
    assert any("tflite_loop_float32, 32 texts" in x and "20.0" in x for x in lines)
    assert any("| tflite_loop_float32 " in x and "10.0" in x for x in lines)
    assert "32 together" in report._of_batches(said)
    alone = deepcopy(said)
    for m in alone["models"]:
        m["latency"].pop()
    assert report._of_batches(alone) == ""
