"""A universal student from plain text to vectors, files and students of tasks, on made-up sentences."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from kd_keras.runs.universal_settings import UniversalSettings

SMALL = [
    "--teacher_max_length=16", "--student_max_length=12", "--updates=6", "--evals=2", "--batch_size=16",
    "--dev_rows=20", "--embedding_size=6", "--hidden_size=5", "--vector_size=8", "--learning_rate=0.02",
]  # fmt: skip


@pytest.fixture(scope="module")
def away(tmp_path_factory, toy_sentences, write_csv):
    """Plain text; labeled rows, of which one is among the text; pairs with scores."""
    away = tmp_path_factory.mktemp("universal")
    texts = [f"{a} and {b}" for a, b in zip(*(toy_sentences(160, seed)[0] for seed in (3, 4)), strict=True)]
    held = "the plot is very dull and the film is very bad and awful"
    (away / "text.txt").write_text("\n".join([*texts, f"a film and {held} ."]) + "\n")
    (away / "held.txt").write_text(held + "\n")
    for split, count, seed in (("train", 48, 0), ("dev", 20, 1)):
        write_csv(away / f"{split}.csv", *toy_sentences(count, seed))
    with open(away / "pairs.csv", "w", newline="") as f:
        out = csv.writer(f)
        out.writerow(["sentence1", "sentence2", "score"])
        out.writerows([a, b, n % 5] for n, (a, b) in enumerate(zip(texts[:20], texts[20:40], strict=True)))
    return away


@pytest.fixture(scope="module")
def arguments(away, bert_folder):
    return [
        f"--teacher={bert_folder}",
        f"--unlabeled_files={away}/text.txt",
        f"--held_out_files={away}/held.txt",
        *SMALL,
    ]


@pytest.fixture(scope="module")
def runs(away, arguments, run_verb):
    cases = {
        "one": ["--losses=cosine,similarities:10,contrast:0.1"],
        "again": ["--seed=2"],  # finds text and vectors in "one"
        "raw": ["--nounit", "--hidden=cls", "--hidden_layer=1", "--reduction=none", "--pooling=last", "--losses=mse:2"],
        "words": ["--losses=cosine,tokens:0.5", "--token_size=4"],
        "white": ["--reduction=whiten", "--losses=contrast", "--pooling=max", "--epochs=0.5"],
    }
    got = run_verb("pretrain", *([*arguments, *c, f"--output_dir={away / n}"] for n, c in cases.items()), eager=True)
    for name, answer in zip(cases, got, strict=True):
        assert answer["code"] == 0, f"{name}: {answer['err'][-2000:]}"
    return dict(zip(cases, got, strict=True))


def metrics(folder) -> dict:
    return json.loads((folder / "metrics.json").read_text())


def test_a_run_of_pretrain(away, runs):
    found = metrics(away / "one")
    assert found["vector_size"] == 8 and found["updates"] == 6 and sum(found["rows"].values()) > 150
    assert 0 <= found["dev"]["neighbours"] <= 1 and -1 <= found["dev"]["cosine"] <= 1
    report = (away / "one" / "report.md").read_text()
    assert "1 with 13 words in a row of dev or test, or with a whole text of theirs" in report
    assert "cosine, 10 × similarities, 0.1 × contrast" in report.replace("1 × cosine", "cosine")
    assert UniversalSettings().loss_weights(unit=True) == {"cosine": 1.0}
    assert UniversalSettings().loss_weights(unit=False) == {"mse": 1.0}
    said = runs["one"]["out"].strip().splitlines()
    assert report.splitlines()[2] == said[0] == found["verdict"]
    assert f"finds {100 * found['dev']['neighbours']:.2f} % of the teacher's 10 nearest texts" in said[0]
    assert report.index("## Next") < report.index("kd_keras.embed --model_dir=") < report.index("| student | teacher |")
    assert "| student | teacher |" in runs["one"]["out"] and "kd_keras.embed --model_dir=" in runs["one"]["out"]
    assert (away / "one" / "plots" / "learning_curves.png").stat().st_size > 5000
    said = runs["again"]["err"]
    assert "signals (text): made before, taken from" in said and "transfer text (unlabeled): made before" in said
    assert metrics(away / "white")["updates"] < 6, "half an epoch"
    epochs = json.loads((away / "words" / "arms" / "universal-seed1" / "history.json").read_text())["epochs"]
    assert all(e["loss_tokens"] > 0 for e in epochs) and "0.5 × tokens" in (away / "words" / "report.md").read_text()
    raw = json.loads((away / "raw" / "run.json").read_text())
    assert raw["target"] == {"vector_size": 16, "reduction": "none", "unit": False} and raw["label"]["hidden"] == "cls"


@pytest.fixture(scope="module")
def exported(away, runs, run_verb):
    """The folder of a run with every file for phones."""
    done = run_verb("export", [f"--model_dir={away}/one", "--tflite_length=12"])[0]
    assert done["code"] == 0 and "mean cosine" in done["out"] and "failed" not in done["err"], done["err"][-2000:]
    return away / "one"


def test_embed_gives_the_same_from_every_form(away, exported, run_verb):
    folder = exported
    (away / "in.txt").write_text("good film\n\nthe plot is dull\n")
    ways = {
        "keras": [f"--model_dir={folder}", f"--input={away}/in.txt", f"--output={away}/keras.npy"],
        "file": [f"--model={folder}/student.keras", f"--input={away}/in.txt", f"--output={away}/file.npy"],
        "tflite": [
            f"--model={folder}/tflite/loop_float32.tflite",
            f"--input={away}/in.txt",
            f"--output={away}/tflite.npy",
        ],
        "lines": [f"--model_dir={folder}", "good film", "", "the plot is dull"],
        "jsonl": (
            [f"--model_dir={folder}", "--input=-", f"--output={away}/out.jsonl"],
            "good film\n\nthe plot is dull\n",
        ),
    }
    got = dict(zip(ways, run_verb("embed", *ways.values()), strict=True))
    assert all(answer["code"] == 0 for answer in got.values()), [a["err"][-500:] for a in got.values()]
    want = np.load(away / "keras.npy")
    assert want.shape == (3, 8) and want.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(want, axis=1), 1, atol=1e-5)
    lines = [json.loads(line) for line in got["lines"]["out"].splitlines()]
    written = [json.loads(line) for line in (away / "out.jsonl").read_text().splitlines()]
    assert [line["text"] for line in lines] == ["good film", "", "the plot is dull"] == [w["text"] for w in written]
    for other in (
        np.load(away / "file.npy"),
        np.load(away / "tflite.npy"),
        *([w["vector"] for w in x] for x in (lines, written)),
    ):
        np.testing.assert_allclose(other, want, atol=1e-5)

    card = (folder / "tflite" / "README.md").read_text()
    assert "TextEmbedder.createFromFile" in card and "kd_keras.pretrain" in card and "kd_keras.embed" in card
    assert not (folder / "tflite" / "labels.txt").exists()
    alone = run_verb("embed", ways["tflite"])[0]
    assert not alone["tf"], "a file needs no TensorFlow"


def test_saved_model_gives_vectors_of_strings(exported):
    import tensorflow as tf
    import tensorflow_text  # noqa: F401

    from kd_keras.deploy.runner import Runner
    from kd_keras.deploy.vectors import embed

    texts = ["good film", "", "the plot is dull"]
    loaded = tf.saved_model.load(str(exported / "saved_model"))
    got = loaded.signatures["text"](tf.constant(texts))["vector"].numpy()
    np.testing.assert_allclose(got, embed(Runner.load(exported), texts), atol=1e-5)


def test_evaluate_follows_scores_of_pairs(away, exported, run_verb):
    from scipy.stats import spearmanr

    ways = [f"--model_dir={exported}", f"--similarity={away}/pairs.csv", "--formats=keras,tflite_loop_float32"]
    done = run_verb("evaluate", ways)[0]
    assert done["code"] == 0, done["err"][-1000:]
    keras, tflite = (json.loads(line) for line in done["out"].splitlines())
    with open(away / "pairs.csv", newline="") as f:
        rows = list(csv.DictReader(f))
    from kd_keras.deploy.runner import Runner
    from kd_keras.deploy.vectors import embed

    runner = Runner.load(exported)
    a, b = (embed(runner, [r[name] for r in rows]) for name in ("sentence1", "sentence2"))
    want = spearmanr([float(r["score"]) for r in rows], (a * b).sum(1)).statistic
    assert keras["spearman"] == pytest.approx(want, abs=1e-6) and keras["rows"] == 20
    assert tflite["spearman"] == pytest.approx(want, abs=0.05)


@pytest.fixture(scope="module")
def students(away, runs, bert_folder, run_verb):
    shared = [
        "--task=custom", f"--train_file={away}/train.csv", f"--dev_file={away}/dev.csv", f"--teacher={bert_folder}",
        "--teacher_epochs=1", "--teacher_max_length=16", "--epochs=2", "--batch_size=16", "--learning_rate=0.02",
        "--dense_size=4", "--allow_weak_teacher", "--recipe=soft", "--augment=none", "--unlabeled=none",
        f"--student_from={away}/one",
    ]  # fmt: skip
    cases = {"slow": [], "still": ["--student_rate=0", "--dense_size=0"], "thawed": ["--student_unfreeze"]}
    got = run_verb("train", *([*shared, *c, f"--output_dir={away / n}"] for n, c in cases.items()), eager=True)
    for name, answer in zip(cases, got, strict=True):
        assert answer["code"] == 0, f"{name}: {answer['err'][-2000:]}"
    return dict(zip(cases, got, strict=True))


def test_students_start_from_it(away, students):
    from kd_keras.students.inference import load_student

    source = load_student(away / "one" / "student.keras")
    assert (away / "slow" / "vocab.txt").read_text() == (away / "one" / "vocab.txt").read_text()
    moved = {}
    for name in students:
        student = load_student(away / name / "arms" / "distilled-seed1" / "student.keras")
        moved[name] = [
            float(np.abs(mine - theirs).max())
            for layer in ("bilstm", "embeddings")
            for mine, theirs in zip(
                student.get_layer(layer).get_weights(), source.get_layer(layer).get_weights(), strict=True
            )
        ]
    assert max(moved["still"]) == 0 and min(moved["slow"]) > 0
    history = json.loads((away / "thawed" / "arms" / "distilled-seed1" / "history.json").read_text())
    assert [stage["trainable"] for stage in history["recipe"]][:2] == [
        ["dense", "logits"],
        ["dense", "logits", "bilstm"],
    ]
    assert all(stage["slow_rate"] == 0.3 for stage in history["recipe"])
    assert "starts with the embeddings and the BiLSTM of" in (away / "slow" / "report.md").read_text()


def test_benchmark_puts_it_beside_the_teacher(exported, run_verb):
    folder = exported
    flags = ["--formats=keras,tflite_float32", "--lengths=8", "--threads=1", "--texts=10", "--rounds=2"]
    done = run_verb("benchmark", [f"--model_dir={folder}", "--teacher_formats=float32", *flags])[0]
    assert done["code"] == 0, done["err"][-2000:]
    found = json.loads((folder / "benchmark" / "benchmark.json").read_text())
    scores = {m["name"]: m["metrics"] for m in found["models"]}
    assert scores["teacher_float32"]["cosine"] > 0.9999 and scores["teacher_float32"]["neighbours"] > 0.97
    assert scores["keras"]["cosine"] == pytest.approx(metrics(folder)["dev"]["cosine"], abs=1e-4)
    assert scores["tflite_float32"]["cosine"] == pytest.approx(scores["keras"]["cosine"], abs=1e-4)
    assert found["ratios"] and "as fast as teacher_float32" in done["out"]


BAD = {
    "losses": (
        ["--losses=cosin"],
        "'cosin' is not one of mse, cosine, similarities, contrast, tokens. Did you mean cosine?",
    ),
    "tokens": (["--losses=tokens", "--pooling=last"], "needs a state of each token; use --pooling=mean or max"),
    "head": (["--losses=tokens", "--student_truncation=tail"], "counts words from a text's head"),
    "token size": (
        ["--losses=tokens", "--token_size=17"],
        "--token_size=17: the teacher's states have only 16 numbers",
    ),
    "weight": (["--losses=mse:-1"], "expected a number over 0 after the colon"),
    "task": (["--tasks=conll2003"], "--tasks=conll2003: tags words"),
    "unknown task": (["--tasks=sst3"], "unknown task 'sst3'"),
    "size": (["--vector_size=99"], "--vector_size=99: the teacher's vectors have 16 numbers"),
    "layer": (["--hidden_layer=9"], "--hidden_layer=9: the teacher has layers 0 to 2"),
    "text": (["--unlabeled_files=nowhere.txt"], "nowhere.txt"),
    "held out": (["--held_out_files=nowhere.txt"], "--held_out_files: no such file: nowhere.txt"),
    "no choice": (["--tokenizer=words"], "Unknown command line flag 'tokenizer'"),
    "pooling": (["--pooling=cls"], "--pooling=cls: expected one of last, max, mean"),
}


def test_what_can_be_refused_is_refused_at_once(arguments, run_verb, tmp_path):
    cases = ([*arguments, *bad, f"--output_dir={tmp_path / name}"] for name, (bad, _) in BAD.items())
    got = run_verb("pretrain", *cases)
    for (name, (_, said)), answer in zip(BAD.items(), got, strict=True):
        assert answer["code"] == 2 and said in answer["err"] and answer["err"].count("\n") == 1, (name, answer["err"])
        assert not answer["tf"] and not (tmp_path / name).exists(), name


def test_other_commands_say_whom_to_ask(away, runs, run_verb):
    folder = away / "one"
    predict = run_verb("predict", [f"--model_dir={folder}", "good film"])[0]
    assert predict["code"] == 2 and "use python -m kd_keras.embed" in predict["err"]
    compress = run_verb("compress", [f"--model_dir={folder}", "--output_dir=x"])[0]
    assert compress["code"] == 2 and "gives vectors; expected one with labels" in compress["err"]
    other = run_verb("pretrain", [f"--output_dir={away / 'one'}", f"--unlabeled_files={away}/text.txt"])[0]
    assert other["code"] == 2 and "run" in other["err"] and other["err"].count("\n") == 1, other["err"]
    evaluate = run_verb("evaluate", [f"--model_dir={folder}", f"--data_file={away}/dev.csv"])[0]
    assert evaluate["code"] == 2 and "--similarity=FILE" in evaluate["err"]


@pytest.mark.slow
def test_a_killed_run_ends_as_an_unbroken_one(away, arguments, run_python, tmp_path):
    long = [*arguments, "--updates=60", "--evals=30", "--shard_rows=40"]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert run_python("-m", "kd_keras.pretrain", *long, f"--output_dir={whole}").returncode == 0
    command = [sys.executable, "-m", "kd_keras.pretrain", *long, f"--output_dir={broken}"]
    for mark in ("signals/text/shard-00001.parquet", "arms/universal-seed1"):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + 120
        while not (broken / mark).exists() and process.poll() is None and time.monotonic() < until:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert run_python("-m", "kd_keras.pretrain", *long, f"--output_dir={broken}").returncode == 0
    assert metrics(broken)["dev"] == metrics(whole)["dev"]
