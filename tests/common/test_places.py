"""Paths as people write them, and what is written where they lead."""

from __future__ import annotations

import errno
import os
import stat
import threading
from pathlib import Path

import numpy as np
import pytest

from kd_keras.common import files
from kd_keras.common.errors import UserError
from kd_keras.common.places import check_output, check_output_dir, local


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def umask():
    old = os.umask(0o027)
    yield
    os.umask(old)


def device(path: Path, minor: int) -> Path:
    """A node of our own: of major 1, 3 swallows all, 7 is always full."""
    try:
        os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, minor))
        with open(path, "wb"):
            pass
    except OSError as e:
        pytest.skip(f"no device nodes here: {e}")
    return path


def test_home_is_written_out(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "~").mkdir()  # as the tool once made it
    assert local("~/a b", "--x") == f"{tmp_path}/a b" and local("~", "--x") == str(tmp_path)
    assert local(Path("~/x"), "--x") == f"{tmp_path}/x"
    (tmp_path / "~draft.txt").write_text("")
    for same in ("~draft.txt", "a/~/b", "-x", "100%", "a#b", "exp:1/x", "ä", "", "folder/"):
        assert local(same, "--x") == same


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("~nobody-of-this-name/x", "no user 'nobody-of-this-name'; if a file has that name, write ./~nobody"),
        ("file:///tmp/x", "expected the path of a local file"),
        ("s3://bucket/x", "expected the path of a local file"),
        ("caf\udce9.csv", r"--x=caf\\udce9.csv: not UTF-8 \(byte 0xe9 at position 4\)"),
        ("a\0b", "NUL character"),
        ("x" * 300, "file name too long"),
    ],
)
def test_names_that_no_local_file_has(name, said):
    with pytest.raises(UserError, match=said):
        local(name, "--x")


def test_links_are_written_through(tmp_path):
    (tmp_path / "there").mkdir()
    real = tmp_path / "there" / "real.txt"
    (tmp_path / "link").symlink_to(real)  # dangling
    (tmp_path / "link2").symlink_to("link")
    (tmp_path / "folder").symlink_to("there")
    for n, path in enumerate(("link", "link2", "folder/real.txt")):
        files.write_text(tmp_path / path, str(n))
        assert real.read_text() == str(n) and not real.is_symlink()
    assert (tmp_path / "link").is_symlink() and (tmp_path / "link2").is_symlink()
    assert sorted(p.name for p in (tmp_path / "there").iterdir()) == ["real.txt"]
    (tmp_path / "round").symlink_to("round")
    with pytest.raises(UserError, match="round: cannot be written"):
        files.write_text(tmp_path / "round", "x")
    with pytest.raises(UserError, match="leads back to itself"):
        local(tmp_path / "round", "--x")


def test_a_linked_folder_is_replaced_where_it_is(tmp_path):
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "real" / "old").write_text("")
    (tmp_path / "link").symlink_to("real")
    with files.atomic_dir(tmp_path / "link") as temp:
        (temp / "new").write_text("")
    assert os.listdir(tmp_path / "real") == ["new"] and mode(tmp_path / "real") == 0o700
    assert (tmp_path / "link").is_symlink() and sorted(os.listdir(tmp_path)) == ["link", "real"]
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="it is a file, expected a folder"), files.atomic_dir(tmp_path / "file"):
        pass


def test_mode_and_owner_stay_and_new_files_follow_the_umask(tmp_path, umask):
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_text("")
    old.chmod(0o604)
    if os.geteuid() == 0:
        os.chown(old, 1234, 1235)
    owner = old.stat().st_uid, old.stat().st_gid
    with files.atomic_path(old) as temp:
        assert mode(temp) == 0o600, "nobody else reads what may be private"
        temp.write_text("text")
    files.write_text(new, "text")
    assert mode(old) == 0o604 and (old.stat().st_uid, old.stat().st_gid) == owner and mode(new) == 0o640
    # A second name for another file leaves that file's mode alone.
    old.chmod(0o600)
    files.link_or_copy(new, old)
    assert mode(new) == 0o640


