"""Files of one's own that go wrong easily: a weak teacher, rare classes, many classes, hardly any rows."""

from __future__ import annotations

import csv
import json
import shlex
from itertools import permutations

import numpy as np
import pytest
from sklearn.metrics import f1_score

FLAGS = [
    "--task=custom", "--teacher_batch_size=8", "--teacher_max_length=16", "--student_max_length=9", "--batch_size=32",
    "--learning_rate=0.02", "--embedding_size=8", "--hidden_size=6", "--dense_size=8", "--epochs=4", "--recipe=soft",
    "--augment=none", "--unlabeled=none",
]  # fmt: skip
TRAINED = ["--teacher_epochs=4", "--teacher_learning_rate=1e-2"]
WEAK = ["--teacher_epochs=0.2", "--teacher_learning_rate=1e-8"]
WORDS = ("good", "fine", "lovely", "bad", "dull", "awful", "a", "film", "the", "plot", "is", "and")


def write(path, rows):
    with open(path, "w", newline="", encoding="utf-8") as f:
        csv.writer(f).writerows([("text", "label"), *rows])
    return path


@pytest.fixture(scope="module")
def files(toy_sentences, tmp_path_factory):
    away = tmp_path_factory.mktemp("own")
    texts, labels = toy_sentences(240, 0)
    named = [(t, ("neg", "pos")[n]) for t, n in zip(texts, labels, strict=True)]
    write(away / "even.csv", named[:120])
    few = [r for r in named if r[1] == "pos"][:14]
    write(away / "uneven.csv", [r for r in named if r[1] == "neg"][:106] + few)
    write(away / "dev.csv", [(t, ("neg", "pos")[n]) for t, n in zip(*toy_sentences(40, 1), strict=True)])
    write(away / "dev-pos.csv", [r for r in named[120:] if r[1] == "pos"][:20])
    write(away / "tiny.csv", named[:20])
    pairs = [" ".join(p) for p in permutations(WORDS, 2)][:120]
    write(
        away / "many.csv",
        [(f"{p} {end}", f"class-{n:03d}") for n, p in enumerate(pairs) for end in ("very", ". .", "")],
    )
    write(
        away / "two-each.csv", [(f"{p} {end}", f"class-{n}") for n, p in enumerate(pairs[:10]) for end in ("very", "")]
    )
    return away


@pytest.fixture(scope="module")
def runs(files, bert_folder, run_verb):
    shared = [*FLAGS, f"--teacher={bert_folder}"]
    dev = f"--dev_file={files}/dev.csv"
    cases = {
        "weak": [*WEAK, f"--train_file={files}/even.csv", dev],
        "allowed": [*WEAK, f"--train_file={files}/even.csv", dev, "--allow_weak_teacher"],
        "mixed": [*WEAK, f"--train_file={files}/even.csv", dev, "--allow_weak_teacher", "--alpha=0.5"],
        "uneven": [*TRAINED, f"--train_file={files}/uneven.csv", "--allow_weak_teacher", "--class_weights=balanced"],
        "many": [*TRAINED, f"--train_file={files}/many.csv", "--allow_weak_teacher"],
        "tiny": [*TRAINED, f"--train_file={files}/tiny.csv", "--allow_weak_teacher"],
        "two": [*TRAINED, f"--train_file={files}/two-each.csv", "--allow_weak_teacher"],
        "lacks": [*TRAINED, f"--train_file={files}/even.csv", f"--dev_file={files}/dev-pos.csv", "--allow_weak_teacher"],
    }  # fmt: skip
    got = run_verb(
        "train", *([*shared, *c, f"--output_dir={files / 'runs' / n}"] for n, c in cases.items()), eager=True
    )
    return dict(zip(cases, got, strict=True))


def metrics(files, name: str) -> dict:
    return json.loads((files / "runs" / name / "metrics.json").read_text())


def test_a_weak_teacher_stops_the_run_before_the_long_work(files, runs):
    weak = runs["weak"]
    assert weak["code"] == 2
    said = weak["err"].splitlines()[-1]
    assert said.startswith("error: the teacher has dev accuracy ") and "of a linear model (TF-IDF)" in said
    assert "--teacher_epochs" in said and "--allow_weak_teacher" in said
    assert "labeling train" not in weak["err"] and not (files / "runs" / "weak" / "arms").exists()


