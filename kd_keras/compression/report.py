"""What compression changed: bytes, zeros, distinct values, scores."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kd_keras.runs.next_steps import Step, for_report
from kd_keras.students.weights import student_weights
from kd_keras.tasks import Task


def kernels(student) -> dict[str, np.ndarray]:
    """Name → array, for the arrays of a Keras 3 student that are pruned and clustered."""
    weights = student_weights(student)
    found = {layer.name: layer.get_weights()[0] for layer in student.layers if layer.name.startswith("embeddings")}
    for name in ("forward", "backward"):
        direction = getattr(weights, name)
        found |= {f"{name} kernel": direction.kernel, f"{name} recurrent": direction.recurrent}
    layers = {"sentence": weights.sentence, "dense": weights.dense, "logits": weights.logits}
    return found | {name: layer[0] for name, layer in layers.items() if layer is not None}


def measured(student, path: Path) -> dict:
    """The file's bytes, plain and gzipped, and each kernel's zeros and distinct values."""
    about = {
        name: {"values": v.size, "zeros": float(np.mean(v == 0)), "distinct": len(np.unique(v))}
        for name, v in kernels(student).items()
    }
    content = path.read_bytes()
    return {"bytes": len(content), "gzip_bytes": len(gzip.compress(content, 6)), "kernels": about}


def verdict(results: dict) -> str:
    """Says in one line what compression cost and saved."""
    before, after, metric = results["before"], results["after"], results["metric"]
    done = {"prune": "Pruned", "cluster": "Clustered"}.get(results["key"]["method"], "Pruned and clustered")
    return (
        f"{done}: dev {metric} {100 * before['dev'][metric]:.2f} before, {100 * after['dev'][metric]:.2f} after; "
        f"gzipped, the student has {after['gzip_bytes']:,} bytes instead of {before['gzip_bytes']:,}."
    )


def page(results: dict, task: Task, steps: Sequence[Step]) -> str:
    """report.md."""
    parts = [f"# {task.name}, compressed", verdict(results), for_report(steps), "## Before and after"]
    return "\n\n".join([*parts, f"```\n{table(results)}\n```"]) + "\n"


def table(results: dict) -> str:
    """Before and after, as text in columns."""
    before, after = results["before"], results["after"]
    scores = [("", "before", "after")]
    scores += [(f"dev {m}", f"{before['dev'][m]:.4f}", f"{after['dev'][m]:.4f}") for m in before["dev"]]
    for key, title in (("bytes", "student.keras, bytes"), ("gzip_bytes", "student.keras, bytes gzipped")):
        scores.append((title, f"{before[key]:,}", f"{after[key]:,}"))
    lines = [("kernel", "values", "zeros before", "after", "distinct before", "after")]
    for name, b in before["kernels"].items():
        a = after["kernels"][name]
        zeros, distinct = ([f"{x['zeros']:.1%}" for x in (b, a)], [f"{x['distinct']:,}" for x in (b, a)])
        lines.append((name, f"{b['values']:,}", *zeros, *distinct))
    return f"{_columns(scores)}\n\n{_columns(lines)}"


def _columns(lines: list[tuple[str, ...]]) -> str:
    widths = [max(len(row[i]) for row in lines) for i in range(len(lines[0]))]
    rows = ([c.rjust(w) for c, w in zip(row, widths, strict=True)] for row in lines)
    return "\n".join("  ".join([row[0].lstrip().ljust(widths[0]), *row[1:]]) for row in rows)
