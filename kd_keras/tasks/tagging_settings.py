"""The flags of tagging tasks."""

from __future__ import annotations

from dataclasses import dataclass

from kd_keras.common.config import setting
from kd_keras.tasks.file_settings import FileSettings


@dataclass(frozen=True, kw_only=True)
class TaggingSettings(FileSettings):
    """The languages, and the number of rows of each."""

    group = "data"
    tagging: bool = setting(
        False,
        "gives each word of task custom a tag (IOB1, IOB2, BIOES); files are columns of words and tags, "
        "or JSON lines of tokens and tags or of text and spans.",
        late=True,
    )
    languages: str = setting("all", "languages of task panx, with commas between, or all.", late=True)
    max_per_language: int | None = setting(
        None,
        "uses at most this many training rows of each language of a tagging, drawn at random with a fixed seed.",
        low=1,
        late=True,
    )
    dev_per_language: int | None = setting(
        None,
        "uses at most this many dev rows of each language of a tagging; 0: all; if not given, 250 for "
        "panx and all elsewhere.",
        low=0,
        late=True,
    )
    labels_per_language: int | None = setting(
        None,
        "learns from the tags of this many training rows of each language, drawn by --labels_seed; the "
        "teacher tags the other rows for the student (transfer set 'rest').",
        low=1,
        late=True,
    )
