"""The sources of the GLUE tasks (Wang et al. 2018): the official TSV files, or tensorflow-datasets."""

from __future__ import annotations

from kd_keras.tasks.official import TableDir
from kd_keras.tasks.records import Source
from kd_keras.tasks.tfds_source import Tfds

_FILES = (("train", ("train.tsv",)), ("dev", ("dev.tsv",)))
_SPLITS = (("train", "train"), ("dev", "validation"))


def glue(folder: str, name: str, text: str, text_b: str | None = None, header: bool = True) -> tuple[Source, ...]:
    """The sources of a task.

    Args:
      folder: folder of the official files.
      name: in tensorflow-datasets, without "glue/".
      text, text_b: names of the text and of a pair's second text in tensorflow-datasets.
      header: whether the official files begin with a header line.
    """
    files = TableDir("GLUE TSV", "train.tsv and dev.tsv", (folder,), splits=_FILES, official_header=header)
    return files, Tfds(f"glue/{name}", (text,), _SPLITS, text_b=text_b)
