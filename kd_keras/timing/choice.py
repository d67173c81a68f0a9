"""The file that a benchmark recommends, and what to do with it."""

from __future__ import annotations

from kd_keras.runs.next_steps import Step
from kd_keras.timing.numbers import (
    is_ratio_of,
    latency_of,
    length_text,
    longest_of,
    ratio_text,
    rows_of,
    score_text,
    threads_of,
)

# A score at most this much below the best counts as equal to it.
NEAR = 0.01


def verdict(report: dict) -> str:
    """Names in one line the fastest file whose score is near the best. Empty if no file has learned anything."""
    found = _choice(report)
    if found is None:
        return ""
    metric, last, threads = report["metric"], longest_of(report), threads_of(report)[0]
    score = f"{rows_of(report)} {metric}"
    beside = [r for r in report["ratios"] if is_ratio_of(r, found["name"], last, threads)]
    times = f" ({length_text(last)}: {ratio_text(beside[0])}× as fast as {beside[0]['slow']})" if beside else ""
    return (
        f"Take {found['name']}, the fastest file within a point of the best {score}: it answers a text as "
        f"it comes in {latency_of(found, None, threads)['p50']:.2f} ms{times}, has {score} "
        f"{score_text(metric, found['metrics'][metric])} and {found['bytes'] / 1e6:.2f} MB."
    )


def next_steps(report: dict) -> list[Step]:
    """Commands for the file that :func:`verdict` names."""
    found = _choice(report)
    said = [c for c in report["commands"] if found is not None and c["model"] == found["name"] and c["exported"]]
    steps = (("push it to a phone", "push"), ("time it there", "binary"), ("or in TensorFlow Lite's app", "app"))
    return [(what, c[key]) for c in said[:1] for what, key in steps]


def _choice(report: dict) -> dict | None:
    """By the times of texts at their own length: for a number of tokens an unrolled file is made anew, to be timed."""
    files = [m for m in report["models"] if m["who"] == "student" and m["form"] and m.get("always") is None]
    metric, threads = report["metric"], threads_of(report)[0]
    best = max((m["metrics"][metric] for m in files), default=0)
    near = [m for m in files if m["metrics"][metric] >= best - NEAR]
    return min(near, key=lambda m: latency_of(m, None, threads)["p50"], default=None)
