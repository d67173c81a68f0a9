"""One process at a time makes a thing, and the claim of a killed one is free."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from kd_keras.common.claims import claimed
from kd_keras.common.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
HOLDER = """
import sys
from pathlib import Path
from kd_keras.common.claims import claimed
with claimed(Path(sys.argv[1]), "it"):
    print("mine", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def held(tmp_path):
    """A claim, and the process that holds it until its standard input ends."""
    path = tmp_path / "arms" / "one.claim"
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, path], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "mine\n"
    yield path, process
    process.kill()
    process.wait()


def test_what_another_process_makes_is_left_to_it(held):
    path, process = held
    with claimed(path, "it", wait=False) as mine:
        assert not mine
    assert path.exists()
    with claimed(path.with_name("other.claim"), "another", wait=False) as mine:
        assert mine
    process.communicate("")
    with claimed(path, "it", wait=False) as mine:
        assert mine and path.exists()
    assert not path.exists()


def test_one_waits_until_the_other_is_done(held):
    path, process = held
    waits = subprocess.Popen(
        [sys.executable, "-c", HOLDER, path], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert waits.stderr.readline() == f"it: another command makes it (its claim is {path}); waiting for that\n"
    process.communicate("")
    assert waits.stdout.readline() == "mine\n"
    waits.communicate("")
    assert waits.returncode == 0 and not path.exists()


def test_the_claim_of_a_killed_process_is_free(held):
    path, process = held
    process.kill()
    process.wait()
    with claimed(path, "it", wait=False) as mine:
        assert mine


def test_a_block_that_fails_gives_its_claim_back(tmp_path):
    path = tmp_path / "one.claim"
    with pytest.raises(ZeroDivisionError), claimed(path, "it"):
        1 / 0  # noqa: B018
    assert not path.exists()
    with claimed(path, "it", wait=False) as mine:
        assert mine


def test_a_place_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="one.claim: cannot be written"), claimed(tmp_path / "file" / "one.claim", "it"):
        raise AssertionError
