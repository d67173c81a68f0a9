"""Writes benchmark.json, benchmark.md and the plot. All numbers come from this run."""

from __future__ import annotations

import itertools
from pathlib import Path

from kd_keras import metrics
from kd_keras.common import files
from kd_keras.common.figures import Figure, can_draw
from kd_keras.common.markdown import markdown_table
from kd_keras.deploy.runner import always_answers
from kd_keras.runs import plots
from kd_keras.runs.next_steps import for_report, for_screen
from kd_keras.timing.choice import next_steps, verdict
from kd_keras.timing.numbers import (
    batch_of,
    batches_of,
    is_ratio_of,
    latency_of,
    length_text,
    lengths_of,
    longest_of,
    named,
    ratio_text,
    rows_of,
    score_text,
    texts_text,
    threads_of,
    threads_text,
)

JSON, PAGE, PLOT = "benchmark.json", "benchmark.md", "pareto.png"


def write(report: dict, folder: Path, command: str) -> None:
    """Writes the three files. ``command`` is the command that made them."""
    figure = _figure(report)
    if figure is not None:
        plots.save(figure, folder / PLOT)
    files.write_text(folder / PAGE, page(report, command, figure is not None))
    files.write_json(folder / JSON, report)


def screen(report: dict) -> str:
    """What the command prints at its end, with the lines that time one file on a phone."""
    parts = (verdict(report), for_screen(next_steps(report)), summary(report), speedups(report), noise(report))
    return "\n\n".join(part for part in (*parts, warnings(report)) if part)


def summary(report: dict) -> str:
    """The table: one line a model, with median milliseconds for the smallest number of threads."""
    lengths, threads, metric = lengths_of(report), threads_of(report)[0], report["metric"]
    last = longest_of(report)
    head = [
        "model",
        "MB",
        f"{rows_of(report)} {metric}",
        "load ms",
        "memory MB",
        *(f"{length_text(n)} ms" for n in lengths),
    ]
    lines = []
    for m in report["models"]:
        size, found = f"{m['bytes'] / 1e6:.2f}", score_text(metric, m["metrics"][metric])
        p50 = [f"{latency_of(m, n, threads)['p50']:.2f}" for n in lengths]
        faster = [ratio_text(r) for r in report["ratios"] if is_ratio_of(r, m["name"], last, threads)]
        line = [m["name"], size, found, f"{m['load_ms']:.1f}", f"{m['model_mb']:.0f}", *p50]
        lines.append([*line, *(faster or [""])])
    return markdown_table([*head, f"× teacher, {length_text(last)}"], lines)


def warnings(report: dict) -> str:
    """A sentence for each model that answers the same label to all texts. Empty if there is none."""
    return "\n".join(always_answers(m["name"], m["always"]) for m in report["models"] if m.get("always") is not None)


def noise(report: dict) -> str:
    """A warning if other work ran when the benchmark began. Else empty."""
    load, cpus = report["machine"]["load_average"][0], report["machine"]["cpus"]
    if load < 0.6 * cpus:
        return ""
    return f"Other work was running (load average {load} on {cpus} CPUs): milliseconds are too high, and ratios vary."


def speedups(report: dict) -> str:
    """One sentence for each format, with the longest text and the fewest threads. It has the unit and the setting.

    A model that answers the same label to all texts gets none, even if it is fast.
    """
    learnt = {m["name"] for m in report["models"] if m.get("always") is None}
    last, threads = longest_of(report), threads_of(report)[0]
    return "\n".join(
        f"{r['fast']}: {ratio_text(r)}× as fast as {r['slow']} "
        f"({r['min']:.1f} to {r['max']:.1f} in {r['rounds']} rounds; "
        f"p50 of {texts_text(batch_of(r))}, {length_text(last)}, batch {batch_of(r)}, {threads_text(threads)})"
        for r in report["ratios"]
        if (r["length"], r["threads"]) == (last, threads) and r["fast"] in learnt
    )


