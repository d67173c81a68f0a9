"""Rows that the rules make from the training rows (Tang et al. 2019, section 3.3), in parts.

The parts of a first pass hold the tags of the words, those of a second the new rows. Between them the tagged words are
counted. A part is made of a few training rows. Every row has its own generator, so who makes a part changes nothing.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from kd_keras.augment.parts import Crew, Made, Parts, alone
from kd_keras.augment.rules import Chances, Lexicon, Split, vary
from kd_keras.augment.settings import RULES, AugmentSettings
from kd_keras.augment.tagging import check_tagger, make_tagger
from kd_keras.augment.transfer import SCHEMA, NothingNew, Transfer, found_or_made, parts_of, write
from kd_keras.common import files
from kd_keras.common.columns import DigestSet, batched_texts
from kd_keras.common.progress import progress
from kd_keras.common.seeds import rng
from kd_keras.tasks import Rows, text_hashes

_ROWS, _DRAWS, _LETTERS = 500, 10_000, 4_000_000  # of a part: training rows, draws, and letters of all draws
_KNOWN = 50_000  # training rows that are hashed at a time
_SIDES = ((True, False), (False, True), (True, True))  # draws change a pair's first text, second text, or both, in turn
_TAGS = pa.schema({"tags": pa.list_(pa.list_(pa.string()))})


def augmented(
    train: Rows, settings: AugmentSettings, path: Path, known: Sequence[Path] = (), crew: Crew = alone
) -> Transfer:
    """The rows that the rules make from ``train``. Each text occurs once, and no text of train.

    They are found again if they exist. The parts lie beside ``path`` until it is written, in a folder that ends in
    ``.parts``. The same call goes on from the parts that a killed one left there. Memory does not grow with the new
    rows: it has 8 bytes for each training row, and the words of train once.

    Args:
      crew: who makes the parts. It changes no byte.

    Raises:
      UserError: the tagger is not installed.
      NothingNew: the rules make none.
    """
    key = {"data": train.fingerprint(), **settings.key()}
    return found_or_made(path, key, train.label, lambda k: _augment(train, settings, path, k, crew), known)


def _augment(train: Rows, settings: AugmentSettings, path: Path, key: dict, crew: Crew) -> None:
    if settings.chance("pos"):
        check_tagger(settings.tagger)
    folder = parts_of(path)
    with files.disk_errors(path):
        chunks = _Chunks(train, settings.n_iter)
        tags = Parts(folder / "tags") if settings.chance("pos") else None
        lexicon = None
        if tags:
            tags.begin(key)
            with progress(len(train), "tagging words", "rows") as bar:
                tags.fill(partial(_Tags, settings.tagger), chunks, crew, bar.update)
            with progress(len(train), "counting words", "rows") as bar:
                lexicon = Lexicon(_tagged(chunks, tags, bar))
        seen = DigestSet()
        for start in range(0, len(train), _KNOWN):
            seen.add(train.text_hashes(slice(start, start + _KNOWN)))
        parts = Parts(folder / "rows")
        parts.begin(key)
        with progress(len(train), "augmenting", "rows") as bar:
            count = parts.fill(partial(_Varied, settings, lexicon, tags, seen), chunks, crew, bar.update)
        kept = parts.sift(count)
        draws = kept.counts["draws"]
        if not kept.count:
            shutil.rmtree(folder)
            raise NothingNew(
                f"--augment={settings.augment}: none of {draws:,} draws made a text that train lacks; raise "
                f"--n_iter={settings.n_iter} or the rules' chances"
            )
        rules: Counter[str] = Counter()
        for rows, _ in parts.rows(kept, ["rule"]):
            rules.update(rows["rule"].to_pylist())
        notes = [
            f"augmentation ({settings.augment}): {kept.count:,} new rows from {draws:,} draws, {settings.n_iter} a "
            f"row; {draws - kept.count:,} repeats or unchanged ones dropped; by rule: "
            + ", ".join(f"{rule} {n:,}" for rule, n in rules.most_common())
        ]
        if wordless := kept.counts["wordless"]:
            notes.append(f"augmentation: {wordless:,} rows have no word to change")
        made = ({name: rows[name] for name in SCHEMA.names} for rows, _ in parts.rows(kept))
        write(path, key, notes, train.text_b is not None, made)
        shutil.rmtree(folder)


@dataclass(frozen=True)
class _Chunk:
    """Training rows that a part is made of.

    Attributes:
      number: of the part.
      start: the first row's place in train.
      ids: of the rows.
      texts: the one text, or the two, of each row.
    """

    number: int
    start: int
    ids: Sequence[str]
    texts: Sequence[tuple[str, ...]]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class _Chunks:
    train: Rows
    n_iter: int

    def __iter__(self) -> Iterator[_Chunk]:
        sides = [self.train.text] if self.train.text_b is None else [self.train.text, self.train.text_b]
        most, letters = max(1, min(_ROWS, _DRAWS // self.n_iter)), _LETTERS // self.n_iter
        rows = zip(self.train.ids, *sides, strict=True)
        start = 0
        for number, some in enumerate(batched_texts(rows, most, letters, _letters)):
            yield _Chunk(number, start, [row_id for row_id, *_ in some], [tuple(texts) for _, *texts in some])
            start += len(some)


def _letters(row: tuple[str, ...]) -> int:
    return sum(map(len, row[1:]))


class _Tags:
    """Makes a part of the tags of every word of every text."""

    def __init__(self, tagger: str):
        self._tagger = make_tagger(tagger)  # which cannot be sent to another process

    def __call__(self, chunk: _Chunk) -> Made:
        tags = [[self._tagger(words) if (words := Split.of(t).words) else [] for t in row] for row in chunk.texts]
        return Made(pa.table({"tags": tags}, schema=_TAGS), np.zeros(0, np.uint64), np.zeros(0, np.int64), Counter())


def _tagged(chunks: _Chunks, tags: Parts, bar: progress) -> Iterator[tuple[str, str]]:
    """(word, tag) of every word, in order."""
    for chunk in chunks:
        for texts, sides in zip(chunk.texts, tags.table(chunk.number)["tags"].to_pylist(), strict=True):
            for text, side in zip(texts, sides, strict=True):
                yield from zip(Split.of(text).words, side, strict=True)
        bar.update(len(chunk))


class _Varied:
    """Makes a part of new rows: each text once, and none that is known."""

    def __init__(self, settings: AugmentSettings, lexicon: Lexicon | None, tags: Parts | None, known: DigestSet):
        self.settings, self._lexicon, self._tags, self._known = settings, lexicon, tags, known
        self._chances = Chances(*(settings.chance(rule) for rule in ("mask", "pos", "ngram")), settings.max_ngram)

    def __call__(self, chunk: _Chunk) -> Made:
        counts = Counter(draws=0, wordless=0)
        tags = self._tags.table(chunk.number)["tags"].to_pylist() if self._tags else [()] * len(chunk)
        found: list[tuple[str, int, str, tuple[str, ...]]] = []
        for n, (row_id, texts) in enumerate(zip(chunk.ids, chunk.texts, strict=True)):
            splits = [Split.of(t) for t in texts]
            if not all(s.words for s in splits):
                counts["wordless"] += 1
                continue
            counts["draws"] += self.settings.n_iter
            new = self._draws(row_id, texts, splits, tags[n])
            found += [(f"{row_id}/{k}", chunk.start + n, rule, made) for k, (rule, made) in enumerate(new) if rule]
        ids, source, rule, made = zip(*found, strict=True) if found else ((),) * 4
        text, *more = zip(*made, strict=True) if made else ((),)
        text_b = more[0] if more else [None] * len(ids)
        digests, first = np.unique(text_hashes(text, more[0] if more else None), return_index=True)
        new = ~self._known.has(digests)
        digests, first = digests[new], first[new]
        order = np.sort(first)
        rows = pa.table({"id": ids, "text": text, "text_b": text_b, "source": source, "rule": rule}, schema=SCHEMA)
        return Made(rows.take(pa.array(order)), digests, np.searchsorted(order, first), counts)

    def _draws(
        self, row_id: str, texts: tuple[str, ...], splits: list[Split], tags: Sequence[Sequence[str]]
    ) -> Iterator[tuple[str, tuple[str, ...]]]:
        """(rules, texts) of each draw; no rule if it changed nothing."""
        draw = rng(self.settings.augment_seed, "augment", row_id)
        for k in range(self.settings.n_iter):
            sides = _SIDES[k % 3] if len(texts) == 2 else (True,)
            new, rules = list(texts), []
            for n, changes in enumerate(sides):
                if changes:
                    new[n], rule = vary(splits[n], tags[n] if tags else (), self._lexicon, self._chances, draw)
                    rules += rule.split("+")
            yield "+".join(r for r in RULES if r in rules), tuple(new)
