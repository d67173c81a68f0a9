"""Few labels and much text, from flags to the report, on made-up sentences."""

from __future__ import annotations

import csv
import json

import numpy as np
import pyarrow.parquet as pq
import pytest

SMALL = [
    "--task=custom", "--teacher_epochs=1", "--teacher_batch_size=8", "--teacher_learning_rate=1e-2",
    "--teacher_max_length=24", "--student_max_length=9", "--epochs=1", "--batch_size=32", "--learning_rate=0.02",
    "--embedding_size=8", "--hidden_size=6", "--dense_size=8", "--allow_weak_teacher",
    "--recipe=soft", "--augment=none", "--unlabeled=none",
]  # fmt: skip


def metrics(folder):
    return json.loads((folder / "metrics.json").read_text())


def ids_in(folder) -> list[str]:
    return sorted(i for p in folder.glob("*.parquet") for i in pq.read_table(p)["id"].to_pylist())


@pytest.fixture(scope="module")
def files(toy_sentences, tmp_path_factory, write_csv):
    away = tmp_path_factory.mktemp("text")
    for split, count, seed in (("train", 64, 0), ("dev", 24, 5)):
        write_csv(away / f"{split}.csv", *toy_sentences(count, seed))
    with open(away / "train.csv", newline="") as f:
        known = [row["text"] for row in csv.DictReader(f)]
    (away / "more.txt").write_text("\n".join([*known, *toy_sentences(30, 9)[0]]) + "\n")
    return away


@pytest.fixture(scope="module")
def runs(files, bert_folder, run_verb):
    shared = [*SMALL, f"--teacher={bert_folder}", f"--train_file={files}/train.csv", f"--dev_file={files}/dev.csv"]
    few = [*shared, "--labels_per_class=6", "--labels_seed=2"]
    cases = {
        "few": [*few, "--augment=all", "--n_iter=2", f"--unlabeled_files={files}/more.txt", "--alpha=0.25"],
        "again": [*few, "--nobaseline"],
        "full": [*shared, "--nobaseline"],
        "long": [*shared, "--nobaseline", "--teacher_max_length=6", "--teacher_truncation=head_tail",
                 "--student_max_length=7", "--student_truncation=tail"],
        "three": [*few, "--teacher_seeds=3", "--nobaseline"],
    }  # fmt: skip
    got = run_verb("train", *([*c, f"--output_dir={files / 'runs' / n}"] for n, c in cases.items()), eager=True)
    for name, answer in zip(cases, got, strict=True):
        assert answer["code"] == 0, f"{name}: {answer['err'][-2000:]}"
    return dict(zip(cases, got, strict=True))


def test_teacher_and_baseline_learn_from_the_drawn_labels_only(files, runs):
    folder = files / "runs" / "few"
    found = metrics(folder)
    assert found["rows"] == {"train": 12, "dev": 24} and found["transfer_rows"]["rest"] == 52
    labelled, rest = ids_in(folder / "signals" / "train"), ids_in(folder / "signals" / "rest")
    assert len(labelled) == 12 and sorted([*labelled, *rest]) == sorted(f"train-{n}" for n in range(64))
    made = json.loads((folder / "teacher" / "teacher.json").read_text())
    assert made["history"][-1]["step"] == 2, "12 rows in batches of 8"
    history = json.loads((folder / "history.json").read_text())
    assert history["baseline-seed1"]["recipe"][0]["rows"] == 12
    transfer = found["transfer_rows"]
    assert history["distilled-seed1"]["recipe"][0]["rows"] == 12 + sum(transfer.values())
    assert set(transfer) == {"rest", "all", "unlabeled"} and min(transfer.values()) > 5


def test_made_rows_come_from_labelled_rows_and_unlabelled_text_is_new(files, runs):
    folder = files / "runs" / "few"
    labelled = ids_in(folder / "signals" / "train")
    made = pq.read_table(folder / "transfer" / "all.parquet")["id"].to_pylist()
    assert made and {i.split("/")[0] for i in made} <= set(labelled)
    with open(files / "train.csv", newline="") as f:
        known = {row["text"] for row in csv.DictReader(f)}
    assert not known & set(pq.read_table(folder / "transfer" / "unlabeled.parquet")["text"].to_pylist())


def test_the_report_says_it(files, runs):
    found, report = metrics(files / "runs" / "few"), (files / "runs" / "few" / "report.md").read_text()
    note = "labels: of 64 training rows neg 6, pos 6, drawn with seed 2; the other 52 are transfer text without labels"
    assert note in found["notes"] and note in report
    assert "training rows without their labels 52" in report