def page(report: dict, command: str, drawn: bool = True) -> str:
    """benchmark.md."""
    machine, text, settings = report["machine"], report["text"], report["settings"]
    metric, threads, last = report["metric"], threads_of(report)[0], length_text(longest_of(report))
    before, after = machine["load_average"]
    plot = f"![accuracy against latency and size]({PLOT})\n\n" if drawn else ""
    timed = "; ".join(
        f"{length_text(t['length'])}: {t['different']:,} different"
        + (f", {t['joined']:,} of several rows" * (t["joined"] > 0))
        for t in text["timed"]
    )
    notes = "\n\n".join(note for note in (noise(report), *warnings(report).splitlines()) if note)
    begin = "".join(f"{part}\n\n" for part in (verdict(report), for_report(next_steps(report))) if part)
    percent, score = " in percent" if metrics.get(metric).percent else "", f"{rows_of(report)} {metric}"
    return f"""# {report["task"]}: size, accuracy and latency

{begin}## Results

    {command}

{summary(report)}

Milliseconds are medians for one text (batch 1, {threads_text(threads)}). Scores are {score}{percent}. MB are
millions of bytes.
{notes}

{plot}{speedups(report)}

## How it was measured

- Machine: {machine["cpu"]}, {machine["cpus"]} CPUs, {machine["system"]}, Python {machine["python"]},
  ai-edge-litert {machine["ai_edge_litert"]}. The load average was {before} before and {after} after. If it is higher
  than the number of threads, other work ran.
- Text: {text["source"]}, {text["rows"]:,} rows. Each number is measured on {settings["texts"]} texts, the same for
  every model ({timed}). A text of a given length is a real row. A long row is cut; a short one is joined with the next.
- Each model has a process of its own. They take turns for {settings["rounds"]} rounds, in a new random order each time.
  The first texts of a turn are answered once before the clock starts. Ids go in and scores come out: tokenization is
  not timed. A ratio divides the medians of one round. The tables have the median over the rounds, the sentences above
  have the range.
- "N tokens" is what the graph reads. An unrolled file is made for that length (`models/`). The teacher's N includes
  [CLS] and [SEP]. "Own length" uses the exported file. An unrolled file reads as many tokens as it was exported for; a
  file of any length is resized to each text. The teacher is padded to the length that it was fine-tuned to read.
- load ms is the time from file to allocated tensors: the median of 5, with the file in the system's cache.
- memory MB is how much the resident memory of a fresh process grew, from before loading to its peak while answering.
  It includes mapped pages of the file, but not Python and libraries (`peak_mb` in {JSON} includes all).
- {score} is the exported file's, on all rows. What is longer than the file reads is cut. A tagger reads it in
  windows.
{_of_batches(report)}
## Percentiles, ms

{_percentiles(report)}

## Times as fast as the teacher

{_ratios(report)}

## Does speed depend on what a benchmark feeds?

{_inputs(report)}

**Unrolled** files do the same work for all ids, zeros included. Any tool that invents inputs can measure them, and for
MediaPipe they are the files to measure. Files of **any length** (`loop_…`) stop after the last id that is not 0. Fed
with zeros they look fast, but have read nothing. Measure them with real text or with the ranges below, in which every
id is a token, if your app has an interpreter of its own.

## On a phone

TensorFlow Lite's repository (tensorflow/lite/tools/benchmark) says how to get its benchmark app and binary. The app
answers in `adb logcat | grep "Inference timings in us"`. The lines have the names, shapes and ranges of each file's
inputs. Compare files of one length: those in `models/` are made for {last}, too. Run the lines where the benchmark ran.

{_phone(report)}
"""


def _of_batches(report: dict) -> str:
    if len(batches_of(report)) == 1:
        return ""
    many = batches_of(report)[-1]
    return f"""- "{many} texts" is the time of {many} together, padded to the longest. The teacher's file is made for as
  many. A file of any length takes them at once; an unrolled student takes them one after another.
"""


def _percentiles(report: dict) -> str:
    head = ["model", "threads", *(f"{length_text(n)}: p50 / p90 / p99" for n in lengths_of(report))]
    lines = []
    for m in report["models"]:
        for t, batch in itertools.product(threads_of(report), batches_of(report)):
            found = [latency_of(m, n, t, batch) for n in lengths_of(report)]
            lines.append(
                [
                    named(m["name"], batch),
                    str(t),
                    *(f"{f['p50']:.2f} / {f['p90']:.2f} / {f['p99']:.2f}" for f in found),
                ]
            )
    return markdown_table(head, lines)


def _ratios(report: dict) -> str:
    if not report["ratios"]:
        return "The teacher was not measured."
    head = ["student", "teacher", "threads", *(length_text(n) for n in lengths_of(report))]
    found = {
        (named(r["fast"], batch_of(r)), r["slow"], r["threads"], r["length"]): ratio_text(r) for r in report["ratios"]
    }
    rows = dict.fromkeys((fast, slow, t) for fast, slow, t, _ in found)
    return markdown_table(head, [[f, s, str(t), *(found[f, s, t, n] for n in lengths_of(report))] for f, s, t in rows])


def _inputs(report: dict) -> str:
    head = ["model", "fed with", "p50 ms", "of real text's"]
    lines = []
    for i in report["inputs"]:
        of = i["of_real"]
        lines.append(
            [i["model"], i["fed"], f"{i['p50']:.3f}", f"{of['median']:.2f} ({of['min']:.2f} to {of['max']:.2f})"]
        )
    first = report["inputs"][0] if report["inputs"] else None
    if first is None:
        return "No TFLite file was measured."
    return markdown_table(head, lines) + f"\n\n{length_text(first['length'])}, {threads_text(first['threads'])}."


def _phone(report: dict) -> str:
    parts = [
        f"{c['model']}, {c['tokens']} tokens\n\n```\n{c['push']}\n{c['app']}\n{c['binary']}\n```"
        for c in report["commands"]
    ]
    return "\n\n".join(parts)


def _figure(report: dict) -> Figure | None:
    """None if there are fewer than two files to compare, or no matplotlib."""
    if not can_draw():
        return None
    from kd_keras.timing.plot import pareto

    last, threads, metric = longest_of(report), threads_of(report)[0], report["metric"]
    percent = metrics.get(metric).percent
    points = [
        {
            "name": m["name"],
            "who": m["who"],
            "form": m["form"],
            "precision": m["precision"],
            "score": m["metrics"][metric] * (100 if percent else 1),
            "ms": latency_of(m, last, threads)["p50"],
            "mb": m["bytes"] / 1e6,
        }
        for m in report["models"]
        if m["form"]
    ]
    if len(points) < 2:
        return None
    latency = f"median ms of a text ({length_text(last)}, {threads_text(threads)}, batch 1)"
    return pareto(points, latency, f"{rows_of(report)} {metric}" + (", %" if percent else ""), 100 if percent else 1)
