"""Teacher signals on disk: Parquet shards, a manifest, and a completion marker written last.

    signals/train/manifest.json       what made them (teacher, tokenizer, length, data), and the columns
    signals/train/shard-00000.parquet id, text_hash, logits (float32), hidden (float16, optional), …
    signals/train/complete.json       texts and SHA-256 of each shard; absent while labeling goes on
    signals/train/hidden.npy          made of the shards when they are read: hidden, in the order of the rows

The folder may be one of an object store. A shard is a consecutive run of the distinct texts, as they first come, and
appears whole. A signal belongs to a text, by its hash, whatever rows have it; its id is that of the first.
Format 1, of earlier versions, is read as well: it has a line for each row, and its shards are not consecutive.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from kd_keras.common import files
from kd_keras.common.errors import UserError
from kd_keras.common.folders import Folder, folder_at
from kd_keras.common.ragged import Ragged
from kd_keras.tasks import Rows
from kd_keras.teachers import signal_columns
from kd_keras.teachers.signal_columns import LOGITS, ROW, Column, NoSignal, Signals, difference

MANIFEST, COMPLETE = "manifest.json", "complete.json"
FORMAT, READ = 2, (1, 2)  # what is written, and what is read
ID, HASH, HIDDEN, STATES = "id", "text_hash", "hidden", "states"
_SHARD = re.compile(r"shard-(\d+)\.parquet")
# What a store is made of, without what was made of it for reading.
OWN_FILES = ("shard-*.parquet", MANIFEST, COMPLETE)


class SignalStore:
    """One split's folder of signals, here or in an object store ("s3://bucket/signals").

    >>> store, rows = SignalStore(Path("signals")), Rows(["a", "b"], ["good", "bad"], None, np.zeros(2, np.int32))
    >>> store.begin({"teacher": "mine", "columns": {"logits": {"kind": "row", "dtype": "float32"}}})
    >>> store.write_shard(0, rows.ids, rows.text_hashes(), {"logits": np.array([[1, 2], [3, 4]], np.float32)})
    >>> store.finish(shards=1)
    >>> store.read(rows.take([1, 0])).logits.tolist()
    [[3.0, 4.0], [1.0, 2.0]]
    """

    def __init__(self, folder: str | Path | Folder):
        self.place = folder_at(folder, "signals")

    @property
    def folder(self) -> Path:  # of a store on this machine
        return self.place.path

    def shard(self, number: int) -> Path:
        return self.folder / shard_name(number)

    def finished_shards(self) -> set[int]:
        """The numbers of the shards that exist."""
        return {int(found[1]) for name in self.place.names() if (found := _SHARD.fullmatch(name))}

    def in_order(self, column: str) -> Path:
        """A column's values for the rows that were read last, for random access; made of the shards."""
        return self.folder / f"{column}.npy"

    @property
    def is_complete(self) -> bool:
        return self.place.has(COMPLETE)

    def manifest(self) -> dict | None:
        """As this version would write it, also of signals in format 1; None where there is none."""
        found = self._manifest()
        if not found or found["format"] == FORMAT:
            return found
        columns = {LOGITS: Column("row", "float32")}
        if found.get("hidden"):
            columns[HIDDEN] = Column("row", "float16")
        return found | {"format": FORMAT, "columns": signal_columns.to_json(columns)}

    def _manifest(self) -> dict | None:
        """As it was written."""
        found = self.place.read_json(MANIFEST) if self.place.has(MANIFEST) else None
        if found is not None and (not isinstance(found, dict) or found.get("format") not in READ):
            raise UserError(
                f"{self.place}/{MANIFEST}: expected a manifest of signals in format {' or '.join(map(str, READ))}, "
                f"found {files.tail(repr(found))}; delete the folder, or take the version of the program that made it"
            )
        return found

    @property
    def _is_old(self) -> bool:
        return (self._manifest() or {"format": FORMAT})["format"] != FORMAT

    def _mend(self) -> str:
        """What to do about a damaged shard."""
        if self._is_old:  # its shards cannot be made again one by one
            return f"an earlier version made it: delete {self.place} and run the command that made it again"
        return f"delete it and {COMPLETE}, and run the command that made it again: only its texts are labeled"

    def columns(self) -> dict[str, Column]:
        """The columns beside id and text hash. UserError where the manifest does not say them."""
        try:
            return signal_columns.from_json((self.manifest() or {})["columns"])
        except (KeyError, TypeError, ValueError) as e:
            raise UserError(
                f"{self.place}/{MANIFEST}: says no columns of signals ({type(e).__name__}: {e}); delete the folder "
                "and run the same command"
            ) from None

    def check_free(self, flag: str) -> None:
        """Raises UserError if the folder holds other files or cannot be written. Called before long work."""
        self.place.check_writable(flag)
        if not self.place.has(MANIFEST) and self.place.names():
            raise UserError(f"{flag}={self.place}: exists and holds no signals; choose another folder")

    def check(self, manifest: dict) -> None:
        """Whether signals of ``manifest`` may be written here; writes nothing.

        Raises:
          UserError: the folder holds signals of another teacher, text or setting; or some of an earlier version's,
            whose shards have other texts than this one's.
        """
        found = self.manifest()
        if found is None and self.finished_shards():
            raise UserError(f"{self.place}: has shards but no {MANIFEST}, so nobody knows what made them; delete them")
        if found is not None and (text := difference(found, {"format": FORMAT, **manifest})):
            raise UserError(f"{self.place}: {text}; choose another folder or delete this one")
        if self._is_old and not self.is_complete:
            raise UserError(
                f"{self.place}: an earlier version of the program began to label here, and its shards hold other "
                "texts than this version puts there; delete the folder and run the same command"
            )

    def begin(self, manifest: dict) -> None:
        """Writes the manifest where there is none yet; raises as :meth:`check`. ``manifest["columns"]`` says what
        shards will hold, as :func:`signal_columns.to_json` makes it."""
        self.check(manifest)
        if self.manifest() is None:
            self.place.write_json(MANIFEST, {"format": FORMAT, **manifest})

    def write_shard(
        self, number: int, ids: Sequence[str], hashes: np.ndarray, columns: Mapping[str, np.ndarray | Ragged]
    ) -> None:
        """One shard, whole or not at all.

        Args:
          ids: of the first row of each text.
          hashes: uint64[texts], the texts' hashes.
          columns: the manifest's, each as its :class:`Column` takes it.

        Raises:
          ValueError: other columns than the manifest's.
        """
        known = self.columns()
        if set(known) != set(columns):
            raise ValueError(f"{self.place}: columns {sorted(columns)}, but the manifest has {sorted(known)}")
        table = pa.table(
            {
                ID: pa.array(ids, pa.string()),
                HASH: pa.array([f"{h:016x}" for h in hashes.tolist()], pa.string()),
                **{name: column.encode(columns[name]) for name, column in known.items()},
            }
        )
        with self.place.writing(shard_name(number)) as file:
            pq.write_table(table, file, compression="zstd", write_page_checksum=True)

    def read_shard(self, number: int, columns: Sequence[str] | None = None) -> pa.Table:
        """A shard's columns, all of them if not given, their checksums verified; UserError names a damaged file."""
        return self._read(shard_name(number), columns)[0]

    def _read(self, name: str, columns: Sequence[str] | None = None, sha256: str | None = None) -> tuple[pa.Table, str]:
        """:meth:`read_shard` and the SHA-256 of the same bytes, which must be ``sha256`` if given."""
        try:
            with self.place.open(name) as file:
                content = file.read_buffer()
            found = hashlib.sha256(content).hexdigest()
            if sha256 not in (None, found):
                raise self._damaged(name)
            return pq.read_table(pa.BufferReader(content), columns=columns, page_checksum_verification=True), found
        except (pa.ArrowException, OSError) as e:
            reason = str(e).strip().splitlines()[0] if str(e).strip() else type(e).__name__
            missing = sha256 and isinstance(e, FileNotFoundError)
            raise self._damaged(name, "" if missing else files.tail(reason, 90)) from None

    def _damaged(self, name: str, why: str = "") -> UserError:
        how, why = ("damaged", why) if why else ("damaged or missing", "its SHA-256 is not the recorded one")
        return UserError(f"{self.place}/{name}: {how} Parquet shard ({why}); {self._mend()}")

    def check_shard(self, number: int, hashes: np.ndarray) -> None:
        """Raises UserError where a shard is damaged, or holds other texts than those of ``hashes``, uint64[texts]."""
        if not np.array_equal(self._hashes(number, self.read_shard(number)), hashes):
            raise UserError(
                f"{self.place}/{shard_name(number)}: holds other texts than this version of the program puts there; "
                "delete the folder and run the same command"
            )

    def _hashes(self, number: int, table: pa.Table) -> np.ndarray:
        try:
            return signal_columns.decoded_hashes(table[HASH])
        except (KeyError, TypeError, ValueError):
            raise self._damaged(shard_name(number), "text hashes that are none") from None

    def finish(self, shards: int) -> None:
        """The completion marker, after a last look at every shard."""
        self.place.tidy()
        entries = []
        for n in range(shards):
            table, sha256 = self._read(shard_name(n))
            entries.append({"file": shard_name(n), "texts": table.num_rows, "sha256": sha256})
        self.place.write_json(COMPLETE, {"shards": entries, "texts": sum(e["texts"] for e in entries)})

    def verify(self, expected: dict | None = None) -> dict:
        """The manifest of a complete store, after checking it against ``expected`` and every shard's hash.

        Raises:
          UserError: incomplete, damaged, or made by another teacher, text or setting.
        """
        manifest = self._finished(expected)
        for name, sha256 in self._hashes_of_shards().items():
            if self.place.sha256(name) != sha256:
                raise self._damaged(name)
        return manifest

    def _finished(self, expected: dict | None) -> dict:
        """:meth:`verify` without the shards."""
        if (manifest := self.manifest()) is None:
            self.place.names()  # raises if the bucket does not exist
            raise UserError(f"{self.place}: no teacher signals here (no {MANIFEST})")
        if expected is not None and (text := difference(manifest, {"format": FORMAT, **expected})):
            raise UserError(f"{self.place}: {text}")
        if not self.is_complete:
            raise UserError(
                f"{self.place}: labeling did not end ({COMPLETE} is missing); run `label` again: it resumes"
            )
        return manifest

    def _hashes_of_shards(self) -> dict[str, str]:
        """File → SHA-256. The store must be complete."""
        return {entry["file"]: entry["sha256"] for entry in self.place.read_json(COMPLETE)["shards"]}

    def here(self) -> SignalStore:
        """A store on this machine: this one, or a copy of it in the cache, which is not verified yet."""
        if self.place.is_here or not self.is_complete:
            return self
        return SignalStore(self.place.here(self._hashes_of_shards(), (MANIFEST, COMPLETE)))

    def read(self, rows: Rows, expected: dict | None = None, with_hidden: bool = True) -> Signals:
        """The signals of ``rows``, in their order, joined by the texts' hashes.

        Args:
          expected: the manifest that must be there.
          with_hidden: also the other columns. They are put in order on disk, for which an object store is copied.

        Raises:
          UserError: as :meth:`verify`; or a row whose text has no signal.
        """
        manifest = self._finished(expected)
        columns = {name: c for name, c in self.columns().items() if with_hidden or name == LOGITS}
        if not self.place.is_here and any((name, c.kind) != (LOGITS, ROW) for name, c in columns.items()):
            return self.here().read(rows, expected, with_hidden)
        try:
            values = signal_columns.in_order(self.parts(columns), rows.text_hashes(), columns, self.in_order)
        except NoSignal as e:
            raise self._without_signal(rows.ids[e.row]) from None
        return Signals(values.pop(LOGITS, None), values.pop(HIDDEN, None), manifest, values)

    def parts(self, columns: Mapping[str, Column]) -> Iterator[tuple[np.ndarray, dict[str, np.ndarray | Ragged]]]:
        """Of each shard of a complete store its texts' hashes, uint64[texts], and ``columns``. UserError if damaged."""
        for n, (name, sha256) in enumerate(self._hashes_of_shards().items()):
            table, _ = self._read(name, [HASH, *columns], sha256)
            yield self._hashes(n, table), {name: self._decoded(n, table, name, c) for name, c in columns.items()}

    def _decoded(self, number: int, table: pa.Table, name: str, column: Column) -> np.ndarray | Ragged:
        try:
            return column.decode(table[name])
        except (KeyError, ValueError) as e:
            raise self._damaged(shard_name(number), f"column {name}: {e}") from None

    def _without_signal(self, row: str) -> UserError:
        if any(row in self.read_shard(n, [ID])[ID].to_pylist() for n in self.finished_shards()):
            return UserError(
                f"{self.place}: the signal of row {row!r} was made for another text; label this data again"
            )
        return UserError(f"{self.place}: no signal for row {row!r}; these are signals of other data")


def shard_name(number: int) -> str:
    return f"shard-{number:05d}.parquet"
