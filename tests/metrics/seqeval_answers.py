"""Writes tests/data/seqeval.jsonl: what seqeval says of drawn tags, for test_spans.py.

seqeval 1.2.2 is a source package whose build takes a broken tool where nobody stops it, so tests do not install it:

    pip install numpy scikit-learn setuptools wheel setuptools_scm==8.1.0 && pip install --no-build-isolation seqeval==1.2.2
    python tests/metrics/seqeval_answers.py
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np

NAMES = ("O", "B-LOC", "I-LOC", "B-ORG", "I-ORG", "B-PER", "I-PER")
FILE = Path(__file__).parents[1] / "data" / "seqeval.jsonl"


def drawn(seed: int, rows: int) -> tuple[list[list[str]], list[list[str]]]:
    """Gold and predicted tags of any order, illegal ones too, many of them alike; some rows are one word long."""
    draw = np.random.default_rng(seed)
    share = draw.dirichlet(np.ones(len(NAMES)))
    gold, called = [], []
    for length in draw.integers(1, 9, rows):
        tags, others = draw.choice(len(NAMES), (2, length), p=share)
        gold.append([NAMES[t] for t in tags])
        called.append([NAMES[t] for t in np.where(draw.random(length) < 0.7, tags, others)])
    return gold, called


def answer(gold: list[list[str]], called: list[list[str]], whole: bool) -> dict:
    """Scores, and of a ``whole`` answer the entities too: (type, first word, behind the last), all rows in one."""
    from seqeval.metrics import classification_report, f1_score
    from seqeval.metrics.sequence_labeling import get_entities
    from seqeval.scheme import IOB2, Tokens

    report = classification_report(gold, called, output_dict=True, mode="strict", scheme=IOB2, zero_division=0)
    scores = {name: [each[k] for k in ("precision", "recall", "f1-score", "support")] for name, each in report.items()}
    starts = np.cumsum([0, *map(len, gold)]).tolist()
    said = {
        "gold": coded(gold),
        "called": coded(called),
        "strict": {
            name: [float(x) for x in scores[name]] for name in ("micro avg", "LOC", "ORG", "PER") if name in scores
        },
        "conlleval_f1": float(f1_score(gold, called, zero_division=0)),
    }
    if whole:
        rows = list(zip(starts, gold, strict=False))
        strict = [(e.tag, at + e.start, at + e.end) for at, row in rows for e in Tokens(row, IOB2).entities]
        lenient = [(tag, at + a, at + b + 1) for at, row in rows for tag, a, b in get_entities(row)]
        said |= {"strict_entities": strict, "conlleval_entities": lenient}
    return said


def coded(rows: list[list[str]]) -> str:
    """A digit for each tag, and a space between rows."""
    return " ".join("".join(str(NAMES.index(tag)) for tag in row) for row in rows)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    lines = [json.dumps(answer(*drawn(seed, 90), seed < 8), separators=(",", ":")) for seed in range(40)]
    FILE.write_text("\n".join(lines) + "\n", encoding="utf-8")
