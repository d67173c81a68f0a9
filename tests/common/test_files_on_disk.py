"""Files are written whole or not at all, and read with errors that name the line."""

from __future__ import annotations

import contextlib
import errno
import gzip
import os
import signal
import sys
from pathlib import Path

import pytest

from kd_keras.common import files
from kd_keras.common.errors import UserError


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_a_failure_half_way_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.json"
    files.write_text(path, "old")
    with pytest.raises(RuntimeError), files.atomic_path(path) as temp:
        temp.write_text("ne")
        raise RuntimeError("stopped")
    assert path.read_text() == "old" and names(tmp_path) == ["a.json"]
    with pytest.raises(RuntimeError), files.atomic_dir(tmp_path / "d") as temp:
        (temp / "x").write_text("x")
        raise RuntimeError("stopped")
    assert names(tmp_path) == ["a.json"]


def test_a_process_killed_half_way_leaves_the_old_file(tmp_path, run_python):
    path = tmp_path / "a.txt"
    path.write_text("old")
    code = (
        "import os, signal, sys\n"
        "from kd_keras.common import files\n"
        "with files.atomic_path(sys.argv[1]) as temp:\n"
        "    temp.write_text('ne')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert run_python("-c", code, path).returncode == -signal.SIGKILL
    assert path.read_text() == "old"
    files.write_text(path, "new")  # what the kill left behind is in nobody's way
    assert path.read_text() == "new"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_the_users_to_mend_and_leaves_no_half_file(tmp_path, monkeypatch, number):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def full(self, text, **kwargs):
        with open(self, "w") as f:
            f.write(text[:2])
        raise OSError(number, os.strerror(number), str(self))

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(UserError, match="a.txt: the disk is full"):
        files.write_text(path, "newer text")
    assert path.read_text() == "old" and names(tmp_path) == ["a.txt"]


def test_a_full_disk_on_the_last_flush_counts_too(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="the disk is full"):
        files.write_text(tmp_path / "a.txt", "text")
    assert names(tmp_path) == []


def test_a_folder_in_the_way_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file/a\.txt: cannot be written"):
        files.write_text(tmp_path / "file" / "a.txt", "text")


def test_other_errors_are_not_dressed_up_as_the_users(tmp_path):
    with pytest.raises(OSError) as error, files.disk_errors(tmp_path):
        raise OSError(errno.EIO, "broken")
    assert not isinstance(error.value, UserError)


def test_a_folder_appears_whole_and_replaces_the_old_one(tmp_path):
    for content in ("one", "two"):
        with files.atomic_dir(tmp_path / "d") as temp:
            (temp / content).write_text(content)
            assert not (tmp_path / "d" / content).exists()
        assert names(tmp_path / "d") == [content]
    assert names(tmp_path) == ["d"]


@pytest.mark.parametrize("pack", ["", ".gz"])
def test_text_that_is_no_utf8_names_line_and_byte(tmp_path, pack):
    raw = b"\xef\xbb\xbfone\r\ntwo\nna\xefve\n"
    path = tmp_path / f"a.txt{pack}"
    path.write_bytes(gzip.compress(raw) if pack else raw)
    read = []
    with pytest.raises(UserError, match=r"line 3: not UTF-8 \(byte 0xef at position 3\).*iconv"):
        for line in files.utf8_lines(path):
            read.append(line)
    assert read == ["one\r\n", "two\n"]


def test_only_newlines_end_a_line(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("a\u2028b\x0bc\x85d\n".encode())
    assert list(files.utf8_lines(path)) == ["a\u2028b\x0bc\x85d\n"]


def test_damage_anywhere_in_a_gz_is_named(tmp_path):
    whole = gzip.compress(bytes(range(32, 127)) * 300 + b"\n")
    path = tmp_path / "a.gz"
    for at in range(0, len(whole), 3):
        path.write_bytes(whole[:at] + bytes(8) + whole[at + 8 :])
        with contextlib.suppress(UserError):  # anything else is a failure; not every byte matters
            list(files.utf8_lines(path))


def test_a_truncated_gz_is_named_and_a_false_one_is_read(tmp_path):
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(b"text\n" * 1000)[:-12])
    with pytest.raises(UserError, match=r"a\.gz: cannot be read"):
        list(files.utf8_lines(path))
    path.write_bytes(b"plain")
    assert list(files.utf8_lines(path)) == ["plain"]


def test_json_round_trip_and_its_errors(tmp_path):
    path = tmp_path / "a.json"
    files.write_json(path, {"ä": [1, 0.1, None], "b": "\u2028\n"})
    assert files.read_json(path) == {"ä": [1, 0.1, None], "b": "\u2028\n"}
    with pytest.raises(ValueError):
        files.write_json(path, {"a": float("nan")})
    assert files.read_json(path)["ä"][0] == 1, "the refused value must not have touched the file"
    path.write_text('{"a": 1,\n "b" 2}')
    with pytest.raises(UserError, match=r"a\.json, line 2, column 6: not JSON"):
        files.read_json(path)


def test_hashes_depend_on_values_and_not_on_the_order_of_keys():
    assert files.hash_of({"a": 1, "b": 2}) == files.hash_of({"b": 2, "a": 1})
    assert files.hash_of({"a": 1}) != files.hash_of({"a": 2})
    assert files.hash_of("ab", "c") != files.hash_of("a", "bc")


def test_differences_name_each_leaf():
    found = files.differences({"a": {"x": 1, "y": 2}, "z": 0}, {"a": {"x": 1, "y": 3}, "b": 4})
    assert found == ["a.y: 2 there, 3 here", "b: None there, 4 here", "z: 0 there, None here"]


def test_a_second_name_for_a_file_is_a_copy_where_links_are_refused(tmp_path, monkeypatch):
    (tmp_path / "a").write_text("text")
    files.link_or_copy(tmp_path / "a", tmp_path / "b")
    assert os.path.samefile(tmp_path / "a", tmp_path / "b")

    def refuse(*args, **kwargs):
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    files.link_or_copy(tmp_path / "a", tmp_path / "c")
    assert (tmp_path / "c").read_text() == "text" and not os.path.samefile(tmp_path / "a", tmp_path / "c")
    # A write to one name never reaches the other.
    files.write_text(tmp_path / "b", "other")
    assert (tmp_path / "a").read_text() == "text"


@pytest.mark.skipif(sys.platform == "win32", reason="asks for a folder's name as a file")
def test_a_folder_or_nothing_in_a_files_place_names_the_flag(tmp_path):
    with pytest.raises(UserError, match=r"--input: .* is a folder, expected a file"):
        files.require_file(tmp_path, "--input")
    with pytest.raises(UserError, match="--input: no such file: .*none"):
        files.require_file(tmp_path / "none", "--input")
