"""Which texts an export is compared on, and where int8 ranges come from."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from kd_keras.common.errors import UserError
from kd_keras.common.layout import RunLayout
from kd_keras.deploy.settings import ExportSettings
from kd_keras.deploy.texts import MOST_CALIBRATION, export_texts
from kd_keras.runs.finished import FinishedRun
from kd_keras.tasks import Rows, Task, TaskData
from kd_keras.tasks.records import iob2

TASK = Task("toy", "single", ("neg", "pos"))


def rows(name: str, count: int) -> Rows:
    label = np.arange(count, dtype=np.int32) % 2
    return Rows([f"{name}-{i}" for i in range(count)], [f"{name} {i}" for i in range(count)], None, label)


RUN = FinishedRun(RunLayout(Path("run")), TASK)


@pytest.fixture
def found(monkeypatch):
    """The run's data are there."""
    data = TaskData(TASK, rows("train", 1200), rows("dev", 30), "made up", [])
    monkeypatch.setattr(FinishedRun, "data", lambda self, data_dir: data)


@pytest.fixture
def gone(monkeypatch):
    def data(self, data_dir):
        raise UserError("DIR: there is no such folder")

    monkeypatch.setattr(FinishedRun, "data", data)


def test_dev_and_training_rows_of_the_run(found):
    texts = export_texts(RUN, ExportSettings())
    assert texts.source == "dev split" and "tflite_int8" in [f.name for f in texts.formats]
    assert sorted(t for t in texts.check.text if t.startswith("dev")) == sorted(rows("dev", 30).text)
    assert {"", "."} <= set(texts.check.text), "edge cases among them"
    assert set(texts.check.label) == {0, 1, -1}
    real = [t for t in texts.calibration.text if t.startswith("train")]
    assert len(real) == MOST_CALIBRATION and {"train 0", "train 1199"} <= set(real), "from all of them"
    assert export_texts(RUN, ExportSettings("tflite_dynamic")).calibration is None


def test_files_come_first(found, tmp_path):
    (tmp_path / "cal.txt").write_text("one\ntwo\n")
    (tmp_path / "dev.csv").write_text("text,label\nmine,pos\n")
    settings = ExportSettings(calibration_file=str(tmp_path / "cal.txt"), check_file=str(tmp_path / "dev.csv"))
    texts = export_texts(RUN, settings)
    assert texts.source == "dev.csv" and "mine" in texts.check.text and not any("dev" in t for t in texts.check.text)
    assert set(texts.calibration.text) == {"one", "two", "", "."}


def test_where_the_data_are_gone(gone, tmp_path, capsys):
    texts = export_texts(RUN, ExportSettings())
    assert texts.source == "invented sentences" and texts.calibration is None
    assert "tflite_int8" not in [f.name for f in texts.formats]
    said = capsys.readouterr().err
    assert "tflite_int8: left out" in said and "invented sentences, because DIR: there is no such folder" in said
    with pytest.raises(UserError, match="tflite_int8 needs --calibration_file=FILE.*no such folder"):
        export_texts(RUN, ExportSettings("tflite_int8"))
    with pytest.raises(UserError, match="^DIR: there is no such folder"):
        export_texts(RUN, ExportSettings(data_dir="DIR"))
    (tmp_path / "cal.txt").write_text("one\ntwo\n")
    texts = export_texts(RUN, ExportSettings(calibration_file=str(tmp_path / "cal.txt")))
    assert texts.source == "cal.txt" and "tflite_int8" in [f.name for f in texts.formats]


def test_a_tagger_is_compared_on_what_predict_reads(tmp_path, capsys):
    task = Task("toy", "tagging", iob2(("LOC",)), "entity_f1", ("entity_f1",))
    files = {
        "text.txt": ("blood type O\n", "blood type O", [], "compared without scores, because it is text without tags"),
        "text.csv": ('text,label\n"Rome, O",O\n', "Rome , O", [], "compared without scores, because it is text"),
        "gold.txt": ("in\tO\nRome\tB-LOC\n", "in Rome", [0, 1], "tags are IOB2"),
        "words.jsonl": ('{"tokens": ["in", "Rome"]}\n', "in Rome", [], "no tags that can be used .* no key 'tags'"),
    }
    for name, (content, text, tags, says) in files.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
        run = FinishedRun(RunLayout(tmp_path), task)
        check = export_texts(
            run,
            ExportSettings(
                "tflite_dynamic", check_file=str(tmp_path / name), calibration_file=str(tmp_path / "text.txt")
            ),
        ).check
        assert check.label[check.text.index(text)].tolist() == tags
        assert re.search(says, capsys.readouterr().err), name
