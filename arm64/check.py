"""The .tflite files of an export on emulated arm64 beside this machine: predict's own code on the same texts.

python arm64/check.py RUN/tflite [--input=TEXTS] [--most=200]     # every file of the folder
python arm64/check.py RUN/tflite/dynamic.tflite                   # one of them

Exits with 1 where a score differs by more than export allows the format, or a label does although its score leads by
0.02 or more. Needs root, debootstrap and qemu-user-static. The time that an emulated processor takes means nothing.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
import root as arm64

from kd_keras.common.errors import UserError
from kd_keras.common.layout import BundleLayout
from kd_keras.common.progress import say
from kd_keras.deploy import bundle, invented
from kd_keras.deploy.agreement import compare
from kd_keras.deploy.runner import Runner
from kd_keras.formats.format import FORMATS
from kd_keras.tasks import Rows, Task, get, load, read_texts

HERE = Path(__file__).resolve().parent


def files_of(model: Path) -> list[Path]:
    """The file, or those of the folder that its metadata.json knows."""
    if not model.is_dir():
        return [model]
    found = [model / name for name in bundle.read(model)["models"]]
    if not found:
        raise UserError(f"{model}: its metadata.json knows no .tflite file; export some")
    return found


def texts_for(task: Task, path: str | None, most: int) -> tuple[str, Rows]:
    """Where the texts are from, and at most ``most`` of them, evenly from all, an empty one among them; no labels."""
    if path:
        source, rows = Path(path).name, read_texts(path, task=task)
    else:  # real sentences that every installation has, whatever the task
        source, rows = "dev sentences of rotten_tomatoes", load(get("rotten_tomatoes")).dev
        if task.is_pair:
            rows = Rows(rows.ids, rows.text, rows.text[1:] + rows.text[:1], rows.label)
    if not len(rows):
        raise UserError(f"--input={path}: holds no text")
    rows = invented.spread(rows, most)
    return source, invented.with_edge_cases(task, invented.unlabelled(task, rows.text, rows.text_b))


def answer(models: list[Path], text: list[str], text_b: list[str] | None) -> dict:
    """What this processor says: {"machine", "litert", "scores": {file: float[rows, outputs]}}."""
    scores = {}
    for path in models:
        runner = Runner.load_file(path)
        scores[path.name] = runner.scores(invented.unlabelled(runner.task, text, text_b)).tolist()
    return {"machine": platform.machine(), "litert": version("ai-edge-litert"), "scores": scores}


def answer_in(folder: Path) -> None:
    """``answer`` from file to file: what the root runs."""
    asked = json.loads((folder / "texts.json").read_text(encoding="utf-8"))
    found = answer([folder / name for name in asked["models"]], asked["text"], asked["text_b"])
    (folder / "answer.json").write_text(json.dumps(found), encoding="utf-8")


def answer_on_arm64(models: list[Path], rows: Rows) -> dict:
    """``answer`` of the emulated processor. Package and bundle are copied in, as no link leads out of a root."""
    tree = arm64.ready()
    with tempfile.TemporaryDirectory(dir=tree, prefix="check-") as folder:
        work = Path(folder)
        shutil.copytree(HERE.parent / "kd_keras", work / "kd_keras", ignore=shutil.ignore_patterns("__pycache__"))
        beside = BundleLayout(models[0].parent)
        for path in (HERE / "check.py", HERE / "root.py", *models, beside.metadata, beside.vocab, beside.labels):
            shutil.copy(path, work)
        asked = {"models": [p.name for p in models], "text": rows.text, "text_b": rows.text_b}
        (work / "texts.json").write_text(json.dumps(asked), encoding="utf-8")
        code = f"import check, pathlib; check.answer_in(pathlib.Path('/{work.name}'))"
        arm64.run_python(tree, work.name, code)
        return json.loads((work / "answer.json").read_text(encoding="utf-8"))


def judge(task: Task, rows: Rows, formats: dict[str, str], here: dict, there: dict) -> int:
    """Prints a line for each file; the exit code.

    Args:
      task: of the bundle.
      rows: the texts.
      formats: file → its format's name.
      here: this machine's answer.
      there: arm64's.
    """
    for who in (here, there):
        print(f"{who['machine']}: LiteRT {who['litert']}")
    failed = []
    for name, fmt in formats.items():
        want, got = (np.array(who["scores"][name]) for who in (here, there))
        found = compare(task, rows, want, got, want)
        logit = found.max_logit_difference
        logits = "" if logit is None else f", of a logit {logit:.2g}"
        same = round(found.agreement * len(rows))
        print(
            f"{name}: largest difference of a score {found.max_score_difference:.2g}{logits}; "
            f"{'same score' if task.is_regression else 'same label'} on {same:,} of {len(rows):,} texts"
        )
        tolerance = FORMATS[fmt].tolerance
        # Integers are rounded otherwise by other kernels, and a recurrence carries that on: as many labels as of Keras.
        least = FORMATS[fmt].agreement if FORMATS[fmt].precision == "int8" else 1.0
        if found.clear_agreement < least or (tolerance is not None and found.max_score_difference > tolerance):
            failed.append(name)
    print(f"arm64 DISAGREES: {', '.join(failed)}" if failed else "arm64 agrees")
    return 1 if failed else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", type=Path, help="a .tflite file of export with the files beside it, or their folder")
    parser.add_argument("--input", help="texts, as predict --input reads them; rotten_tomatoes' dev if not given")
    parser.add_argument("--most", type=int, default=200, help="so many texts at most (a second each, all files)")
    asked = parser.parse_args()
    if asked.most < 1:
        raise UserError(f"--most={asked.most}: expected 1 or more")
    arm64.require_tools()
    models = files_of(asked.model)
    opened = {path.name: bundle.open_model(path) for path in models}
    task = opened[models[0].name][0]
    source, rows = texts_for(task, asked.input, asked.most)
    say(f"{len(models)} files, {len(rows):,} texts ({source}), here and on emulated arm64 ({arm64.CPU})")
    here, there = answer(models, rows.text, rows.text_b), answer_on_arm64(models, rows)
    return judge(task, rows, {name: entry["format"] for name, (_, _, entry) in opened.items()}, here, there)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except UserError as error:
        sys.exit(f"error: {error}")
