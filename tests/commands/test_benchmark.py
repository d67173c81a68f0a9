"""benchmark from flags to files, on a run of made-up sentences. No assertion is about time."""

from __future__ import annotations

import json
import re
import shutil

import pytest

NEEDED = (
    "student.keras",
    "task.json",
    "tokenizer.json",
    "vocab.txt",
    "labels.txt",
    "metrics.json",
    "flags.txt",
    "run.json",
)
FORMATS = ["keras", "tflite_dynamic", "tflite_loop_float32"]
LENGTHS = [6, 12, None]


@pytest.fixture(scope="module")
def run(trained_run, run_verb, tmp_path_factory):
    """A copy of the run, exported."""
    folder = tmp_path_factory.mktemp("benchmarked") / "run"
    folder.mkdir()
    for name in NEEDED:
        shutil.copy(trained_run.folder / name, folder / name)
    shutil.copytree(trained_run.folder / "teacher", folder / "teacher")
    (done,) = run_verb("export", [f"--model_dir={folder}", "--formats=tflite_dynamic,tflite_loop_float32"])
    assert done["code"] == 0, done["err"]
    return folder


def test_what_is_wrong_is_said_at_once(run, run_verb, trained_run, tmp_path):
    bare, moved, other = tmp_path / "bare", tmp_path / "moved", tmp_path / "other"
    for folder in (bare, moved, other):
        folder.mkdir()
        for name in NEEDED:
            shutil.copy(run / name, folder / name)
    for folder in (moved, other):
        shutil.copytree(run / "tflite", folder / "tflite")
        shutil.copytree(run / "teacher", folder / "teacher")
    flags = (moved / "flags.txt").read_text()
    (moved / "flags.txt").write_text(flags.replace(str(trained_run.files["train"]), str(tmp_path / "gone.csv")))
    (other / "run.json").write_text(json.dumps(json.loads((other / "run.json").read_text()) | {"data": "0" * 16}))
    (tmp_path / "blank.csv").write_text("text,label\n")
    model = f"--model_dir={run}"
    cases = {
        "--model_dir=DIR is needed": [],
        "no such folder": [f"--model_dir={tmp_path / 'none'}"],
        "has no exported file; first run python -m kd_keras.export --model_dir=": [f"--model_dir={bare}"],
        "Did you mean tflite_dynamic": [model, "--formats=tflite_dynmic"],
        "--formats=tflite_int8: ": [model, "--formats=tflite_int8"],
        "--lengths=32: the student reads at most 12 tokens": [model, "--lengths=6,32"],
        "--lengths=ten: expected whole numbers": [model, "--lengths=ten"],
        "--threads=0: expected whole numbers": [model, "--threads=0"],
        "--teacher_formats=int8: expected one or more of": [model, "--teacher_formats=int8"],
        "has no teacher/; --teacher_formats=none": [f"--model_dir={bare}", "--formats=keras"],
        "gone.csv); --data_dir=DIR says where": [f"--model_dir={moved}"],
        "is not the data that this run was trained on": [f"--model_dir={other}"],
        "--data_file: no such file": [model, f"--data_file={tmp_path / 'none.csv'}"],
        "blank.csv": [model, f"--data_file={tmp_path / 'blank.csv'}"],
        "unexpected argument 'tflite_dynamic'": [model, "tflite_dynamic"],
    }
    for says, answer in zip(cases, run_verb("benchmark", *cases.values()), strict=True):
        assert answer["code"] == 2 and says in answer["err"], (says, answer["err"])
        assert answer["err"].count("\n") == 1 and answer["out"] == "" and not answer["tf"], says
    assert not (run / "benchmark").exists()


def test_help_imports_no_tensorflow(run_python):
    code = (
        "import sys, runpy; sys.argv = ['benchmark', '--help']\n"
        "try:\n    runpy.run_module('kd_keras.benchmark', run_name='__main__')\n"
        "except SystemExit as e:\n    assert not e.code\n"
        "assert not {'tensorflow', 'keras', 'matplotlib'} & set(sys.modules)\n"
    )
    done = run_python("-c", code)
    assert done.returncode == 0, done.stderr
    for flag in ("lengths", "threads", "teacher_formats", "data_file", "model_dir"):
        assert f"--{flag}" in done.stdout


@pytest.fixture(scope="module")
def done(run, run_verb):
    (answer,) = run_verb(
        "benchmark", [f"--model_dir={run}", "--lengths=6,12", "--threads=1,2", "--texts=12", "--rounds=3"]
    )
    assert answer["code"] == 0, answer["err"]
    return answer, json.loads((run / "benchmark" / "benchmark.json").read_text())


def test_every_model_is_measured_in_every_way(done, run):
    _, report = done
    names = [*FORMATS, "teacher_float32", "teacher_dynamic"]
    assert [m["name"] for m in report["models"]] == names
    for m in report["models"]:
        settings = [(e["length"], e["threads"]) for e in m["latency"]]
        assert settings == [(n, t) for t in (1, 2) for n in LENGTHS]
        assert all(e["calls"] == 12 and 0 < e["p50"] <= e["p90"] <= e["p99"] for e in m["latency"])
        assert m["load_ms"] > 0 and m["first_ms"] > 0 and m["peak_mb"] > m["model_mb"] >= 0
    assert report["models"][1]["bytes"] == (run / "tflite" / "dynamic.tflite").stat().st_size
    assert (report["metric"], report["text"]["rows"], report["text"]["source"]) == ("accuracy", 30, "dev split")


