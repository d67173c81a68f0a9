"""benchmark.json, benchmark.md and the plot: only numbers that this run measured."""

from __future__ import annotations

import itertools
from pathlib import Path

from kd_keras import metrics
from kd_keras.common import files
from kd_keras.common.figures import Figure, can_draw
from kd_keras.common.markdown import markdown_table
from kd_keras.deploy.runner import always_answers
from kd_keras.runs import plots

JSON, PAGE, PLOT = "benchmark.json", "benchmark.md", "pareto.png"


def write(report: dict, folder: Path, command: str) -> None:
    """The three files; ``command`` made them."""
    figure = _figure(report)
    if figure is not None:
        plots.save(figure, folder / PLOT)
    files.write_text(folder / PAGE, page(report, command, figure is not None))
    files.write_json(folder / JSON, report)


def summary(report: dict) -> str:
    """The table for the screen: one line a model, median milliseconds of the fewest threads."""
    lengths, threads, metric = _lengths(report), _threads(report)[0], report["metric"]
    last = _longest(report)
    head = ["model", "MB", f"dev {metric}", "load ms", "memory MB", *(f"{_of(n)} ms" for n in lengths)]
    lines = []
    for m in report["models"]:
        size, found = f"{m['bytes'] / 1e6:.2f}", _score(metric, m["metrics"][metric])
        p50 = [f"{_latency(m, n, threads)['p50']:.2f}" for n in lengths]
        faster = [_ratio(r) for r in report["ratios"] if _is(r, m["name"], last, threads)]
        line = [m["name"], size, found, f"{m['load_ms']:.1f}", f"{m['model_mb']:.0f}", *p50]
        lines.append([*line, *(faster or [""])])
    return markdown_table([*head, f"× teacher, {_of(last)}"], lines)


def warnings(report: dict) -> str:
    """A sentence for each model that gives all texts one label, else nothing."""
    return "\n".join(always_answers(m["name"], m["always"]) for m in report["models"] if m.get("always") is not None)


def noise(report: dict) -> str:
    """A warning where other work ran when the benchmark began, else nothing."""
    load, cpus = report["machine"]["load_average"][0], report["machine"]["cpus"]
    if load < 0.6 * cpus:
        return ""
    return f"Other work was running (load average {load} on {cpus} CPUs): milliseconds are too high, and ratios uneven."


def speedups(report: dict) -> str:
    """One sentence for each format at the longest text, fewest threads: unit and setting with the number.

    None for a model that gives all texts one label, however fast it is.
    """
    learnt = {m["name"] for m in report["models"] if m.get("always") is None}
    last, threads = _longest(report), _threads(report)[0]
    return "\n".join(
        f"{r['fast']}: {_ratio(r)}× faster than {r['slow']} ({r['min']:.1f} to {r['max']:.1f} in {r['rounds']} rounds; "
        f"p50 of {_texts(_batch(r))}, {_of(last)}, batch {_batch(r)}, {_threads_text(threads)})"
        for r in report["ratios"]
        if (r["length"], r["threads"]) == (last, threads) and r["fast"] in learnt
    )


def phone_lines(report: dict) -> str:
    """For the screen: the lines of one file of each form; benchmark.md has those of every file."""
    shown = {}
    for c in report["commands"]:
        if c["exported"] and (c["form"] not in shown or c["model"].endswith("dynamic")):
            shown[c["form"]] = c
    return "\n".join(f"{c['push']}\n{c['app']}\n{c['binary']}" for c in shown.values())


def page(report: dict, command: str, drawn: bool = True) -> str:
    """benchmark.md."""
    machine, text, settings = report["machine"], report["text"], report["settings"]
    metric, threads, last = report["metric"], _threads(report)[0], _of(_longest(report))
    before, after = machine["load_average"]
    plot = f"![accuracy against latency and size]({PLOT})\n\n" if drawn else ""
    timed = "; ".join(
        f"{_of(t['length'])}: {t['different']:,} different" + (f", {t['joined']:,} of several rows" * (t["joined"] > 0))
        for t in text["timed"]
    )
    notes = "\n\n".join(note for note in (noise(report), *warnings(report).splitlines()) if note)
    percent = " in percent" if metrics.get(metric).percent else ""
    return f"""# {report["task"]}: size, accuracy and latency

    {command}

{summary(report)}

Median milliseconds of one text, batch 1, {_threads_text(threads)}; dev {metric}{percent}; MB are millions of bytes.
{notes}

{plot}{speedups(report)}

## How it was measured

- Machine: {machine["cpu"]}, {machine["cpus"]} CPUs, {machine["system"]}, Python {machine["python"]},
  ai-edge-litert {machine["ai_edge_litert"]}. Load average {before} before, {after} after: more than the threads in use
  means that other work ran.
- Text: {text["source"]}, {text["rows"]:,} rows. {settings["texts"]} texts for each number, the same for every model
  ({timed}). A text of a given length is a real row, cut, or with the rows after it where it is too short.
- Each model is a process of its own. They take turns, {settings["rounds"]} rounds, in an order drawn anew; the first
  texts of a turn are answered once before the clock runs. Ids in, scores out: tokenization is not timed. A ratio is one
  of medians, computed in each round: the tables have the median over the rounds, the sentences above their range.
- "N tokens" is what the graph reads. An unrolled file is made for that length (`models/`); the teacher's N hold [CLS]
  and [SEP]. "As it comes" is the exported file: unrolled, it reads as many tokens as it was exported for; of any
  length, it is resized to each text. The teacher is padded to what it was fine-tuned to read.
- load ms: from file to allocated tensors, median of 5, the file in the system's cache. memory MB: what the resident
  memory of a fresh process grew by, from before loading to its peak while answering; mapped pages of the file are in
  it, Python and libraries are not (`peak_mb` in {JSON} has all of it).
- dev {metric}: of the exported file, on all rows; what is longer than the file reads is cut (a tagger's is read in
  windows).
{_of_batches(report)}
## Percentiles, ms

{_percentiles(report)}

## Times as fast as the teacher

{_ratios(report)}

## Does speed depend on what a benchmark feeds?

{_inputs(report)}

**Unrolled** files do the same work whatever the ids are, zeros included: measure them with any tool that makes up its
inputs, and for what MediaPipe will do. Files of **any length** (`loop_…`) stop after the last id that is not 0: fed
with zeros they look fast and have read nothing. Measure them with real text, or with the ranges below, in which every
id is a token, and for an interpreter of your own.

## On a phone

How to get TensorFlow Lite's benchmark app and binary is said in its repository, tensorflow/lite/tools/benchmark. The
app answers in `adb logcat | grep "Inference timings in us"`. Names, shapes and ranges of the inputs are the files'
own. Compare files of one length: those in `models/` are made for {last}, too. Run the lines where the benchmark ran.

{_phone(report)}
"""


