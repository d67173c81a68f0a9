"""Teacher signals on disk: Parquet shards, a manifest, and a completion marker written last.

    signals/train/manifest.json       what made them: teacher, tokenizer, length, data
    signals/train/shard-00000.parquet id, text_hash, logits (float32), hidden (float16, optional)
    signals/train/complete.json       rows and SHA-256 of each shard; absent while labelling goes on

A shard appears by a rename, so half of one is never read. A signal belongs to a row by id and
text hash together, and is refused where the two disagree.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from kd_keras.common import files
from kd_keras.common.columns import MappedArray
from kd_keras.common.errors import UserError
from kd_keras.tasks import Rows

MANIFEST, COMPLETE = "manifest.json", "complete.json"
FORMAT = 1


@dataclass(frozen=True)
class Signals:
    """Signals of a split, in the order of its rows.

    Attributes:
      logits: float32[rows, labels].
      hidden: float16[rows, width] (the teacher's sentence vector), which stay on disk, or None.
      manifest: what made them.
    """

    logits: np.ndarray
    hidden: MappedArray | None
    manifest: dict


def text_hash(text: str, text_b: str | None = None) -> str:
    """16 hex digits; a pair's second text counts."""
    joined = text if text_b is None else f"{text}\x1f{text_b}"
    return hashlib.sha256(joined.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def text_hashes(rows: Rows) -> np.ndarray:
    """bytes16[rows], the hex digits of :func:`text_hash`."""
    texts_b: Iterable[str | None] = repeat(None) if rows.text_b is None else rows.text_b
    hashes = (text_hash(a, b).encode() for a, b in zip(rows.text, texts_b, strict=False))
    return np.fromiter(hashes, "S16", len(rows))


class SignalStore:
    """One split's folder of signals."""

    def __init__(self, folder: Path):
        self.folder = folder

    def shard(self, number: int) -> Path:
        return self.folder / f"shard-{number:05d}.parquet"

    @property
    def hidden(self) -> Path:
        """The hidden states in the order of the rows that were read last, for random access; made of the shards."""
        return self.folder / "hidden.npy"

    @property
    def is_complete(self) -> bool:
        return (self.folder / COMPLETE).is_file()

    def manifest(self) -> dict | None:
        path = self.folder / MANIFEST
        return files.read_json(path) if path.is_file() else None

    def check(self, manifest: dict) -> None:
        """Whether signals of ``manifest`` may be written here; writes nothing.

        Raises:
          UserError: the folder holds signals of another teacher, text or setting.
        """
        manifest = {"format": FORMAT, **manifest}
        found = self.manifest()
        if found is None and any(self.folder.glob("shard-*.parquet")):
            raise UserError(f"{self.folder}: has shards but no {MANIFEST}, so nobody knows what made them; delete them")
        if found not in (None, manifest):
            raise UserError(f"{self.folder}: {difference(found, manifest)}; choose another folder or delete this one")

    def begin(self, manifest: dict) -> None:
        """Writes the manifest where there is none yet; raises as :meth:`check`."""
        self.check(manifest)
        if self.manifest() is None:
            files.write_json(self.folder / MANIFEST, {"format": FORMAT, **manifest})

    def write_shard(
        self, number: int, ids: list[str], hashes: list[str], logits: np.ndarray, hidden: np.ndarray | None
    ) -> None:
        """One shard, whole or not at all. ``logits`` is float32[rows, labels]."""
        columns = {
            "id": pa.array(ids, pa.string()),
            "text_hash": pa.array(hashes, pa.string()),
            "logits": _matrix(logits.astype(np.float32), pa.float32()),
        }
        if hidden is not None:
            columns["hidden"] = _matrix(hidden.astype(np.float16), pa.float16())
        table = pa.table(columns)
        with files.atomic_path(self.shard(number)) as temp:
            pq.write_table(table, temp, compression="zstd", write_page_checksum=True)

    def read_shard(self, number: int) -> pa.Table:
        """A whole shard, its checksums verified; UserError names a damaged file."""
        path = self.shard(number)
        try:
            return pq.read_table(path, page_checksum_verification=True)
        except (pa.ArrowException, OSError) as e:
            reason = str(e).strip().splitlines()[0] if str(e).strip() else type(e).__name__
            raise UserError(
                f"{path}: damaged Parquet shard ({files.tail(reason, 90)}); delete this file "
                f"(and {COMPLETE} beside it) and run the same command: only its rows are labelled again"
            ) from None

    def check_shard(self, number: int, ids: Sequence[str]) -> None:
        """Raises UserError where a shard is damaged, or holds other rows than ``ids``, in any order."""
        if set(self.read_shard(number)["id"].to_pylist()) != set(ids):
            raise UserError(
                f"{self.shard(number)}: holds other rows than this version of the program puts there; "
                "delete the folder and run the same command"
            )

    def finish(self, shards: int) -> None:
        """The completion marker, after a last look at every shard."""
        entries = []
        for n in range(shards):
            rows = self.read_shard(n).num_rows
            entries.append({"file": self.shard(n).name, "rows": rows, "sha256": files.sha256_file(self.shard(n))})
        files.write_json(self.folder / COMPLETE, {"shards": entries, "rows": sum(e["rows"] for e in entries)})

    def verify(self, expected: dict | None = None) -> dict:
        """The manifest of a complete store, after checking it against ``expected`` and every shard's hash.

        Raises:
          UserError: incomplete, damaged, or made by another teacher, text or setting.
        """
        manifest = self.manifest()
        if manifest is None:
            raise UserError(f"{self.folder}: no teacher signals here (no {MANIFEST})")
        if expected is not None and (text := difference(manifest, {"format": FORMAT, **expected})):
            raise UserError(f"{self.folder}: {text}")
        if not self.is_complete:
            raise UserError(
                f"{self.folder}: labelling did not end ({COMPLETE} is missing); run `label` again: it resumes"
            )
        for entry in files.read_json(self.folder / COMPLETE)["shards"]:
            path = self.folder / entry["file"]
            if not path.is_file() or files.sha256_file(path) != entry["sha256"]:
                raise UserError(
                    f"{path}: damaged or missing Parquet shard (its SHA-256 is not the recorded one); delete it and "
                    f"{COMPLETE}, and run the command that made it again: only its rows are labelled"
                )
        return manifest

    def read(self, rows: Rows, expected: dict | None = None, with_hidden: bool = True) -> Signals:
        """The signals of ``rows``, in their order, joined by id and text hash.

        Args:
          expected: the manifest that must be there.
          with_hidden: also the sentence vectors, where there are any; they are put in order in :attr:`hidden`.

        Raises:
          UserError: as :meth:`verify`; or a row without a signal; or a signal of another text.
        """
        manifest = self.verify(expected)
        shards = len(files.read_json(self.folder / COMPLETE)["shards"])
        wanted, find = text_hashes(rows), _Places(rows.ids)
        there, logits = np.zeros(len(rows), bool), np.zeros((len(rows), 0), np.float32)
        with ExitStack() as stack:
            hidden = None
            for n in range(shards):
                table = self.read_shard(n)
                at, known = find(table["id"].to_pylist())
                hashes = np.asarray(table["text_hash"].to_pylist(), "S16")
                if len(other := np.flatnonzero(hashes[known] != wanted[at])):
                    raise UserError(
                        f"{self.folder}: the signal of row {rows.ids[int(at[other[0]])]!r} was made for another text; "
                        "label this data again"
                    )
                there[at] = True
                values = _array(table["logits"]).astype(np.float32)
                if not logits.shape[1]:
                    logits = np.zeros((len(rows), values.shape[1]), np.float32)
                logits[at] = values[known]
                if with_hidden and "hidden" in table.column_names:
                    states = _array(table["hidden"])
                    if hidden is None:
                        shape = (len(rows), states.shape[1])
                        temp = stack.enter_context(files.atomic_path(self.hidden))
                        hidden = np.lib.format.open_memmap(temp, "w+", np.float16, shape)
                    hidden[at] = states[known]
            if not there.all():
                missing = rows.ids[int(np.argmin(there))]
                raise UserError(f"{self.folder}: no signal for row {missing!r}; these are signals of other data")
            if hidden is not None:
                hidden.flush()
        return Signals(logits, None if hidden is None else MappedArray(self.hidden), manifest)


class _Places:
    """Finds rows by their ids, of which it keeps 16 bytes each."""

    def __init__(self, ids: Sequence[str]):
        digests = _id_digests(ids)
        self._order = np.argsort(digests, kind="stable")
        self._sorted = digests[self._order]

    def __call__(self, ids: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """The row of each id that there is, and where in ``ids`` these are."""
        digests = _id_digests(ids)
        near = np.minimum(np.searchsorted(self._sorted, digests), len(self._sorted) - 1)
        known = np.flatnonzero(self._sorted[near] == digests) if len(self._sorted) else np.zeros(0, np.int64)
        return self._order[near[known]], known


def _id_digests(ids: Sequence[str]) -> np.ndarray:
    digests = (int.from_bytes(hashlib.blake2b(i.encode(), digest_size=8).digest(), "little") for i in ids)
    return np.fromiter(digests, np.uint64, len(ids))


def difference(found: dict, wanted: dict) -> str:
    """In words, what differs between two manifests; '' where nothing does."""
    said = files.differences(found, wanted)
    if not said:
        return ""
    teacher = found.get("teacher") != wanted.get("teacher")
    return f"signals from another {'teacher' if teacher else 'text or setting'} ({'; '.join(said)})"


def _matrix(values: np.ndarray, kind: pa.DataType) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1), kind), values.shape[1])


def _array(column: pa.ChunkedArray) -> np.ndarray:
    width = column.type.list_size
    parts: Iterable[np.ndarray] = [c.flatten().to_numpy(zero_copy_only=False) for c in column.chunks]
    return np.concatenate(list(parts)).reshape(-1, width)
