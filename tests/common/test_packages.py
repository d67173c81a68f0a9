"""Without a package everything else works; what needs it says so in one line, before anything is read."""

from __future__ import annotations

import json
import re

import pytest

from kd_keras.common import figures, packages
from kd_keras.common.errors import UserError

ALL = sorted({module for modules in packages.EXTRAS.values() for module in modules})
# What `pip install 'kd_keras[train]'` has not; TensorFlow and tokenizers themselves need these three.
BEYOND_TRAIN = sorted(set(ALL) - {*packages.EXTRAS["train"], "flatbuffers", "h5py", "huggingface_hub"})


@pytest.fixture(scope="module")
def bare(run_verb, tmp_path_factory):
    """Commands where nothing but install_requires is installed: (command, *arguments) → what it wrote; exit code 2."""
    away = tmp_path_factory.mktemp("bare")
    (away / "text.txt").write_text("good film\n", encoding="utf-8")
    cases = {
        "train": [[], ["--teacher_signals=gone.jsonl"]],
        "finetune": [["--output_dir=there"]],
        "label": [["--teacher_dir=gone", "--input=gone", "--output_dir=there"]],
        "pretrain": [["--unlabeled_files=gone"]],
        "transfer": [["--task=sst2", "--augment=all", "--output=there.jsonl"]],
        "compress": [["--model_dir=gone", "--output_dir=there"]],
        "export": [["--model_dir=gone"]],
        "benchmark": [["--model_dir=gone"]],
        "evaluate": [["--model_dir=gone", "--data_file=gone"]],
    }
    return {verb: run_verb(verb, *some, without=ALL) for verb, some in cases.items()}


@pytest.mark.parametrize(
    "verb, extra, what",
    [
        ("train", "teacher", "--teacher=minilm-l6: needs tensorflow, keras and 8 other packages, which are"),
        ("finetune", "teacher", "finetune: needs"),
        ("label", "teacher", "label: needs"),
        ("pretrain", "teacher", "pretrain: needs"),
        ("transfer", "augment", "transfer: needs pyarrow, which is not installed"),
        ("compress", "compress", "compress: needs"),
        ("export", "export", "export: needs"),
        ("benchmark", "export", "benchmark: needs"),
        ("evaluate", "train", "--formats=keras: needs"),
    ],
)
def test_each_command_names_its_extra_before_it_reads_anything(bare, verb, extra, what):
    """What the flags name is not there, and that is not what the error is about."""
    said = bare[verb][0]
    assert said["code"] == 2 and said["out"] == ""
    (line,) = said["err"].splitlines()
    assert line.startswith(f"error: {what}") and line.endswith(f"not installed; pip install 'kd_keras[{extra}]'"), line


def test_signals_that_are_given_need_no_teacher(bare):
    assert "train: needs tensorflow, keras and 3 other" in bare["train"][1]["err"]
    assert "pip install 'kd_keras[train]'" in bare["train"][1]["err"]


def test_a_students_run_is_opened_before_tensorflow_is_asked_for(run_verb, make_run):
    folder = make_run().folder
    said = run_verb("predict", [f"--model_dir={folder}", "good film"], without=ALL)[0]
    assert (
        said["code"] == 2
        and f"--model_dir={folder}: needs tensorflow" in said["err"]
        and "kd_keras[train]" in said["err"]
    )


@pytest.fixture(scope="module")
def given(write_csv, toy_sentences, tmp_path_factory):
    """Flags of a tiny run whose teacher is a file."""
    away = tmp_path_factory.mktemp("given")
    arguments = ["--task=custom"]
    for split, count, seed in (("train", 48, 0), ("dev", 20, 1)):
        texts, labels = toy_sentences(count, seed)
        arguments.append(f"--{split}_file={write_csv(away / f'{split}.csv', texts, labels)}")
        lines = [
            json.dumps({"text": t, "logits": [1.0 - 2 * int(n), 2.0 * int(n) - 1]})
            for t, n in zip(texts, labels, strict=True)
        ]
        (away / f"{split}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return [
        *arguments, f"--teacher_signals={away}/train.jsonl,{away}/dev.jsonl", "--tokenizer=words", "--embeddings=random", "--embedding_size=8",
        "--hidden_size=6", "--dense_size=8", "--epochs=1", "--batch_size=16", "--nobaseline", "--recipe=soft",
    ]  # fmt: skip


