"""The teacher of words: a Keras functional model around transformers' TFBertForTokenClassification or a similar class.

The first piece of a word has its tag. Later pieces, [CLS], [SEP] and padding have no tag and no loss. Sentences longer
than the teacher reads are read in windows that overlap (kd_keras/text/windows.py), so no word is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from kd_keras.common.columns import batched
from kd_keras.common.progress import progress
from kd_keras.common.ragged import Ragged
from kd_keras.tasks import words_of
from kd_keras.teachers.bert import Teacher
from kd_keras.teachers.checkpoints import Checkpoint, from_folder
from kd_keras.teachers.encoded import Encoded, token_batches
from kd_keras.text.base import BackedTokenizer
from kd_keras.text.windows import Windows


class EncodedWords(Encoded):
    """Rows of words as the teacher reads them.

    Attributes:
      windows: pieces with [CLS] and [SEP], and where the words are.
    """

    def __init__(self, windows: Windows, reader: BackedTokenizer):
        super().__init__(windows.ids, windows.ids.lengths, reader)
        self.windows = windows


class TaggingTeacher(Teacher):
    """A BERT that gives each word a tag.

    >>> shape = dict(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
    >>> teacher = TaggingTeacher.random(vocab, num_labels=3, max_length=16, seed=1, **shape)
    >>> [logits.shape for logits in teacher(["good film", "the plot is dull"])]
    [(2, 3), (4, 3)]
    """

    tagging = True
    # The projection of its states, if signals have them (kd_keras/teachers/projection.py).
    projection: Callable[[np.ndarray], np.ndarray] | None = None

    def lowered(self, precision: str, outputs: Sequence[str] = ("logits",)) -> TaggingTeacher:
        lowered = super().lowered(precision, outputs)
        lowered.projection = self.projection
        return lowered

    def encode_texts(self, texts: Sequence[str], texts_b: Sequence[str] | None = None) -> EncodedWords:
        windows = self.tokenizer.windows([words_of(text) for text in texts], for_bert=True)
        return EncodedWords(windows, self.tokenizer)

    def long_rows(self, texts: Sequence[str]) -> int:
        """How many of them it reads in several windows."""
        count = 0
        with progress(len(texts), "counting long sentences", "sentences", delay=5) as bar:
            for some in batched(texts, 10_000):
                count += self.encode_texts(some).windows.long_rows
                bar.update(len(some))
        return count

    def logits(self, encoded: EncodedWords, tokens_per_batch: int = 4096) -> Ragged:
        """Rows of float32[words, labels], in their order."""
        return encoded.windows.rows(self._of_words(encoded, "logits", self.num_labels, tokens_per_batch))

    def word_states(self, encoded: EncodedWords, layer: int, tokens_per_batch: int = 4096) -> np.ndarray:
        """float32[words, width]: the state in ``layer`` of the first piece of each word of all rows."""
        return self._of_words(encoded, f"hidden_{layer}", self.bert.config.hidden_size, tokens_per_batch)

    def _of_words(self, encoded: EncodedWords, output: str, width: int, tokens: int) -> np.ndarray:
        w = encoded.windows
        out = np.zeros((int(w.words.sum()), width), np.float32)
        with progress(len(w), "tagging", "windows", delay=5) as bar:
            for chosen in token_batches(w.ids.lengths, tokens):
                w.collect(out, chosen, self.predict_batch(encoded.batch(chosen))[output].numpy())
                bar.update(len(chosen))
        return out

    def __call__(self, texts: Sequence[str]) -> Ragged:
        """Rows of float32[words, labels] of plain texts, split into words at spaces."""
        return self.logits(self.encode_texts(texts))


def opened(folder: str) -> Teacher:
    """:func:`load_finished` by the folder's name. Another process can call it."""
    return load_finished(from_folder(folder, Path(folder)))


def load_finished(checkpoint: Checkpoint) -> Teacher:
    """A teacher of texts or of words that our fine-tuning saved. UserError if it is not one."""
    of_words = (checkpoint.manifest() or {}).get("tagging", False)
    return (TaggingTeacher if of_words else Teacher).load_finished(checkpoint)
