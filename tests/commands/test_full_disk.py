"""A disk that is full, or that nothing can be written to: one line, and the same command goes on when it is mended."""

from __future__ import annotations

import errno
import os
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kd_keras.common import files
from kd_keras.common.columns import StringsOnDisk
from kd_keras.common.disk import disk_error
from kd_keras.common.errors import UserError
from kd_keras.common.firsts import Firsts
from kd_keras.common.npy import put_rows
from kd_keras.teachers.settings import LabelSettings, TeacherSettings
from kd_keras.teachers.signals import SignalStore

SETTINGS = LabelSettings(shard_rows=8, label_batch_tokens=48, hidden="cls")


class Disk:
    """A small one, in memory.

    Attributes:
      folder: where it is mounted.
    """

    def __init__(self, folder: Path):
        self.folder, self._ballast = folder, folder / "ballast"

    def leave(self, kilobytes: int) -> None:
        """Fills it up to so much room."""
        self.empty()
        there = os.statvfs(self.folder)
        with open(self._ballast, "wb") as file:
            os.posix_fallocate(file.fileno(), 0, there.f_bavail * there.f_bsize - 1024 * kilobytes or 1)

    def empty(self) -> None:
        self._ballast.unlink(missing_ok=True)

    def read_only(self, on: bool) -> None:
        subprocess.run(["mount", "-o", f"remount,{'ro' if on else 'rw'}", self.folder], check=True)


@pytest.fixture
def disk():
    folder = Path(tempfile.mkdtemp())
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder], capture_output=True)
    if done.returncode:
        folder.rmdir()
        pytest.skip("mounting is not allowed here")
    yield Disk(folder)
    subprocess.run(["umount", "-l", folder], check=True)
    folder.rmdir()


def until_it_fits(disk: Disk, step: int, do) -> list[str]:
    """What was said while there was too little room for ``do``, with more of it each time."""
    said, room = [], 0
    while True:
        disk.leave(room)
        try:
            do()
        except UserError as e:
            said.append(str(e))
            room += step
            assert room < 7000
            continue
        return said


def test_signals_go_on_where_the_disk_had_no_more_room(disk, make_teacher, toy_rows, tmp_path):
    from kd_keras.teachers.labelling import label

    teacher, rows = make_teacher(), toy_rows(40)
    whole = label(teacher, rows, tmp_path / "whole", SETTINGS, "toy", "train")
    said = until_it_fits(disk, 4, lambda: label(teacher, rows, disk.folder / "s", SETTINGS, "toy", "train"))
    assert all(line.startswith(f"{disk.folder / 's'}/") and ": the disk is full (" in line for line in said), said
    names = {line.partition(": ")[0].rpartition("/")[2] for line in said}
    assert {"manifest.json", "complete.json"} < names and any(name.startswith("shard-") for name in names)
    SignalStore(disk.folder / "s").in_order("hidden").unlink()  # it is made when signals are read
    disk.leave(0)
    with pytest.raises(UserError, match=r"/s/hidden\.npy: the disk is full"):
        label(teacher, rows, disk.folder / "s", SETTINGS, "toy", "train")
    disk.empty()
    again = label(teacher, rows, disk.folder / "s", SETTINGS, "toy", "train")
    np.testing.assert_array_equal(again.logits, whole.logits)
    assert not list((disk.folder / "s").glob(".*")), "nothing half written is left"


