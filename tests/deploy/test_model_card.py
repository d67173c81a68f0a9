"""The README.md of a bundle, against the JSON files that it is made from."""

from __future__ import annotations

import json
import shutil

import pytest

from kd_keras.common import files
from kd_keras.common.layout import RunLayout
from kd_keras.deploy import card_commands, model_card
from kd_keras.deploy.settings import ExportSettings
from kd_keras.runs.finished import FinishedRun
from kd_keras.tasks import Task

METRICS = {
    "source": "--data_dir=/home/somebody/data/SST-2 (official files)",
    "notes": ["line 7: 'a private sentence'"],
    "rows": {"train": 4321, "dev": 87, "test": 65},
    "transfer_rows": {"all": 1234, "unlabeled": 5678},
    "seeds": [1, 2],
    "chosen_seed": 2,
    "teacher": {"name": "/home/somebody/berts/my-bert", "parameters": 7654321, "dev": {"accuracy": 0.9123}},
    "baseline": {"dev": {"accuracy": 0.7011}, "test": {"accuracy": 0.6922}, "spread": {"dev": {"accuracy": 0.0133}}},
    "student": {
        "parameters": 98765,
        "dev": {"accuracy": 0.8044},
        "test": {"accuracy": 0.7955},
        "spread": {"dev": {"accuracy": 0.0166}, "test": {"accuracy": 0.0177}},
        "per_seed": {"dev": [{"seed": 1, "accuracy": 0.79}, {"seed": 2, "accuracy": 0.8188}]},
    },
}
FLAGS = "--data_dir=/home/somebody/data/SST-2\n--unlabeled_files=/x/a b.txt,c.txt\n--nosplit_sentences\n# at their defaults:\n# --seed=1\n"


@pytest.fixture(scope="module")
def exported(make_run, tmp_path_factory, write_csv, toy_sentences):
    from kd_keras.deploy.exporter import export

    layout = RunLayout(make_run().folder)
    files.write_json(layout.metrics, METRICS)
    files.write_text(layout.flags, FLAGS)
    dev = write_csv(tmp_path_factory.mktemp("text") / "dev.csv", *toy_sentences(20, 5))
    done = export(layout.root, ExportSettings(formats="tflite_float32", check_file=str(dev)))
    assert not done.failures, done.failures
    return layout


@pytest.fixture
def run(exported, tmp_path):
    shutil.copytree(exported.root, tmp_path / "run")
    return RunLayout(tmp_path / "run")


def card(run: RunLayout) -> str:
    return (run.tflite / "README.md").read_text(encoding="utf-8")


def row(text: str, name: str) -> list[str]:
    return next(
        [c.strip() for c in line.strip("|").split("|")] for line in text.splitlines() if line.startswith(f"| {name} ")
    )


def test_its_numbers_are_those_of_the_json_files(exported):
    text = card(exported)
    assert row(text, "teacher") == ["teacher", "91.23", ""], "a split that was not scored stays empty"
    assert row(text, "student, no distillation")[1:] == ["70.11 ± 1.33", "69.22"]
    assert row(text, "student, distilled")[1:] == ["80.44 ± 1.66", "79.55 ± 1.77"]
    assert row(text, "in these files: distilled, seed 2")[1:] == ["81.88", ""]
    for said in ("98,765", "7,654,321", "train 4,321, dev 87, test 65", "augmented (all) 1,234, unlabeled 5,678"):
        assert said in text
    entry = json.loads((exported.tflite / "metadata.json").read_text())["models"]["float32.tflite"]
    v = entry["verification"]
    assert row(text, "float32.tflite") == [
        "float32.tflite", f"{entry['bytes']:,}", str(entry["length"]), f"{v['agreement']:.2%}", f"{100 * v['metrics']['accuracy']:.2f}",
        f"{100 * v['keras_metrics']['accuracy']:.2f}", str(v["rows"]), "dev.csv", "95%, ± 0.0001",
    ]  # fmt: skip
    assert v["allowed"] == {"max_score_difference": 1e-4, "clear_agreement": 0.98, "agreement": 0.95}
    for tensor in entry["inputs"]:
        assert f"`{tensor['name']}` int32 {tensor['shape']}" in text
    assert entry["reads"] in text and "`TextClassifier` takes these as they are: float32.tflite." in text


def test_it_says_nothing_of_the_machine_or_of_the_texts(exported):
    text = card(exported)
    assert "somebody" not in text and str(exported.root) not in text and "private sentence" not in text
    assert "Source: --data_dir=SST-2 (official files)" in text and "teacher my-bert" in text
    assert "--data_dir=DIR \\\n    --unlabeled_files=FILE \\\n    --nosplit_sentences\n" in text, "no private path"
    assert "--seed=1" not in text and "--task=toy" in text
    assert "https://a.example/b and n/a" in card_commands.public("https://a.example/b and n/a or (/x/y/z)")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("/home/some body/models/bert", "bert"),
        ("../bert/", "bert"),
        ("runs/of/mine/teacher", "teacher"),
        (r"C:\Users\me\bert", "bert"),
        ("here/bert", "bert"),
        ("google/bert_uncased_L-2", "google/bert_uncased_L-2"),
        ("all-MiniLM-L6-v2", "all-MiniLM-L6-v2"),
    ],
)
def test_a_teachers_name_is_the_last_part_of_its_path(name, shown, tmp_path, monkeypatch):
    (tmp_path / "here" / "bert").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert card_commands.checkpoint_name(name) == shown
    found = {"teacher": {"name": name}, "student": {}}
    task = Task("toy", "single", ("neg", "pos"))
    assert model_card.front_matter(task, found, None).base_model == shown
    about = {"vocab_size": 9, "tokenizer": {"kind": "wordpiece"}}
    assert f"the teacher {shown}. It reads" in model_card._what(task, about, found, None)


