"""Splits documents into sentences, and for a tagging task into words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from kd_keras.augment.settings import UnlabeledSettings
from kd_keras.tasks.sentences import in_one_piece
from kd_keras.tasks.tables import BadRows
from kd_keras.tasks.tagged import TaggedFile
from kd_keras.tasks.untagged import untagged
from kd_keras.text.words import spaced

# A sentence ends with . ! ? and closing marks, before a space and no small letter. "Mr." and "J." do not end one.
# The full stops of Chinese and Japanese, Hindi, Urdu, Armenian, Burmese and Ethiopic, and Arabic's question mark, stand
# for nothing else, and the first have no space behind them.
_STOPS, _CLOSING = "。！？｡।॥۔؟։။።", "\"'”’)\\]」』）"
_END = re.compile(
    rf"(?<=[.!?])[\"'”’)\]]*\s+(?=[^a-z\s])|(?<=[{_STOPS}])(?![{_STOPS}])[{_CLOSING}]*\s*(?=[^\s{_CLOSING}])"
)
_NO_END = re.compile(r"(?:\b(?:mr|mrs|ms|dr|st|vs|jr|sr|prof|etc|e\.g|i\.e|[a-z]))\.$", re.IGNORECASE)


def sentences(document: str) -> Iterator[str]:
    """The sentences of one document, stripped. None is empty."""
    start = 0
    for end in _END.finditer(document):
        if not _NO_END.search(document, max(start, end.start() - 8), end.start()):
            yield document[start : end.end()].strip()
            start = end.end()
    if rest := document[start:].strip():
        yield rest


def spaced_sentences(document: str, split: bool) -> Iterator[str]:
    """The words of each sentence of a document, or of the whole document, joined by one space."""
    return map(spaced, sentences(document) if split else (document,))


def sentences_of_words(path: Path, how: TaggedFile, settings: UnlabeledSettings, bad: BadRows) -> Iterator[str]:
    """The sentences of any file that a tagging task reads. Words that the file has do not change."""
    column = None if settings.unlabeled_column == UnlabeledSettings.unlabeled_column else settings.unlabeled_column
    for s in untagged(path, how, bad, column, "--unlabeled_column"):
        if s.text is None:
            yield " ".join(map(in_one_piece, s.words))
        else:
            yield from spaced_sentences(s.text, bool(settings.split_sentences))