def test_a_teacher_goes_on_where_the_disk_had_no_more_room(disk, bert_folder, toy_data, tmp_path):
    from kd_keras.teachers.checkpoints import find_checkpoint
    from kd_keras.teachers.finetune import fine_tune

    how = TeacherSettings(teacher_epochs=2, teacher_batch_size=8, teacher_seed=3, checkpoint_seconds=0.0)
    checkpoint, data = find_checkpoint(str(bert_folder)), toy_data()
    whole = fine_tune(checkpoint, data, how, tmp_path / "teacher")
    said = until_it_fits(disk, 64, lambda: fine_tune(checkpoint, data, how, disk.folder / "teacher"))
    assert len(said) > 1 and all(": the disk is full (" in s and s.startswith(str(disk.folder)) for s in said), said
    again = fine_tune(checkpoint, data, how, disk.folder / "teacher")
    for one, other in zip(whole.weights, again.weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_store_that_is_read_only_is_named(disk, make_teacher, toy_rows):
    from kd_keras.teachers.labelling import label

    teacher, rows, folder = make_teacher(), toy_rows(20), disk.folder / "s"
    disk.read_only(True)
    with pytest.raises(UserError, match=r"s/manifest\.json: cannot be written \(Read-only file system\)"):
        label(teacher, rows, folder, SETTINGS, "toy", "train")
    disk.read_only(False)
    label(teacher, rows, folder, replace(SETTINGS, hidden="none"), "toy", "train")
    disk.read_only(True)  # logits are read of it, nothing is written
    assert len(label(teacher, rows, folder, replace(SETTINGS, hidden="none"), "toy", "train").logits) == 20


def test_temporary_files_name_their_disk_wherever_it_is_full(disk, monkeypatch):
    """When something is added, and when it is looked at: what was added last is only written then."""
    monkeypatch.setattr(tempfile, "tempdir", str(disk.folder))
    draw = np.random.default_rng(1)
    blocks = [draw.integers(0, 20_000, 9_000, np.uint64) for _ in range(3)]

    def sift() -> None:
        firsts = Firsts()
        for block in blocks:
            firsts.add(block)
        assert firsts.count == len(np.unique(np.concatenate(blocks)))
        assert [d.tolist() for d, _ in firsts.blocks()] == [block.tolist() for block in blocks]

    def keep() -> None:
        strings = StringsOnDisk(map(str, range(9_000)))
        assert strings[8_999] == "8999" and list(strings) == list(map(str, range(9_000)))

    for do, step in ((sift, 16), (keep, 4)):
        said = until_it_fits(disk, step, do)
        assert len(said) > 3, said
        assert all(f"{disk.folder} (temporary files; TMPDIR names another folder): the disk is full" in s for s in said)


@pytest.mark.parametrize("verb", ["train", "pretrain"])
def test_a_command_ends_in_one_line_and_goes_on(disk, verb, bert_folder, write_csv, toy_sentences, tmp_path, run_verb):
    texts, labels = toy_sentences(60, 0)
    run = [
        f"--teacher={bert_folder}",
        f"--output_dir={disk.folder / 'run'}",
        "--student_max_length=12",
        "--batch_size=8",
    ]
    run += ["--teacher_max_length=16", "--embedding_size=8", "--hidden_size=6", "--shard_rows=16"]
    if verb == "train":
        run += [
            "--task=custom",
            f"--train_file={write_csv(tmp_path / 'train.csv', texts, labels)}",
        ]
        run += [
            "--teacher_epochs=1",
            "--epochs=1",
            "--dense_size=8",
            "--unlabeled=none",
            "--augment=none",
            "--allow_weak_teacher",
        ]
    else:
        (tmp_path / "text.txt").write_text("\n".join(texts))
        run += [f"--unlabeled_files={tmp_path / 'text.txt'}", "--vector_size=8", "--updates=8", "--dev_rows=10"]

    def one_line(said: str) -> None:
        (done,) = run_verb(verb, run, eager=True)
        last = done["err"].strip().splitlines()[-1]
        assert done["code"] == 2 and "Traceback" not in done["err"], done["err"][-2000:]
        assert last.startswith(("error: /", "error: --output_dir=/")) and said in last, last

    disk.leave(40)
    one_line("the disk is full")
    disk.read_only(True)
    one_line("ead-only file system")
    disk.read_only(False)
    disk.empty()
    (done,) = run_verb(verb, run, eager=True)
    assert done["code"] == 0, done["err"][-2000:]
    assert (disk.folder / "run" / "report.md").is_file()


def test_what_other_libraries_say_in_words_is_known(tmp_path):
    """TensorFlow, safetensors and HDF5 have errors of their own."""
    assert disk_error(RuntimeError("RESOURCE_EXHAUSTED: /x/ckpt; No space left on device")) == errno.ENOSPC
    assert disk_error(OSError("Can't write (errno = 30, error message = 'Read-only file system')")) == errno.EROFS
    assert disk_error(RuntimeError("out of memory")) is None
    with pytest.raises(UserError, match="here: the disk is full"), files.disk_errors("here"):
        raise RuntimeError("I/O error: No space left on device (os error 28)")
    with pytest.raises(RuntimeError, match="out of memory"), files.disk_errors("here"):
        raise RuntimeError("out of memory")


def test_a_mapped_file_has_its_room_before_it_is_written(disk):
    """A mapped page without room would kill the process."""
    disk.leave(64)
    with pytest.raises(OSError) as e:
        put_rows(disk.folder / "a.npy", np.arange(2), np.ones((2, 256), np.float32), rows=1000)
    assert e.value.errno == errno.ENOSPC
