"""export, and evaluate and predict on what it made."""

from __future__ import annotations

import json
import shutil

import pytest

NEEDED = ("student.keras", "task.json", "tokenizer.json", "vocab.txt", "labels.txt", "metrics.json")


@pytest.fixture(scope="module")
def run(trained_run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported") / "run"
    folder.mkdir()
    for name in NEEDED:
        shutil.copy(trained_run.folder / name, folder / name)
    shutil.copytree(trained_run.folder / "arms", folder / "arms")
    return folder


@pytest.fixture(scope="module")
def answers(run, run_verb, trained_run, tmp_path_factory):
    """Of export: what is wrong first, then what is right."""
    away = tmp_path_factory.mktemp("none")
    model, dev = f"--model_dir={run}", trained_run.files["dev"]
    return run_verb(
        "export",
        [],
        [model, "--formats=tflite_dynmic"],
        [model, "--formats=tflite_int8"],
        [model, "--formats=tflite_loop_int8"],
        [f"--model_dir={away}"],
        [model, f"--check_file={away / 'none.csv'}"],
        [model, "tflite_dynamic"],
        [model, "--arm=baselin-seed1"],
        [model, "--arm=../arms/baseline-seed1"],
        [model, "--formats=saved_model,tflite_dynamic,tflite_int8,tflite_loop_float32", f"--calibration_file={dev}"],
    )


def test_what_is_wrong_is_said_at_once(answers):
    says = (
        "--model_dir=DIR is needed", "Did you mean tflite_dynamic", "needs --calibration_file=FILE", "this format does not exist",
        "expected a finished run of train", "--check_file: no such file", "unexpected argument 'tflite_dynamic'",
        "expected one of: baseline-seed1, baseline-seed2, distilled-seed1, distilled-seed2. Did you mean baseline-seed",
        "--arm=../arms/baseline-seed1: ",
    )  # fmt: skip
    for answer, expected in zip(answers[:-1], says, strict=True):
        assert answer["code"] == 2 and expected in answer["err"] and answer["err"].count("\n") == 1
        assert not answer["tf"], "refused before TensorFlow is imported"


def test_the_files_and_their_table(answers, run, trained_run):
    done = answers[-1]
    assert done["code"] == 0, done["err"]
    lines = done["out"].splitlines()
    names = ["saved_model", "tflite/dynamic.tflite", "tflite/int8.tflite", "tflite/loop_float32.tflite"]
    assert [line.split()[1] for line in lines[2:]] == ["Keras", *(name.split("/")[-1] for name in names)]
    metrics = json.loads((run / "metrics.json").read_text())
    chosen = metrics["seeds"].index(metrics["chosen_seed"])
    accuracy = f"{metrics['student']['per_seed']['dev'][chosen]['accuracy']:.4f}"
    assert lines[2].split("|")[5].strip() == accuracy, "Keras' own number on dev"
    about = json.loads((run / "tflite" / "metadata.json").read_text())
    assert set(about["models"]) == {n.split("/")[1] for n in names[1:]}
    assert (run / "saved_model" / "saved_model.pb").is_file()
    assert not [p for p in run.rglob("*") if ".tmp" in p.name]
    assert "for an app: dynamic.tflite alone, with MediaPipe (docs/mediapipe.md)\n" in done["err"]


def test_another_student_of_the_run(answers, run, run_verb, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    metrics = json.loads((copy / "metrics.json").read_text())
    kept = f"distilled-seed{metrics['chosen_seed']}"
    mine = {
        p: p.read_bytes() for p in [*(copy / "tflite").iterdir(), *(copy / "saved_model").rglob("*")] if p.is_file()
    }
    model, formats = f"--model_dir={copy}", "--formats=saved_model,tflite_loop_float32"
    other, own = run_verb(
        "export", [model, "--arm=baseline-seed2", formats], [model, f"--arm={kept}", "--formats=tflite_loop_float32"]
    )
    assert other["code"] == own["code"] == 0, other["err"] + own["err"]
    arm = copy / "arms" / "baseline-seed2"
    assert f"baseline-seed2: its files go to {arm}\n" in other["err"]
    # The copy does not know its data, so there is no row for Keras' score.
    assert [line.split()[1] for line in other["out"].splitlines()[2:]] == ["saved_model", "loop_float32.tflite"]
    assert (arm / "saved_model").is_dir() and (arm / "tflite" / "loop_float32.tflite").is_file()
    assert f"{kept} (the student that the run kept): its files go to {copy}\n" in own["err"]
    for path, content in mine.items():
        if path.name != "README.md" and path.suffix != ".json" and path.name != "loop_float32.tflite":
            assert path.read_bytes() == content, path
    abouts = [json.loads(p.read_text()) for p in (arm / "tflite" / "metadata.json", copy / "tflite" / "metadata.json")]
    assert [a["arm"] for a in abouts] == ["baseline-seed2", kept]
    assert json.loads((arm / "saved_model" / "assets.extra" / "metadata.json").read_text())["arm"] == "baseline-seed2"
    card = (arm / "tflite" / "README.md").read_text()
    assert "distilled from" not in card and "without distillation" in card
    assert f"made of the run's baseline-seed2. The student that it kept is {kept}." in card
    assert "in these files: no distillation, seed 2" in card and "--arm=baseline-seed2 --formats=" in card
    assert f"made of {kept}, the student that the run kept." in (copy / "tflite" / "README.md").read_text()
    (answer,) = run_verb("predict", [f"--model={arm / 'tflite' / 'loop_float32.tflite'}", "good film"])
    assert answer["code"] == 0 and not answer["tf"] and json.loads(answer["out"])["label"] in ("neg", "pos")


def test_evaluate_says_that_a_student_always_answers_alike(answers, run, run_verb, tmp_path):
    import numpy as np

    from kd_keras.students.inference import load_student

    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    student = load_student(copy / "student.keras")
    logits = student.get_layer("logits")
    logits.set_weights([np.zeros_like(logits.get_weights()[0]), np.array([0.0, 1.0])])
    student.save(copy / "student.keras")
    data = tmp_path / "data.csv"
    data.write_text("text,label\n" + "good film,pos\nbad film,neg\n" * 12)
    few = tmp_path / "few.csv"
    few.write_text("text,label\ngood film,pos\nbad film,neg\n")
    said, chance, sane = run_verb(
        "evaluate",
        [f"--model_dir={copy}", f"--data_file={data}"],
        [f"--model_dir={copy}", f"--data_file={few}"],
        [f"--model_dir={run}", f"--data_file={data}"],
    )
    assert "keras: answers 'pos' to every text" in said["err"] and json.loads(said["out"])["always"] == "pos"
    assert "always" not in chance["err"] + chance["out"] + sane["err"] + sane["out"]


def test_evaluate_in_every_format(answers, run, run_verb, trained_run):
    model, data = f"--model_dir={run}", f"--data_file={trained_run.files['dev']}"
    light, both, missing, unknown = run_verb(
        "evaluate",
        [model, data, "--formats=tflite_int8,tflite_dynamic"],
        [model, data, "--formats=keras,saved_model,tflite_loop_float32"],
        [model, data, "--formats=keras,tflite_float16"],
        [model, data, "--formats=tflite"],
    )
    assert light["code"] == 0 and not light["tf"], "TFLite needs no TensorFlow"
    said = [json.loads(line) for line in (light["out"] + both["out"]).splitlines()]
    assert [s["format"] for s in said] == [
        "tflite_int8",
        "tflite_dynamic",
        "keras",
        "saved_model",
        "tflite_loop_float32",
    ]
    keras = said[2]["accuracy"]
    assert said[3]["accuracy"] == said[4]["accuracy"] == keras and said[0]["rows"] == 30
    assert abs(said[0]["accuracy"] - keras) < 0.1 and abs(said[1]["accuracy"] - keras) < 0.1
    assert missing["code"] == unknown["code"] == 2 and missing["out"] == ""
    assert "--formats=tflite_float16" in missing["err"] and "kd_keras.export" in missing["err"]


def test_predict_from_a_file_without_tensorflow(answers, run, run_verb, tmp_path):
    shutil.copytree(run / "tflite", tmp_path / "app")
    file, texts = tmp_path / "app" / "loop_float32.tflite", ["good film", "", "the plot is dull"]
    light, none, two = run_verb(
        "predict",
        [f"--model={file}", *texts],
        [f"--model={tmp_path / 'none.tflite'}", "text"],
        [f"--model={file}", f"--model_dir={run}", "text"],
    )
    assert light["code"] == 0 and not light["tf"], light["err"]
    (heavy,) = run_verb("predict", [f"--model_dir={run}", *texts])
    for one, other in zip(light["out"].splitlines(), heavy["out"].splitlines(), strict=True):
        one, other = json.loads(one), json.loads(other)
        assert (one["text"], one["label"]) == (other["text"], other["label"])
        assert one["scores"] == pytest.approx(other["scores"], abs=2e-5)
    assert none["code"] == two["code"] == 2
    assert "--model: no such file" in none["err"] and "either --model_dir=DIR" in two["err"]


def test_predict_imports_little(answers, run, run_python):
    code = (
        "import sys; sys.argv = ['predict', '--model=' + sys.argv[1], 'good film']\n"
        "import runpy\n"
        "try:\n    runpy.run_module('kd_keras.predict', run_name='__main__')\n"
        "except SystemExit as e:\n    assert not e.code, e.code\n"
        "heavy = {'tensorflow', 'keras', 'tf_keras', 'transformers', 'tensorflow_text', 'pyarrow', 'matplotlib'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    done = run_python("-c", code, run / "tflite" / "dynamic.tflite")
    assert done.returncode == 0 and '"label"' in done.stdout, done.stderr
    assert done.stderr == "", "native libraries' notes are no business of the user's"
