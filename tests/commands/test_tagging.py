"""Tags of words through every command: train, report, predict, evaluate, export, benchmark, label, finetune."""

from __future__ import annotations

import json

import numpy as np
import pytest

from kd_keras.students.inference import load_student

TYPES = ("LOC", "PER")
ELSEWHERE = "elsewhere/few"  # beside "few" it would be taken from there
FLAGS = [
    "--task=custom", "--tagging", "--teacher_epochs=25", "--teacher_learning_rate=1e-2", "--teacher_batch_size=16",
    "--teacher_max_length=16", "--batch_size=16", "--learning_rate=0.02", "--embedding_size=8", "--hidden_size=8",
    "--dense_size=8", "--hidden_width=4", "--embedding_dropout=0", "--word_dropout=0", "--dropout=0", "--ema=0",
    "--student_max_length=12",
]  # fmt: skip
PLACES, PEOPLE = ("film", "plot", "actor"), ("good", "dull", "fine")


def sentences(count: int, seed: int) -> list[tuple[list[str], list[str]]]:
    """Words of the toy vocabulary: "the" begins a LOC when one of PLACES follows; PEOPLE are PER."""
    draw = np.random.default_rng(seed)
    out = []
    for _ in range(count):
        words, tags = [], []
        for _ in range(draw.integers(1, 5)):
            what = draw.integers(3)
            if what == 0:
                words += ["the", str(draw.choice(PLACES))]
                tags += ["B-LOC", "I-LOC"]
            elif what == 1:
                words.append(str(draw.choice(PEOPLE)))
                tags.append("B-PER")
            else:
                words.append(str(draw.choice(["a", "is", "and"])))
                tags.append("O")
        out.append((words, tags))
    return out


def columns(some) -> str:
    return "".join("".join(f"{w}\t{t}\n" for w, t in zip(*s, strict=True)) + "\n" for s in some)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    away = tmp_path_factory.mktemp("tagging")
    for split, count, seed in (("train", 200, 0), ("dev", 40, 1), ("test", 60, 2)):
        (away / f"{split}.conll").write_text(columns(sentences(count, seed)))
    (away / "other.conll").write_text(columns([(words, ["B-PER"] * len(words)) for words, _ in sentences(60, 2)]))
    (away / "more.txt").write_text("\n".join(" ".join(w) for w, _ in sentences(80, 3)) + "\n")
    return away


@pytest.fixture(scope="module")
def runs(files, bert_folder, run_verb):
    shared = [*FLAGS, f"--teacher={bert_folder}", *(f"--{s}_file={files}/{s}.conll" for s in ("train", "dev", "test"))]
    main = ["--epochs=25", "--recipe=joint"]
    # Of a few updates: tracing their graphs would take longest.
    cases = {
        "more": ["--epochs=2", "--recipe=soft", f"--unlabeled_files={files}/more.txt", "--min_words=1", "--nobaseline"],
        "sizes": [
            "--epochs=2",
            "--labels_per_language=100",
            "--ablate=transfer_sizes",
            "--transfer_sizes=30,100",
            "--teacher_epochs=2",
            "--teacher_seeds=2",
            "--student_max_length=4",
        ],
        "staged": ["--epochs=4", "--recipe=staged_unfreeze", "--logit_head=own", "--nobaseline"],
        "few": ["--epochs=2", "--recipe=two_stage", "--labels_per_language=100", "--nobaseline", "--teacher_epochs=2"],
    }
    cases["few"] += ["--epochs=6", "--evals_per_epoch=2"]  # several dev scores to choose by
    cases[ELSEWHERE] = [*cases["few"], f"--test_file={files}/other.conll"]
    (first,) = run_verb("train", [*shared, *main, f"--output_dir={files / 'runs' / 'main'}"])
    got = run_verb(
        "train", *([*shared, *c, f"--output_dir={files / 'runs' / n}"] for n, c in cases.items()), eager=True
    )
    done = {"main": first} | dict(zip(cases, got, strict=True))
    for name, each in done.items():
        assert each["code"] == 0, (name, each["err"][-2500:])
    return done


def metrics_of(files, name: str) -> dict:
    return json.loads((files / "runs" / name / "metrics.json").read_text())


def test_the_report_tells_entities(files, runs):
    found = metrics_of(files, "main")
    assert found["teacher"]["test"]["entity_f1"] > 0.95, "or this would prove nothing"
    assert found["student"]["test"]["entity_f1"] > 0.9
    assert set(found["student"]["test"]) == {"entity_f1", "conlleval_f1", "entity_precision", "entity_recall"}
    gold = [t for _, tags in sentences(60, 2) for t in tags]
    by_type = found["tagging"]["test"]["student"]["by_type"]
    assert {name: by_type[name]["rows"] for name in TYPES} == {n: gold.count(f"B-{n}") for n in TYPES}
    report = (files / "runs" / "main" / "report.md").read_text()
    assert "| type" in report and "strict F1" in report and "teacher's states: of layer" in report
    assert "sentences that the teacher reads in several windows of 16 pieces: train 0 of 200, dev 0 of 40" in report
    assert (files / "runs" / "main" / "plots" / "errors.png").is_file()
    staged = json.loads((files / "runs" / "staged" / "history.json").read_text())["distilled-seed1"]["stages"]
    assert [s["stage"] for s in staged][:2] == ["representation", "logits, head"] and len(staged) == 9


def test_unlabelled_text_and_untagged_sentences_are_transfer_text(files, runs):
    assert metrics_of(files, "more")["transfer_rows"]["unlabeled"] > 10
    assert metrics_of(files, "few")["transfer_rows"] == {"rest": 100}
    assert metrics_of(files, "few")["rows"]["train"] == 100


