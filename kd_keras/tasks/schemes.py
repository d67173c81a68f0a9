"""Schemes of tags: finds a file's scheme and its impossible tags, and turns its entities into IOB2.

IOB1 begins an entity with I-, or with B- if another one ends right before it. IO has no B-. IOB2 begins every entity
with B-. BIOES and BILOU also mark an entity's last word (E-, L-) and an entity of one word (S-, U-).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

Tag = tuple[str, str]  # a part of an entity, "B", "I", "E" or "S", and its type; or OUTSIDE
OUTSIDE: Tag = ("O", "")
END: Tag = ("", "")  # after a sentence's last tag
_SAME = {"L": "E", "U": "S", "M": "I"}
_PARTS, _BETWEEN = frozenset("BIESLUM"), frozenset("-_")


@lru_cache(maxsize=1 << 14)
def parse(tag: str) -> Tag | None:
    """Parses a tag of a file, also ``PER-B`` for ``B-PER``. None if it is no tag.

    >>> parse("B-PER"), parse("U-LOC"), parse("O"), parse("PER")
    (('B', 'PER'), ('S', 'LOC'), ('O', ''), None)
    """
    if tag == "O":
        return OUTSIDE
    for part, between, name in ((tag[:1], tag[1:2], tag[2:]), (tag[-1:], tag[-2:-1], tag[:-2])):
        if part in _PARTS and between in _BETWEEN and name.strip():
            return _SAME.get(part, part), name.strip()
    return None


def written(tag: Tag) -> str:
    return "-".join(tag) if tag[1] else tag[0] or "the end of the sentence"


def begins(before: Tag, tag: Tag) -> bool:
    """Whether an entity begins with ``tag``, in any scheme. A stray I- or E- begins one too."""
    part, name = tag
    return part in ("B", "S") or (part in ("I", "E") and (before[1] != name or before[0] in ("E", "S", "O")))


@dataclass(frozen=True)
class Scheme:
    """The scheme of a file.

    Attributes:
      name: "IOB2", "IOB1", "IO", "BIOES", or "none" for a file without entities.
      why: the evidence, for errors.
      wrong: neighboring tags of the file that the scheme does not allow → what it expects instead of the second.
    """

    name: str
    why: str
    wrong: Mapping[tuple[Tag, Tag], str]

    def fault(self, tags: Sequence[Tag]) -> tuple[int, str] | None:
        """The place of the first impossible tag and what is wrong with it; None if there is none."""
        if not self.wrong:
            return None
        for n, (before, tag) in enumerate(_pairs(tags)):
            if (expected := self.wrong.get((before, tag))) is not None:
                after = f"after {written(before)}" if n else "at the start"
                what = f"{written(tag)} {after} is impossible in {self.name} ({self.why}); {expected}"
                return min(n, len(tags) - 1), what
        return None


def _pairs(tags: Sequence[Tag]) -> Iterable[tuple[Tag, Tag]]:
    return zip((OUTSIDE, *tags), (*tags, END), strict=True)


def recognise(sentences: Iterable[Sequence[Tag]]) -> Scheme:
    """The scheme of a whole file: the one with the fewest faults in its tags."""
    counts: Counter[tuple[Tag, Tag]] = Counter()
    for tags in sentences:
        counts.update(_pairs(tags))
    parts: Counter[str] = Counter()
    starts = Counter({"B": 0, "I": 0})  # entities with no entity right before them, by their first tag
    for (before, tag), count in counts.items():
        parts[tag[0]] += count
        if tag[0] == "I" and begins(before, tag):
            starts["I"] += count
        elif tag[0] == "B" and before == OUTSIDE:
            starts["B"] += count
    if not parts.keys() - {"O", ""}:
        return Scheme("none", "", {})
    names = ("IOB2", "IOB1" if parts["B"] else "IO")
    if parts["E"] or parts["S"]:
        names = ("BIOES", *names)
    wrong = {name: {p: said for p in counts if (said := _expected(name, *p))} for name in names}
    name = min(names, key=lambda name: sum(counts[p] for p in wrong[name]))
    why = {"BIOES": "the file has E- or L-, S- or U-", "IO": "the file has no B-"}.get(
        name, f"in the file {starts['B']:,} entities begin with B-, {starts['I']:,} with I-"
    )
    return Scheme(name, why, wrong[name])


def _expected(scheme: str, before: Tag, tag: Tag) -> str:
    """What ``scheme`` expects instead of ``tag``; "" if the tag is allowed."""
    part, name = tag
    if scheme != "BIOES" and part in ("E", "S"):
        return f"expected I-{name}" if scheme == "IO" else f"expected B-{name} or I-{name}"
    if scheme == "IOB2":
        return f"expected B-{name}" if part == "I" and begins(before, tag) else ""
    if scheme == "IOB1":
        return f"expected I-{name}, as no entity ends right before it" if part == "B" and before == OUTSIDE else ""
    if scheme == "IO":
        return ""
    if before[0] in ("B", "I"):
        fits = part in ("I", "E") and name == before[1]
        return "" if fits else f"expected I-{before[1]} or E-{before[1]}"
    return f"expected B-{name} or S-{name}" if part in ("I", "E") else ""
