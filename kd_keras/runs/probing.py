"""How much vectors of texts are worth: on pairs with scores, and as inputs of a linear model with few labels or all.

As in SentEval (Conneau & Kiela 2018), the encoder does not change, and logistic regression learns on its vectors. For
a pair they are [u; v; |u − v|; u ⊙ v].
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from kd_keras.common.markdown import markdown_table
from kd_keras.common.progress import progress
from kd_keras.common.seeds import rng
from kd_keras.metrics import score
from kd_keras.metrics.linear import probe
from kd_keras.metrics.scores import spearman
from kd_keras.metrics.vectors import cosines
from kd_keras.tasks import Rows, TaskData, has_label

# How many labels a linear model gets, if there are that many. None means all, up to 10,000.
COUNTS = (32, 100, 1000, None)
_MOST = 10_000

STUDENT, TEACHER = "student", "teacher"

Vectors = Callable[[Sequence[str]], np.ndarray]


def similarity(vectors: Vectors, rows: Rows) -> float:
    """Spearman's correlation of a pair's cosine with its gold score. Nothing was trained on these scores."""
    gold = np.flatnonzero(has_label(rows))
    pairs = rows.take(gold)
    both = vectors([*pairs.text, *pairs.text_b])
    return spearman(pairs.label, cosines(both[: len(pairs)], both[len(pairs) :]))


def worth(encoders: Mapping[str, Vectors], tried: Mapping[str, TaskData], seed: int = 1) -> dict[str, dict[str, Any]]:
    """Task → {"metric", "rows": int[counts], encoder → fractions, one for each of "rows"}.

    A task of pairs with scores has the metric "spearman", one value for each encoder, and no "rows".

    Args:
      encoders: name → a function from texts to float32[texts, width].
      tried: the data of each task. The linear models learn from train and are scored on dev.
      seed: of the draw of few labels. A smaller draw is part of a larger one.
    """
    found: dict[str, dict[str, Any]] = {}
    with progress(len(encoders) * len(tried), "probing vectors", "tasks") as bar:
        for name, data in tried.items():
            if data.task.is_regression:
                found[name] = {"metric": "spearman"}
            else:
                chosen = _drawn(data.train, seed)
                counts = [n for n in COUNTS if n is not None and n < len(chosen)] + [len(chosen)]
                found[name] = {"metric": data.task.metric, "rows": counts}
            for encoder, vectors in encoders.items():
                if data.task.is_regression:
                    found[name][encoder] = similarity(vectors, data.dev)
                else:
                    found[name][encoder] = _by_count(vectors, data, chosen, counts)
                bar.update(1)
    return found


def _drawn(train: Rows, seed: int) -> np.ndarray:
    """Rows with gold in random order, at most 10,000. One row of each class comes first."""
    order = rng(seed, "few labels").permutation(np.flatnonzero(has_label(train)))[:_MOST]
    if train.label.ndim > 1:
        return order
    first = np.sort(np.unique(train.label[order], return_index=True)[1])
    return np.concatenate([order[first], np.delete(order, first)])


def _by_count(vectors: Vectors, data: TaskData, chosen: np.ndarray, counts: Sequence[int]) -> list[float]:
    train, classes = data.train.take(chosen), len(data.task.labels)
    x, dev = features(vectors, train), features(vectors, data.dev)
    out = []
    for count in counts:
        logits = probe(x[:count], train.label[:count], classes).logits(dev)
        out.append(score([data.task.metric], data.dev.label, logits)[data.task.metric])
    return out


def features(vectors: Vectors, rows: Rows) -> np.ndarray:
    """float32[rows, width]: a text's vector, or [u; v; |u − v|; u ⊙ v] for a pair."""
    if rows.text_b is None:
        return vectors(rows.text)
    both = vectors([*rows.text, *rows.text_b])
    u, v = both[: len(rows)], both[len(rows) :]
    return np.concatenate([u, v, np.abs(u - v), u * v], axis=1)


def table(metrics: dict[str, Any]) -> str:
    """The final table, for the screen and the report."""
    dev, sizes = metrics["dev"], [f"{metrics[who]['parameters'] / 1e6:.2f} M" for who in (STUDENT, TEACHER)]
    lines = [
        ["parameters", *sizes],
        ["cosine with the teacher's vector, dev", f"{dev['cosine']:.4f}", "1"],
        ["10 nearest texts in common, dev", f"{100 * dev['neighbours']:.2f}", "100"],
    ]
    for name, found in metrics["tasks"].items():
        for n, count in enumerate(found.get("rows", [None])):
            what = "Spearman of cosines, no labels" if count is None else f"{found['metric']}, {count:,} labels"
            values = (found[who] if count is None else found[who][n] for who in (STUDENT, TEACHER))
            lines.append([f"{name}: {what}", *(f"{100 * value:.2f}" for value in values)])
    return markdown_table(["", STUDENT, TEACHER], lines)
