"""What MediaPipe's TextClassifier and TextEmbedder need to know of a student, and which students they can serve.

MediaPipe has two tokenizers (mediapipe/tasks/cc/text/tokenizers and the two preprocessor calculators):

- BertTokenizer lower-cases ASCII, splits at ASCII's white space, punctuation and CJK, and then applies WordPiece. It
  gives ids, mask and segment_ids with [CLS] and [SEP]. The vocabulary has one piece a line; the line number is the id.
  It keeps accents and capitals beyond ASCII. So these letters are added to its vocabulary as pieces, which the graph
  reads as the plain letter: "clich" and "##é" instead of an unknown word.
- RegexTokenizer splits at a regular expression of RE2 and looks words up as they are, without lower-casing. The
  vocabulary has "word id" on each line, so several spellings can have one id. It needs <PAD> and <UNKNOWN>. It does
  not need <START>, which would come before each text.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

from kd_keras import __version__
from kd_keras.formats import metadata
from kd_keras.formats.format import Format
from kd_keras.formats.tflite import describe
from kd_keras.tasks import Task
from kd_keras.text.tokenizers import RE2_WORD_DELIMITER, SPECIAL, WORD_DELIMITER, Tokenizer, WordPiece, Words
from kd_keras.text.truncation import HEAD

_DESCRIPTIONS = {
    "ids": "[CLS] text [SEP], then 0: numbers of pieces in vocab.txt.",
    "mask": "1 from [CLS] to [SEP], then 0.",
    "segment_ids": "0: there is one segment.",
}


def why_not(task: Task, tokenizer: Tokenizer, fmt: Format) -> str | None:
    """None if MediaPipe's :func:`server` gives the student's answers; else the reason, as the end of a sentence."""
    if task.is_pair or task.is_regression or task.is_tagging:
        return f"it has no task for a {'pair' if task.is_pair else 'tagger' if task.is_tagging else task.kind}"
    if fmt.form != "unrolled":
        return "it takes graphs without loops only; use an unrolled file"
    if tokenizer.truncation != HEAD:
        return f"it cuts long texts at their end, and this student reads their {tokenizer.truncation}"
    if tokenizer.kind == "wordpiece" and not tokenizer.lowercase:
        return "its BertTokenizer lower-cases, and this student reads capitals"
    if tokenizer.kind == "wordpiece" and (other := tokenizer.splitting()):
        return f"its BertTokenizer has no {' and '.join(other)}, which this student's teacher sets"
    if tokenizer.kind == "words" and tokenizer.delimiter != WORD_DELIMITER:
        return "MediaPipe cannot split words as this student does"
    return None


def server(task: Task) -> str:
    """The name of MediaPipe's class that serves students of ``task``."""
    return "TextEmbedder" if task.is_text else "TextClassifier"


def add_metadata(content: bytes, task: Task, tokenizer: Tokenizer) -> bytes:
    """A .tflite file with metadata, labels and vocabulary inside.

    Args:
      content: an unrolled file. For a WordPiece student it has BERT's three inputs and the aliases of
        :func:`accented`.
      task: one for which :func:`why_not` has no reason.
      tokenizer: the student's.
    """
    files = {}
    if task.is_text:
        scores = metadata.tensor("vector", "Of the whole text; near vectors mean alike texts.")
    else:
        labels = metadata.associated_file("labels.txt", "A label a line.", metadata.LABELS)
        how = "A probability for each label, given over 0.5." if task.is_multilabel else "Softmax over the labels."
        scores = metadata.tensor("scores", how, [labels])
        files["labels.txt"] = _lines(task.labels)
    about = (f"{task.name} student", "BiLSTM distilled from a BERT teacher by kd_keras.", __version__)
    if tokenizer.kind == "wordpiece":
        files["vocab.txt"] = _lines([*tokenizer.vocab, *accented(tokenizer)])
        vocab = metadata.associated_file("vocab.txt", "A piece a line, numbered from 0.", metadata.VOCABULARY)
        inputs = [metadata.tensor(name, _DESCRIPTIONS[name]) for name in describe(content)["inputs"]]
        made = metadata.model(*about, inputs, [scores], [metadata.bert_tokenizer(vocab)])
    else:
        files["word_ids.txt"] = _lines(f"{word} {i}" for word, i in word_ids(tokenizer).items())
        vocab = metadata.associated_file("word_ids.txt", "A word and its number a line.", metadata.VOCABULARY)
        split = metadata.regex_tokenizer(RE2_WORD_DELIMITER, vocab)
        inputs = [metadata.tensor("ids", "Numbers of words, then 0.", [vocab], [split])]
        made = metadata.model(*about, inputs, [scores])
    return metadata.with_metadata(content, made, files)


def accented(tokenizer: WordPiece) -> dict[str, int]:
    """Letters that the vocabulary lacks → the piece that the student reads for them.

    MediaPipe's vocabulary has them behind the student's. They are the graph's ``aliases``.
    """
    found = {}
    for letter in filter(str.isalpha, map(chr, range(0x80, sys.maxunicode + 1))):
        plain = tokenizer.normalized(letter).strip()  # CJK comes between spaces
        if len(plain) == 1 and plain != letter:
            for piece, meant in ((letter, plain), ("##" + letter, "##" + plain)):
                if meant in tokenizer.index and piece not in tokenizer.index:
                    found[piece] = tokenizer.index[meant]
    return found


def word_ids(tokenizer: Words) -> dict[str, int]:
    """MediaPipe's vocabulary for a student of words: word → id.

    If the student lower-cases, "Word" and "WORD" have the id of "word".
    """
    ids = {"<PAD>": 0, "<UNKNOWN>": tokenizer.unk_id}
    words = [(word, i) for word, i in tokenizer.index.items() if word not in SPECIAL]
    ids.update(words)
    if tokenizer.lowercase:
        for word, i in words:
            for spelling in (word.capitalize(), word.upper()):
                if spelling.lower() == word:
                    ids.setdefault(spelling, i)
    return ids


def _lines(entries: Iterable[str]) -> bytes:
    return "".join(entry + "\n" for entry in entries).encode()
