"""Writes and reads a folder of .tflite files with metadata.json, vocab.txt and labels.txt, without TensorFlow."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kd_keras.common import files
from kd_keras.common.errors import UserError
from kd_keras.common.layout import BundleLayout
from kd_keras.formats.format import FORMATS
from kd_keras.tasks import Task
from kd_keras.text.tokenizers import Tokenizer, made_tokenizer, read_vocab
from kd_keras.text.truncation import HEAD

VERSION = 1
# How an app splits words into pieces. metadata.json, the file itself and the card say it.
WORDS = (
    "A word is tagged by its first piece; what is said of later pieces and of padding counts for nothing. Pieces are "
    "cased: nothing is lower-cased, no accent is taken off. A word without a piece is [UNK]. A text of more pieces "
    "than max_length (or than the file reads) is read in windows of whole words: the next begins half a window on, "
    "and a word has the answer of the window in which it is farthest from a cut. Tags are IOB2: an entity begins with "
    "B- and goes on with I- of its type."
)


def describe(task: Task, tokenizer: Tokenizer, student: str, arm: str | None = None) -> dict[str, Any]:
    """What all files of an export share.

    Args:
      task: the run's.
      tokenizer: the student's.
      student: sha256 of student.keras.
      arm: which of the run's students this is. None if it is unknown.
    """
    return {
        "version": VERSION,
        **({"words": WORDS} if task.is_tagging else {}),
        "task": task.to_json(),
        "labels": list(task.labels),
        "tokenizer": {
            "kind": tokenizer.kind,
            "lowercase": tokenizer.lowercase,
            "max_length": tokenizer.max_length,
            **tokenizer.extra_config(),
        },
        "vocab_size": len(tokenizer),
        "vocab_sha256": _sha256(tokenizer.vocab),
        "ids": f"a line's number in vocab.txt, from 0; what is not in the vocabulary is {tokenizer.unk_id} ([UNK])"
        + _long_text(tokenizer),
        "scores": _scores(task),
        "student": student,
        "arm": arm,
    }


def _sha256(vocab: Sequence[str]) -> str:
    return hashlib.sha256("".join(p + "\n" for p in vocab).encode("utf-8", "surrogatepass")).hexdigest()


def _scores(task: Task) -> str:
    if task.is_tagging:
        return "logits of each piece, in the order of labels.txt; those of a word's first piece are the word's"
    if task.is_text:
        return "none; vector is of the whole text, and the cosine of two says how alike the texts are"
    if task.is_regression:
        return "the number that the regression predicts"
    if task.is_multilabel:
        return "a probability for each label, in the order of labels.txt; a text has the labels over 0.5"
    return "softmax over the labels in the order of labels.txt"


def _long_text(tokenizer: Tokenizer) -> str:
    """What an app has to do with a long text. It says nothing of the head, which is what any app would take."""
    if tokenizer.truncation == HEAD:
        return ""
    kept = {"tail": "its last n", "head_tail": "its first ⌈n/4⌉ and its last n − ⌈n/4⌉"}[tokenizer.truncation]
    return f"; of a text of more than n tokens, n being the smaller of max_length and the file's length, {kept} stay"


def write(folder: Path, task: Task, tokenizer: Tokenizer, about: dict, models: Mapping[str, dict]) -> None:
    """Writes the files beside the models, and metadata.json last."""
    layout = BundleLayout(folder)
    files.write_text(layout.vocab, "".join(p + "\n" for p in tokenizer.vocab))
    if not task.is_text:
        files.write_text(layout.labels, "".join(label + "\n" for label in task.labels))
    if task.is_tagging:
        tokenizer.save(layout.vocab, layout.tokenizer)
    files.write_json(layout.metadata, about | {"models": dict(models)})


def read(folder: Path) -> dict[str, Any]:
    """metadata.json. Raises UserError if it is missing or of another version."""
    path = BundleLayout(folder).metadata
    if not path.is_file():
        raise UserError(f"{folder}: has no {path.name}; expected a folder that python -m kd_keras.export wrote")
    about = files.read_json(path)
    version = about.get("version") if isinstance(about, dict) else None
    if version != VERSION or not isinstance(about.get("models"), dict):
        raise UserError(f"{path}: has version {version!r}, expected {VERSION}; export the student again")
    return about


def models_of(folder: Path, student: str) -> dict[str, dict]:
    """The entries of the models in ``folder`` that exist, are unchanged, and were made from ``student``.

    Other models that metadata.json lists are deleted. Files that it does not list are left alone.
    """
    try:
        about = read(folder)
    except UserError:
        about = {"models": {}}
    kept = {}
    for name, entry in about["models"].items():
        path = folder / name
        sha256 = entry.get("sha256") if isinstance(entry, dict) else None
        if about.get("student") == student and path.is_file() and files.sha256_file(path) == sha256:
            kept[name] = entry
        else:
            path.unlink(missing_ok=True)
    return kept


def open_model(path: Path) -> tuple[Task, Tokenizer, dict]:
    """Task, tokenizer and metadata entry of a .tflite file, from the files beside it.

    Raises:
      UserError: the file does not exist, or the files beside it are missing or belong to another export.
    """
    files.require_file(path, "--model")
    layout = BundleLayout(path.parent)
    about = read(path.parent)
    entry = about["models"].get(path.name)
    if entry is None:
        known = ", ".join(about["models"]) or "none"
        raise UserError(f"{path}: {layout.metadata.name} does not list this file; it lists: {known}")
    if not isinstance(entry, dict) or entry.get("format") not in FORMATS:
        raise UserError(f"{layout.metadata}: what it says of {path.name} names no format; export again")
    if files.sha256_file(path) != entry.get("sha256"):
        raise UserError(f"{path}: is not the file that {layout.metadata.name} describes (sha256 differs); export again")
    vocab = read_vocab(files.require_file(layout.vocab, "vocabulary"))
    if len(vocab) != (size := about.get("vocab_size")):
        raise UserError(f"{layout.vocab}: has {len(vocab):,} lines, expected {size!r}; export again")
    if about.get("vocab_sha256", sha256 := _sha256(vocab)) != sha256:  # earlier versions did not write it
        raise UserError(f"{layout.vocab}: is not the vocabulary of this student (sha256 differs); export again")
    try:
        task = Task.from_json(about.get("task"))
    except UserError:
        raise UserError(f"{layout.metadata}: its task is damaged; export again") from None
    try:
        tokenizer = made_tokenizer(vocab, about.get("tokenizer"), layout.metadata)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as e:
        raise UserError(
            f"{layout.metadata}: its tokenizer is damaged ({type(e).__name__}: {e}); export again"
        ) from None
    if layout.labels.is_file() and not task.is_text:
        count = len(layout.labels.read_text(encoding="utf-8").splitlines())
        if count != len(task.labels):
            raise UserError(f"{layout.labels}: has {count:,} lines, expected {len(task.labels):,}; export again")
    return task, tokenizer, entry
