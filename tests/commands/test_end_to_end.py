"""The whole job on made-up sentences, and everything one does with a run afterwards."""

from __future__ import annotations

import csv
import json
import os
import shlex
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

from kd_keras.common.files import sha256_file


def strict_json(path: Path):
    """JSON as other languages read it: no NaN, no Infinity."""

    def refuse(name):
        raise AssertionError(f"{path} holds {name}")

    return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)


def rows_of(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as f:
        return list(csv.DictReader(f))


def gold(path: Path) -> np.ndarray:
    return np.array([("neg", "pos").index(r["label"]) for r in rows_of(path)])


def scores(labels, called) -> dict[str, float]:
    return {
        "accuracy": accuracy_score(labels, called),
        "f1": f1_score(labels, called),
        "mcc": matthews_corrcoef(labels, called),
    }


def signals(folder: Path) -> tuple[list[str], np.ndarray]:
    tables = [pq.read_table(p) for p in sorted(folder.glob("*.parquet"))]
    ids = [i for t in tables for i in t["id"].to_pylist()]
    return ids, np.array([v for t in tables for v in t["logits"].to_pylist()])


def test_the_run_folder_holds_what_the_layout_says(trained_run):
    folder = trained_run.folder
    assert {p.name for p in folder.iterdir()} >= {
        "flags.txt", "run.json", "task.json", "vocab.txt", "tokenizer.json", "labels.txt", "student.keras",
        "history.json", "metrics.json", "report.md", "plots", "teacher", "signals", "arms", "timings.json",
    }  # fmt: skip
    assert (folder / "labels.txt").read_text() == "neg\npos\n"
    assert (folder / "vocab.txt").read_text().splitlines()[:5] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    assert not [p for p in folder.rglob("*") if ".tmp" in p.name or p.name == "state.npz"]
    assert not [p for p in folder.iterdir() if p.name.startswith(".")], "no checkpoint is left"
    for split, count in (("train", 96), ("dev", 30), ("test", 20)):
        ids, _ = signals(folder / "signals" / split)
        assert sorted(ids) == sorted(f"{split}-{n}" for n in range(count))
        assert (folder / "signals" / split / "complete.json").is_file()
    assert {p.name for p in (folder / "arms").iterdir()} == {
        f"{kind}-seed{seed}" for kind in ("baseline", "distilled") for seed in (1, 2)
    }
    for name in ("learning_curves", "errors", "logits"):
        assert (folder / "plots" / f"{name}.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
        assert f"plots/{name}.png" in (folder / "report.md").read_text()
    history = strict_json(folder / "history.json")
    assert [e["step"] for e in history["distilled-seed1"]["epochs"]] == [12, 24]
    for epochs in (h["epochs"] for h in history.values()):
        assert all(e["loss"] > 0 for e in epochs)


def test_the_teachers_numbers_are_those_of_its_signals(trained_run):
    metrics = strict_json(trained_run.folder / "metrics.json")
    for split in ("dev", "test"):
        ids, logits = signals(trained_run.folder / "signals" / split)
        order = np.argsort([int(i.split("-")[1]) for i in ids])
        want = scores(gold(trained_run.files[split]), logits[order].argmax(-1))
        got = {m: metrics["teacher"][split][m] for m in want}
        assert got == pytest.approx(want)
    assert metrics["teacher"]["dev"]["accuracy"] > 0.9, "a teacher that knows nothing would prove less"
    made = strict_json(trained_run.folder / "teacher" / "teacher.json")
    assert made["dev"]["accuracy"] == pytest.approx(metrics["teacher"]["dev"]["accuracy"])


def test_the_students_numbers_can_be_scored_again(trained_run):
    import keras

    from kd_keras.deploy.runner import Runner
    from kd_keras.tasks import read_labelled

    folder = trained_run.folder
    metrics = strict_json(folder / "metrics.json")
    runner = Runner.load(folder)
    assert metrics["seeds"] == [1, 2] and metrics["rows"] == {"train": 96, "dev": 30, "test": 20}
    assert metrics["student"]["parameters"] == sum(int(np.prod(w.shape)) for w in runner.student.weights)
    embedding = len(runner.tokenizer) * 8
    assert metrics["student"]["parameters"] - metrics["student"]["parameters_without_embeddings"] == embedding
    assert metrics["student"]["bytes"] == (folder / "student.keras").stat().st_size
    chosen = folder / "arms" / f"distilled-seed{metrics['chosen_seed']}" / "student.keras"
    assert sha256_file(chosen) == sha256_file(folder / "student.keras")
    for arm, kind in (("student", "distilled"), ("baseline", "baseline")):
        for split in ("dev", "test"):
            rows = read_labelled(trained_run.files[split], runner.task)
            each = []
            for seed in (1, 2):
                student = keras.saving.load_model(folder / "arms" / f"{kind}-seed{seed}" / "student.keras")
                called = Runner(runner.task, runner.tokenizer, student).logits(rows).argmax(-1)
                each.append(scores(rows.label, called))
                per_seed = metrics[arm]["per_seed"][split][seed - 1]
                assert per_seed == pytest.approx({"seed": seed, **each[-1]})
            for name in each[0]:
                values = [e[name] for e in each]
                assert metrics[arm][split][name] == pytest.approx(np.mean(values))
                assert metrics[arm]["spread"][split][name] == pytest.approx(np.std(values, ddof=1))
    best = max(metrics["student"]["per_seed"]["dev"], key=lambda e: (e["accuracy"], -e["seed"]))
    assert metrics["chosen_seed"] == best["seed"]


def test_the_table_says_what_metrics_json_says(trained_run):
    metrics = strict_json(trained_run.folder / "metrics.json")
    report = (trained_run.folder / "report.md").read_text(encoding="utf-8")
    lines = [[c.strip() for c in row.strip("|").split("|")] for row in report.splitlines() if row.startswith("|")]
    head = lines[0]
    assert head[:4] == ["", "dev accuracy", "dev f1", "dev mcc"]
    table = {row[0]: row for row in lines[:7]}
    for arm, title in (
        ("teacher", "teacher"),
        ("baseline", "student, no distillation"),
        ("student", "student, distilled"),
    ):
        for column in ("dev accuracy", "test f1"):
            split, name = column.split()
            cell = table[title][head.index(column)]
            assert float(cell.split()[0]) == pytest.approx(100 * metrics[arm][split][name], abs=0.006)
            if arm != "teacher":
                assert float(cell.split("±")[1]) == pytest.approx(100 * metrics[arm]["spread"][split][name], abs=0.006)
    gain = 100 * (metrics["student"]["test"]["accuracy"] - metrics["baseline"]["test"]["accuracy"])
    assert float(table["gain of distillation"][head.index("test accuracy")]) == pytest.approx(gain, abs=0.006)
    for row in table:
        assert row in trained_run.stdout, "the screen shows the table, too"
    assert "report.md" in trained_run.stdout
    part = metrics["baseline" if metrics["kept"]["kind"] == "baseline" else "student"]
    (kept,) = [e for e in part["per_seed"]["dev"] if e["seed"] == metrics["chosen_seed"]]
    wrong = round(30 * (1 - kept["accuracy"]))
    assert (f"The kept student is wrong on {wrong} of 30 texts of dev. " in report) == bool(wrong)
    assert report.count("| probability |") == bool(wrong)


@pytest.fixture(scope="module")
def later(trained_run, run_verb, tmp_path_factory):
    """Three more commands of train, in one process: the same again, a copy with a damaged shard, given signals."""
    folder = trained_run.folder
    kept = {p: (p.stat().st_mtime_ns, sha256_file(p)) for p in sorted(folder.rglob("*.*")) if p.is_file()}
    away = tmp_path_factory.mktemp("later")
    shutil.copytree(folder, away / "damaged")
    shard = away / "damaged" / "signals" / "train" / "shard-00001.parquet"
    raw = bytearray(shard.read_bytes())
    raw[len(raw) // 2] ^= 0xFF
    shard.write_bytes(raw)
    given = [a for a in trained_run.arguments if not a.startswith("--teacher=")]
    (away / "given").mkdir()
    answers = run_verb(
        "train",
        [f"--flagfile={folder / 'flags.txt'}"],
        [*trained_run.arguments, f"--output_dir={away / 'damaged'}"],
        [
            *given, "--seeds=1", "--nobaseline", f"--teacher={folder / 'teacher'}", f"--signals={folder / 'signals'}",
            f"--output_dir={away / 'given' / 'run'}",
        ],
    )  # fmt: skip
    return answers, kept, away


def test_the_same_command_again_trains_nothing(trained_run, later):
    """By flags.txt, so that it reloads is shown as well."""
    answers, kept, _ = later
    again = answers[0]
    assert again["code"] == 0, again["err"]
    for word in ("fine-tuning", "labeling", "updates"):
        assert word in trained_run.stderr and word not in again["err"], word
    assert again["err"].count("found in") == 5, "the teacher and four students"
    changes = {"metrics.json", "report.md", "timings.json"}  # for their seconds
    assert {p.name for p, (_, digest) in kept.items() if sha256_file(p) != digest} <= changes
    trained = [p for p in kept if p.suffix in (".keras", ".parquet", ".safetensors") and p.parent != trained_run.folder]
    assert len(trained) > 10 and all(os.stat(p).st_mtime_ns == kept[p][0] for p in trained)
    table = trained_run.stdout.split("report:")[0]
    assert again["out"].split("report:")[0] == table


def test_a_damaged_shard_stops_the_command(later):
    answers, _, away = later
    assert answers[1]["code"] == 2
    last = answers[1]["err"].splitlines()[-1]
    assert last.startswith("error: ") and str(away / "damaged" / "signals" / "train" / "shard-00001.parquet") in last
    assert "delete it" in last


def test_signals_and_teacher_of_another_run_are_taken(trained_run, later):
    answers, _, away = later
    assert answers[2]["code"] == 0, answers[2]["err"]
    err = answers[2]["err"]
    assert "fine-tuning" not in err and "labeling train" not in err and "taken from" in err
    for name in ("manifest.json", "complete.json", "shard-00000.parquet"):
        ours = trained_run.folder / "signals" / "train" / name
        assert sha256_file(ours) == sha256_file(away / "given" / "run" / "signals" / "train" / name)
    metrics, first = (strict_json(f / "metrics.json") for f in (away / "given" / "run", trained_run.folder))
    assert "baseline" not in metrics and metrics["seeds"] == [1]
    # The same student, from the same signals with the same seed.
    one = metrics["student"]["per_seed"]["test"][0]
    assert one == pytest.approx(first["student"]["per_seed"]["test"][0])


def test_predict(trained_run, run_verb, tmp_path):
    from kd_keras.deploy.runner import Runner
    from kd_keras.metrics import softmax
    from kd_keras.tasks import read_labelled

    long = "good film " * 5000
    tsv, jsonl = tmp_path / "in.tsv", tmp_path / "in.jsonl"
    tsv.write_text('id\ttext\n1\ta "good" film\n2\tthe plot is dull\n', encoding="utf-8")
    jsonl.write_text('{"text": "naïve 中文 film"}\n{"text": ""}\n', encoding="utf-8")
    model, dev = f"--model_dir={trained_run.folder}", trained_run.files["dev"]
    answers = run_verb(
        "predict",
        [model, "good film", "", long],
        ([model, "--input=-"], "good film\n\n" + long + "\n"),
        [model, f"--input={tsv}", f"--output={tmp_path / 'out.jsonl'}"],
        [model, f"--input={jsonl}"],
        [model, f"--input={dev}"],
        [model],
        [model, "text", f"--input={tsv}"],
        [f"--model_dir={tmp_path}", "text"],
        [model, f"--input={tsv}", "--text_column=txt"],
    )
    assert [a["code"] for a in answers] == [0] * 5 + [2] * 4, [a["err"] for a in answers]

    def parsed(text):
        return [json.loads(line) for line in text.splitlines()]

    args, stdin, _, json_lines, csv_lines = (parsed(a["out"]) for a in answers[:5])
    assert [a["text"] for a in args] == ["good film", "", long]
    assert [{k: v for k, v in a.items() if k != "text"} for a in args] == [
        {k: v for k, v in a.items() if k != "text"} for a in stdin
    ]
    assert [a["text"] for a in parsed((tmp_path / "out.jsonl").read_text())] == ['a "good" film', "the plot is dull"]
    assert answers[2]["out"] == "" and [a["text"] for a in json_lines] == ["naïve 中文 film", ""]
    assert "naïve 中文" in answers[3]["out"], "text stays readable"

    runner = Runner.load(trained_run.folder)
    rows = read_labelled(dev, runner.task)
    want = softmax(runner.logits(rows))
    assert [a["text"] for a in csv_lines] == rows.text
    for answer, row in zip(csv_lines, want, strict=True):
        assert answer["label"] == ("neg", "pos")[row.argmax()]
        assert list(answer["scores"]) == ["neg", "pos"]
        assert list(answer["scores"].values()) == pytest.approx(row.tolist(), abs=2e-6)
    for answer in answers[5:]:
        assert answer["err"].startswith("error: ") and answer["err"].count("\n") == 1
    assert "arguments or --input" in answers[5]["err"] and "--model_dir" in answers[7]["err"]
    assert "no column 'txt'" in answers[8]["err"]


def test_evaluate_gives_the_numbers_of_the_report(trained_run, run_verb, tmp_path):
    metrics = strict_json(trained_run.folder / "metrics.json")
    chosen = metrics["seeds"].index(metrics["chosen_seed"])
    (tmp_path / "bad.tsv").write_text("text\tlabel\ngood film\tpos\nbad film\tmaybe\n")
    model = f"--model_dir={trained_run.folder}"
    good, test, stop, skip = run_verb(
        "evaluate",
        [model, f"--data_file={trained_run.files['dev']}"],
        [model, f"--data_file={trained_run.files['test']}"],
        [model, f"--data_file={tmp_path / 'bad.tsv'}"],
        [model, f"--data_file={tmp_path / 'bad.tsv'}", "--on_bad_row=skip"],
    )
    for answer, split, count in ((good, "dev", 30), (test, "test", 20)):
        said = json.loads(answer["out"])
        assert said["rows"] == count and said["format"] == "keras"
        for name in ("accuracy", "f1", "mcc"):
            assert said[name] == pytest.approx(metrics["student"]["per_seed"][split][chosen][name])
    assert stop["code"] == 2 and "line 3, column 'label'" in stop["err"] and "maybe" in stop["err"]
    assert skip["code"] == 0 and json.loads(skip["out"])["rows"] == 1


def test_label_and_its_refusals(trained_run, run_verb, bert_folder, tmp_path):
    from kd_keras.teachers.bert import Teacher
    from kd_keras.teachers.checkpoints import find_checkpoint

    texts = ["good film", "the dull plot", "", "good film"]
    (tmp_path / "in.txt").write_text("".join(t + "\n" for t in texts))
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    teacher, out = f"--teacher_dir={trained_run.folder / 'teacher'}", tmp_path / "signals"
    text = f"--input={tmp_path / 'in.txt'}"
    answers = run_verb(
        "label",
        [f"--teacher_dir={bert_folder}", text, f"--output_dir={out}"],
        [teacher, f"--input={tmp_path / 'empty.txt'}", f"--output_dir={out}"],
        [teacher, text, f"--output_dir={tmp_path / 'mine'}"],
        [teacher, text],
        [teacher, text, f"--output_dir={out}"],
        [teacher, text, f"--output_dir={out}", "--hidden=mean"],
        [f"--teacher_dir={tmp_path}", text, f"--output_dir={out}"],
    )
    assert [a["code"] for a in answers] == [2, 2, 2, 2, 0, 2, 2], [a["err"] for a in answers]
    assert answers[6]["err"].startswith(f"error: --teacher_dir={tmp_path}: has no config.json")
    for answer, words in zip(answers[:4], ("--teacher_dir", "--input", "--output_dir", "--output_dir"), strict=True):
        assert answer["err"].count("\n") == 1 and words in answer["err"]
    assert "another text or setting (hidden: " in answers[5]["err"]
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["letter.txt"]
    ids, logits = signals(out)
    assert ids == ["row-0", "row-1", "row-2"], "the fourth text is the first one"
    want = Teacher.load_finished(find_checkpoint(str(trained_run.folder / "teacher")))(texts)
    np.testing.assert_allclose(logits, want[:3], atol=1e-5)
    assert f"4 rows labeled in {out}" in answers[4]["out"]


def test_finetune_alone(trained_run, run_verb, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    shared = [a for a in trained_run.arguments if a.split("=")[0] in (
        "--task", "--train_file", "--dev_file", "--teacher", "--teacher_batch_size", "--teacher_learning_rate", "--teacher_max_length")]  # fmt: skip
    few, made_in = [*shared, "--teacher_epochs=1", "--labels_per_class=9", "--teacher_seed=7"], tmp_path / "my teacher"
    first, again, other, refused, two, onward = run_verb(
        "finetune",
        [*few, f"--output_dir={made_in}"],
        [*few, f"--output_dir={made_in}"],
        [*few, "--teacher_learning_rate=1e-3", f"--output_dir={made_in}"],
        [*shared, f"--output_dir={tmp_path / 'mine'}"],
        [*shared, "--teacher_seeds=2", f"--output_dir={tmp_path / 'two'}"],
        [*shared, "--teacher_epochs=0.1", f"--teacher={made_in}", f"--output_dir={tmp_path / 'onward'}"],
    )
    made = strict_json(made_in / "teacher.json")
    assert (first["code"], again["code"], other["code"], refused["code"]) == (0, 0, 2, 2), first["err"]
    assert "teacher with other settings (teacher_learning_rate: 0.01 there, 0.001 here)" in other["err"]
    assert onward["code"] == 0 and "was fine-tuned for other data of this task; fine-tuning continues" in onward["err"]
    hint = shlex.split(first["out"].splitlines()[-1].removeprefix("use it: python -m kd_keras.train "))
    small = ["--epochs=1", "--embedding_size=8", "--hidden_size=6", f"--output_dir={tmp_path / 'run'}", "--nobaseline"]
    small += ["--allow_weak_teacher", "--recipe=soft"]  # after one epoch
    (used,) = run_verb("train", [*hint, *small])
    assert used["code"] == 0 and "it is used without more training" in used["err"], used["err"]
    assert "Teacher: one, seed 7." in (tmp_path / "run" / "report.md").read_text()
    assert f"dev accuracy {100 * made['dev']['accuracy']:.2f}" in first["out"]
    assert "fine-tuning" in first["err"] and "fine-tuning" not in again["err"]
    assert refused["err"].count("\n") == 1 and "--output_dir" in refused["err"]
    assert two["code"] == 2 and "--teacher_seeds=2: finetune makes one teacher" in two["err"]
    assert not (tmp_path / "two").exists()
