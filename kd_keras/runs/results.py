"""What a run measured: metrics.json. All numbers come from this run."""

from __future__ import annotations

import platform
from pathlib import Path

import numpy as np

from kd_keras import __version__
from kd_keras.common.machine import cpus, memory_mb
from kd_keras.distill.settings import BASELINE, DISTILLED
from kd_keras.metrics import by_label, mean_and_spread, pearson, score
from kd_keras.metrics.answers import answers, same_answers
from kd_keras.runs import choice, tagging, verdict
from kd_keras.runs.given import answered
from kd_keras.runs.inputs import Inputs
from kd_keras.runs.job import Job, Run
from kd_keras.runs.next_steps import with_student
from kd_keras.runs.students import Arm
from kd_keras.students.bilstm import flops_per_token
from kd_keras.students.cudnn import LOOP
from kd_keras.tasks import Rows, Task, has_label, is_gold
from kd_keras.teachers import ensemble


def results(run: Run, inputs: Inputs, arms: list[Arm], chosen: Arm) -> dict:
    """What metrics.json holds.

    Args:
      arms: every student of the run, with the baselines.
      chosen: the student that is kept.
    """
    job, layout = run.job, run.layout
    task = job.task
    scored = scored_splits(inputs)
    kept = choice.kept(job, arms, chosen)
    stages = next((a for a in arms if a.kind == DISTILLED), chosen).history["recipe"]
    metrics = {
        "version": __version__,
        "task": task.name,
        "source": job.data.source,
        "notes": [*job.data.notes, *inputs.notes],
        "rows": {s: len(r) for s, r in inputs.splits.items()},
        "transfer_rows": {name: len(s) for name, s in inputs.transfer.items()},
        "seeds": job.job.every_seed(),
        "chosen_seed": chosen.seed,
        "kept": kept,
        "references": inputs.references.scores(job, scored),
        "most_updates": max(a.most_updates for a in arms),
        "teacher": {
            **teacher_scores(job, inputs),
            **inputs.teacher,
            **({} if job.given is not None else {"bytes": _size(layout.teacher / "model.safetensors")}),
            "agreement_with_student": _agreement(job, inputs, chosen),
        },
        "student": arm_scores(job, scored, [a for a in arms if a.kind == DISTILLED]),
        "seconds": run.timings.seconds,
        "machine": {
            "cpus": cpus(),
            "peak_memory_mb": round(memory_mb()["peak"]),
            "python": platform.python_version(),
            "system": platform.system(),
            "lstm": chosen.history.get("lstm", LOOP),
        },
    }
    if any(a.kind == BASELINE for a in arms):
        metrics["baseline"] = arm_scores(job, scored, [a for a in arms if a.kind == BASELINE])
    metrics["student"] |= {
        "bytes": _size(layout.student),
        "flops_per_token": flops_per_token(
            job.student, inputs.matrix.shape[1], task.num_outputs if task.is_tagging else None
        ),
        "embedding_size": inputs.matrix.shape[1],
        "recipe": (inputs.how or job.recipe).recipe,
        "stages": [stage["name"] for stage in stages],
        "selected_by": [stage.get("select", "metric") for stage in stages],
    }
    if task.is_tagging:
        metrics["tagging"] = tagging.scores(job, inputs, scored, arms, chosen)
    elif not task.is_regression:
        metrics["by_label"] = {s: scores_by_label(task, r.label, chosen.logits[s]) for s, r in scored.items()}
    if "thresholds" in chosen.history:
        metrics["thresholds"] = dict(zip(task.labels, chosen.history["thresholds"], strict=True))
    metrics["verdict"], tries = verdict.verdict(job, inputs, arms, metrics)
    metrics["warnings"] = verdict.warnings(job, chosen, metrics)
    use = with_student(layout.root, task)
    metrics["next"] = [*tries, *(use[:2] if tries else use)]
    return metrics


def scores_by_label(task: Task, label: np.ndarray, logits: np.ndarray) -> dict[str, dict[str, float]]:
    """Label → "rows", "given", "precision", "recall" and "f1", over the rows with gold."""
    gold = is_gold(label)
    found = by_label(label[gold], answers(task, logits[gold]), len(task.labels))
    return dict(zip(task.labels, found, strict=True))


def scored_splits(inputs: Inputs) -> dict[str, Rows]:
    """The splits with gold labels on which nothing was trained."""
    return {s: r for s, r in inputs.splits.items() if s != "train" and has_label(r).any()}


def teacher_scores(job: Job, inputs: Inputs) -> dict[str, dict]:
    """split → metric → the teacher's score. An ensemble's "ensemble" has the scores of each teacher, and "rounds" those
    of each round, if there are several.

    A given teacher is scored on the rows that it answered. If it answered none of a split, it has no score there.
    """
    splits, metrics = scored_splits(inputs), job.task.metrics
    if job.given is not None:
        both = {s: answered(inputs.signals[s].logits) & has_label(r) for s, r in splits.items()}
        return {
            s: score(metrics, splits[s].label[rows], inputs.signals[s].logits[rows])
            for s, rows in both.items() if rows.any()
        }  # fmt: skip
    found: dict[str, dict] = {s: score(metrics, r.label, inputs.signals[s].logits) for s, r in splits.items()}
    if seeds := inputs.teacher.get("seeds"):
        gold = {s: r.label for s, r in splits.items()}
        found["ensemble"] = ensemble.scores(metrics, gold, inputs.each_teacher, seeds)
    if inputs.rounds:
        found["rounds"] = [{s: score(metrics, r.label, own[s]) for s, r in splits.items()} for own in inputs.rounds]
    return found


def _size(path: Path) -> int:
    return path.stat().st_size


def _agreement(job: Job, inputs: Inputs, chosen: Arm) -> dict[str, float]:
    """Share of rows with the teacher's label, or with all its labels; for a regression, Pearson's r with its score."""
    pairs = {s: (v, inputs.signals[s].logits) for s, v in chosen.logits.items()}
    if job.given is not None:
        there = {s: answered(teacher) for s, (_, teacher) in pairs.items()}
        pairs = {s: (v[there[s]], teacher[there[s]]) for s, (v, teacher) in pairs.items() if there[s].any()}
    if job.task.is_regression:
        return {s: pearson(teacher[:, 0], v[:, 0]) for s, (v, teacher) in pairs.items()}
    same = {s: same_answers(job.task, v, teacher) for s, (v, teacher) in pairs.items()}
    return {s: float(np.mean(found)) for s, found in same.items()}


def arm_scores(job: Job, scored: dict[str, Rows], arms: list[Arm]) -> dict:
    """split → metric → mean over seeds, with "spread" (standard deviation) and "per_seed" beside it."""
    out: dict = {"spread": {}, "per_seed": {}, **arms[0].size, "updates": [a.updates for a in arms]}
    for split, rows in scored.items():
        each = [score(job.task.metrics, rows.label, a.logits[split]) for a in arms]
        out["per_seed"][split] = [{"seed": a.seed, **e} for a, e in zip(arms, each, strict=True)]
        pairs = {m: mean_and_spread([e[m] for e in each]) for m in job.task.metrics}
        out[split] = {m: p[0] for m, p in pairs.items()}
        out["spread"][split] = {m: p[1] for m, p in pairs.items()}
    return out
