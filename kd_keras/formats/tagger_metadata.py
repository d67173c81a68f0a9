"""What a tagger's .tflite file says about itself, for model viewers and for readers who have only the file.

MediaPipe has no task that tags words, so the file names no tokenizer or classifier of MediaPipe.
"""

from __future__ import annotations

from kd_keras import __version__
from kd_keras.formats import metadata
from kd_keras.tasks import Task
from kd_keras.text.tokenizers import Tokenizer


def add_metadata(content: bytes, task: Task, tokenizer: Tokenizer, how: str) -> bytes:
    """A .tflite file with a description, tags and vocabulary inside.

    Args:
      content: the file's.
      task: a tagging task.
      tokenizer: the student's.
      how: how an app splits words into pieces, in words.
    """
    labels = metadata.associated_file("labels.txt", "A tag a line.", metadata.LABELS)
    vocab = metadata.associated_file("vocab.txt", "A piece a line, numbered from 0.", metadata.VOCABULARY)
    ids = metadata.tensor("ids", "Numbers of word pieces, then 0; no [CLS], no [SEP].", [vocab])
    logits = metadata.tensor("logits", "Of each piece, a number for each tag; the largest is the likeliest.", [labels])
    about = f"BiLSTM tagger distilled from a BERT teacher by kd_keras. max_length {tokenizer.max_length}. {how}"
    made = metadata.model(f"{task.name} student", about, __version__, [ids], [logits])
    files = {"labels.txt": task.labels, "vocab.txt": tokenizer.vocab}
    return metadata.with_metadata(content, made, {n: "".join(x + "\n" for x in of).encode() for n, of in files.items()})
