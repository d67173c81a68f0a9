"""Signals that another run has of some texts: a larger set of text asks the teacher about its new texts alone."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from kd_keras.common.errors import UserError
from kd_keras.common.progress import say
from kd_keras.common.ragged import Ragged
from kd_keras.teachers import signal_columns
from kd_keras.teachers.distinct import Distinct, Lent, ShardText
from kd_keras.teachers.signals import FORMAT, SignalStore

# What a manifest says of the rows. Everything else is of the teacher and how it is asked.
_OF_ROWS = ("data", "rows")


class Lender:
    """The signals of some texts of a set.

    Attributes:
      count: of these texts.
    """

    def __init__(self, hashes: np.ndarray, values: Mapping[str, Any]):
        """``hashes``: uint64[count]. ``values``: column → rows in their order."""
        self.count, self._values = len(hashes), values
        self._order = np.argsort(hashes)
        self._sorted = hashes[self._order]

    def lend(self, shard: ShardText) -> ShardText:
        """The shard, with the signals of its texts that are here."""
        there = np.isin(shard.hashes, self._sorted)
        if not there.any():
            return shard
        where = self._order[np.searchsorted(self._sorted, shard.hashes[there])]
        return replace(shard, lent=Lent(there, {name: _some(v, where) for name, v in self._values.items()}))


@contextlib.contextmanager
def lender(known: Sequence[Path], wanted: dict, found: Distinct, store: SignalStore, split: str) -> Iterator[Lender]:
    """Inside, what the finished store with most texts of ``found`` lends. There may be nothing.

    Args:
      known: folders of stores.
      wanted: manifest of the signals to make. A store with another teacher or other settings lends nothing.
      store: what they are made in. Until the end of the ``with`` block it holds files of what is lent.
      split: its name on the screen.
    """
    lent, columns = Lender(np.zeros(0, np.uint64), {}), store.columns()
    place, hashes = _most(known, wanted, found)
    if place is None:
        yield lent
        return
    path = {name: store.folder / f"lent-{name}.npy" for name in columns}
    try:
        parts = SignalStore(place).parts(columns)
        lent = Lender(hashes, signal_columns.in_order(parts, hashes, columns, path.__getitem__))
        say(f"signals ({split}): {len(hashes):,} of {found.count:,} texts were labeled before, in {place}")
        yield lent
    finally:
        for file in path.values():
            file.unlink(missing_ok=True)


def _most(known: Sequence[Path], wanted: dict, found: Distinct) -> tuple[Path | None, np.ndarray]:
    """The store with most texts of ``found``, and their hashes. None if no store has any."""
    best, most = None, np.zeros(0, np.uint64)
    for place in known:
        theirs = _hashes(place, wanted)
        mine = [hashes[np.isin(hashes, theirs)] for _, hashes in found.hashes()] if len(theirs) > len(most) else []
        if sum(map(len, mine)) > len(most):
            best, most = place, np.concatenate(mine)
    return best, most


def _hashes(place: Path, wanted: dict) -> np.ndarray:
    """uint64[texts] of a store. Empty if it is damaged, incomplete, of another teacher or made otherwise.

    Reading them verifies every shard.
    """
    store, of_rows = SignalStore(place), {name: wanted[name] for name in _OF_ROWS}
    try:
        theirs = store.manifest()
        if (
            theirs is None
            or not store.is_complete
            or signal_columns.difference(theirs | of_rows, {"format": FORMAT, **wanted})
        ):
            return np.zeros(0, np.uint64)
        return np.concatenate([hashes for hashes, _ in store.parts({})])
    except UserError:
        return np.zeros(0, np.uint64)


def joined(shard: ShardText, made: Mapping[str, np.ndarray | Ragged]) -> Mapping[str, np.ndarray | Ragged]:
    """The signals of all texts of a shard, of what was lent and what was ``made`` for the others."""
    if shard.lent is None:
        return made
    there = shard.lent.there
    if there.all():
        return shard.lent.columns
    order = np.argsort(np.concatenate([np.flatnonzero(there), np.flatnonzero(~there)]))
    return {name: _both(lent, made[name], order) for name, lent in shard.lent.columns.items()}


def _some(values: Any, where: np.ndarray) -> np.ndarray | Ragged:
    """The rows at ``where``, in memory."""
    if not isinstance(values, Ragged):
        return values[where]
    rows = values.take(where)
    return Ragged.cut(np.asarray(rows.flat()), rows.lengths)


def _both(lent: np.ndarray | Ragged, made: np.ndarray | Ragged, order: np.ndarray) -> np.ndarray | Ragged:
    if isinstance(lent, Ragged):
        return Ragged.concatenate([lent, made]).take(order)
    return np.concatenate([lent, made])[order]
