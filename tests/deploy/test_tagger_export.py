"""A tagger's files: made, compared word by word, and used without Keras."""

from __future__ import annotations

import json
import shutil
import zipfile
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from made_taggers import LETTERS, ODD, WORDS, keras_tags, made_windows, tagged_rows

from kd_keras.common.errors import UserError
from kd_keras.deploy import agreement, invented
from kd_keras.deploy.agreement import compare, require_agreement, table
from kd_keras.deploy.runner import Runner
from kd_keras.deploy.settings import ExportSettings
from kd_keras.deploy.texts import Texts
from kd_keras.formats.format import EXPORTS, SAVED_MODEL
from kd_keras.metrics import softmax

FORMATS = "tflite_float32,tflite_int8,tflite_loop_dynamic,saved_model"
SPLIT = [text.split(" ") if text else [] for text in ODD]


def check_texts(count: int = 120) -> list[str]:
    draw = np.random.default_rng(7)
    plain = [*(w for w in WORDS if not w.startswith("##")), *LETTERS]
    return [" ".join(draw.choice(plain, draw.integers(1, 20))) for _ in range(count)]


@pytest.fixture(scope="module")
def exported(make_tagger_run):
    """Random weights have more close calls than a trained tagger: the bounds of an export are told apart elsewhere."""
    from kd_keras.deploy import exporter

    folder, model = make_tagger_run()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(SAVED_MODEL), "of_words", lambda fmt: replace(fmt, agreement=0.9, close_calls=0.1))
        rows = tagged_rows([*check_texts(), *ODD])
        texts = Texts([EXPORTS[n] for n in FORMATS.split(",")], "made up", rows, tagged_rows(check_texts(60)))
        done = exporter.export(folder, ExportSettings(formats=FORMATS), texts)
    assert not done.failures, done.failures
    return folder, model, done


def test_the_bundle(exported, tagger_tokenizer):
    folder, _, done = exported
    bundle, names = folder / "tflite", {"float32.tflite", "int8.tflite", "loop_dynamic.tflite"}
    beside = {"metadata.json", "labels.txt", "vocab.txt", "tokenizer.json", "README.md"}
    assert {p.name for p in bundle.iterdir()} == names | beside
    assert (bundle / "labels.txt").read_text() == "O\nB-LOC\nI-LOC\nB-PER\nI-PER\n"
    assert (bundle / "vocab.txt").read_bytes() == (folder / "vocab.txt").read_bytes()
    assert (bundle / "tokenizer.json").read_bytes() == (folder / "tokenizer.json").read_bytes()
    about = json.loads((bundle / "metadata.json").read_text())
    assert "first piece" in about["words"] and "windows" in about["words"] and about["task"]["kind"] == "tagging"
    for name, entry in about["models"].items():
        found = entry["verification"]
        assert found["words"] > 1000 and found["rows"] == 130 and found["cut"] > 10
        assert entry["mediapipe"] == "no: it has no task for a tagger"
        assert entry["length"] == (None if "loop" in name else 12)
    assert done.files["tflite/float32.tflite"][1].agreement == 1.0


def test_the_file_says_what_it_is_and_no_classifier(exported):
    from ai_edge_litert import schema_py_generated as schema

    content = (exported[0] / "tflite" / "loop_dynamic.tflite").read_bytes()
    with zipfile.ZipFile(BytesIO(content)) as inside:
        assert set(inside.namelist()) == {"labels.txt", "vocab.txt"}
        assert inside.read("labels.txt") == b"O\nB-LOC\nI-LOC\nB-PER\nI-PER\n"
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    (entry,) = [m for m in model.metadata if m.name == b"TFLITE_METADATA"]
    said = bytes(model.buffers[entry.buffer].data)
    assert b"first piece" in said and b"max_length 12" in said
    assert b"lassifi" not in said and b"MediaPipe" not in said


@pytest.mark.parametrize("name", ["keras", *FORMATS.split(",")])
def test_each_format_answers_for_every_word(exported, tagger_tokenizer, name):
    folder, model, _ = exported
    runner = Runner.load(folder, name)
    got = runner.tag_logits(SPLIT)
    assert got.lengths.tolist() == [len(words) for words in SPLIT] and max(got.lengths) > 500
    some = made_windows(tagger_tokenizer, ODD, 12)
    want = keras_tags(model, some)
    near = {"tflite_int8": 2.5, "tflite_loop_dynamic": 0.6}.get(name, 1e-4)
    assert np.ptp(want) > 5 and np.abs(got.flat() - want).max() < near
    np.testing.assert_allclose(runner.scores(tagged_rows(ODD)).flat(), softmax(got.flat()), atol=1e-7)
    assert runner.windows(SPLIT).long_rows == some.long_rows == 1 and runner.cut(tagged_rows(ODD)) == 0
    assert len(runner.tag_logits([])) == 0 and runner.tag_logits([[]]).flat().shape == (0, 5)