def test_its_teacher_and_signals_are_found_again_and_no_others(files, runs):
    for said in ("teacher: made before, taken from", "signals (train): made before", "signals (rest): made before"):
        assert said in runs["again"]["err"], said
    assert "labelling" not in runs["again"]["err"]
    assert "fine-tuning" in runs["full"]["err"] and "labeling train" in runs["full"]["err"], "other data"
    keys = [
        json.loads((files / "runs" / n / "teacher" / "teacher.json").read_text())["key"]
        for n in ("few", "again", "full")
    ]
    assert keys[0] == keys[1] != keys[2]
    assert np.unique([json.loads((files / "runs" / n / "run.json").read_text())["data"] for n in runs]).size == 2


def test_three_teachers_in_metrics_and_report(files, runs):
    folder = files / "runs" / "three"
    found, report = metrics(folder), (folder / "report.md").read_text()
    assert runs["three"]["err"].count("teacher: made before, taken from") == 1, "the first one is the other runs'"
    teacher = found["teacher"]
    assert teacher["seeds"] == [1, 2, 3] and set(teacher["ensemble"]) == {"per_seed", "mean", "spread"}
    with open(files / "dev.csv", newline="") as f:
        gold = {f"dev-{n}": ("neg", "pos").index(row["label"]) for n, row in enumerate(csv.DictReader(f))}
    logits = []
    for place in (folder / "signals", folder / "signals" / "teacher-2", folder / "signals" / "teacher-3"):
        tables = [pq.read_table(p) for p in sorted((place / "dev").glob("*.parquet"))]
        own = {i: v for t in tables for i, v in zip(t["id"].to_pylist(), t["logits"].to_pylist(), strict=True)}
        logits.append(np.array([own[i] for i in gold]))
    want = [float((x.argmax(-1) == list(gold.values())).mean()) for x in (*logits, sum(logits) / 3)]
    each = [e["accuracy"] for e in teacher["ensemble"]["per_seed"]["dev"]]
    assert [*each, teacher["dev"]["accuracy"]] == pytest.approx(want)
    assert teacher["ensemble"]["mean"]["dev"]["accuracy"] == pytest.approx(np.mean(want[:3]))
    assert teacher["ensemble"]["spread"]["dev"]["accuracy"] == pytest.approx(np.std(want[:3], ddof=1))
    assert "one of 3 teachers" in runs["three"]["out"] and "3 teachers together" in report
    assert "Teachers: 3, seeds 1, 2, 3" in report and "teachers: the student learns the mean of their logits" in report
    assert "Teacher: one, seed 1." in (files / "runs" / "few" / "report.md").read_text()


def test_a_student_reads_more_than_its_teacher_and_other_ends(files, runs):
    from kd_keras.deploy.runner import Runner
    from kd_keras.tasks import Rows
    from kd_keras.teachers.bert import Teacher
    from kd_keras.teachers.checkpoints import find_checkpoint

    folder = files / "runs" / "long"
    teacher, runner = Teacher.load_finished(find_checkpoint(str(folder / "teacher"))), Runner.load(folder)
    middle = [
        "a good film the plot is very",
        "a bad dull awful plot is very",
    ]  # the teacher reads the first and the last 3
    far = ["good film a good film the plot is very", "bad dull a good film the plot is very"]
    rows = Rows(["0", "1", "2", "3"], [*middle, *far], None, np.full(4, -1, np.int32))
    taught, learned = teacher(rows.text), runner.logits(rows)
    assert np.abs(taught[0] - taught[1]).max() < 1e-5 and np.abs(learned[0] - learned[1]).max() > 1e-4
    assert np.abs(learned[2] - learned[3]).max() < 1e-5, "of nine words the last seven"
    assert np.abs(learned[2] - learned[0]).max() < 1e-5 and np.abs(taught[2] - taught[3]).max() > 1e-4
    notes = metrics(folder)["notes"]
    assert "teacher's texts: at most 6 pieces with [CLS] and [SEP], of longer ones the first 1 and the last 3" in notes
    assert any(n.startswith("student's texts: at most 7 tokens, of longer ones the last 7 (") for n in notes)


def test_predict_and_evaluate_cut_as_training_did(files, runs, run_verb):
    folder = files / "runs" / "long"
    (answer,) = run_verb("predict", [f"--model_dir={folder}", "bad dull a good film the plot is very",
                                     "a good film the plot is very", "bad dull a good film the"])  # fmt: skip
    long, tail, head = (json.loads(line)["scores"] for line in answer["out"].splitlines())
    assert long == tail != head
    (scored,) = run_verb("evaluate", [f"--model_dir={folder}", f"--data_file={files / 'dev.csv'}"])
    assert json.loads(scored["out"])["accuracy"] == pytest.approx(metrics(folder)["student"]["dev"]["accuracy"])
