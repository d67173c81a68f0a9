"""A long text is cut in every format as training cut it, also where a file reads fewer tokens than the student."""

from __future__ import annotations

import json

import numpy as np
import pytest

from kd_keras.deploy.runner import Runner
from kd_keras.deploy.settings import ExportSettings
from kd_keras.metrics import softmax
from kd_keras.tasks import Rows
from kd_keras.text.tokenizers import WordPiece, Words

LONG = [
    "good film the plot is dull and a bad film . very awful the lovely plot",
    "awful",
    "",
    "the film is a lovely plot and very good .",  # as many words as the student reads, and one more
    "a bad film is a bad film and the plot is the plot and good is good . fine fine fine",
]
# The same rule, written down again: how many stay from each end of a text of more than n.
ENDS = {"tail": lambda n: (0, n), "head_tail": lambda n: (int(np.ceil(n / 4)), n - int(np.ceil(n / 4)))}


def rows_of(texts) -> Rows:
    return Rows([str(i) for i in range(len(texts))], list(texts), None, np.full(len(texts), -1, np.int32))


def by_hand(run, texts, length: int, how: str) -> np.ndarray:
    """Keras' scores of the pieces that should be left, one text at a time."""
    kind = type(run.tokenizer)
    whole = kind(run.tokenizer.vocab, 1 << 20)
    out = []
    for text in texts:
        ids = whole.encode([text])[0].tolist()
        first, last = ENDS[how](length)
        kept = ids if len(ids) <= length else ids[:first] + ids[len(ids) - last :]
        out.append(run.model({"ids": np.array([kept or [0]], np.int32)})["logits"].numpy()[0])
    return softmax(np.array(out))


@pytest.fixture(scope="module", params=["tail", "head_tail"])
def exported(request, make_run, tmp_path_factory):
    from kd_keras.deploy.exporter import export

    run = make_run(truncation=request.param, words=request.param == "tail")
    assert type(run.tokenizer) is (Words if request.param == "tail" else WordPiece)
    text = tmp_path_factory.mktemp("text") / "check.txt"
    text.write_text("\n".join(t for t in LONG if t) + "\n")
    names = "saved_model,tflite_float32,tflite_loop_float32,tflite_int8"
    settings = ExportSettings(names, tflite_length=4, check_file=str(text), calibration_file=str(text))
    return request.param, run, export(run.folder, settings)


def test_keras_saved_model_and_loop_cut_at_the_students_length(exported):
    how, run, done = exported
    want = by_hand(run, LONG, 9, how)
    heads = by_hand(run, [" ".join(t.split()[:9]) for t in LONG], 9, how)
    assert np.abs(want - heads).max() > 0.1, "a head would be another answer"
    for name in ("keras", "saved_model", "tflite_loop_float32"):
        np.testing.assert_allclose(Runner.load(run.folder, name).scores(rows_of(LONG)), want, atol=1e-4, err_msg=name)
    assert done.files["saved_model"][1].pieces_differ == 0


def test_a_shorter_file_keeps_what_the_student_would_at_that_length(exported):
    how, run, done = exported
    runner = Runner.load(run.folder, "tflite_float32")
    np.testing.assert_allclose(runner.scores(rows_of(LONG)), by_hand(run, LONG, 4, how), atol=1e-4)
    assert runner.cut(rows_of(LONG)) == 3
    found = done.files["tflite/float32.tflite"][1]
    assert found.cut == 3 and found.max_score_difference < 1e-4, "the verification compares the same cut"


def test_the_ranges_of_integers_come_from_what_is_read(exported, monkeypatch):
    how, run, done = exported
    assert not done.failures, done.failures
    from kd_keras.deploy import exporter

    seen = []
    monkeypatch.setattr(exporter, "convert", lambda *a: seen.append(a[3]) or pytest.fail("enough"))
    with pytest.raises(pytest.fail.Exception, match="enough"):
        text = run.folder / "text.txt"
        text.write_text("\n".join(t for t in LONG if t) + "\n")
        exporter.export(run.folder, ExportSettings("tflite_int8", tflite_length=4, calibration_file=str(text)))
    whole = type(run.tokenizer)(run.tokenizer.vocab, 1 << 20).encode([LONG[0]])[0].tolist()
    first, last = ENDS[how](4)
    assert seen[0]["ids"][0].tolist() == whole[:first] + whole[len(whole) - last :]


def test_the_bundle_tells_the_app(exported):
    how, run, _ = exported
    about = json.loads((run.folder / "tflite" / "metadata.json").read_text())
    assert about["tokenizer"]["truncation"] == how and about["tokenizer"]["max_length"] == 9
    assert {"tail": "its last n stay", "head_tail": "⌈n/4⌉"}[how] in about["ids"]