def test_a_shorter_file_reads_more_windows(make_tagger_run, tagger_tokenizer):
    from kd_keras.deploy.exporter import export

    folder, model = make_tagger_run()
    texts = Texts([EXPORTS["tflite_float32"]], "made up", tagged_rows(check_texts()), None)
    done = export(folder, ExportSettings(formats="tflite_float32", tflite_length=5), texts)
    assert not done.failures
    got = Runner.load_file(folder / "tflite" / "float32.tflite").tag_logits(SPLIT)
    want = keras_tags(model, made_windows(tagger_tokenizer, ODD, 5))
    np.testing.assert_allclose(got.flat(), want, atol=1e-4)


def test_a_file_is_used_without_tensorflow(exported, run_python, tmp_path):
    shutil.copytree(exported[0] / "tflite", tmp_path / "phone")
    code = (
        "import sys; from kd_keras.deploy.runner import Runner; "
        f"r = Runner.load_file({str(tmp_path / 'phone' / 'int8.tflite')!r}); "
        "print(r.tag_logits([['Ada', 'said'], []]).lengths.tolist(), {'tensorflow', 'keras'} & set(sys.modules))"
    )
    done = run_python("-c", code)
    assert done.stdout.strip() == "[2, 0] set()", done.stderr


def test_words_mixed_up_between_directions_are_found(make_tagger_run, monkeypatch):
    from kd_keras.deploy import exporter

    folder, _ = make_tagger_run()
    right = exporter.student_weights

    def mixed_up(*given):
        w = right(*given)
        return replace(w, forward=w.backward, backward=w.forward)

    monkeypatch.setattr(exporter, "student_weights", mixed_up)
    formats = [EXPORTS[n] for n in ("tflite_float32", "tflite_loop_dynamic")]
    texts = Texts(formats, "made up", tagged_rows(check_texts()), None)
    done = exporter.export(folder, ExportSettings(), texts)
    assert not done.files and "float32.tflite: differs from Keras by" in done.failures[0]
    assert "loop_dynamic.tflite: gives Keras' tag on" in done.failures[1] and "words that Keras" in done.failures[1]
    assert not list((folder / "tflite").glob("*.tflite"))


def test_the_bounds_are_of_words(tagger_task):
    want = np.tile([[0.9, 0.025, 0.025, 0.025, 0.025]], (2000, 1))
    rows = tagged_rows(["a b"] * 1000)

    def found(wrong: int):
        got = want.copy()
        got[:wrong] = got[:wrong, ::-1]
        cut = [ragged(x) for x in (want, got, want)]
        return compare(tagger_task, rows, *cut)

    def ragged(x):
        from kd_keras.common.ragged import Ragged

        return Ragged.cut(x, np.full(1000, 2))

    assert found(3).agreement == 1 - 3 / 2000 and (found(3).rows, found(3).words) == (1000, 2000)
    dynamic, int8 = (EXPORTS[f"tflite_{n}"].of_words() for n in ("dynamic", "int8"))
    require_agreement(dynamic, "x", found(2))
    with pytest.raises(UserError, match=r"x: gives Keras' tag on 99.9% of the 2,000 words .* at least 99.9%"):
        require_agreement(dynamic, "x", found(3))
    require_agreement(int8, "x", found(20))
    with pytest.raises(UserError, match=r"x: gives .* at least 99%; on all 2,000 it is 99.0%, expected at least 98%"):
        require_agreement(int8, "x", found(21))
    assert "99.85%" in table({"x": (5, found(3))}, "entity_f1")


def test_scores_are_of_ragged_rows(tagger_task, monkeypatch):
    from kd_keras.common.ragged import Ragged

    asked = []

    def score(names, label, logits):
        asked.append((label, logits))
        return dict.fromkeys(names, 0.5)

    monkeypatch.setattr(agreement, "score", score)
    scores = Ragged.cut(np.eye(5)[[0, 1, 3]], np.array([2, 0, 1]))
    found = compare(tagger_task, tagged_rows(["a b", "", "c"], [[0, 1], [], [3]]), scores, scores, scores)
    assert found.metrics == {"entity_f1": 0.5, "conlleval_f1": 0.5}
    np.testing.assert_allclose(np.exp(asked[0][1][0]), np.eye(5)[[0, 1]], atol=1e-12)
    assert asked[0][0][2].tolist() == [3]


def test_invented_sentences_and_edge_cases(tagger_task):
    rows = invented.with_edge_cases(tagger_task, tagged_rows(["Ada said", "in Paris"], [[3, 0], [0, 1]]))
    assert {"", ".", "Paris", "a \u200b b"} < set(rows.text) and max(len(t.split(" ")) for t in rows.text) > 100
    assert rows.label[0].tolist() == [3, 0] and rows.label[len(rows) - 1].tolist() == [0, 1]
    assert rows.label.lengths.sum() == 4
    made = invented.built_in(tagger_task)
    assert len(set(made.text)) == len(made) > 60 and all(w for t in made.text if t for w in t.split(" "))