def test_devices_and_pipes_are_written_into(tmp_path):
    fifo = tmp_path / "pipe"
    os.mkfifo(fifo)
    got: list[str] = []
    reader = threading.Thread(target=lambda: got.append(fifo.read_text()))
    reader.start()
    files.write_json(fifo, {"a": 1})
    reader.join(10)
    assert got == ['{\n  "a": 1\n}\n'] and stat.S_ISFIFO(fifo.stat().st_mode)
    read, write = os.pipe()
    files.write_text(f"/dev/fd/{write}", "to a process")
    (tmp_path / "out").symlink_to(f"/proc/self/fd/{write}")
    files.write_text(tmp_path / "out", ", by a link")
    assert os.read(read, 100) == b"to a process, by a link"
    for end in (read, write):
        os.close(end)
    assert sorted(os.listdir(tmp_path)) == ["out", "pipe"]


def test_a_device_stays_one(tmp_path):
    swallows = device(tmp_path / "swallows", 3)
    (tmp_path / "link").symlink_to("swallows")
    for path in (swallows, tmp_path / "link"):
        check_output(path, "--output", {"--input": path})  # no file, so nothing is lost
        files.write_text(path, "text")
        assert stat.S_ISCHR(swallows.stat().st_mode) and mode(swallows) == 0o600
    with pytest.raises(UserError, match="full: the disk is full"):
        files.write_text(device(tmp_path / "full", 7), "text")


def test_a_file_that_cannot_be_renamed_onto_is_written_into(tmp_path, monkeypatch):
    path = tmp_path / "mounted"
    path.write_text("a longer old text")
    inode = path.stat().st_ino

    def busy(*_):
        raise OSError(errno.EBUSY, "Device or resource busy")

    monkeypatch.setattr(os, "replace", busy)
    files.write_text(path, "new")
    monkeypatch.undo()
    monkeypatch.setattr(os, "access", lambda *_: False)  # of the folder
    files.write_text(path, "newer")
    assert path.read_text() == "newer" and path.stat().st_ino == inode and os.listdir(tmp_path) == ["mounted"]


def test_a_long_name_and_one_with_every_mark(tmp_path):
    for name in ("ä" * 120 + ".keras", "-a b%c#d*e[1]?.x:y'\"$", "x." + "y" * 250):
        files.write_text(tmp_path / name, "text")
        assert (tmp_path / name).read_text() == "text"
        with files.atomic_dir(tmp_path / f"{name[:200]}.d") as temp:
            (temp / "x").write_text("")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no /proc")
def test_what_cannot_be_written_is_told_before_the_work(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to("file")
    cases = (
        (tmp_path, "is a folder, expected a file"),
        (f"{tmp_path}/new/", "is a folder, expected a file"),
        ("/proc/x", "nothing can be written in /proc"),
        (tmp_path / "file" / "x", "is not a folder"),
        (tmp_path / "file", "is the file that --input reads"),
        (tmp_path / "link", "is the file that --input reads"),
    )
    for path, said in cases:
        with pytest.raises(UserError, match=said):
            check_output(path, "--output", {"--input": tmp_path / "file", "--model": None})
    check_output(tmp_path / "a" / "b", "--output", {"--input": "-"})
    check_output("/dev/stdout", "--output", {})
    with pytest.raises(UserError, match=r"/proc/x: cannot be written"):
        files.write_text("/proc/x", "text")
    with pytest.raises(UserError, match="--output_dir=.*file: is a file, expected a folder"):
        check_output_dir(tmp_path / "file")
    with pytest.raises(UserError, match="nothing can be written in /proc"):
        check_output_dir("/proc/a/b")
    check_output_dir(tmp_path / "a" / "b")
    assert sorted(os.listdir(tmp_path)) == ["file", "link"]


def test_what_is_written_into_has_the_ending_that_writers_look_at(tmp_path, monkeypatch):
    path = tmp_path / "theirs.npz"
    np.savez(path, a=np.zeros(2))
    monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1000)
    before = path.stat().st_ino
    with files.atomic_path(path) as temp:
        np.savez(temp, a=np.ones(3))
    assert np.load(path)["a"].tolist() == [1, 1, 1] and path.stat().st_ino == before
