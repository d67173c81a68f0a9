"""The transfer set: rows that the rules make from the training rows, each with its source.

On disk it is one Parquet file (id, text, text_b, source, rule) whose metadata say what made it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from kd_keras.augment.rules import Chances, Lexicon, Split, vary
from kd_keras.augment.settings import RULES, AugmentSettings
from kd_keras.augment.tagging import check_tagger, make_tagger
from kd_keras.common import files
from kd_keras.common.artifacts import find_or_make
from kd_keras.common.columns import ParquetColumn
from kd_keras.common.errors import UserError
from kd_keras.common.machine import cpus
from kd_keras.common.processes import Pool
from kd_keras.common.progress import progress, say
from kd_keras.common.seeds import rng
from kd_keras.tasks import Rows, no_labels

_CHUNK = 500
_KEY = b"kd_keras"
ROW_GROUP = 20_000
_SCHEMA = pa.schema(
    {"id": pa.string(), "text": pa.string(), "text_b": pa.string(), "source": pa.int64(), "rule": pa.string()}
)
_SIDES = ((True, False), (False, True), (True, True))  # draws change a pair's first text, second text, or both, in turn


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


def augment(train: Rows, settings: AugmentSettings) -> Transfer:
    """New rows from ``train``. Each text occurs once, and no text of train.

    The number of processes changes nothing, as every row has its own generator.

    Raises:
      UserError: the tagger is not installed.
    """
    chances = Chances(*(settings.chance(rule) for rule in ("mask", "pos", "ngram")), settings.max_ngram)
    if settings.chance("pos"):
        check_tagger(settings.tagger)
    made, tried, wordless = [], 0, 0
    with _Workers(settings) as workers:
        tags: list = [None] * len(train)
        lexicon = None
        if settings.chance("pos"):
            chunks = workers.map(_tag, _chunks(train), settings.tagger)
            tags = list(_watched(chunks, len(train), "tagging words"))
            lexicon = Lexicon(
                pair for i, row in enumerate(tags) for part, side in zip(_texts(train, i), row, strict=True)
                for pair in zip(Split.of(part).words, side, strict=True)
            )  # fmt: skip
        parts = ((ids, texts, tags[start : start + len(ids)]) for start, (ids, texts) in _with_starts(_chunks(train)))
        jobs = workers.map(_vary, parts, (settings, chances, lexicon))
        seen = {_texts(train, i) for i in range(len(train))}
        for i, new in enumerate(_watched(jobs, len(train), "augmenting")):
            wordless += new is None
            for k, rule, texts in new or ():
                tried += 1
                if rule and texts not in seen:
                    seen.add(texts)
                    made.append((i, k, rule, texts))
    if not made:
        raise UserError(
            f"--augment={settings.augment}: none of {tried:,} draws made a text that train lacks; raise "
            f"--n_iter={settings.n_iter} or the rules' chances"
        )
    rows = Rows(
        [f"{train.ids[i]}/{k}" for i, k, _, _ in made],
        [texts[0] for *_, texts in made],
        None if train.text_b is None else [texts[1] for *_, texts in made],
        no_labels(train.label, len(made)),
    )
    counts = Counter(rule for _, _, rule, _ in made)
    notes = [
        f"augmentation ({settings.augment}): {len(made):,} new rows from {tried:,} draws, {settings.n_iter} a row; "
        f"{tried - len(made):,} repeats or unchanged ones dropped; by rule: "
        + ", ".join(f"{rule} {n:,}" for rule, n in counts.most_common())
    ]
    if wordless:
        notes.append(f"augmentation: {wordless:,} rows have no word to change")
    return Transfer(rows, np.array([i for i, *_ in made], np.int64), [rule for _, _, rule, _ in made], notes)


def _texts(rows: Rows, i: int) -> tuple[str, ...]:
    return (rows.text[i],) if rows.text_b is None else (rows.text[i], rows.text_b[i])


def _chunks(rows: Rows) -> Iterator[tuple[list[str], list[tuple[str, ...]]]]:
    for start in range(0, len(rows), _CHUNK):
        end = min(start + _CHUNK, len(rows))
        yield rows.ids[start:end], [_texts(rows, i) for i in range(start, end)]


def _with_starts(chunks: Iterator) -> Iterator[tuple[int, tuple]]:
    return ((n * _CHUNK, chunk) for n, chunk in enumerate(chunks))


def _watched(chunks: Iterator[list], total: int, what: str) -> Iterator:
    with progress(total, what, "rows") as bar:
        for chunk in chunks:
            yield from chunk
            bar.update(len(chunk))


class _Workers:
    """Processes for long work. A small set does not need them."""

    def __init__(self, settings: AugmentSettings):
        self.count = settings.augment_workers or cpus()
        self._pools = ExitStack()

    def __enter__(self) -> _Workers:
        return self

    def __exit__(self, *error: object) -> None:
        self._pools.__exit__(*error)

    def map(self, work, chunks: Iterator, shared: object) -> Iterator[list]:
        """The result of ``work(shared, chunk)`` for each chunk, in order."""
        chunks = list(chunks)
        if self.count == 1 or len(chunks) < 4:
            ready = _prepared(work, shared)
            yield from (work(ready, chunk) for chunk in chunks)
            return
        pool = self._pools.enter_context(Pool(self.count, _start, (work, shared)))
        yield from pool.map(_run, chunks)


_STATE: dict = {}


def _start(work, shared: object) -> None:
    _STATE["work"], _STATE["shared"] = work, _prepared(work, shared)


def _run(chunk: object) -> list:
    return _STATE["work"](_STATE["shared"], chunk)


def _prepared(work, shared):
    """Makes the tagger of a process, as a tagger cannot be sent to one."""
    return make_tagger(shared) if work is _tag else shared


def _tag(tagger, chunk: tuple[list[str], list[tuple[str, ...]]]) -> list[list[list[str]]]:
    """The tags of every text of every row."""
    return [[tagger(words) if (words := Split.of(t).words) else [] for t in texts] for texts in chunk[1]]


def _vary(shared, chunk) -> list[list[tuple[int, str, tuple[str, ...]]] | None]:
    """The draws (number, rules, texts) of each row; None if a text has no word."""
    settings, chances, lexicon = shared
    out: list = []
    for row_id, texts, tags in zip(*chunk, strict=True):
        splits = [Split.of(t) for t in texts]
        if not all(s.words for s in splits):
            out.append(None)
            continue
        draw = rng(settings.augment_seed, "augment", row_id)
        rows = []
        for k in range(settings.n_iter):
            sides = _SIDES[k % 3] if len(texts) == 2 else (True,)
            new, rules = list(texts), []
            for n, changes in enumerate(sides):
                if changes:
                    new[n], rule = vary(splits[n], tags[n] if tags else (), lexicon, chances, draw)
                    rules += rule.split("+")
            rows.append((k, "+".join(r for r in RULES if r in rules), tuple(new)))
        out.append(rows)
    return out


def save(transfer: Transfer, path: Path, key: dict) -> None:
    """Writes one Parquet file, whole or not at all. ``key`` says what made it."""
    rows = transfer.rows
    columns = {
        "id": rows.ids,
        "text": rows.text,
        "text_b": rows.text_b or [None] * len(rows),
        "source": transfer.source,
        "rule": transfer.rule,
    }
    parts = (
        {name: column[start : start + ROW_GROUP] for name, column in columns.items()}
        for start in range(0, len(rows), ROW_GROUP)
    )
    write(path, key, transfer.notes, rows.text_b is not None, parts)


def write(path: Path, key: dict, notes: list[str], pair: bool, parts: Iterable[dict]) -> None:
    """As :func:`save`, for rows that come in parts: {"id", "text", "text_b", "source", "rule"} of equal lengths."""
    about = json.dumps({"key": key, "notes": notes, "pair": pair})
    schema = _SCHEMA.with_metadata({_KEY: about.encode()})
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
    rest = _SCHEMA.empty_table()
    for part in parts:
        rest = pa.concat_tables([rest, pa.table(part, schema=_SCHEMA)])
        while len(rest) >= ROW_GROUP:
            yield rest[:ROW_GROUP]
            rest = rest[ROW_GROUP:]
    if len(rest):
        yield rest


def load(path: Path, key: dict | None, like: np.ndarray) -> Transfer | None:
    """The rows that :func:`save` wrote for ``key`` (None: for any key). None if the file is missing or has another key.

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
            for part in file.iter_batches():  # a damaged file must stop the run here
                made |= bool((part["source"].to_numpy() >= 0).any())
            # Unlabeled text has no source, and takes no memory for it.
            source = file.read(["source"])["source"].to_numpy() if made else np.broadcast_to(np.int64(-1), count)
        pa.default_memory_pool().release_unused()  # releases the memory of texts that were read
    except (pa.ArrowException, OSError, KeyError, ValueError) as e:
        raise UserError(f"{path}: damaged transfer set ({files.tail(str(e), 90)})") from None
    text_b = ParquetColumn(path, "text_b") if about["pair"] else None
    empty = no_labels(like, count)
    rows = Rows(ParquetColumn(path, "id"), ParquetColumn(path, "text"), text_b, empty)
    return Transfer(rows, source, ParquetColumn(path, "rule"), about["notes"])


def found_or_made(
    path: Path, key: dict, like: np.ndarray, make: Callable[[dict], None], known: Sequence[Path] = ()
) -> Transfer:
    """The rows of ``key``: found at ``path``, taken from ``known``, or made at ``path`` by ``make(key)``."""
    key = json.loads(json.dumps({"format": 1, **key}))  # the result is the same as from the file
    what = f"transfer text ({path.stem})"
    found = find_or_make(what, path, lambda p: load(p, key, like), lambda: make(key), known, aloud=False)
    for note in found.notes:
        say(note)
    return found


def augmented(train: Rows, settings: AugmentSettings, path: Path, known: Sequence[Path] = ()) -> Transfer:
    """The rows that the rules make from ``train``. They are found again if they exist."""
    key = {"data": train.fingerprint(), **settings.key()}
    return found_or_made(path, key, train.label, lambda k: save(augment(train, settings), path, k), known)
