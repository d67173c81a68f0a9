"""The commands as a user runs them, on a toy task with a two-layer BERT: train, train again, predict, evaluate, label."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import accuracy_score

SMALL = ["--teacher_epochs=4", "--teacher_learning_rate=3e-3", "--teacher_max_length=16", "--student_max_length=16",
         "--embedding_size=8", "--hidden_size=6", "--dense_size=5", "--epochs=8", "--batch_size=8", "--seeds=2",
         "--learning_rate=0.01", "--embedding_dropout=0", "--dropout=0", "--word_dropout=0", "--shard_rows=16",
         "--tensorboard"]  # fmt: skip


@pytest.fixture(scope="module")
def files(tmp_path_factory, write_csv, toy_sentences) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("data")
    sizes = {"train": (64, 1), "dev": (24, 2), "test": (20, 3)}
    return {s: write_csv(folder / f"{s}.csv", *toy_sentences(*size)) for s, size in sizes.items()}


@pytest.fixture(scope="module")
def command(files, bert_folder):
    def make(output: Path, *more: str) -> list[str]:
        data = [f"--{s}_file={p}" for s, p in files.items()]
        return ["-m", "kd_keras.train", "--task=custom", *data, f"--teacher={bert_folder}", *SMALL,
                f"--output_dir={output}", *more]  # fmt: skip

    return make


@pytest.fixture(scope="module")
def run_folder(command, run_python, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "first"
    done = run_python(*command(folder))
    assert done.returncode == 0, done.stderr
    assert "student, distilled" in done.stdout and "gain of distillation" in done.stdout
    assert "Could not find cuda" not in done.stderr and "Traceback" not in done.stderr
    return folder


def test_the_run_folder_holds_what_the_readme_says(run_folder):
    names = {p.name for p in run_folder.iterdir()}
    assert {"flags.txt", "run.json", "task.json", "tokenizer.json", "vocab.txt", "labels.txt", "student.keras",
            "history.json", "metrics.json", "report.md", "plots", "teacher", "signals", "arms", "tensorboard"} <= names  # fmt: skip
    assert not [p for p in run_folder.rglob("*tmp*")], "temporary files were left"
    report = (run_folder / "report.md").read_text()
    for picture in ("learning_curves", "confusion", "logits"):
        assert f"plots/{picture}.png" in report
        assert (run_folder / "plots" / f"{picture}.png").read_bytes().startswith(b"\x89PNG")
    assert (run_folder / "labels.txt").read_text() == "neg\npos\n"
    assert {p.name for p in (run_folder / "arms").iterdir()} == {
        f"{kind}-seed{seed}" for kind in ("baseline", "distilled") for seed in (1, 2)
    }
    assert list((run_folder / "tensorboard").rglob("events*"))


def test_metrics_are_those_of_the_run(run_folder):
    metrics = json.loads((run_folder / "metrics.json").read_text(), parse_constant=pytest.fail)
    assert metrics["rows"] == {"train": 64, "dev": 24, "test": 20} and metrics["seeds"] == [1, 2]
    for arm in ("student", "baseline"):
        for split in ("dev", "test"):
            each = [s["accuracy"] for s in metrics[arm]["per_seed"][split]]
            assert metrics[arm][split]["accuracy"] == pytest.approx(np.mean(each))
            assert metrics[arm]["spread"][split]["accuracy"] == pytest.approx(np.std(each, ddof=1))
    vocab = len((run_folder / "vocab.txt").read_text().splitlines())
    lstm = 2 * 4 * 6 * (8 + 6 + 1)
    assert metrics["student"]["parameters"] == vocab * 8 + lstm + (12 * 5 + 5) + (5 * 2 + 2)
    assert metrics["student"]["parameters_without_embeddings"] == metrics["student"]["parameters"] - vocab * 8
    assert metrics["teacher"]["dev"]["accuracy"] > 0.9 and metrics["student"]["dev"]["accuracy"] > 0.9


def test_the_same_command_again_trains_nothing(run_folder, command, run_python):
    before = {p: p.stat().st_mtime_ns for p in run_folder.rglob("*.keras")} | {
        p: p.stat().st_mtime_ns for p in run_folder.rglob("*.parquet")
    }
    again = run_python("-m", "kd_keras.train", f"--flagfile={run_folder / 'flags.txt'}")
    assert again.returncode == 0, again.stderr
    assert "teacher: found" in again.stderr and again.stderr.count("found in") == 5
    assert {p: p.stat().st_mtime_ns for p in before if "arms" in str(p) or p.suffix == ".parquet"} == {
        p: t for p, t in before.items() if "arms" in str(p) or p.suffix == ".parquet"
    }


def test_predict_and_evaluate(run_folder, files, run_python, tmp_path):
    def predict(*arguments, input=None):
        done = run_python("-m", "kd_keras.predict", f"--model_dir={run_folder}", *arguments, input=input)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    long = "film " * 10_000
    rows = predict("a lovely film", "", long)
    assert [r["text"] for r in rows] == ["a lovely film", "", long]
    assert rows[0]["label"] == "pos"
    for row in rows:
        assert set(row["scores"]) == {"neg", "pos"} and sum(row["scores"].values()) == pytest.approx(1, abs=1e-5)

    with open(files["dev"], newline="") as f:
        dev = list(csv.DictReader(f))
    by_file = predict(f"--input={files['dev']}")
    assert [r["text"] for r in by_file] == [d["text"] for d in dev]
    by_stdin = predict("--input=-", input="".join(d["text"] + "\n" for d in dev))
    assert [r["scores"] for r in by_stdin] == pytest.approx([r["scores"] for r in by_file])

    done = run_python("-m", "kd_keras.evaluate", f"--model_dir={run_folder}", f"--data_file={files['dev']}")
    scores = json.loads(done.stdout)
    assert scores["accuracy"] == pytest.approx(accuracy_score([d["label"] for d in dev], [r["label"] for r in by_file]))
    metrics = json.loads((run_folder / "metrics.json").read_text())
    chosen = next(s for s in metrics["student"]["per_seed"]["dev"] if s["seed"] == metrics["chosen_seed"])
    assert scores["accuracy"] == pytest.approx(chosen["accuracy"]) and scores["rows"] == 24


def test_label_gives_the_runs_own_signals(run_folder, files, run_python, tmp_path):
    import pyarrow.parquet as pq

    done = run_python("-m", "kd_keras.label", f"--teacher_dir={run_folder / 'teacher'}", f"--input={files['dev']}",
                      f"--output_dir={tmp_path / 'signals'}")  # fmt: skip
    assert done.returncode == 0, done.stderr

    def logits(folder: Path) -> dict[str, list[float]]:
        tables = [pq.read_table(p).to_pydict() for p in sorted(folder.glob("*.parquet"))]
        return {h: row for t in tables for h, row in zip(t["text_hash"], t["logits"], strict=True)}

    ours, theirs = logits(tmp_path / "signals"), logits(run_folder / "signals" / "dev")
    assert ours.keys() == theirs.keys()
    for key, row in ours.items():
        np.testing.assert_allclose(row, theirs[key], atol=1e-4)


def refused(done, *words: str) -> None:
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert done.returncode == 2, done.stderr
    assert len(lines) == 1 and lines[0].startswith("error: "), done.stderr
    for word in words:
        assert word in lines[0]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--task=sst3"], ("unknown task 'sst3'", "sst2")),
        (["--teacher=minilm-l7"], ("--teacher=minilm-l7", "minilm-l6")),
        (["--alpha=1.5"], ("--alpha=1.5",)),
        (["--train_file=nowhere.csv"], ("--train_file", "nowhere.csv")),
        (["--text_column=sentence"], ("sentence", "text")),
        (["--labels=neg,good"], ("pos",)),
        (["--seed=x"], ("seed",)),
        (["--no_such_flag=1"], ("no_such_flag",)),
    ],
)
def test_wrong_flags_are_refused_in_one_line(command, run_python, tmp_path, flags, words):
    refused(run_python(*command(tmp_path / "out", *flags)), *words)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ("empty",)),
        (b"text,label\n", ("train.csv",)),
        (b"text,label\na film,neg\ncaf\xe9,pos\n", ("line 3", "UTF-8")),
        (b"text,label\na film,neg\ngood\n", ("line 3",)),
        (b"text,label\na film,neg\ngood,\n", ("line 3", "label")),
    ],
)
def test_broken_files_are_refused_in_one_line(command, run_python, tmp_path, content, words):
    path = tmp_path / "train.csv"
    path.write_bytes(content)
    refused(run_python(*command(tmp_path / "out", f"--train_file={path}")), str(path), *words)
    assert not (tmp_path / "out").exists()


def test_a_folder_of_another_task_or_run_is_refused(run_folder, command, run_python, tmp_path):
    refused(run_python(*command(run_folder, "--alpha=0.5")), "other settings", "alpha: 0.0 there, 0.5 here")
    other = tmp_path / "other"
    other.mkdir()
    task = json.loads((run_folder / "task.json").read_text()) | {"name": "sst2"}
    (other / "task.json").write_text(json.dumps(task))
    refused(run_python(*command(other)), "holds a run of task 'sst2'")
    assert [p.name for p in other.iterdir()] == ["task.json"]


def test_signals_are_taken_from_their_own_teacher_only(run_folder, command, run_python, tmp_path):
    shutil.copytree(run_folder, tmp_path / "a" / "run")
    teacher, signals = tmp_path / "a" / "run" / "teacher", tmp_path / "a" / "run" / "signals"
    more = [f"--teacher={teacher}", f"--signals={signals}"]
    refused(run_python(*command(tmp_path / "b" / "out", *more[1:])), "--signals", "needs the teacher that made them")
    made = json.loads((teacher / "teacher.json").read_text())
    made["fingerprint"]["weights"] = "0" * 16
    changed = shutil.copytree(teacher, tmp_path / "changed")
    (changed / "teacher.json").write_text(json.dumps(made))
    refused(run_python(*command(tmp_path / "b" / "out", f"--teacher={changed}", more[1])), "another teacher", "0" * 16)

    shard = next(iter(sorted((signals / "train").glob("*.parquet"))))
    raw = bytearray(shard.read_bytes())
    raw[len(raw) // 2] ^= 0xFF
    shard.write_bytes(raw)
    refused(run_python(*command(tmp_path / "b" / "out", *more)), str(shard), "damaged")
    assert not (tmp_path / "b").exists()