def test_train_alone_trains_and_leaves_out_what_others_draw(run_verb, given, tmp_path):
    """As 'kd_keras[train]' alone has it: no teacher's packages, no scikit-learn, no matplotlib."""
    said, board = run_verb(
        "train", [*given, f"--output_dir={tmp_path / 'run'}"], [*given, f"--output_dir={tmp_path / 'b'}", "--tensorboard"],
        eager=True, without=BEYOND_TRAIN,
    )  # fmt: skip
    assert said["code"] == 0, said["err"][-2000:]
    assert said["err"].count("plots: left out, as matplotlib is not installed; pip install 'kd_keras[plots]'") == 1
    assert said["err"].index("plots: left out") < said["err"].index("run folder:")
    assert "linear models: left out, as scikit-learn is not installed; pip install 'kd_keras[teacher]'" in said["err"]
    report = (tmp_path / "run" / "report.md").read_text(encoding="utf-8")
    assert (
        "![" not in report and "(Left out, as matplotlib was not installed: dev score and loss over updates.)" in report
    )
    assert not list((tmp_path / "run").rglob("*.png")) and (tmp_path / "run" / "student.keras").is_file()
    assert (
        board["code"] == 2
        and "--tensorboard: needs tensorboard, which is not installed; pip install 'kd_keras[plots]'" in board["err"]
    )


def test_export_leaves_out_what_nobody_asked_for(run_verb, make_run):
    folder = make_run().folder
    named, plain = run_verb(
        "export",
        [f"--model_dir={folder}", "--formats=saved_model"],
        [f"--model_dir={folder}"],
        without=["tensorflow_text"],
    )
    assert (
        named["code"] == 2
        and "--formats=saved_model: needs tensorflow-text, which is not installed; pip install 'kd_keras[text]'"
        in named["err"]
    )
    assert plain["code"] == 0, plain["err"]
    assert "saved_model: left out, as tensorflow-text is not installed" in plain["err"]
    assert "dynamic.tflite" in plain["out"] and "saved_model" not in plain["out"]


def test_what_no_command_looks_for_is_one_line_too(run_verb):
    """An import that nothing looked for before: of packages that no extra has it stays Python's own error."""
    assert packages.lacking("tensorflow.keras") == "tensorflow is not installed; pip install 'kd_keras[train]'"
    assert packages.lacking("sklearn") == "scikit-learn is not installed; pip install 'kd_keras[teacher]'"
    assert packages.lacking("torch") is packages.lacking(None) is None


def test_a_notebook_is_told_the_extra_too(run_python):
    code = (
        "import sys\nsys.modules.update(dict.fromkeys(('tf_keras', 'transformers')))\nimport kd_keras as kd\n"
        "kd.StudentSettings\n"
        "try:\n    kd.Teacher\nexcept ImportError as e:\n    print(e)\n"
    )
    done = run_python("-c", code)
    assert done.stdout.strip() == "kd_keras.Teacher: tf-keras is not installed; pip install 'kd_keras[teacher]'", (
        done.stderr
    )


def test_up_to_three_packages_are_named(monkeypatch):
    monkeypatch.setattr(packages, "installed", lambda module: module == "there")
    for count, want in ((1, "a, which is not"), (2, "a and b, which are not"), (3, "a, b and c, which are not"),
                        (4, "a, b and 2 other packages, which are not")):  # fmt: skip
        with pytest.raises(UserError, match=re.escape(f"--x: needs {want} installed; pip install 'kd_keras[text]'")):
            packages.require("--x", "text", "there", *"abcd"[:count])
    packages.require("--x", "text", "there")


def test_pictures_become_a_sentence(monkeypatch):
    text = "# A\n\n![a curve](plots/a.png)\n\ntext ![inline](b.png)\n"
    assert figures.as_drawn(text) == text
    monkeypatch.setattr(figures, "Figure", None)
    assert not figures.can_draw()
    assert (
        figures.as_drawn(text)
        == "# A\n\n(Left out, as matplotlib was not installed: a curve.)\n\ntext ![inline](b.png)\n"
    )
