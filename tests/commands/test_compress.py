"""compress: from a run of train to a run folder that the other commands take."""

from __future__ import annotations

import gzip
import json
import shutil

import numpy as np
import pytest

SHORT = ("--updates=6", "--rounds=2", "--batch_size=16")


@pytest.fixture(scope="module")
def away(tmp_path_factory):
    return tmp_path_factory.mktemp("compress")


@pytest.fixture(scope="module")
def refused(run_verb, trained_run, away):
    """What each wrong command answers, by what it must say."""
    model, out = f"--model_dir={trained_run.folder}", f"--output_dir={away / 'never'}"
    (away / "taken").mkdir()
    (away / "taken" / "letter.txt").write_text("dear")
    for name in ("no signals", "a tagger"):
        shutil.copytree(trained_run.folder, away / name, ignore=shutil.ignore_patterns("arms", "teacher", "signals"))
    about = json.loads((away / "a tagger" / "task.json").read_text())
    (away / "a tagger" / "task.json").write_text(json.dumps(about | {"kind": "tagging", "labels": ["O", "B-A", "I-A"]}))
    cases = {
        "--model_dir=DIR is needed": [out],
        "--output_dir=DIR is needed": [model],
        "no such folder": ["--model_dir=/no/such/run", out],
        "expected a finished run of train": [f"--model_dir={away / 'taken'}", out],
        "is the same folder as --model_dir": [model, f"--output_dir={trained_run.folder}"],
        "exists and is not empty": [model, f"--output_dir={away / 'taken'}"],
        "no teacher signals here": [f"--model_dir={away / 'no signals'}", out],
        "tags words": [f"--model_dir={away / 'a tagger'}", out],
        "Did you mean prune": [model, out, "--method=prun"],
        "Dense layers only": [model, out, "--method=qat"],
        "--sparsity=1.5": [model, out, "--sparsity=1.5"],
        "--clusters=2": [model, out, "--clusters=2"],
        "unexpected argument 'prune'": [model, out, "prune"],
    }
    return dict(zip(cases, run_verb("compress", *cases.values()), strict=True))


def test_what_is_wrong_is_said_at_once(refused, away):
    for says, answer in refused.items():
        assert answer["code"] == 2 and says in answer["err"] and answer["err"].count("\n") == 1, (says, answer)
        assert not answer["tf"], "refused before TensorFlow is imported"
    assert not (away / "never").exists()


@pytest.fixture(scope="module")
def done(run_verb, trained_run, away):
    """A clustered run; the same command again; other settings into the same folder."""
    command = [f"--model_dir={trained_run.folder}", f"--output_dir={away / 'run'}", "--method=cluster", *SHORT]
    return run_verb("compress", [*command, "--clusters=4"], [*command, "--clusters=4"], [*command, "--clusters=5"])


def test_the_table_is_what_numpy_counts(done, away, trained_run):
    first = done[0]
    assert first["code"] == 0, first["err"]
    results = json.loads((away / "run" / "compress.json").read_text())
    from kd_keras.compression.report import kernels
    from kd_keras.students.inference import load_student

    found = kernels(load_student(away / "run" / "student.keras"))
    assert set(found) == set(results["after"]["kernels"])
    for name, values in found.items():
        (line,) = (x.split("  ") for x in first["out"].splitlines() if x.startswith(f"{name}  "))
        distinct = len(np.unique(values))
        assert 1 < distinct <= 4
        assert line[-1].strip() == str(distinct) == str(results["after"]["kernels"][name]["distinct"])
        assert results["after"]["kernels"][name]["zeros"] == np.mean(values == 0)
    packed = len(gzip.compress((away / "run" / "student.keras").read_bytes(), 6))
    assert results["after"]["gzip_bytes"] == packed
    metrics = json.loads((trained_run.folder / "metrics.json").read_text())
    chosen = metrics["seeds"].index(metrics["chosen_seed"])
    assert results["before"]["dev"] == {
        k: v for k, v in metrics["student"]["per_seed"]["dev"][chosen].items() if k != "seed"
    }
    assert results["steps"][0]["best"] == results["after"]["dev"]["accuracy"]
    report = (away / "run" / "report.md").read_text().splitlines()
    said = (
        f"Clustered: dev accuracy {100 * results['before']['dev']['accuracy']:.2f} before, "
        f"{100 * results['after']['dev']['accuracy']:.2f} after; gzipped, the student has {packed:,} bytes instead of "
        f"{results['before']['gzip_bytes']:,}."
    )
    assert first["out"].splitlines()[0] == report[2] == said
    assert f"  python -m kd_keras.export --model_dir={away / 'run'}" in first["out"].splitlines()
    assert report[4] == "## Next" and f"python -m kd_keras.export --model_dir={away / 'run'}" in report


def test_a_finished_run_is_found_again_and_another_refused(done, away):
    _, again, other = done
    assert again["code"] == 0 and again["out"] == done[0]["out"] and "found in" in again["err"]
    assert other["code"] == 2 and "clusters: 4 there, 5 here" in other["err"]


@pytest.mark.slow
def test_every_command_takes_the_compressed_run(done, away, run_verb, trained_run):
    model = f"--model_dir={away / 'run'}"
    (exported,) = run_verb("export", [model, "--formats=tflite_dynamic,tflite_loop_float32"])
    assert exported["code"] == 0, exported["err"]
    data = f"--data_file={trained_run.files['dev']}"
    (scored,) = run_verb("evaluate", [model, data, "--formats=keras,tflite_loop_float32"])
    after = json.loads((away / "run" / "compress.json").read_text())["after"]["dev"]
    keras, tflite = ({m: json.loads(line)[m] for m in after} for line in scored["out"].splitlines())
    assert keras == tflite == pytest.approx(after)
    (said,) = run_verb("predict", [model, "a good film"])
    assert json.loads(said["out"])["label"] in ("neg", "pos")

    from kd_keras.runs.finished import FinishedRun
    from kd_keras.timing.models import run_teacher

    run = FinishedRun.open(away / "run")
    assert len(run.data().dev) == 30 and run_teacher(run).length == 16


def test_help_says_what_is_gained_and_what_there_is_not(run_python):
    said = " ".join(run_python("-m", "kd_keras.compress", "--help").stdout.split())
    for words in ("--sparsity", "--clusters", "expect no speed", "for Dense layers only", "--formats=tflite_dynamic"):
        assert words in said
