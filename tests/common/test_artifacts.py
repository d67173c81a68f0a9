"""What was made before is found, linked from another run, or made, with one wording."""

from __future__ import annotations

from pathlib import Path

import pytest

from kd_keras.common.artifacts import find, find_or_make
from kd_keras.common.errors import UserError


class Kept:
    """A text file whose first line is its key."""

    def __init__(self, key: str):
        self.key, self.made = key, 0

    def read(self, path: Path) -> str | None:
        path = path / "thing.txt" if path.is_dir() else path
        if not path.is_file():
            return None
        key, _, text = path.read_text().partition("\n")
        if text.endswith("?"):
            raise UserError(f"{path}: damaged")
        return text if key == self.key else None

    def make(self, path: Path) -> None:
        self.made += 1
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{self.key}\ntext {self.made}")


def test_it_is_made_once_and_found_again(tmp_path, capsys):
    kept, path = Kept("a"), tmp_path / "run" / "thing.txt"
    for said in ("", f"thing: found in {path}"):
        assert find_or_make("thing", path, kept.read, lambda: kept.make(path)) == "text 1"
        assert capsys.readouterr().err.strip() == said
    other = Kept("b")
    assert find("thing", path, other.read) is None
    assert find_or_make("thing", path, other.read, lambda: other.make(path), aloud=False) == "text 1"
    assert other.made == 1 and "found" not in capsys.readouterr().err


def test_another_runs_is_linked_with_its_parts_alone(tmp_path, capsys):
    kept, there, here = Kept("a"), tmp_path / "one" / "thing.txt", tmp_path / "two" / "thing.txt"
    kept.make(there)
    assert find("thing", here, kept.read, [tmp_path / "none", there]) == "text 1"
    assert here.samefile(there) and f"thing: made before, taken from {there}" in capsys.readouterr().err
    folder = tmp_path / "three"
    folder.mkdir()
    (folder / "old.txt").write_text("of another")
    (tmp_path / "one" / "export.bin").write_text("not ours")
    assert find("thing", folder, kept.read, [there.parent], ("*.txt",)) == "text 1"
    assert [p.name for p in folder.iterdir()] == ["thing.txt"]


def test_damage_here_is_said_and_made_again_and_elsewhere_passed_over(tmp_path, capsys):
    kept, bad, here = Kept("a"), tmp_path / "one" / "thing.txt", tmp_path / "two" / "thing.txt"
    for path in (bad, here):
        kept.make(path)
        path.write_text("a\nhalf of it?")
    assert find_or_make("thing", here, kept.read, lambda: kept.make(here), [bad]) == "text 3"
    said = capsys.readouterr().err
    assert f"thing: {here}: damaged; it will be made again" in said and str(bad) not in said


def test_what_is_made_must_be_what_was_asked_for(tmp_path):
    kept, path = Kept("a"), tmp_path / "thing.txt"
    with pytest.raises(AssertionError, match="does not match its key"):
        find_or_make("thing", path, kept.read, lambda: Kept("b").make(path))
