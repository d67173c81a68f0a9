"""Compares four students of a task: from scratch, distilled, fine-tuned from a universal student, and both.

    python benchmarks/universal_tasks.py --universal=RUN --tasks=sst2=DIR,trec=FILE --output_dir=DIR

All four students of a task have the same shape, text and number of updates. The teacher is fine-tuned once.
`--labels_per_class=16,50,all` gives curves. What follows `--` goes to train. Finished runs are found again.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from kd_keras import tasks
from kd_keras.common.markdown import markdown_table
from kd_keras.runs import plots
from kd_keras.runs.universal_report import label_efficiency

ARMS = ("from scratch", "task distillation", "universal, fine-tuned", "universal, distilled")
# Two encoders of one shape agree in these settings. The others have train's defaults.
SHAPE = ("embedding_size", "hidden_size", "pooling")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--universal", type=Path, required=True, help="run folder of pretrain")
    parser.add_argument("--tasks", required=True, help="NAME=DIR, with commas")
    parser.add_argument("--labels_per_class", default="all", help="numbers with commas, or all")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--student_rate", help="of the students that start from the universal one, as in train")
    parser.add_argument("--output_dir", type=Path, required=True)
    cut = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    args, more = parser.parse_args(sys.argv[1:cut]), sys.argv[cut + 1 :]
    print("python benchmarks/universal_tasks.py " + " ".join(sys.argv[1:]), flush=True)
    found: dict[str, dict[str, list]] = {}
    lines = []
    for name, folder in (part.split("=", 1) for part in args.tasks.split(",")):
        metric = "accuracy" if Path(folder).is_file() else tasks.get(name).metric
        found[name] = {"metric": metric, "rows": [], **{arm: [] for arm in ARMS}}
        for count in args.labels_per_class.split(","):
            scores, rows = cell(args, name, folder, count, more)
            found[name]["rows"].append(rows)
            for arm in ARMS:
                found[name][arm].append(float(np.mean(scores[arm])))
            lines.append([name, metric, f"{rows:,}", *(_cell(scores[arm]) for arm in ARMS)])
            print(" | ".join(lines[-1]), flush=True)
    means = [np.mean([v for of in found.values() for v in of[arm]]) for arm in ARMS]
    lines.append(["mean", "", "", *(f"{100 * m:.2f}" for m in means)])
    print(markdown_table(["task", "dev metric", "labels", *ARMS], lines))
    if "," in args.labels_per_class:
        plots.save(label_efficiency(found, ARMS), args.output_dir / "label_efficiency.png")


def cell(args: argparse.Namespace, name: str, folder: str, count: str, more: list[str]) -> tuple[dict, int]:
    """Arm → dev scores of the seeds, as fractions. Also the number of labels."""
    place = args.output_dir / name / count
    shape = json.loads((args.universal / "run.json").read_text())["student"]
    own = [f"--vocab_size={shape['vocab_size']}", *(f"--{key}={shape[key]}" for key in SHAPE)]
    own_file = [f"--task={name}", f"--data_dir={folder}"]
    if Path(folder).is_file():
        own_file = ["--task=custom", f"--train_file={folder}", "--augment=none", "--unlabeled=none"]
    common = [*own_file, "--recipe=soft", "--alpha=0.5", f"--seeds={args.seeds}", *more]
    if count != "all":
        common.append(f"--labels_per_class={count}")
    first = run([*common, *own], place / "plain")
    start = [f"--student_from={args.universal}"]
    if args.student_rate is not None:
        start.append(f"--student_rate={args.student_rate}")
    second = run([*common, *start], place / "warm")
    metric = "accuracy" if Path(folder).is_file() else tasks.get(name).metric
    scores = {}
    for arm, (made, kind) in zip(
        ARMS, ((first, "baseline"), (first, "student"), (second, "baseline"), (second, "student")), strict=True
    ):
        each = made[kind].get("per_seed", {}).get("dev")
        scores[arm] = [one[metric] for one in each] if each else [made[kind]["dev"][metric]]
    return scores, first["rows"]["train"]


def run(arguments: list[str], folder: Path) -> dict:
    """metrics.json of the run in ``folder``, which is made or found again."""
    metrics = folder / "metrics.json"
    if not metrics.is_file():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with open(folder.parent / f"{folder.name}.log", "w", encoding="utf-8") as log:
            command = [sys.executable, "-m", "kd_keras.train", *arguments, f"--output_dir={folder}"]
            if code := subprocess.run(command, stdout=log, stderr=subprocess.STDOUT).returncode:
                sys.exit(f"{folder.name}: exit code {code}; see {log.name}")
    return json.loads(metrics.read_text())


def _cell(scores: list[float]) -> str:
    spread = f" ± {100 * np.std(scores, ddof=1):.2f}" if len(scores) > 1 else ""
    return f"{100 * np.mean(scores):.2f}{spread}"


if __name__ == "__main__":
    main()
