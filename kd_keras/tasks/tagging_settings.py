"""The flags of taggings."""

from __future__ import annotations

from dataclasses import dataclass

from kd_keras.common.config import setting
from kd_keras.tasks.file_settings import FileSettings


@dataclass(frozen=True, kw_only=True)
class TaggingSettings(FileSettings):
    """Which languages, and how many rows of each."""

    group = "data"
    tagging: bool = setting(
        False, "task custom: each word has a tag of its own (IOB1, IOB2, BIOES); files are columns of words and tags, "
        "or JSON lines of tokens and tags or of text and spans",
        late=True,
    )  # fmt: skip
    languages: str = setting("all", "task panx: languages, with commas between, or all", late=True)
    max_per_language: int | None = setting(
        None, "taggings: use at most this many training rows of each language, drawn by a fixed seed", low=1, late=True
    )
    dev_per_language: int | None = setting(
        None, "taggings: use at most this many dev rows of each language; 0 takes all; if not given, 250 in panx and "
        "all elsewhere",
        low=0, late=True,
    )  # fmt: skip
    labels_per_language: int | None = setting(
        None, "taggings: learn from the tags of so many training rows of each language only, drawn by --labels_seed; "
        "the teacher tags the other rows for the student (transfer set 'rest')",
        low=1, late=True,
    )  # fmt: skip