def test_nothing_is_chosen_by_the_test_split(files, runs):
    """Fault 4 of the paper's code: the best stage was the one with the best score on the test split."""
    folders = [files / "runs" / name / "arms" / "distilled-seed1" for name in ("few", ELSEWHERE)]
    assert not folders[0].joinpath("student.keras").samefile(folders[1] / "student.keras"), "trained, not taken"
    history = json.loads((folders[0] / "history.json").read_text())
    scores = [e["dev_entity_f1"] for e in history["epochs"] if "dev_entity_f1" in e]
    assert len({*scores}) > 2 and history["best_step"] < history["epochs"][-1]["step"], "or nothing was chosen"
    one, other = (load_student(folder / "student.keras") for folder in folders)
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    one, other = (metrics_of(files, name)["student"] for name in ("few", ELSEWHERE))
    assert one["dev"] == other["dev"] and one["test"] != other["test"]


def test_predict_and_evaluate_say_the_same(files, runs, run_verb):
    run, out = files / "runs" / "main", files / "said.conll"
    (done,) = run_verb("predict", [f"--model_dir={run}", f"--input={files}/test.conll", f"--output={out}"])
    assert done["code"] == 0, done["err"][-2000:]
    said = [line.split("\t") for line in out.read_text().splitlines() if line]
    gold = [(w, t) for words, tags in sentences(60, 2) for w, t in zip(words, tags, strict=True)]
    assert [w for w, _ in said] == [w for w, _ in gold]
    (done,) = run_verb("evaluate", [f"--model_dir={run}", f"--data_file={files}/test.conll"])
    found = json.loads(done["out"])
    kept = metrics_of(files, "main")["tagging"]["test"]["student"]
    assert found["entity_f1"] == pytest.approx(kept["entity_f1"])
    right = sum(a[1] == b[1] for a, b in zip(said, gold, strict=True)) / len(gold)
    assert right > 0.9


def test_text_has_entities_with_offsets(files, runs, run_verb):
    text = "the  film, a GOOD plot"
    (done,) = run_verb("predict", [f"--model_dir={files / 'runs' / 'main'}", text, ""])
    (first, second) = [json.loads(line) for line in done["out"].splitlines()]
    assert second == {"text": "", "entities": []}
    for found in first["entities"]:
        assert text[found["start"] : found["end"]] == found["surface"] and found["type"] in TYPES


def test_every_file_tags_as_keras_does(files, runs, run_verb):
    run = files / "runs" / "main"
    (done,) = run_verb("export", [f"--model_dir={run}"])
    assert done["code"] == 0, done["err"][-2500:]
    models = sorted((run / "tflite").glob("*.tflite"))
    assert len(models) >= 5, done["err"][-2500:]
    want = files / "keras.conll"
    run_verb("predict", [f"--model_dir={run}", f"--input={files}/test.conll", f"--output={want}"])
    outs = [files / f"{m.stem}.conll" for m in models]
    cases = [
        [f"--model={m}", f"--input={files}/test.conll", f"--output={o}"] for m, o in zip(models, outs, strict=True)
    ]
    for done in run_verb("predict", *cases):
        assert done["code"] == 0 and not done["tf"], done["err"][-2000:]
    words = want.read_text().splitlines()
    for out in outs:
        same = np.mean([a == b for a, b in zip(out.read_text().splitlines(), words, strict=True)])
        assert same >= (0.97 if "int8" in out.name else 0.999), out.name


def test_benchmark_times_it_beside_its_teacher(files, runs, run_verb):
    run = files / "runs" / "main"
    (done,) = run_verb(
        "benchmark",
        [f"--model_dir={run}", "--formats=tflite_loop_float32,tflite_dynamic", "--lengths=8", "--threads=1", "--texts=10",
         "--rounds=2"],
    )  # fmt: skip
    assert done["code"] == 0, done["err"][-2500:]
    found = json.loads((run / "benchmark" / "benchmark.json").read_text())
    models = {m["model"] if "model" in m else m["name"]: m for m in found["models"]}
    assert len(models) >= 3 and all(m["metrics"]["entity_f1"] > 0.85 for m in models.values()), models


def test_label_asks_a_teacher_of_words(files, runs, run_verb):
    cases = [
        [f"--teacher_dir={files}/runs/main/teacher", f"--input={files}/{name}", f"--output_dir={files}/signals-{n}"]
        for n, name in enumerate(("more.txt", "test.conll"))
    ]
    refused, *answered = run_verb("label", [*cases[0][:2], f"--output_dir={files}/none", "--hidden=mean"], *cases)
    for done in answered:
        assert done["code"] == 0, done["err"][-2000:]
    assert (files / "signals-0" / "complete.json").is_file()
    assert refused["code"] == 2 and "--hidden=mean" in refused["err"] and "no vector of a sentence" in refused["err"]
    assert not (files / "none").exists() and not refused["tf"]


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        ("--augment=all", "--augment=all: would change the words of the tagging custom"),
        ("--hidden=mean", "--hidden=mean: the tagging custom needs states of words"),
        ("--student=bilstm", "does not tag words"),
        ("--student_truncation=tail", "--student_truncation=tail"),
        ("--ablate=augmentation", "--ablate=augmentation: would change the words of the tagging custom"),
        ("--metric=accuracy", "--metric=accuracy"),
        ("--labels_per_class=3", "labels_per_class"),
    ],
)
def test_what_makes_no_sense_of_words_is_refused(files, bert_folder, run_verb, flag, said):
    (done,) = run_verb("train", [*FLAGS, f"--teacher={bert_folder}", f"--train_file={files}/train.conll", flag])
    assert done["code"] == 2 and said in done["err"] and not done["tf"], done["err"]