def test_scores_are_those_of_the_run(done, run):
    """Against metrics.json, which train wrote from the live student and the stored logits of the live teacher."""
    _, report = done
    got = {m["name"]: m["metrics"]["accuracy"] for m in report["models"]}
    said = json.loads((run / "metrics.json").read_text())
    kept = said["student"]["per_seed"]["dev"][said["seeds"].index(said["chosen_seed"])]["accuracy"]
    assert got["keras"] == got["tflite_loop_float32"] == pytest.approx(kept)
    assert got["teacher_float32"] == pytest.approx(said["teacher"]["dev"]["accuracy"])
    assert got["tflite_dynamic"] == pytest.approx(kept, abs=0.1)
    made = set(report["made"])
    assert made == {
        *(f"teacher-{p}-{n}.tflite" for p in ("float32", "dynamic") for n in (6, 12, 16)), "student-dynamic-6.tflite"
    }, "the exported file itself at its own length"  # fmt: skip


def test_ratios_are_of_one_precision(done):
    _, report = done
    pairs = {(r["fast"], r["slow"]) for r in report["ratios"]}
    assert pairs == {("tflite_dynamic", "teacher_dynamic"), ("tflite_loop_float32", "teacher_float32")}
    assert len(report["ratios"]) == 12
    for r in report["ratios"]:
        assert r["rounds"] == 3 and 0 < r["min"] <= r["median"] <= r["max"]


def test_what_a_benchmark_feeds(done):
    _, report = done
    fed = [(i["model"], i["fed"], i["length"]) for i in report["inputs"]]
    assert fed == [
        (m, f, 12) for m in ("tflite_dynamic", "tflite_loop_float32") for f in ("real text", "zeros", "random ids")
    ]
    real = [i["of_real"] for i in report["inputs"] if i["fed"] == "real text"]
    assert all((r["min"], r["median"], r["max"]) == (1, 1, 1) for r in real)


def test_the_screen_and_the_folder(done, run):
    answer, _ = done
    lines = answer["out"].splitlines()
    assert lines[0].startswith("Take tflite_") and lines[2] == "next:" and "adb push" in lines[4]
    rows = [line for line in lines if line.startswith("| ")]
    assert [line.split()[1] for line in rows[2:7]] == [*FORMATS, "teacher_float32", "teacher_dynamic"]
    assert "tflite_dynamic: " in answer["out"] and "× as fast as teacher_dynamic" in answer["out"]
    (app,) = [line for line in lines if "BenchmarkModelActivity" in line]
    vocab = len((run / "vocab.txt").read_text().splitlines())
    assert "--input_layer=ids" in app and f" --input_layer_value_range=ids,1,{vocab - 1}" in app
    assert re.search(r"benchmark.md; it took \d+ (second|minute)s?$", answer["err"].splitlines()[-1])
    assert re.search(r"\ntiming takes about \d+ (second|minute)s?\n", answer["err"])
    folder = run / "benchmark"
    assert {p.name for p in folder.iterdir()} == {"benchmark.json", "benchmark.md", "pareto.png", "models"}
    assert (folder / "pareto.png").read_bytes().startswith(b"\x89PNG")
    page = (folder / "benchmark.md").read_text().split("## On a phone")[1]
    lines = [line for line in page.splitlines() if "BenchmarkModelActivity" in line]
    files = [line.split("--graph=/data/local/tmp/")[1].split()[0] for line in lines]
    teachers = [f"teacher-{p}-{n}.tflite" for p in ("float32", "dynamic") for n in (16, 12)]
    assert files == ["dynamic.tflite", "loop_float32.tflite", *teachers], "exported, and the longest that was timed"
    assert not [p for p in run.rglob("*") if ".tmp" in p.name]
    assert {p.name for p in (run / "tflite").iterdir()} >= {"dynamic.tflite", "loop_float32.tflite"}, (
        "left as they were"
    )


def test_other_data_without_a_teacher(done, run, run_verb, trained_run, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    shutil.rmtree(copy / "teacher")
    (copy / "flags.txt").unlink()
    (answer,) = run_verb(
        "benchmark",
        [
            f"--model_dir={copy}", "--formats=tflite_loop_float32", "--teacher_formats=none", "--lengths=6", "--threads=1",
            "--texts=10", "--rounds=2", f"--data_file={trained_run.files['test']}",
        ],
    )  # fmt: skip
    assert answer["code"] == 0, answer["err"]
    report = json.loads((copy / "benchmark" / "benchmark.json").read_text())
    assert (report["text"]["source"], report["text"]["rows"], report["ratios"]) == ("test.csv", 20, [])
    said = json.loads((run / "metrics.json").read_text())
    kept = said["student"]["per_seed"]["test"][said["seeds"].index(said["chosen_seed"])]["accuracy"]
    assert report["models"][0]["metrics"]["accuracy"] == pytest.approx(kept)
