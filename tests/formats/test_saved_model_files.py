"""SavedModels beside Keras, and in a process that has TensorFlow but not this package."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from kd_keras.common.errors import UserError
from kd_keras.deploy.runner import Runner
from kd_keras.deploy.settings import ExportSettings
from kd_keras.metrics import softmax
from kd_keras.students.settings import StudentSettings
from kd_keras.tasks import Rows

SMALL = StudentSettings(student="bilstm", embedding_size=12, hidden_size=17, dense_size=9)
FIRST = ["good film", "", "the dull plot is awful . good bad fine lovely the plot", "Gööd [MASK] !", "中文"]
SECOND = ["", "bad", "good film", "a film is a film", "very very dull"]
MADE = {
    "single": {},
    "words": {"words": True, "settings": replace(SMALL, pooling="max")},
    "pair": {"settings": replace(SMALL, student="siamese", channels="multichannel")},
    "regression": {"settings": replace(SMALL, student="siamese"), "regression": True},
}
# Nothing of this package: what a server would run.
ELSEWHERE = """
import json, pathlib, sys
import numpy as np, tensorflow as tf, tensorflow_text
asked, out = json.load(sys.stdin), {}
for name, (folder, texts, ids) in asked.items():
    model = tf.saved_model.load(folder)
    assert set(model.signatures) == {"text", "ids"}, list(model.signatures)
    answers = model.signatures["text"](**{k: tf.constant(v) for k, v in texts.items()})
    logits = model.signatures["ids"](**{k: tf.constant(v, tf.int32) for k, v in ids.items()})
    out[name] = {k: v.numpy().tolist() for k, v in answers.items() if v.dtype != tf.string}
    out[name]["labels"] = [t.decode() for t in answers["labels"].numpy()] if "labels" in answers else None
    out[name]["of ids"] = logits["logits"].numpy().tolist()
assert not [m for m in sys.modules if m.startswith("kd_keras")], "the package was needed"
print(json.dumps(out))
"""


def rows_of(run) -> Rows:
    nothing = np.full(len(FIRST), -1, np.int32)
    return Rows([str(i) for i in range(len(FIRST))], FIRST, SECOND if run.task.is_pair else None, nothing)


@pytest.fixture(scope="module")
def exported(make_run):
    from kd_keras.deploy.exporter import export

    runs = {name: make_run(**given) for name, given in MADE.items()}
    for run in runs.values():
        done = export(run.folder, ExportSettings(formats="saved_model"))
        assert not done.failures and done.files["saved_model"][1].max_score_difference < 1e-5
    return runs


def test_another_process_needs_tensorflow_and_its_text_only(exported, run_python):
    asked = {}
    for name, run in exported.items():
        rows = rows_of(run)
        texts = {"text": rows.text} | ({"text_b": rows.text_b} if rows.text_b else {})
        names = ("ids_a", "ids_b") if run.task.is_pair else ("ids",)
        encoded = {n: run.tokenizer.encode(t) for n, t in zip(names, texts.values(), strict=True)}
        ids = {n: t.padded(np.arange(len(t)), pad_to=7).tolist() for n, t in encoded.items()}
        asked[name] = (str(run.folder / "saved_model"), texts, ids)
    done = run_python("-c", ELSEWHERE, input=json.dumps(asked))
    assert done.returncode == 0, done.stderr[-2000:]
    got = json.loads(done.stdout)
    for name, run in exported.items():
        want = Runner.load(run.folder).logits(rows_of(run))
        np.testing.assert_allclose(got[name]["of ids"], want, atol=1e-5)
        if run.task.is_regression:
            np.testing.assert_allclose(got[name]["score"], want[:, 0], atol=1e-5)
            continue
        np.testing.assert_allclose(got[name]["logits"], want, atol=1e-5)
        np.testing.assert_allclose(got[name]["scores"], softmax(want), atol=1e-5)
        assert got[name]["labels"] == [run.task.labels[i] for i in want.argmax(-1)]
    labels = {label for answer in got.values() for label in answer["labels"] or ()}
    assert len(labels) > 1, "one label for all texts would prove nothing"


def test_a_runner_reads_it(exported):
    run = exported["pair"]
    rows = rows_of(run)
    keras, saved = Runner.load(run.folder), Runner.load(run.folder, "saved_model")
    np.testing.assert_allclose(saved.scores(rows), keras.scores(rows), atol=1e-5)
    assert saved.scores(rows.take([])).shape == (0, 3) and saved.cut(rows) == 0


def test_metadata_says_what_was_compared(exported):
    about = json.loads((exported["single"].folder / "saved_model" / "assets.extra" / "metadata.json").read_text())
    assert about["labels"] == ["neg", "so-so", "pos"] and about["tokenizer"]["kind"] == "wordpiece"
    found = about["verification"]
    assert found["rows"] > 50 and found["agreement"] == 1 and found["pieces_differ"] == 0


def test_a_folder_that_is_none(tmp_path):
    from kd_keras.formats.saved_model import LoadedModel

    with pytest.raises(UserError, match="cannot be loaded as a SavedModel of this package") as error:
        LoadedModel(tmp_path)
    assert "\n" not in str(error.value)


def test_a_folder_with_brackets_is_no_pattern(exported, tmp_path):
    import shutil

    from kd_keras.formats.saved_model import LoadedModel

    shutil.copytree(exported["single"].folder, tmp_path / "a[1]*")
    rows = rows_of(exported["single"])
    want = LoadedModel(exported["single"].folder / "saved_model").scores(rows)
    np.testing.assert_array_equal(LoadedModel(tmp_path / "a[1]*" / "saved_model").scores(rows), want)
