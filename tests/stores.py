"""Stores of signals that a test labels and compares."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from kd_keras.common.folders import Folder

TEACHER = Path(__file__).resolve().parent / "data/before/run/teacher"
TEXTS, SHARDS = 600, 30


def arguments_of_label(away: Path, toy_sentences: Callable) -> list[str]:
    """What label is told to make ``SHARDS`` shards of texts that are written into ``away``."""
    pairs = zip(*(toy_sentences(TEXTS, seed)[0] for seed in (1, 2)), strict=True)
    (away / "text.txt").write_text("".join(f"{a} and {b} {n}\n" for n, (a, b) in enumerate(pairs)))
    return [
        f"--teacher_dir={TEACHER}", f"--input={away}/text.txt", f"--shard_rows={TEXTS // SHARDS}", "--hidden=mean",
    ]  # fmt: skip


def content(place: Folder) -> dict[str, bytes]:
    """Of the store's own files, without what is made for reading."""
    found = {}
    for name in sorted(place.names()):
        if not name.endswith(".npy"):
            with place.open(name) as file:
                found[name] = bytes(file.read())
    return found