def test_a_second_export_describes_all_that_is_there(run):
    from kd_keras.deploy.exporter import export

    export(run.root, ExportSettings(formats="tflite_loop_dynamic"))
    text = card(run)
    assert row(text, "float32.tflite")[7] == "dev.csv" and row(text, "loop_dynamic.tflite")[2] == "any"
    assert row(text, "loop_dynamic.tflite")[4:6] == ["", ""], "invented sentences have no labels"
    assert "--formats=tflite_float32,tflite_loop_dynamic\n" in text
    model_card.write(FinishedRun.open(run.root), {}, {})
    assert not (run.tflite / "README.md").exists(), "nothing left to describe"


def test_the_front_matter_is_what_a_model_hub_reads(exported):
    from huggingface_hub import ModelCard

    found = ModelCard(card(exported)).data
    assert (found.language, found.license, found.base_model) == ("en", "other", "my-bert")
    assert found.metrics == ["accuracy"] and found.pipeline_tag == "text-classification"
    results = {r.dataset_split: r.metric_value for r in found.eval_results}
    assert results == {"dev": 0.8044, "test": 0.7955} and "$" not in card(exported)


def test_several_teachers_are_said_to_be_several(run):
    about = json.loads((run.tflite / "metadata.json").read_text())
    files.write_json(run.metrics, METRICS | {"teacher": METRICS["teacher"] | {"seeds": [1, 2]}})
    model_card.write(FinishedRun.open(run.root), about, about["models"])
    text = card(run)
    assert row(text, "2 teachers together")[1] == "91.23"
    assert "distilled from 2 teachers (my-bert)" in text and "Each teacher has 7,654,321 parameters." in text


def test_the_kept_student_may_be_the_baseline(run):
    about = json.loads((run.tflite / "metadata.json").read_text())
    assert about["arm"] == "distilled-seed2" and "made of distilled-seed2, the student that the run kept." in card(run)
    why = "Its dev accuracy is higher than that of every distilled one."
    baseline = METRICS["baseline"] | {"per_seed": {"dev": [{"seed": 1, "accuracy": 0.7123}]}}
    kept = {"arm": "baseline-seed1", "why": why}
    files.write_json(run.metrics, METRICS | {"baseline": baseline, "kept": kept})
    model_card.write(FinishedRun.open(run.root), about | {"arm": "baseline-seed1"}, about["models"])
    text = card(run)
    assert f"made of baseline-seed1, the student that the run kept. {why}" in text
    assert "distilled from" not in text and "teacher labeled" not in text and "teacher's errors" not in text
    assert row(text, "in these files: no distillation, seed 1")[1:] == ["71.23", ""] and "--arm" not in text
    model_card.write(FinishedRun.open(run.root), about | {"arm": "distilled-seed2"}, about["models"])
    text = card(run)
    assert "the run's distilled-seed2. The student that it kept is baseline-seed1." in text and why not in text
    assert "distilled from the teacher my-bert" in text and "--arm=distilled-seed2 --formats=" in text


@pytest.mark.parametrize(
    "found",
    [None, "{}", "[]", "{not json", '{"teacher": {"name": "bert"}}', '{"rows": {"dev": 3}, "student": {"dev": {}}}'],
)
def test_older_and_missing_files(run, found):
    about = json.loads((run.tflite / "metadata.json").read_text())
    run.flags.unlink()
    run.metrics.unlink() if found is None else run.metrics.write_text(found)
    model_card.write(FinishedRun.open(run.root), about, about["models"])
    text = card(run)
    assert "float32.tflite" in text and "## Scores" not in text and "kd_keras.train" not in text
    assert ("teacher bert" in text) == ("bert" in (found or ""))


def test_regressions_of_pairs(make_run):
    from dataclasses import replace

    from kd_keras.deploy.exporter import export
    from kd_keras.students.settings import StudentSettings

    small = StudentSettings(student="bilstm", embedding_size=12, hidden_size=17, dense_size=9)
    layout = RunLayout(make_run(replace(small, student="siamese"), regression=True).folder)
    assert not export(layout.root, ExportSettings(formats="tflite_loop_float32")).failures
    text = card(layout)
    assert "It reads pairs of texts and predicts a score." in text and '--text_b="second text"' in text
    assert "MediaPipe" not in text and "`ids_b` int32 [-1, -1]" in text and "| pearson" in text
