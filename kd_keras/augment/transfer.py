"""The transfer set: text beyond the training rows, each with the row that it was made from, if any.

On disk it is one Parquet file (id, text, text_b, source, rule) whose metadata say what made it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from kd_keras.common import files
from kd_keras.common.artifacts import claim_of, find_or_make
from kd_keras.common.claims import claimed
from kd_keras.common.columns import ParquetColumn
from kd_keras.common.errors import UserError
from kd_keras.common.progress import say
from kd_keras.tasks import Rows, no_labels

_KEY = b"kd_keras"
ROW_GROUP = 20_000
SCHEMA = pa.schema(
    {"id": pa.string(), "text": pa.string(), "text_b": pa.string(), "source": pa.int64(), "rule": pa.string()}
)


class NothingNew(UserError):
    """No text is left of what was read or made."""


@dataclass(frozen=True)
class Transfer:
    """Text beyond the training rows.

    Attributes:
      rows: rows without gold labels (−1, or NaN for a regression).
      source: int64[rows]: the training row that a row was made from; −1 if there is none.
      rule: the rules that changed it, such as "mask+ngram".
      notes: notes for the report.
    """

    rows: Rows
    source: np.ndarray
    rule: Sequence[str]
    notes: list[str]

    def __len__(self) -> int:
        return len(self.rows)

    def source_labels(self, train: Rows) -> np.ndarray:
        """The source row's gold label for each row. Plain training on augmented text learns from it."""
        made = self.source.reshape(-1, *[1] * (train.label.ndim - 1)) >= 0
        return np.where(made, train.label[np.maximum(self.source, 0)], self.rows.label)


def write(path: Path, key: dict, notes: list[str], pair: bool, parts: Iterable[dict]) -> None:
    """Writes one Parquet file, whole or not at all.

    Args:
      key: what made it.
      notes: for reports.
      pair: whether rows have two texts.
      parts: the rows: columns "id", "text", "text_b", "source", "rule" of equal lengths.
    """
    about = json.dumps({"key": key, "notes": notes, "pair": pair})
    schema = SCHEMA.with_metadata({_KEY: about.encode()})
    options = {"compression": "zstd", "write_page_checksum": True}
    with (
        files.atomic_path(path) as temp,
        pa.OSFile(str(temp), "wb") as file,  # pyarrow takes a name with ":" for an address
        pq.ParquetWriter(file, schema, **options) as writer,
    ):
        for group in _groups(parts):
            writer.write_table(group.replace_schema_metadata(schema.metadata))


def _groups(parts: Iterable[dict]) -> Iterator[pa.Table]:
    """``parts`` as tables of ``ROW_GROUP`` rows, the last one shorter."""
    rest = SCHEMA.empty_table()
    for part in parts:
        rest = pa.concat_tables([rest, pa.table(part, schema=SCHEMA)])
        while len(rest) >= ROW_GROUP:
            yield rest[:ROW_GROUP]
            rest = rest[ROW_GROUP:]
    if len(rest):
        yield rest


def load(path: Path, key: dict | None, like: np.ndarray) -> Transfer | None:
    """The rows that :func:`write` wrote for ``key`` (None: for any). None if the file is missing or has another key.

    The texts stay on disk. The labels are missing ones, of the kind of ``like``.

    Raises:
      UserError: the file is damaged.
    """
    if not path.is_file():
        return None
    try:
        with pa.OSFile(str(path)) as opened, pq.ParquetFile(opened, page_checksum_verification=True) as file:
            about = json.loads((file.schema_arrow.metadata or {})[_KEY])
            if key is not None and about["key"] != key:
                return None
            count, made = file.metadata.num_rows, False
            for number in range(file.num_row_groups):  # a damaged file must stop the run here
                made |= bool((file.read_row_group(number)["source"].to_numpy() >= 0).any())
            # Unlabeled text has no source, and takes no memory for it.
            source = file.read(["source"])["source"].to_numpy() if made else np.broadcast_to(np.int64(-1), count)
        pa.default_memory_pool().release_unused()  # releases the memory of texts that were read
    except (pa.ArrowException, OSError, KeyError, ValueError) as e:
        raise UserError(f"{path}: damaged transfer set ({files.tail(str(e), 90)})") from None
    text_b = ParquetColumn(path, "text_b") if about["pair"] else None
    empty = no_labels(like, count)
    rows = Rows(ParquetColumn(path, "id"), ParquetColumn(path, "text"), text_b, empty)
    return Transfer(rows, source, ParquetColumn(path, "rule"), about["notes"])


def key_at(path: Path) -> dict | None:
    """What made the rows at ``path``. None if nothing is there that can be read."""
    try:
        with pa.OSFile(str(path)) as opened:
            return json.loads((pq.read_schema(opened).metadata or {})[_KEY])["key"]
    except (pa.ArrowException, OSError, KeyError, ValueError):
        return None


def parts_of(path: Path) -> Path:
    """The folder of what is made before ``path`` is written, as every machine sees it."""
    return path.with_suffix(".parts").resolve()


def _tidy(path: Path) -> None:
    """Removes what commands left that were killed, unless one is at work there."""
    if (parts := parts_of(path)).exists():
        with claimed(claim_of(path), "", wait=False) as mine:
            if mine:
                shutil.rmtree(parts, ignore_errors=True)


def found_or_made(
    path: Path, key: dict, like: np.ndarray, make: Callable[[dict], None], known: Sequence[Path] = ()
) -> Transfer:
    """The rows of ``key``: found at ``path``, taken from ``known``, or made at ``path`` by ``make(key)``."""
    key = json.loads(json.dumps({"format": 1, **key}))  # the result is the same as from the file
    what = f"transfer text ({path.stem})"
    found = find_or_make(what, path, lambda p: load(p, key, like), lambda: make(key), known, aloud=False)
    _tidy(path)
    for note in found.notes:
        say(note)
    return found
