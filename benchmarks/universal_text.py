"""The text of the universal student: sentences and phrases of many kinds in one file, without a label.

    python benchmarks/universal_text.py --data_dir=DIR --output=mix.txt --held_out=dev.txt

DIR holds GLUE and the other data sets in their official layouts, as in RESULTS.md; what is not there is left out, and
said. --held_out gets the texts of dev splits, for pretrain's --held_out_files.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import random
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from kd_keras.common import files

PAIRS = {
    "glue/STS-B": ("sentence1", "sentence2"),
    "pairs/SICK": ("sentence_A", "sentence_B"),
    "glue/MRPC": ("#1 String", "#2 String"),
    "glue/RTE": ("sentence1", "sentence2"),
    "glue_subset/MNLI": ("sentence1", "sentence2"),
    "glue_subset/SNLI": ("sentence1", "sentence2"),
    "glue_subset/QNLI": ("question", "sentence"),
    "glue_subset/QQP": ("question1", "question2"),
}
# Of these tasks dev is a file; pretrain --tasks knows what is drawn from train as dev of the others.
HELD_OUT = ("glue/MRPC", "glue/RTE", "glue_subset/MNLI", "glue_subset/SNLI", "glue_subset/QNLI", "glue_subset/QQP")
MOST = {"glue_subset/QQP": 40_000, "glue/SST-2": 25_000, "ag_news_subset": 25_000, "dbpedia_subset": 10_000,
        "imdb": 25_000, "unlabeled": 130_000}  # fmt: skip


def columns(path: Path, *names: str) -> Iterator[str]:
    with files.disk_errors(path), open(path, encoding="utf-8") as file:
        head = file.readline().rstrip("\n").split("\t")
        places = [head.index(name) for name in names]
        for line in file:
            row = line.rstrip("\n").split("\t")
            yield from (row[i] for i in places if i < len(row))


def sentences(documents: Iterable[str]) -> Iterator[str]:
    for document in documents:
        for sentence in re.split(r"(?<=[.!?])\s+", document.replace("<br />", " ").strip()):
            if 4 <= len(sentence.split()) <= 50:
                yield sentence


def sources(data: Path, draw: random.Random) -> dict[str, Callable[[], Iterable[str]]]:
    def reviews() -> Iterator[str]:
        with gzip.open(data / "imdb" / "unlabeled.txt.gz", "rt", encoding="utf-8") as file:
            yield from sentences(draw.sample(list(file), 6_000))

    def news() -> Iterator[str]:
        with open(data / "ag_news_subset" / "train.csv", encoding="utf-8") as file:
            yield from sentences(row[2] for row in csv.reader(file))

    def things() -> Iterator[str]:
        yield from sentences((data / "dbpedia_subset" / "unlabeled.txt").read_text(encoding="utf-8").splitlines())

    def english() -> Iterator[str]:
        with gzip.open(data / "unlabeled" / "english_sentences.txt.gz", "rt", encoding="utf-8") as file:
            yield from (line for line in file if len(line.split()) <= 40)

    def cola() -> Iterator[str]:
        lines = (data / "glue" / "CoLA" / "train.tsv").read_text(encoding="utf-8").splitlines()
        yield from (line.split("\t")[3] for line in lines)

    pairs = {name: lambda n=name, c=cols: columns(data / n / "train.tsv", *c) for name, cols in PAIRS.items()}
    single = {f"sentence/{n}": lambda n=n: columns(data / "sentence" / n / "train.tsv", "text")
              for n in ("subj", "cr", "mpqa", "trec")}  # fmt: skip
    return pairs | single | {
        "glue/SST-2": lambda: columns(data / "glue" / "SST-2" / "train.tsv", "sentence"),
        "glue/CoLA": cola,
        "ag_news_subset": news,
        "dbpedia_subset": things,
        "own/banking77": lambda: (data / "own/banking77/unlabeled.txt").read_text(encoding="utf-8").splitlines(),
        "imdb": reviews,
        "unlabeled": english,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data_dir", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--held_out", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    draw, lines = random.Random(args.seed), []
    for name, read in sources(args.data_dir, draw).items():
        if not (args.data_dir / name).is_dir():
            print(f"{name}: is not there")
            continue
        texts = sorted({" ".join(text.split()) for text in read()} - {""})
        most = MOST.get(name, len(texts))
        some = draw.sample(texts, most) if len(texts) > most else texts
        print(f"{name}: {len(some):,} of {len(texts):,}")
        lines += some
    files.write_text(args.output, "\n".join(lines) + "\n")
    print(f"{len(lines):,} texts in {args.output}")
    if args.held_out:
        names = [n for n in HELD_OUT if (args.data_dir / n).is_dir()]
        dev = [text for n in names for text in columns(next((args.data_dir / n).glob("dev*.tsv")), *PAIRS[n])]
        files.write_text(args.held_out, "\n".join(dev) + "\n")


if __name__ == "__main__":
    main()
