"""The Kotlin of android/Tokenizers.kt and android/Tagging.kt once more, line for line in Python: what is tested of the one holds for the other. Words.kt has the rules of kd_keras/text/words.py."""

from __future__ import annotations

import itertools
import math
import unicodedata
from collections.abc import Callable, Sequence

from kd_keras.text.words import split_words as words

_CHINESE = (
    (0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0xF900, 0xFAFF), (0x20000, 0x2A6DF), (0x2A700, 0x2B81F), (0x2B920, 0x2CEAF),
    (0x2F800, 0x2FA1F),
)  # fmt: skip


class WordPiece:
    def __init__(self, vocab: Sequence[str], max_length: int, lowercase: bool = True, truncation: str = "head"):
        self._index = {piece: i for i, piece in enumerate(vocab)}
        self._unknown = self._index["[UNK]"]
        self._max_length, self._lowercase, self._truncation = max_length, lowercase, truncation

    def ids(self, text: str) -> list[int]:
        return cut(self.pieces(text), self._max_length, self._truncation)

    def pieces(self, text: str) -> list[int]:
        mask = self._index.get("[MASK]")
        found: list[int] = []
        for n, part in enumerate([text] if mask is None else text.split("[MASK]")):
            found += [mask] if n else []
            for word in _split(plain(part, self._lowercase, self._lowercase, True)):
                found += self._longest(word)
        return found

    def pieces_of_word(self, word: str) -> list[int]:
        return self.pieces(word) or [self._unknown]

    def _longest(self, word: str) -> list[int]:
        found, start = [], 0
        while start < len(word):
            mark = "##" if start else ""
            end = next((e for e in range(len(word), start, -1) if mark + word[start:e] in self._index), None)
            if end is None or len(word) > 100:
                return [self._unknown]
            found.append(self._index[mark + word[start:end]])
            start = end
        return found


def plain(text: str, lowercase: bool, strip_accents: bool, chinese_chars: bool) -> str:
    clean = "".join(
        " " if _is_space(c) else f" {c} " if chinese_chars and _is_chinese(c) else "" if _is_dropped(c) else c
        for c in text
    )
    if strip_accents:
        clean = "".join(c for c in unicodedata.normalize("NFD", clean) if unicodedata.category(c) != "Mn")
    return "".join(c.lower() for c in clean) if lowercase else clean


def cut(ids: list[int], room: int, truncation: str) -> list[int]:
    if len(ids) <= room:
        return ids
    first = {"head": room, "tail": 0, "head_tail": (room + 3) // 4}[truncation]
    return ids[:first] + ids[len(ids) - (room - first) :]


def _split(clean: str) -> list[str]:
    words, word = [], ""
    for c in clean:
        if (_is_space(c) or _is_punctuation(c)) and word:
            words, word = [*words, word], ""
        if _is_punctuation(c):
            words.append(c)
        elif not _is_space(c):
            word += c
    return [*words, word] if word else words


def _is_space(c: str) -> bool:
    return c in "\t\n\r" or unicodedata.category(c)[0] == "Z"


def _is_dropped(c: str) -> bool:
    return c == "\ufffd" or unicodedata.category(c) in ("Cc", "Cf", "Co")


def _is_punctuation(c: str) -> bool:
    return unicodedata.category(c)[0] == "P" or (32 < ord(c) < 127 and not c.isalnum())


def _is_chinese(c: str) -> bool:
    return any(low <= ord(c) <= high for low, high in _CHINESE)


def windows(sizes: Sequence[int], room: int) -> list[tuple[int, int, list[int]]]:
    if not sizes:
        return []
    starts = list(itertools.accumulate(sizes, initial=0))
    spans, begin = [], 0
    while True:
        stop = max(s for s in range(begin + 1, len(sizes) + 1) if starts[s] - starts[begin] <= room)
        spans.append(range(begin, stop))
        if stop == len(sizes):
            break
        half = next(s for s in range(len(sizes) + 1) if starts[s] - starts[begin] >= room // 2)
        begin = min(stop, max(begin + 1, half))
    far = starts[-1] + room

    def context(word: int, span: range) -> int:
        return min(
            far if span[0] == 0 else starts[word] - starts[span[0]],
            far if span[-1] == len(sizes) - 1 else starts[span[-1] + 1] - starts[word + 1],
        )

    owner = [max((s for s in spans if w in s), key=lambda s, w=w: context(w, s)) for w in range(len(sizes))]
    owned = [(span, [w for w in span if owner[w] == span]) for span in spans]
    return [(span[0], span[-1] + 1, own) for span, own in owned if own]


def tags(logits: Sequence[Sequence[float]]) -> list[int]:
    if not len(logits):
        return []
    size = len(logits[0])

    def goes_on(tag: int) -> bool:
        return tag > 0 and tag % 2 == 0

    def best(score: list[float]) -> int:
        return max(range(size), key=lambda t: score[t])

    score = [-math.inf if goes_on(t) else float(logits[0][t]) for t in range(size)]
    came = []
    for word in logits[1:]:
        at = best(score)
        came.append([at if not goes_on(t) else t if score[t] > score[t - 1] else t - 1 for t in range(size)])
        score = [score[came[-1][t]] + float(word[t]) for t in range(size)]
    found = [best(score)]
    for back in reversed(came):
        found.insert(0, back[found[0]])
    return found


def entities(spans, logits, labels) -> list[tuple[str, int, int, float]]:
    found: list[tuple[str, int, int, float]] = []
    for word, tag in enumerate(tags(logits)):
        most = max(logits[word])
        sure = math.exp(logits[word][tag] - most) / sum(math.exp(x - most) for x in logits[word])
        if tag % 2 == 1:
            found.append((labels[tag].removeprefix("B-"), *spans[word], sure))
        elif tag > 0:
            kind, start, _, least = found.pop()
            found.append((kind, start, spans[word][1], min(least, sure)))
    return found


def entities_of(
    text: str, tokenizer: WordPiece, labels, room: int, answer: Callable
) -> list[tuple[str, int, int, float]]:
    spans = words(text)
    ids = [tokenizer.pieces_of_word(text[a:b])[:room] for a, b in spans]
    logits: list = [None] * len(spans)
    for first, last, decides in windows([len(i) for i in ids], room):
        said = answer([p for word in ids[first:last] for p in word])
        for word in decides:
            logits[word] = said[sum(len(i) for i in ids[first:word])]
    return entities(spans, logits, labels)
