"""What a run of pretrain reports at its end: metrics.json, report.md and its plots."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np

from kd_keras.common import files
from kd_keras.common.figures import Figure, can_draw
from kd_keras.common.machine import cpus
from kd_keras.runs import plots, probing
from kd_keras.runs.drawn_names import shortened
from kd_keras.runs.next_steps import for_report, for_screen, with_vectors
from kd_keras.runs.probing import STUDENT, TEACHER, table
from kd_keras.runs.universal import ARM, Pretrained
from kd_keras.runs.universal_job import UniversalRun
from kd_keras.students.bilstm import parameters
from kd_keras.students.cudnn import LOOP
from kd_keras.students.inference import predict
from kd_keras.teachers.labelling import label_shard
from kd_keras.teachers.signals import HIDDEN


def write_report(run: UniversalRun, made: Pretrained) -> dict[str, Any]:
    """Writes all files. Returns what metrics.json holds, with "screen" for the end of the command."""
    with run.timings.step("probing"):
        worth = _worth(run, made)
    best = next(e for e in made.history["epochs"] if e["step"] == made.history["best_step"])
    metrics = {
        "task": run.job.task.name,
        "dev": {"neighbours": best["dev_neighbours"], "cosine": best["dev_cosine"]},
        "rows": made.rows,
        "vector_size": run.job.target.vector_size,
        STUDENT: parameters(made.student),
        TEACHER: made.teacher.about(),
        "updates": made.history["epochs"][-1]["step"],
        "tasks": worth,
        "tasks_data": _of_data(run),
        "kept": {"arm": f"{ARM}-seed{run.job.universal.seed}", "why": ""},
        "seconds": run.timings.seconds,
        "cpus": cpus(),
    }
    metrics |= {"verdict": _verdict(metrics["dev"]), "next": with_vectors(run.layout.root)}
    files.write_json(run.layout.metrics, metrics)
    few = {name: found for name, found in worth.items() if "rows" in found}
    if can_draw():
        plots.save(_learning(made.history["epochs"]), run.layout.plots / "learning_curves.png")
    if few and can_draw():
        plots.save(label_efficiency(few, (STUDENT, TEACHER)), run.layout.plots / "label_efficiency.png")
    files.write_text(run.layout.report, _markdown(run, made, metrics))
    return metrics | {"screen": "\n\n".join([metrics["verdict"], for_screen(metrics["next"]), table(metrics)])}


def _verdict(dev: dict[str, float]) -> str:
    return (
        f"The student finds {100 * dev['neighbours']:.2f} % of the teacher's 10 nearest texts on dev. Its vectors have "
        f"cosine {dev['cosine']:.4f} with the teacher's."
    )


def _worth(run: UniversalRun, made: Pretrained) -> dict[str, dict[str, Any]]:
    if not run.tried:
        return {}
    done = files.read_json(run.layout.metrics) if run.layout.metrics.is_file() else {}
    if done.get("tasks_data") == _of_data(run) and done.get("updates") == made.history["epochs"][-1]["step"]:
        return done["tasks"]
    encoders = {
        STUDENT: lambda texts: predict(made.student, {"ids": made.tokenizer.encode(list(texts))}),
        TEACHER: lambda texts: label_shard(made.teacher, list(texts), run.job.label)[HIDDEN].astype(np.float32),
    }
    return probing.worth(encoders, run.tried)


def _of_data(run: UniversalRun) -> dict[str, list[str]]:
    """What the scores of ``--tasks`` depend on, beside the student."""
    return {name: [data.fingerprint, data.task.metric] for name, data in run.tried.items()}


def _learning(epochs: list[dict]) -> Figure:
    """Dev scores and loss over updates."""
    figure = Figure(figsize=(11.5, 3.5), layout="constrained")
    steps, panels = [e["step"] for e in epochs], ("dev_neighbours", "dev_cosine", "loss")
    titles = ("10 nearest in common, dev, %", "cosine with the teacher, dev", "training loss")
    for ax, name, title in zip(figure.subplots(1, 3), panels, titles, strict=True):
        whole = 100 if "neighbours" in name else 1
        found = [e[name] * whole for e in epochs]
        plots.curve(ax, steps, found, color=plots.BLUE)
        ax.set_title(title)
        ax.set_ylim(plots.score_range(found, whole) if name != "loss" else (0, None))
        plots.clean(ax)
        plots.count_updates(ax)
    return figure


def label_efficiency(found: dict[str, dict[str, Any]], names: tuple[str, ...]) -> Figure:
    """Scores over the number of labels: a panel for each task, a line for each of ``names``.

    Args:
      found: task → {"metric", "rows", name → a fraction for each of "rows"}.
    """
    columns = min(4, len(found))
    rows = -(-len(found) // columns)
    figure = Figure(figsize=(0.6 + 3.3 * columns, 0.5 + 2.7 * rows), layout="constrained")
    axes = np.ravel(figure.subplots(rows, columns, squeeze=False))
    colors = dict(zip(names, (plots.BLUE, plots.GREY, plots.ORANGE, plots.GREEN, plots.PURPLE), strict=False))
    for ax, of, title in zip(axes, found.values(), shortened(list(found), 30), strict=False):
        for name, color in colors.items():
            if name in of:
                ax.plot(of["rows"], [100 * v for v in of[name]], marker="o", ms=4, color=color, label=name)
        ax.set_xscale("log")
        counts = [f"{n:,}" if more > 1.5 * n else "" for n, more in pairwise([*of["rows"], math.inf])]
        ax.set_xticks(of["rows"], counts, fontsize=8)
        ax.minorticks_off()
        ax.set_ylim(plots.score_range([100 * v for name in names for v in of.get(name, ())], 100))
        ax.set_title(title, fontsize=10, parse_math=False)
        ax.set_ylabel(f"dev {of['metric']}, %", fontsize=9)
        ax.set_xlabel("labels", fontsize=9)
        plots.clean(ax)
    for ax in axes[len(found) :]:
        ax.set_visible(False)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, loc="outside lower center", ncols=len(labels))
    return figure


def _markdown(run: UniversalRun, made: Pretrained, metrics: dict[str, Any]) -> str:
    job = run.job
    weights = ", ".join(f"{w:g} × {name}" for name, w in job.universal.loss_weights(job.target.unit).items())
    parts = [
        "# A universal student",
        metrics["verdict"],
        for_report(metrics["next"]),
        "## Scores",
        table(metrics),
        f"Distilled without a task (Wu et al. 2020) from {job.checkpoint.name}: {metrics['rows']['train']:,} texts, "
        f"{metrics['updates']:,} updates of {job.train.batch_size} texts; {metrics['rows']['dev']:,} other texts chose "
        "the weights.",
    ]
    if metrics["tasks"]:
        parts.append(
            "Scores of tasks with labels are those of logistic regression on the vectors, for a pair on "
            "[u; v; |u − v|; u ⊙ v]. The encoder has seen no label, and no text of dev or test."
        )
    pictures = sorted(p.name for p in run.layout.plots.glob("*.png"))
    parts += [f"![{name}](plots/{name})" for name in pictures]
    shape = job.student
    facts = [
        f"student: embeddings {shape.width()}, BiLSTM {shape.hidden_size} a direction, {shape.pooling} of the states, "
        f"{metrics['vector_size']} numbers" + (" of length 1" if job.target.unit else ""),
        f"its LSTM ran in {made.history.get('lstm', LOOP)}",
        f"learned: {weights}; peak rate {job.training().learning_rate:g}",
        *made.notes,
        "seconds: "
        + ", ".join(f"{name} {s:,.0f}" for name, s in run.timings.seconds.items())
        + f"; {metrics['cpus']} CPUs",
    ]
    return "\n\n".join([*parts, "## How it was made", "\n".join(f"- {fact}" for fact in facts)]) + "\n"
