"""A Parquet file of another model's answers, row by row."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from kd_keras.common import files
from kd_keras.common.errors import UserError


def columns_of(path: str) -> list[str]:
    """The names of its columns. UserError if it is no Parquet file."""
    try:
        with pa.OSFile(str(path)) as opened:
            return pq.read_schema(opened).names
    except (pa.ArrowException, OSError) as e:
        raise UserError(f"{path}: cannot be read as a Parquet file ({files.tail(str(e), 90)})") from None


def rows_of(path: str, columns: list[str]) -> Iterator[tuple[int, dict]]:
    """The number of each row, from 1, and its values in ``columns``. UserError where one cannot be read."""
    number = 0
    try:
        with pa.OSFile(str(path)) as opened, pq.ParquetFile(opened) as file:
            for batch in file.iter_batches(batch_size=4096, columns=columns):
                for values in batch.to_pylist():
                    number += 1
                    yield number, values
    except (pa.ArrowException, OSError, UnicodeDecodeError, OverflowError) as e:
        raise UserError(f"{path}, row {number + 1} or later: cannot be read ({files.tail(str(e), 90)})") from None