def test_the_best_student_is_kept_and_distillation_that_did_not_help_is_said_first(files, runs):
    assert runs["allowed"]["code"] == 0, runs["allowed"]["err"][-2000:]
    found, folder = metrics(files, "allowed"), files / "runs" / "allowed"
    assert found["baseline"]["dev"]["accuracy"] > found["student"]["dev"]["accuracy"], "or this would prove nothing"
    assert found["kept"]["arm"] == "baseline-seed1" and found["kept"]["kind"] == "baseline"
    one, other = (
        p.read_bytes() for p in (folder / "student.keras", folder / "arms" / "baseline-seed1" / "student.keras")
    )
    assert one == other
    report = (folder / "report.md").read_text().splitlines()
    assert report[2].startswith("Distillation did not help: dev accuracy ")
    assert "Likely cause: the teacher is no better than the student without it" in report[2]
    said = runs["allowed"]["out"].strip().splitlines()
    assert said[0] == report[2] == found["verdict"], "the first line of both"
    commands = [command for _, command in found["next"]]
    first = report.index("## Next")
    assert [line for line in report[first : first + 11] if line.startswith("python")] == commands
    assert [line.strip() for line in said if line.startswith("  python")] == commands
    assert [shlex.split(c)[2] for c in commands] == [f"kd_keras.{v}" for v in ("train", "train", "predict", "export")]
    for command in commands[:2]:
        again = shlex.split(command)[3:]
        assert again[0] == f"--flagfile={folder / 'flags.txt'}" and again[-1].startswith(f"--output_dir={folder}-")
    assert "Kept: baseline-seed1. Its dev accuracy is " in runs["allowed"]["out"]


def test_a_flag_that_does_not_touch_a_student_does_not_train_it_again(files, runs):
    said = runs["mixed"]["err"]
    assert runs["mixed"]["code"] == 0, said[-2000:]
    assert "student (no distillation, seed 1): made before, taken from" in said
    assert "distilled, seed 1:" in said, "the one that alpha changes is trained"
    assert metrics(files, "mixed")["baseline"] == metrics(files, "allowed")["baseline"]


def test_uneven_classes_are_selected_by_macro_f1_beside_a_constant(files, runs):
    assert runs["uneven"]["code"] == 0, runs["uneven"]["err"][-2000:]
    found = metrics(files, "uneven")
    assert any(n.startswith("classes are uneven: 'neg' has 88%") for n in found["notes"])
    assert any(n.startswith("class weights: neg ") for n in found["notes"])
    task = json.loads((files / "runs" / "uneven" / "task.json").read_text())
    assert (task["metric"], task["metrics"][0]) == ("macro_f1", "macro_f1")
    rows = found["rows"]["dev"]
    gold = np.array([0] * (rows - round(0.12 * rows)) + [1] * round(0.12 * rows))
    want = f1_score(gold, np.zeros(rows), average="macro", zero_division=0)
    assert found["references"]["constant"]["dev"]["macro_f1"] == pytest.approx(want, abs=0.02)
    assert "always the most frequent" in runs["uneven"]["out"]
    history = json.loads((files / "runs" / "uneven" / "history.json").read_text())
    assert all("dev_macro_f1" in e for e in history["distilled-seed1"]["epochs"])


def test_many_classes(files, runs, run_verb):
    assert runs["many"]["code"] == 0, runs["many"]["err"][-2000:]
    assert (files / "runs" / "many" / "plots" / "errors.png").is_file()
    (answer,) = run_verb("predict", [f"--model_dir={files / 'runs' / 'many'}", "good film very"])
    assert answer["code"] == 0 and len(json.loads(answer["out"])["scores"]) == 5


@pytest.mark.parametrize("name", ["tiny", "two"])
def test_hardly_any_rows(files, runs, name):
    assert runs[name]["code"] == 0, runs[name]["err"][-2000:]
    found = metrics(files, name)
    assert set(found["references"]) == {"linear"} and found["kept"]["arm"].endswith("-seed1")
    assert found["rows"]["dev"] >= 2


def test_a_dev_split_that_lacks_a_class_is_said(files, runs):
    assert runs["lacks"]["code"] == 0, runs["lacks"]["err"][-2000:]
    assert "dev: has no row of 1 of 2 labels (neg)" in metrics(files, "lacks")["notes"]
    assert "dev: has no row of 1 of 2 labels (neg)" in runs["lacks"]["err"], "said before the work"
