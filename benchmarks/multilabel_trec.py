"""Makes train.jsonl and test.jsonl of TREC's questions with several labels, for `train --task=custom --multilabel`.

    python benchmarks/multilabel_trec.py --file=trec.tsv --output_dir=DIR

A question has its class. It also has labels that its words show: it asks for a number, a time, or an extreme. A fifth
of the distinct questions, drawn with a fixed seed, is the test set.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
from collections import Counter
from pathlib import Path

import numpy as np

# The file's numbers for Li & Roth's six classes.
CLASSES = {"0": "description", "1": "entity", "2": "abbreviation", "3": "person", "4": "place", "5": "number"}
WORDS = {
    "number": r"how (many|much|far|long|old|tall|high|big|fast|often|deep|large|hot|heavy|wide)"
    r"|what (year|date|day|number|percentage)"
    r"|what is the (population|number|length|height|average|distance|temperature|speed)",
    "time": r"when|year|date|day|month|century|old|age|how long",
    "superlative": r"most|\w+est|first|only|last",
}


def labels_of(text: str, number: str) -> list[str]:
    """The class, and the labels that the words show, in alphabetical order."""
    found = {name for name, words in WORDS.items() if re.search(rf"\b({words})\b", text.lower())}
    return sorted(found | {CLASSES[number]})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--file", required=True, help="TSV with the columns label (0 to 5) and text")
    parser.add_argument("--output_dir", type=Path, required=True)
    args = parser.parse_args()
    with open(args.file, encoding="utf-8", newline="\n") as f:
        once: dict[str, dict] = {}
        for row in csv.DictReader(f, delimiter="\t", quoting=csv.QUOTE_NONE):
            once.setdefault(row["text"].lower().strip(), row)
    rows = list(once.values())
    drawn = [rows[i] for i in np.random.default_rng(7).permutation(len(rows))]
    test = max(300, len(rows) // 5)
    args.output_dir.mkdir(parents=True, exist_ok=True)
    for name, part in (("test", drawn[:test]), ("train", drawn[test:])):
        sets = [labels_of(row["text"], row["label"]) for row in part]
        with open(args.output_dir / f"{name}.jsonl", "w", encoding="utf-8") as f:
            for row, labels in zip(part, sets, strict=True):
                f.write(json.dumps({"text": row["text"].strip(), "label": labels}) + "\n")
        counts = Counter(label for labels in sets for label in labels)
        print(f"{name}: {len(part):,} rows; " + ", ".join(f"{n} {c:,}" for n, c in counts.most_common()))


if __name__ == "__main__":
    main()
