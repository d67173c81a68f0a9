"""The names of a run folder's files: the only module that knows them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RunLayout:
    """``saved_models/<task>/<run>/``; every member is a path, nothing is created."""

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
        """What pipes gave as --train_file and its like: train.csv, dev.csv, …"""
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
        """Of an ensemble's teachers, which count from 1, the first is ``teacher``, the second ``teacher-2``."""
        return self.teacher if number == 1 else self.root / f"teacher-{number}"

    def every_teacher(self) -> list[Path]:
        """The teachers that are there."""
        return [p for p in (self.teacher, *sorted(self.root.glob("teacher-*"))) if p.is_dir()]

    def reference(self, name: str) -> Path:
        """What a linear model says of each split: ``references/linear.npz``."""
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
        """``assets.extra`` is TensorFlow's place for files of the user's own."""
        return self.saved_model / "assets.extra" / "metadata.json"

    @property
    def tflite(self) -> Path:
        return self.root / "tflite"

    @property
    def benchmark(self) -> Path:
        """Results of the benchmark; ``models/`` in it has files made for timing alone."""
        return self.root / "benchmark"

    @property
    def compression(self) -> Path:
        """What pruning or clustering made of another run's student."""
        return self.root / "compress.json"

    def transfer_sets(self) -> list[Path]:
        """Every transfer set that is there: ``transfer/all.parquet``, ``unlabeled.parquet``."""
        return sorted((self.root / "transfer").glob("*.parquet"))

    def augmented(self, rules: str) -> Path:
        """Rows that the rules (``--augment``) made: ``transfer/all.parquet``."""
        return self.root / "transfer" / f"{rules}.parquet"

    @property
    def ablation(self) -> Path:
        return self.root / "ablation.json"

    def signals(self, split: str, teacher: int = 1) -> Path:
        return signals_in(self.root / "signals", split, teacher)

    @property
    def projection(self) -> Path:
        """The axes that a teacher's states of words are told in."""
        return self.root / "signals" / "projection.npz"

    @property
    def word_projection(self) -> Path:
        """Axes of the states of words beside a text's vector."""
        return self.root / "signals" / "word_projection.npz"

    def every_signals(self, split: str) -> list[Path]:
        """The signals of ``split`` that are there, whichever teacher's."""
        others = sorted((self.root / "signals").glob(f"teacher-*/{split}"))
        return [p for p in (self.signals(split), *others) if p.is_dir()]

    @property
    def arms(self) -> Path:
        return self.root / "arms"

    def arm(self, name: str, seed: int) -> Path:
        """A trained student's own folder: ``arms/distilled-seed1``."""
        return self.arms / f"{name}-seed{seed}"

    def trained_arms(self) -> list[str]:
        """The names of the arms that are there, ``distilled-seed1``."""
        return sorted(path.parent.name for path in self.arms.glob("*/student.keras"))

    def of_arm(self, name: str) -> RunLayout:
        """An arm's student and its exports, which have a run folder's names in the arm's own."""
        return RunLayout(self.arms / name)

    def siblings(self, task: str) -> list[RunLayout]:
        """Other run folders of the same task, where what was made may be found again."""
        places = {self.root.resolve().parent, (Path("saved_models") / task).resolve()}
        runs = [p for place in sorted(places) if _readable(place) for p in sorted(place.iterdir())]
        return [RunLayout(p) for p in runs if _readable(p) and p.resolve() != self.root.resolve()]


def _readable(folder: Path) -> bool:
    """Other people's folders may lie beside a run (/tmp)."""
    return folder.is_dir() and os.access(folder, os.R_OK | os.X_OK)


def signals_in(folder: Path, split: str, teacher: int = 1) -> Path:
    """In ``RUN/signals``: the first teacher's as ``train``, the second's as ``teacher-2/train``."""
    return folder / split if teacher == 1 else folder / f"teacher-{teacher}" / split


@dataclass(frozen=True)
class BundleLayout:
    """``RUN/tflite/``, which works without the run folder: models, vocabulary, labels, metadata."""

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
        """Of a tagger alone."""
        return self.root / "tokenizer.json"

    @property
    def card(self) -> Path:
        return self.root / "README.md"
