"""The names of the files in a run folder. No other module knows them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from kd_keras.common.folders import Folder

P = TypeVar("P", Path, Folder)


@dataclass(frozen=True)
class RunLayout:
    """``saved_models/<task>/<run>/``; every member is a path, and nothing is created."""

    root: Path

    @property
    def flags(self) -> Path:
        return self.root / "flags.txt"

    @property
    def run(self) -> Path:
        return self.root / "run.json"

    @property
    def task(self) -> Path:
        return self.root / "task.json"

    @property
    def tokenizer(self) -> Path:
        return self.root / "tokenizer.json"

    @property
    def vocab(self) -> Path:
        return self.root / "vocab.txt"

    @property
    def labels(self) -> Path:
        return self.root / "labels.txt"

    @property
    def piped(self) -> Path:
        """What a pipe gave as --train_file or another flag: train.csv, dev.csv, …"""
        return self.root / "piped"

    @property
    def student(self) -> Path:
        return self.root / "student.keras"

    @property
    def history(self) -> Path:
        return self.root / "history.json"

    @property
    def metrics(self) -> Path:
        return self.root / "metrics.json"

    @property
    def report(self) -> Path:
        return self.root / "report.md"

    @property
    def plots(self) -> Path:
        return self.root / "plots"

    @property
    def teacher(self) -> Path:
        return self.root / "teacher"

    def teacher_of(self, number: int) -> Path:
        """The folder of an ensemble's teacher, counted from 1: ``teacher``, ``teacher-2``, …"""
        return self.teacher if number == 1 else self.root / f"teacher-{number}"

    def every_teacher(self) -> list[Path]:
        """Folders of the teachers that exist."""
        return [p for p in (self.teacher, *sorted(self.root.glob("teacher-*"))) if p.is_dir()]

    def round(self, number: int) -> RunLayout:
        """The teachers and signals of one of several rounds: ``rounds/1``."""
        return RunLayout(self.root / "rounds" / str(number))

    def with_rounds(self) -> list[RunLayout]:
        """This folder, and its rounds that are there."""
        return [self, *(RunLayout(p) for p in sorted((self.root / "rounds").glob("*")) if p.is_dir())]

    def reference(self, name: str) -> Path:
        """The linear model's scores of each split: ``references/linear.npz``."""
        return self.root / "references" / f"{name}.npz"

    @property
    def timings(self) -> Path:
        return self.root / "timings.json"

    @property
    def tensorboard(self) -> Path:
        return self.root / "tensorboard"

    @property
    def saved_model(self) -> Path:
        return self.root / "saved_model"

    @property
    def saved_model_metadata(self) -> Path:
        """TensorFlow reserves ``assets.extra`` for the user's own files."""
        return self.saved_model / "assets.extra" / "metadata.json"

    @property
    def tflite(self) -> Path:
        return self.root / "tflite"

    @property
    def benchmark(self) -> Path:
        """Results of the benchmark. Its ``models/`` has files that are made only for timing."""
        return self.root / "benchmark"

    @property
    def compression(self) -> Path:
        """Another run's student after pruning or clustering."""
        return self.root / "compress.json"

    def transfer_sets(self) -> list[Path]:
        """Every transfer set that exists: ``transfer/all.parquet``, ``unlabeled.parquet``."""
        return sorted((self.root / "transfer").glob("*.parquet"))

    def augmented(self, rules: str) -> Path:
        """Rows that the augmentation rules (``--augment``) made: ``transfer/all.parquet``."""
        return self.root / "transfer" / f"{rules}.parquet"

    @property
    def ablation(self) -> Path:
        return self.root / "ablation.json"

    def signals(self, split: str, teacher: int = 1) -> Path:
        return signals_in(self.root / "signals", split, teacher)

    @property
    def projection(self) -> Path:
        """The axes on which the teacher's word states are stored."""
        return self.root / "signals" / "projection.npz"

    @property
    def word_projection(self) -> Path:
        """The axes of word states that are stored beside a text's vector."""
        return self.root / "signals" / "word_projection.npz"

    def every_signals(self, split: str) -> list[Path]:
        """The signals of ``split`` that exist, of any teacher."""
        others = sorted((self.root / "signals").glob(f"teacher-*/{split}"))
        return [p for p in (self.signals(split), *others) if p.is_dir()]

    @property
    def arms(self) -> Path:
        return self.root / "arms"

    def arm(self, name: str, seed: int) -> Path:
        """The folder of a trained student: ``arms/distilled-seed1``."""
        return self.arms / f"{name}-seed{seed}"

    def claim(self, name: str, seed: int) -> Path:
        """Held by the process that trains this student: ``arms/distilled-seed1.claim``."""
        return self.arms / f"{name}-seed{seed}.claim"

    def trained_arms(self) -> list[str]:
        """Names of the arms that exist, such as ``distilled-seed1``."""
        return sorted(path.parent.name for path in self.arms.glob("*/student.keras"))

    def of_arm(self, name: str) -> RunLayout:
        """An arm's student and its exports. The arm's folder names its files as a run folder does."""
        return RunLayout(self.arms / name)

    def siblings(self, task: str) -> list[RunLayout]:
        """Other run folders of the same task, whose artifacts may be used again."""
        places = {self.root.resolve().parent, (Path("saved_models") / task).resolve()}
        runs = [p for place in sorted(places) if _readable(place) for p in sorted(place.iterdir())]
        return [RunLayout(p) for p in runs if _readable(p) and p.resolve() != self.root.resolve()]


def _readable(folder: Path) -> bool:
    """Folders of other users may lie beside a run, as in /tmp."""
    return folder.is_dir() and os.access(folder, os.R_OK | os.X_OK)


def signals_in(folder: P, split: str, teacher: int = 1) -> P:
    """In ``RUN/signals``: ``train`` for the first teacher, ``teacher-2/train`` for the second."""
    return folder / split if teacher == 1 else folder / f"teacher-{teacher}" / split


@dataclass(frozen=True)
class BundleLayout:
    """``RUN/tflite/``: models, vocabulary, labels, metadata. It works without the run folder."""

    root: Path

    @property
    def metadata(self) -> Path:
        return self.root / "metadata.json"

    @property
    def labels(self) -> Path:
        return self.root / "labels.txt"

    @property
    def vocab(self) -> Path:
        return self.root / "vocab.txt"

    @property
    def tokenizer(self) -> Path:
        """Only a tagger has it."""
        return self.root / "tokenizer.json"

    @property
    def card(self) -> Path:
        return self.root / "README.md"
