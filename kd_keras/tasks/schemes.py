"""How tags mark entities: which scheme a file has, which tags it cannot have, and the same entities in IOB2.

IOB1 begins an entity with I-, and with B- only where another one ends right before it; IO has no B- at all. IOB2 begins
every entity with B-. BIOES and BILOU also mark an entity's last word (E-, L-) and one of a single word (S-, U-).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

Tag = tuple[str, str]  # a part of an entity, "B", "I", "E" or "S", and its type; or OUTSIDE
OUTSIDE: Tag = ("O", "")
END: Tag = ("", "")  # behind a sentence's last tag
_SAME = {"L": "E", "U": "S", "M": "I"}
_PREFIX = re.compile(r"([BIESLUM])[-_](.*\S.*)", re.DOTALL)
_SUFFIX = re.compile(r"(.*\S.*)[-_]([BIESLUM])", re.DOTALL)


@cache
def parse(tag: str) -> Tag | None:
    """A tag as a file writes it, ``PER-B`` for ``B-PER`` included; None where it is none.

    >>> parse("B-PER"), parse("U-LOC"), parse("O"), parse("PER")
    (('B', 'PER'), ('S', 'LOC'), ('O', ''), None)
    """
    if tag == "O":
        return OUTSIDE
    if found := _PREFIX.fullmatch(tag):
        return _SAME.get(found[1], found[1]), found[2].strip()
    if found := _SUFFIX.fullmatch(tag):
        return _SAME.get(found[2], found[2]), found[1].strip()
    return None


def written(tag: Tag) -> str:
    return "-".join(tag) if tag[1] else tag[0] or "the end of the sentence"


def begins(before: Tag, tag: Tag) -> bool:
    """Whether an entity begins with ``tag``. True to every scheme; a stray I- or E- begins one too."""
    part, name = tag
    return part in ("B", "S") or (part in ("I", "E") and (before[1] != name or before[0] in ("E", "S", "O")))


@dataclass(frozen=True)
class Scheme:
    """The scheme of a file.

    Attributes:
      name: "IOB2", "IOB1", "IO", "BIOES" or "none", that of a file without entities.
      why: what tells, for errors.
      wrong: the pairs of neighbours in the file that it does not allow, and what it expects in place of the second.
    """

    name: str
    why: str
    wrong: Mapping[tuple[Tag, Tag], str]

    def fault(self, tags: Sequence[Tag]) -> tuple[int, str] | None:
        """The first impossible tag's place and what is wrong with it; None where there is none."""
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
    """The scheme that a whole file has: one that allows all its tags, else the one that allows most."""
    counts: Counter[tuple[Tag, Tag]] = Counter()
    for tags in sentences:
        counts.update(_pairs(tags))
    parts: Counter[str] = Counter()
    starts = Counter({"B": 0, "I": 0})  # entities that neither touch nor follow another one, by how they begin
    for (before, tag), count in counts.items():
        parts[tag[0]] += count
        if tag[0] == "I" and begins(before, tag):
            starts["I"] += count
        elif tag[0] == "B" and before == OUTSIDE:
            starts["B"] += count
    if parts["E"] or parts["S"]:
        name, why = "BIOES", "the file has E- or L-, S- or U-"
    elif not parts["B"] and not parts["I"]:
        name, why = "none", ""
    elif not parts["B"]:
        name, why = "IO", "the file has no B-"
    else:
        name = "IOB2" if starts["I"] <= starts["B"] else "IOB1"
        why = f"in the file {starts['B']:,} entities begin with B-, {starts['I']:,} with I-"
    return Scheme(name, why, {p: said for p in counts if (said := _expected(name, *p))})


def _expected(scheme: str, before: Tag, tag: Tag) -> str:
    """What ``scheme`` expects in place of ``tag``; "" where it is allowed."""
    part, name = tag
    if scheme == "IOB2":
        return f"expected B-{name}" if part == "I" and begins(before, tag) else ""
    if scheme == "IOB1":
        return f"expected I-{name}, as no entity ends right before it" if part == "B" and before == OUTSIDE else ""
    if scheme != "BIOES":
        return ""
    if before[0] in ("B", "I"):
        fits = part in ("I", "E") and name == before[1]
        return "" if fits else f"expected I-{before[1]} or E-{before[1]}"
    return f"expected B-{name} or S-{name}" if part in ("I", "E") else ""
