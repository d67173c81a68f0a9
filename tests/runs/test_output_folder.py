"""When a folder may be written again: the same run, or one that ended before it had made anything."""

from __future__ import annotations

import numpy as np
import pytest

from kd_keras.augment.settings import UnlabeledSettings
from kd_keras.augment.transfer import write
from kd_keras.common import files
from kd_keras.common.errors import UserError
from kd_keras.common.layout import RunLayout
from kd_keras.runs.check import check_folder, check_same_text


@pytest.fixture
def layout(tmp_path) -> RunLayout:
    found = RunLayout(tmp_path / "run")
    files.write_json(found.run, {"min_words": 3})
    files.write_json(found.task, {"name": "toy"})
    files.write_text(found.flags, "")
    return found


def test_a_run_that_made_nothing_gives_its_folder_back(layout):
    """As after unlabeled text of which no row could be used: the mended command must not be refused."""
    check_folder(layout, "toy", {"min_words": 1})
    layout.augmented("all").parent.mkdir()
    check_folder(layout, "toy", {"min_words": 1})
    layout.augmented("all").touch()
    with pytest.raises(UserError, match=r"holds a run with other settings \(min_words: 3 there, 1 here\)"):
        check_folder(layout, "toy", {"min_words": 1})
    check_folder(layout, "toy", {"min_words": 3})


@pytest.mark.parametrize("folder", ["signals", "rounds/1/signals"])
def test_other_unlabeled_text_does_not_take_the_place_of_what_has_signals(layout, tmp_path, folder):
    mine = tmp_path / "mine.txt"
    mine.write_text("one\n")
    settings, path = UnlabeledSettings(unlabeled_files=str(mine)), layout.augmented("unlabeled")
    rows = {"id": ["a"], "text": ["one"], "text_b": [None], "source": np.array([-1]), "rule": ["unlabeled"]}
    write(path, {"files": [files.sha256_file(mine)]}, [], False, [rows])
    before = path.read_bytes()
    mine.write_text("one\ntwo\n")
    check_same_text(layout, settings)  # nothing is made of it yet
    (layout.root / folder / "unlabeled").mkdir(parents=True)
    with pytest.raises(
        UserError, match="mine.txt: the text is another than the run in .* has read; choose another --ou"
    ):
        check_same_text(layout, settings)
    assert path.read_bytes() == before
    mine.write_text("one\n")
    check_same_text(layout, settings)
