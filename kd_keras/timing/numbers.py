"""Finds and formats the numbers of a benchmark's report, which has the keys of benchmark.json."""

from __future__ import annotations

from kd_keras import metrics


def lengths_of(report: dict) -> list[int | None]:
    """The lengths in tokens that were timed. None means texts at their own length."""
    return [t["length"] for t in report["text"]["timed"]]


def rows_of(report: dict) -> str:
    """What the scores are of: "dev", or the name of the file that --data_file gave."""
    source = report["text"]["source"]
    return "dev" if source in ("dev split", "the run's dev text") else source


def longest_of(report: dict) -> int:
    """The largest number of tokens that was timed."""
    return max(n for n in lengths_of(report) if n)


def threads_of(report: dict) -> list[int]:
    """Every number of threads, smallest first."""
    return sorted({entry["threads"] for m in report["models"] for entry in m["latency"]})


def batches_of(report: dict) -> list[int]:
    """Every number of texts a call, smallest first."""
    return sorted({batch_of(entry) for m in report["models"] for entry in m["latency"]})


def batch_of(entry: dict) -> int:
    """Texts a call. An entry for one text has no such key."""
    return entry.get("batch", 1)


def named(model: str, batch: int) -> str:
    """A model's name, with the batch if it is more than one text."""
    return model if batch == 1 else f"{model}, {batch} texts"


def texts_text(batch: int) -> str:
    """ "a text", or the number of texts."""
    return "a text" if batch == 1 else f"{batch} texts"


def latency_of(m: dict, length: int | None, threads: int, batch: int = 1) -> dict:
    """The entry of a model's latencies for one setting."""
    return next(e for e in m["latency"] if (e["length"], e["threads"], batch_of(e)) == (length, threads, batch))


def is_ratio_of(r: dict, name: str, length: int | None, threads: int) -> bool:
    """Whether a ratio belongs to the model, with one text a call."""
    return (r["fast"], r["length"], r["threads"], batch_of(r)) == (name, length, threads, 1)


def ratio_text(r: dict) -> str:
    """The median over rounds."""
    return f"{r['median']:.1f}"


def length_text(length: int | None) -> str:
    """ "32 tokens"."""
    return "own length" if length is None else f"{length} tokens"


def threads_text(threads: int) -> str:
    """ "2 threads"."""
    return f"{threads} thread" + "s" * (threads > 1)


def score_text(metric: str, value: float) -> str:
    """A score as tables show it: in percent if the metric is a share."""
    return f"{100 * value:.2f}" if metrics.get(metric).percent else f"{value:.4f}"
