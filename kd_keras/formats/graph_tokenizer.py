"""Tokenizers inside a TensorFlow graph, for SavedModel. They give the same pieces as ``kd_keras.text.tokenizers``.

They consist of string ops and tensorflow-text's splitter and WordPiece, so a process needs tensorflow and
tensorflow_text. tensorflow-text's own BertTokenizer would fold compatibility characters and treat controls differently.

All 1,112,064 characters were compared, each between two letters ("a…b"). Some differ, because the libraries have
tables of different versions of Unicode. "There" means Hugging Face, or Python for words:

- WordPiece, lower case: 656 characters.
  - Combining marks (384: U+07FD, U+0898 to U+089F, U+08CA to U+08E1, …) are dropped here and kept there.
  - Punctuation (104: U+061D, U+09FD, U+2E43 to U+2E5D, …) splits words only here.
  - Format controls (13: U+0890, U+0891, U+08E2, U+110CD, …) are dropped only here.
  - Capitals (40: U+2C2F, U+A7C0, U+10570 to U+10595, …) and 112 code points that Python 3.11 does not know yet have
    another small letter.
  - U+166D, U+1734 and one more mark moved.
- WordPiece, cased: 149 of these, the punctuation and the controls.
- Words: 4,388 letters that Python 3.11 does not know yet (U+1123F, U+11F02, …), and in lower case the 40 capitals.

Accents, CJK, emoji and compatibility characters (ﬁ, ǅ, 𝔘) agree.
"""

from __future__ import annotations

import tensorflow as tf
import tensorflow_text as tf_text

from kd_keras.common.errors import UserError
from kd_keras.text.tokenizers import MASK, RE2_WORD_DELIMITER, UNK, WORD_DELIMITER, Tokenizer
from kd_keras.text.truncation import HEAD, ends

# Hugging Face's WordPiece gives up on longer words.
_LONGEST_WORD = 100
_CJK = (
    r"\x{4E00}-\x{9FFF}\x{3400}-\x{4DBF}\x{20000}-\x{2A6DF}\x{2A700}-\x{2B73F}"
    r"\x{2B740}-\x{2B81F}\x{2B920}-\x{2CEAF}\x{F900}-\x{FAFF}\x{2F800}-\x{2FA1F}"
)
_SPACE = r"[\s\x{0B}\x{85}\p{Z}]"
_PUNCTUATION = r"[!-/:-@\[-`{-~\p{P}]"


class InGraphTokenizer(tf.Module):
    """string[batch] → ragged int64 ids.

    Args:
      tokenizer: the student's.
    """

    def __init__(self, tokenizer: Tokenizer):
        super().__init__(name="tokenizer")
        self._max_length, self._truncation = tokenizer.max_length, tokenizer.truncation
        self._lowercase = tokenizer.lowercase
        self._wordpiece = tokenizer.kind == "wordpiece"
        if tokenizer.kind == "wordpiece":
            # "[MASK]" in a text is the mask if the vocabulary has one, else plain letters.
            self._mask_id = tokenizer.index.get(MASK)
            self._strip_accents, self._split_chinese = tokenizer.strip_accents, tokenizer.tokenize_chinese_chars
            self._pieces = tf_text.FastWordpieceTokenizer(
                tokenizer.vocab, unknown_token=UNK, no_pretokenization=True, max_bytes_per_word=4 * _LONGEST_WORD
            )
        elif tokenizer.kind == "words":
            self._mask_id = tokenizer.index.get(MASK, tokenizer.unk_id)
            default = tokenizer.delimiter == WORD_DELIMITER
            self._delimiter = RE2_WORD_DELIMITER if default else tokenizer.delimiter
            entries = tf.lookup.KeyValueTensorInitializer(tokenizer.vocab, tf.range(len(tokenizer), dtype=tf.int64))
            self._table = tf.lookup.StaticHashTable(entries, tokenizer.unk_id)
        else:
            raise UserError(f"tokenizer {tokenizer.kind!r} cannot run in a SavedModel; expected wordpiece or words")

    def __call__(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """string[batch] → ragged int64[batch, (tokens)], at most ``max_length`` a text. An empty text has none."""
        # The splitter ends a text at NUL. Another control character is dropped, as NUL should be.
        texts = tf.strings.regex_replace(texts, r"\x00", "\x01")
        flat_ids = self._wordpiece_ids if self._wordpiece else self._word_ids
        if self._mask_id is None:
            return self._cut(flat_ids(texts))
        mask = tf.constant(MASK)
        quoted = r"\[MASK\]"
        parts = tf_text.regex_split(texts, quoted, quoted)
        flat = parts.flat_values
        is_mask = tf.equal(flat, mask)
        ids = flat_ids(tf.where(is_mask, "", flat))
        ones = tf.fill([tf.math.count_nonzero(is_mask)], tf.constant(self._mask_id, tf.int64))
        ids = tf.concat([ids, tf.RaggedTensor.from_row_lengths(ones, tf.cast(is_mask, tf.int64))], 1)
        return self._cut(parts.with_flat_values(ids).merge_dims(1, 2))

    def _cut(self, ids: tf.RaggedTensor) -> tf.RaggedTensor:
        """Cuts as ``TokenIds.cut`` does."""
        if self._truncation == HEAD:
            return ids[:, : self._max_length]
        first, last = ends(self._max_length, self._truncation)
        lengths = ids.row_lengths()
        position = tf.ragged.range(lengths)
        behind = position.with_flat_values(tf.gather(lengths, position.value_rowids()) - position.flat_values)
        return tf.ragged.boolean_mask(ids, (position < first) | (behind <= last))

    def padded(self, texts: tf.Tensor) -> tf.Tensor:
        """string[batch] → int32[batch, time], right-padded with 0; time is at least 1."""
        ids = tf.cast(self(texts).to_tensor(), tf.int32)
        return tf.pad(ids, [[0, 0], [0, tf.maximum(0, 1 - tf.shape(ids)[1])]])

    def _word_ids(self, texts: tf.Tensor) -> tf.RaggedTensor:
        words = tf_text.regex_split(_lower(texts) if self._lowercase else texts, self._delimiter)
        return words.with_flat_values(self._table.lookup(words.flat_values))

    def _wordpiece_ids(self, texts: tf.Tensor) -> tf.RaggedTensor:
        replace = tf.strings.regex_replace
        # The steps of Hugging Face's BertNormalizer: white space, controls, CJK, accents, case.
        x = replace(texts, r"[\t\n\r]", " ")
        x = replace(x, r"[\p{C}\x{FFFD}]", "")
        if self._split_chinese:
            x = replace(x, f"([{_CJK}])", r" \1 ")
        if self._strip_accents:
            x = replace(tf_text.normalize_utf8(x, "NFD"), r"\p{Mn}", "")
        if self._lowercase:
            # ICU writes ς at a word's end; Hugging Face does not.
            x = _lower(replace(x, "Σ", "σ"))
        words = tf_text.regex_split(x, f"{_SPACE}+|{_PUNCTUATION}", _PUNCTUATION)
        flat = words.flat_values
        flat = tf.where(tf.strings.length(flat, "UTF8_CHAR") > _LONGEST_WORD, UNK, flat)
        return words.with_flat_values(self._pieces.tokenize(flat)).merge_dims(1, 2)


def _lower(texts: tf.Tensor) -> tf.Tensor:
    # ICU follows the process's locale, and a Turkish locale has another small I.
    return tf.strings.lower(tf.strings.regex_replace(texts, "I", "i"), encoding="utf-8")
