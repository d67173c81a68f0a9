"""Several labels a text through every command: train, predict, evaluate, export, benchmark's texts, compress."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score

LABELS = ("glad", "sad", "short")
FLAGS = [
    "--task=custom", "--multilabel", "--teacher_batch_size=8", "--teacher_max_length=16", "--student_max_length=9",
    "--batch_size=32", "--learning_rate=0.02", "--embedding_size=8", "--hidden_size=6", "--dense_size=8",
    "--teacher_epochs=6", "--teacher_learning_rate=1e-2", "--allow_weak_teacher", "--augment=none", "--unlabeled=none",
]  # fmt: skip


def rows_of(sentences, count: int, seed: int) -> list[dict]:
    """Half of the texts say both a glad and a sad word; a text of up to 5 words is short."""
    glad, sad = (sentences(count, s) for s in (seed, seed + 50))
    out = []
    for n in range(count):
        text = glad[0][n] + (" " + sad[0][n] if n % 4 > 1 else "")
        words = set(text.split())
        is_on = {
            "glad": words & {"good", "fine", "lovely"},
            "sad": words & {"bad", "dull", "awful"},
            "short": len(text.split()) <= 5,
        }
        out.append({"text": text, "label": [name for name in LABELS if is_on[name]]})
    return out


def gold_of(rows: list[dict]) -> np.ndarray:
    return np.array([[name in row["label"] for name in LABELS] for row in rows], int)


@pytest.fixture(scope="module")
def files(toy_sentences, tmp_path_factory):
    away = tmp_path_factory.mktemp("several")
    for split, count, seed in (("train", 160, 0), ("dev", 48, 1), ("test", 48, 2)):
        rows = rows_of(toy_sentences, count, seed)
        (away / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return away


def read(path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def runs(files, bert_folder, run_verb):
    splits = [f"--{split}_file={files}/{split}.jsonl" for split in ("train", "dev", "test")]
    shared = [*FLAGS, *splits, f"--teacher={bert_folder}"]
    cases = {
        "main": ["--epochs=20", "--evals_per_epoch=0.5", "--recipe=joint"],
        "soft": ["--epochs=4", "--recipe=soft", "--soft=kl", "--alpha=0.3", "--class_weights=balanced"],
        "hard": ["--epochs=2", "--recipe=hard", "--confidence=0.6", "--nobaseline"],
        "staged": ["--epochs=4", "--recipe=staged", "--nobaseline"],
    }
    got = run_verb(
        "train", *([*shared, *c, f"--output_dir={files / 'runs' / n}"] for n, c in cases.items()), eager=True
    )
    for name, done in zip(cases, got, strict=True):
        assert done["code"] == 0, (name, done["err"][-2000:])
    return dict(zip(cases, got, strict=True))


@pytest.fixture(scope="module")
def exported(files, runs, run_verb):
    (done,) = run_verb("export", [f"--model_dir={files / 'runs' / 'main'}"])
    assert done["code"] == 0, done["err"][-2000:]
    return files / "runs" / "main"


def test_the_report_has_scikit_learns_scores(files, runs):
    found = json.loads((files / "runs" / "main" / "metrics.json").read_text())
    assert {"linear", "teacher"} <= {*found["references"], *found}
    assert set(found["student"]["test"]) == {"micro_f1", "macro_f1", "exact_match"}
    assert found["student"]["test"]["micro_f1"] > 0.7, "or this would prove nothing"
    by_label = found["by_label"]["test"]
    assert [by_label[name]["rows"] for name in LABELS] == gold_of(read(files / "test.jsonl")).sum(0).tolist()
    assert set(found["thresholds"]) == set(LABELS) and all(0 < p < 1 for p in found["thresholds"].values())
    report = (files / "runs" / "main" / "report.md").read_text()
    assert re.search(r"\| label +\| rows \| given \| precision \| recall \| +F1 \|", report)
    assert "A text has a label if its score is over 0.5" in report


def predicted(run_verb, *flags) -> list[dict]:
    (done,) = run_verb("predict", list(flags))
    assert done["code"] == 0, done["err"][-2000:]
    return [json.loads(line) for line in done["out"].splitlines()]


def test_predict_and_evaluate_agree_with_scikit_learn(files, runs, run_verb):
    run, test = files / "runs" / "main", files / "test.jsonl"
    answers = predicted(run_verb, f"--model_dir={run}", f"--input={test}")
    called = gold_of([{"label": a["labels"]} for a in answers])
    assert all(set(a["labels"]) == {n for n, p in a["scores"].items() if p > 0.5} for a in answers)
    (done,) = run_verb("evaluate", [f"--model_dir={run}", f"--data_file={test}"])
    scores, gold = json.loads(done["out"]), gold_of(read(test))
    want = {
        "micro_f1": f1_score(gold, called, average="micro"),
        "macro_f1": f1_score(gold, called, average="macro", zero_division=0),
        "exact_match": accuracy_score(gold, called),
    }
    assert {name: scores[name] for name in want} == pytest.approx(want)
    kept = json.loads((run / "metrics.json").read_text())
    part = kept["student" if kept["kept"]["kind"] == "distilled" else "baseline"]["test"]
    assert part == pytest.approx(want)


def test_every_export_answers_as_keras_does(files, exported, run_verb):
    test = files / "test.jsonl"
    want = predicted(run_verb, f"--model_dir={exported}", f"--input={test}")
    models = sorted((exported / "tflite").glob("*.tflite"))
    assert len(models) >= 5
    for model in models:
        got = predicted(run_verb, f"--model={model}", f"--input={test}")
        apart = [abs(a["scores"][n] - b["scores"][n]) for a, b in zip(got, want, strict=True) for n in LABELS]
        assert max(apart) < (0.15 if "int8" in model.name else 0.02), model.name
    from kd_keras.deploy.runner import Runner
    from kd_keras.tasks import read_texts

    runner = Runner.load(exported, "saved_model")
    rows = read_texts(str(test), task=runner.task)
    loaded = runner.student.answers(rows)
    assert [x.decode() for x in loaded["labels"]] == [", ".join(a["labels"]) for a in want]
    about = json.loads((exported / "tflite" / "metadata.json").read_text())
    assert about["scores"].startswith("a probability for each label")
    assert about["models"]["float32.tflite"]["mediapipe"] == "TextClassifier"
    card = (exported / "tflite" / "README.md").read_text()
    assert "gives any of these labels, each by itself: glad, sad, short" in card and "add up to 1" not in card


def test_mediapipe_would_show_each_labels_own_score(exported):
    import tensorflow as tf

    for name in ("float32", "int8"):
        interpreter = tf.lite.Interpreter(str(exported / "tflite" / f"{name}.tflite"))
        ops = {op["op_name"] for op in interpreter._get_ops_details()}
        assert "LOGISTIC" in ops and "SOFTMAX" not in ops, name


def test_the_other_recipes_and_losses_learn(files, runs):
    for name in ("soft", "hard", "staged"):
        found = json.loads((files / "runs" / name / "metrics.json").read_text())
        assert 0 < found["student"]["dev"]["micro_f1"] <= 1, name
    objectives = json.loads((files / "runs" / "soft" / "arms" / "distilled-seed1" / "history.json").read_text())[
        "recipe"
    ]
    assert [o["objective"] for o in objectives[0]["objectives"]] == ["binary", "binary_kl"]
    assert len(objectives[0]["objectives"][0]["class_weights"]) == 3
    teacher = json.loads((files / "runs" / "main" / "teacher" / "config.json").read_text())
    assert teacher["problem_type"] == "multi_label_classification"


def test_a_finished_run_trains_nothing_again(files, runs, bert_folder, run_verb):
    splits = [f"--{split}_file={files}/{split}.jsonl" for split in ("train", "dev", "test")]
    (done,) = run_verb(
        "train",
        [*FLAGS, *splits, f"--teacher={bert_folder}", "--epochs=20", "--evals_per_epoch=0.5", "--recipe=joint",
         f"--output_dir={files / 'runs' / 'main'}"],
    )  # fmt: skip
    assert done["code"] == 0 and "fine-tuning" not in done["err"] and "updates" not in done["err"]
