"""Makes the text of the universal student: unlabeled sentences and phrases of many kinds, in one file.

    python benchmarks/universal_text.py --data_dir=DIR --output=mix.txt --held_out=dev.txt

DIR holds GLUE and the other data sets in their official layouts. The command names those that are missing and leaves
them out. --held_out gets the dev texts of tasks of pairs, for pretrain's --held_out_files.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import random
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from kd_keras import tasks
from kd_keras.augment.sentences import sentences
from kd_keras.common import files

PAIRS = {"stsb": "glue/STS-B", "sick": "pairs/SICK", "mrpc": "glue/MRPC", "rte": "glue/RTE", "mnli": "glue_subset/MNLI",
         "snli": "glue_subset/SNLI", "qnli": "glue_subset/QNLI", "qqp": "glue_subset/QQP"}  # fmt: skip
SINGLE = {"sst2": "glue/SST-2", "cola": "glue/CoLA"}
FILES = ("subj", "cr", "mpqa", "trec")
MOST = {"qqp": 40_000, "sst2": 25_000, "ag_news": 25_000, "dbpedia": 10_000, "imdb": 25_000, "english": 130_000}


def sources(data: Path, draw: random.Random) -> dict[str, tuple[Path, Callable[[], Iterable[str]]]]:
    """Name → the path that must exist, and a function that gives its texts."""

    def task(name: str) -> Callable[[], Iterable[str]]:
        return lambda: texts(tasks.load(tasks.get(name), str(data / (PAIRS | SINGLE)[name])).train)

    def own(name: str) -> Callable[[], Iterable[str]]:
        path = str(data / "sentence" / name / "train.tsv")
        return lambda: tasks.load(tasks.custom(path), on_bad_row="skip").train.text

    def lines(path: Path) -> Iterator[str]:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8") as file:
            yield from file

    def news() -> Iterator[str]:
        with open(data / "ag_news_subset" / "train.csv", encoding="utf-8", newline="") as file:
            yield from of_sentences(row[2] for row in csv.reader(file))

    reviews, things = data / "imdb" / "unlabeled.txt.gz", data / "dbpedia_subset" / "unlabeled.txt"
    intents, english = data / "own" / "banking77" / "unlabeled.txt", data / "unlabeled" / "english_sentences.txt.gz"
    return {
        **{name: (data / place, task(name)) for name, place in (PAIRS | SINGLE).items()},
        **{name: (data / "sentence" / name, own(name)) for name in FILES},
        "ag_news": (data / "ag_news_subset", news),
        "dbpedia": (things, lambda: of_sentences(lines(things))),
        "banking77": (intents, lambda: lines(intents)),
        "imdb": (reviews, lambda: of_sentences(draw.sample(list(lines(reviews)), 6_000))),
        "english": (english, lambda: (line for line in lines(english) if len(line.split()) <= 40)),
    }  # fmt: skip


def texts(rows: tasks.Rows) -> list[str]:
    return [*rows.text, *(rows.text_b or [])]


def of_sentences(documents: Iterable[str]) -> Iterator[str]:
    found = (s for document in documents for s in sentences(document.replace("<br />", " ")))
    return (s for s in found if 4 <= len(s.split()) <= 50)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data_dir", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--held_out", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    draw, every = random.Random(args.seed), []
    for name, (place, read) in sources(args.data_dir, draw).items():
        if not place.exists():
            print(f"{name}: {place} does not exist")
            continue
        distinct = sorted({" ".join(text.split()) for text in read()} - {""})
        some = draw.sample(distinct, min(len(distinct), MOST.get(name, len(distinct))))
        print(f"{name}: {len(some):,} of {len(distinct):,}", flush=True)
        every += some
    if not every:
        sys.exit(f"--data_dir={args.data_dir}: none of these exists")
    files.write_text(args.output, "\n".join(every) + "\n")
    print(f"{len(every):,} texts in {args.output}")
    if args.held_out:
        there = {name: args.data_dir / place for name, place in PAIRS.items() if (args.data_dir / place).exists()}
        dev = [text for name, place in there.items() for text in texts(tasks.load(tasks.get(name), str(place)).dev)]
        files.write_text(args.held_out, "\n".join(dev) + "\n")


if __name__ == "__main__":
    main()