def _of_batches(report: dict) -> str:
    if len(_batches(report)) == 1:
        return ""
    many = _batches(report)[-1]
    return f"""- "{many} texts": the time of {many} together, padded to the longest. The teacher's file is made for as
  many, a file of any length takes them at once, an unrolled student one after the other.
"""


def _percentiles(report: dict) -> str:
    head = ["model", "threads", *(f"{_of(n)}: p50 / p90 / p99" for n in _lengths(report))]
    lines = []
    for m in report["models"]:
        for t, batch in itertools.product(_threads(report), _batches(report)):
            found = [_latency(m, n, t, batch) for n in _lengths(report)]
            lines.append(
                [
                    _named(m["name"], batch),
                    str(t),
                    *(f"{f['p50']:.2f} / {f['p90']:.2f} / {f['p99']:.2f}" for f in found),
                ]
            )
    return markdown_table(head, lines)


def _ratios(report: dict) -> str:
    if not report["ratios"]:
        return "The teacher was not measured."
    head = ["student", "teacher", "threads", *(_of(n) for n in _lengths(report))]
    found = {(_named(r["fast"], _batch(r)), r["slow"], r["threads"], r["length"]): _ratio(r) for r in report["ratios"]}
    rows = dict.fromkeys((fast, slow, t) for fast, slow, t, _ in found)
    return markdown_table(head, [[f, s, str(t), *(found[f, s, t, n] for n in _lengths(report))] for f, s, t in rows])


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
    return markdown_table(head, lines) + f"\n\n{_of(first['length'])}, {_threads_text(first['threads'])}."


def _phone(report: dict) -> str:
    parts = [
        f"{c['model']}, {c['tokens']} tokens\n\n```\n{c['push']}\n{c['app']}\n{c['binary']}\n```"
        for c in report["commands"]
    ]
    return "\n\n".join(parts)


def _figure(report: dict) -> Figure | None:
    """None where fewer than two files can be set beside each other, or there is no matplotlib."""
    if not can_draw():
        return None
    from kd_keras.timing.plot import pareto

    last, threads, metric = _longest(report), _threads(report)[0], report["metric"]
    percent = metrics.get(metric).percent
    points = [
        {
            "name": m["name"],
            "who": m["who"],
            "form": m["form"],
            "precision": m["precision"],
            "score": m["metrics"][metric] * (100 if percent else 1),
            "ms": _latency(m, last, threads)["p50"],
            "mb": m["bytes"] / 1e6,
        }
        for m in report["models"]
        if m["form"]
    ]
    if len(points) < 2:
        return None
    latency = f"median ms of a text ({_of(last)}, {_threads_text(threads)}, batch 1)"
    return pareto(points, latency, f"dev {metric}" + (", %" if percent else ""), 100 if percent else 1)


def _lengths(report: dict) -> list[int | None]:
    return [t["length"] for t in report["text"]["timed"]]


def _longest(report: dict) -> int:
    return max(n for n in _lengths(report) if n)


def _threads(report: dict) -> list[int]:
    return sorted({entry["threads"] for m in report["models"] for entry in m["latency"]})


def _batches(report: dict) -> list[int]:
    return sorted({_batch(entry) for m in report["models"] for entry in m["latency"]})


def _batch(entry: dict) -> int:
    """Texts a call; entries of one text do not say."""
    return entry.get("batch", 1)


def _named(model: str, batch: int) -> str:
    return model if batch == 1 else f"{model}, {batch} texts"


def _texts(batch: int) -> str:
    return "a text" if batch == 1 else f"{batch} texts"


def _latency(m: dict, length: int | None, threads: int, batch: int = 1) -> dict:
    return next(e for e in m["latency"] if (e["length"], e["threads"], _batch(e)) == (length, threads, batch))


def _is(r: dict, name: str, length: int | None, threads: int) -> bool:
    return (r["fast"], r["length"], r["threads"], _batch(r)) == (name, length, threads, 1)


def _ratio(r: dict) -> str:
    return f"{r['median']:.1f}"


def _of(length: int | None) -> str:
    return "as it comes" if length is None else f"{length} tokens"


def _threads_text(threads: int) -> str:
    return f"{threads} thread" + "s" * (threads > 1)


def _score(metric: str, value: float) -> str:
    return f"{100 * value:.2f}" if metrics.get(metric).percent else f"{value:.4f}"
