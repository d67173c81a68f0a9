"""The trained students in saved_models/: small, whole, and they answer right after installation."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from kd_keras.common.layout import BundleLayout
from kd_keras.deploy import model_card
from kd_keras.deploy.runner import Runner
from kd_keras.tasks import Rows

ROOT = Path(__file__).resolve().parents[1]
# Folder → the most bytes of a file.
LIMITS = {"sst2/nano": 0.3e6, "sst2/micro": 0.7e6, "sst2/mobile": 2e6, "rotten_tomatoes/mobile": 2e6}
BUNDLES = [ROOT / "saved_models" / name / "tflite" for name in LIMITS]
TAGGER = ROOT / "saved_models" / "conll2003" / "mobile" / "tflite"
LANGUAGES = ROOT / "saved_models" / "panx" / "mobile" / "tflite"
TAGGERS = [TAGGER, LANGUAGES]
UNIVERSAL = ROOT / "saved_models" / "universal" / "mobile" / "tflite"
# The universal student's own folder is a run's: other students start from it.
SHIPPED = [*BUNDLES, *TAGGERS, UNIVERSAL]
FILES = [pytest.param(b / "dynamic.tflite", id=name) for b, name in zip(BUNDLES, LIMITS, strict=True)]
SAID = {"a gorgeous, witty and moving film": "positive", "a dull mess of a movie": "negative"}


def test_together_they_are_small():
    sizes = {p: p.stat().st_size for b in SHIPPED for p in b.rglob("*") if p.is_file()}
    assert sum(size for path, size in sizes.items() if {*BUNDLES} & {*path.parents}) < 9e6
    for bundle, most in zip(BUNDLES, LIMITS.values(), strict=True):
        assert all(path.stat().st_size <= most for path in bundle.glob("*.tflite")), bundle
    assert sum(size for path, size in sizes.items() if TAGGER in path.parents) < 4e6
    assert sum(size for path, size in sizes.items() if LANGUAGES in path.parents) < 8e6
    assert sum(size for path, size in sizes.items() if UNIVERSAL in path.parents) < 8e6
    most = {p: 4e6 if {LANGUAGES, UNIVERSAL} & {*p.parents} else 2e6 for p in sizes}
    assert all(size <= most[path] for path, size in sizes.items() if path.suffix == ".tflite")


def test_what_is_committed_is_the_bundles_and_no_more():
    listed = subprocess.run(["git", "ls-files", "saved_models"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git work tree")
    folders = {str((ROOT / p).parent) for p in listed.stdout.split()}
    assert folders == {str(ROOT / "saved_models"), *map(str, SHIPPED), str(UNIVERSAL.parent)}


@pytest.mark.parametrize("bundle", SHIPPED, ids=["/".join(b.parts[-3:-1]) for b in SHIPPED])
def test_the_bundle_is_whole(bundle):
    layout = BundleLayout(bundle)
    about = json.loads(layout.metadata.read_text())
    assert {p.name for p in bundle.iterdir()} == {
        *about["models"],
        *(p.name for p in (layout.card, layout.metadata, layout.vocab)),
        *([layout.labels.name] if bundle != UNIVERSAL else []),
        *([layout.tokenizer.name] if bundle in TAGGERS else []),  # a cased one says so
    }
    card = layout.card.read_text()
    for name, entry in about["models"].items():
        assert (bundle / name).stat().st_size == entry["bytes"] and f"{entry['bytes']:,}" in card
        assert entry["verification"]["agreement"] >= 0.995
        assert entry["checked_on"] == ("the text of the run" if bundle == UNIVERSAL else "dev split")
    assert ("student, distilled" in card or bundle == UNIVERSAL) and "Apache License 2.0" in card


@pytest.mark.parametrize("bundle", SHIPPED, ids=["/".join(b.parts[-3:-1]) for b in SHIPPED])
def test_its_card_says_what_an_export_would_write(bundle):
    # What depends on the run's scores and flags cannot be made again: metrics.json is not shipped.
    card = BundleLayout(bundle).card.read_text(encoding="utf-8")
    about = json.loads(BundleLayout(bundle).metadata.read_text())
    made = model_card.page(about, about["models"], {}, "", None)
    for title in ("Use", "Limits", "Licence"):
        assert section(card, title) == section(made, title)


def section(card: str, title: str) -> str:
    return card.split(f"## {title}\n")[1].split("\n## ")[0]


@pytest.mark.parametrize("path", FILES)
def test_it_tells_praise_from_blame(path):
    runner = Runner.load_file(path)
    rows = Rows(["0", "1"], list(SAID), None, np.full(2, -1, np.int32))
    called = [runner.task.labels[i] for i in runner.scores(rows).argmax(-1)]
    assert called == list(SAID.values())


def test_predict_takes_it_without_tensorflow(run_verb):
    texts = list(SAID)
    for bundle in BUNDLES:
        (answer,) = run_verb("predict", [f"--model={bundle / 'dynamic.tflite'}", *texts])
        assert answer["code"] == 0 and not answer["tf"], answer["err"]
        lines = [json.loads(line) for line in answer["out"].splitlines()]
        assert [line["label"] for line in lines] == list(SAID.values())


@pytest.mark.parametrize("name", ["dynamic.tflite", "loop_dynamic.tflite"])
def test_the_tagger_finds_names_without_tensorflow(run_verb, name):
    text = "Ada Lovelace met a reporter of Reuters in London ."
    (answer,) = run_verb("predict", [f"--model={TAGGER / name}", text])
    assert answer["code"] == 0 and not answer["tf"], answer["err"]
    found = {(e["type"], e["surface"]) for e in json.loads(answer["out"])["entities"]}
    assert found == {("PER", "Ada Lovelace"), ("ORG", "Reuters"), ("LOC", "London")}


def test_one_tagger_finds_names_in_many_languages(run_verb):
    said = {
        "Владимир Иванов живёт в Париже .": ("PER", "Владимир Иванов"),
        "Maria Fernandes vive em Lisboa .": ("PER", "Maria Fernandes"),
        "Ada Lovelace was born in London .": ("LOC", "London"),
    }
    (answer,) = run_verb("predict", [f"--model={LANGUAGES / 'loop_dynamic.tflite'}", *said])
    assert answer["code"] == 0 and not answer["tf"], answer["err"]
    for line, (kind, surface) in zip(answer["out"].splitlines(), said.values(), strict=True):
        assert (kind, surface) in {(e["type"], e["surface"]) for e in json.loads(line)["entities"]}, line


@pytest.mark.parametrize("name", ["dynamic.tflite", "loop_dynamic.tflite"])
def test_sentences_that_mean_alike_have_near_vectors(run_verb, name):
    texts = ["how do I change my password", "I want to set a new password", "the soup needs more salt"]
    (answer,) = run_verb("embed", [f"--model={UNIVERSAL / name}", *texts])
    assert answer["code"] == 0 and not answer["tf"], answer["err"]
    a, b, c = (np.array(json.loads(line)["vector"]) for line in answer["out"].splitlines())
    assert a.shape == (256,) and abs(a @ a - 1) < 1e-3
    assert a @ b > 0.6 and a @ c < 0.3


def test_evaluate_takes_a_file_alone(run_verb, tmp_path):
    dev = tmp_path / "dev.conll"
    dev.write_text("Ada B-PER\nLovelace I-PER\nlived O\nin O\nLondon B-LOC\n. O\n")
    (answer,) = run_verb("evaluate", [f"--model={TAGGER / 'dynamic.tflite'}", f"--data_file={dev}"])
    assert answer["code"] == 0 and not answer["tf"], answer["err"]
    found = json.loads(answer["out"])
    assert (found["rows"], found["entity_f1"], found["format"]) == (1, 1.0, "tflite_dynamic")
    labels = tmp_path / "dev.tsv"
    labels.write_text(
        "sentence\tlabel\n" + "".join(f"{text}\t{int(said == 'positive')}\n" for text, said in SAID.items())
    )
    (answer,) = run_verb("evaluate", [f"--model={BUNDLES[0] / 'dynamic.tflite'}", f"--data_file={labels}"])
    assert json.loads(answer["out"])["accuracy"] == 1.0, answer["err"]
    one, data = f"--model={BUNDLES[0] / 'dynamic.tflite'}", f"--data_file={labels}"
    for wrong, said in (
        ([data], "error: give either --model_dir=DIR"),
        ([one, f"--model_dir={UNIVERSAL.parent}", data], "error: give either --model_dir=DIR"),
        ([one, "--formats=keras", data], "error: --formats=keras: --model names one file"),
    ):
        (answer,) = run_verb("evaluate", wrong)
        assert answer["code"] == 2 and answer["err"].startswith(said), answer["err"]


def test_a_student_can_start_from_the_universal_one():
    folder = UNIVERSAL.parent
    run = json.loads((folder / "run.json").read_text())
    assert {"student", "vocab_size", "embedding_size", "hidden_size", "pooling"} <= run["student"].keys()
    assert (folder / "student.keras").stat().st_size < 6e6
    texts = ["a gorgeous, witty and moving film", "how do I reset my password?", "naïve cafés", "."]
    rows = Rows([str(i) for i in range(4)], texts, None, np.full(4, -1, np.int32))
    keras, phone = Runner.load(folder).scores(rows), Runner.load_file(UNIVERSAL / "loop_dynamic.tflite").scores(rows)
    cosines = (keras * phone).sum(-1) / np.linalg.norm(keras, axis=-1) / np.linalg.norm(phone, axis=-1)
    assert cosines.min() > 0.998
