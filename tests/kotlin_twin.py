"""docs/android-tagger.md's Kotlin once more, line for line in Python: what is tested of the one holds for the other."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import regex

_ALONE = r"[\p{IsHan}\p{IsHiragana}\p{IsKatakana}\p{IsThai}\p{IsLao}\p{IsKhmer}]\p{M}*"
_LETTERS = rf"(?:(?!{_ALONE})[\p{{L}}\p{{N}}_]\p{{M}}*)+"
_WORD = regex.compile(rf"{_ALONE}|{_LETTERS}(?:['\u2019.-]{_LETTERS})*|[^\s\p{{Z}}]\p{{M}}*")
_CJK = (
    "\u4e00-\u9fff\u3400-\u4dbf\U00020000-\U0002a6df\U0002a700-\U0002b73f"
    "\U0002b740-\U0002b81f\U0002b920-\U0002ceaf\uf900-\ufaff\U0002f800-\U0002fa1f"
)
_MARK = r"!-/:-@\[-`{-~\p{P}"
_PART = regex.compile(rf"[{_CJK}]|[{_MARK}]|[^\s\x85\p{{Z}}{_MARK}{_CJK}]+")


def words(text: str) -> list[tuple[int, int]]:
    return [found.span() for found in _WORD.finditer(text)]


class Pieces:
    def __init__(self, vocab: Sequence[str]):
        self._index = {piece: i for i, piece in enumerate(vocab)}
        self._unknown = self._index["[UNK]"]

    def of(self, word: str) -> list[int]:
        clean = regex.sub(r"[\p{C}\x{FFFD}]".replace(r"\x{FFFD}", "\ufffd"), "", regex.sub(r"[\t\n\r]", " ", word))
        found = [p for part in _PART.findall(clean) for p in self._longest(part)]
        return found or [self._unknown]

    def _longest(self, part: str) -> list[int]:
        if len(part) > 100:
            return [self._unknown]
        found, start = [], 0
        while start < len(part):
            mark = "##" if start else ""
            end = next((e for e in range(len(part), start, -1) if mark + part[start:e] in self._index), None)
            if end is None:
                return [self._unknown]
            found.append(self._index[mark + part[start:end]])
            start = end
        return found


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


def entities_of(text: str, pieces: Pieces, labels, room: int, answer: Callable) -> list[tuple[str, int, int, float]]:
    spans = words(text)
    ids = [pieces.of(text[a:b])[:room] for a, b in spans]
    logits: list = [None] * len(spans)
    for first, last, decides in windows([len(i) for i in ids], room):
        said = answer([p for word in ids[first:last] for p in word])
        for word in decides:
            logits[word] = said[sum(len(i) for i in ids[first:word])]
    return entities(spans, logits, labels)
