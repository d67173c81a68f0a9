"""How arm64/check.py chooses, compares and judges, and how its root is made; qemu itself is `make arm64-check`."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from kd_keras.common.errors import UserError
from kd_keras.deploy.invented import unlabelled
from kd_keras.tasks import Columns, Rows, Task

ROOT = Path(__file__).resolve().parents[1]
TASK = Task("toy", "single", ("neg", "pos"))


@pytest.fixture
def check(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "arm64"))
    import check

    yield check
    for name in ("check", "root"):
        sys.modules.pop(name)


@pytest.fixture
def root(check, monkeypatch, tmp_path):
    """The module with a folder of its own."""
    monkeypatch.setattr(check.arm64, "HERE", tmp_path)
    monkeypatch.setattr(check.arm64, "ROOT", tmp_path / "root")
    return check.arm64


def test_the_pins_are_the_project_s_but_one():
    def pins(path: Path) -> dict[str, str]:
        return dict(re.findall(r"^([\w.-]+)==(\S+)$", path.read_text(), re.M))

    ours, there = pins(ROOT / "requirements.txt"), pins(ROOT / "arm64" / "requirements.txt")
    assert [name for name, version in there.items() if ours[name] != version] == ["ai-edge-litert"]


def test_what_is_missing_is_named_with_its_package(root, monkeypatch):
    monkeypatch.setattr(root, "command", lambda name: None if name in ("debootstrap", root.QEMU) else f"/bin/{name}")
    with pytest.raises(
        UserError, match="no debootstrap, qemu-aarch64-static .* apt-get install debootstrap qemu-user-static$"
    ):
        root.require_tools()
    monkeypatch.setattr(root, "command", lambda name: f"/bin/{name}")
    monkeypatch.setattr(root.os, "geteuid", lambda: 1000)
    with pytest.raises(UserError, match="only root .* sudo"):
        root.require_tools()


def test_the_mirror_is_apt_s(root, monkeypatch):
    said = "Other bookworm https://a.example/x/\nDebian other https://b.example/\nDebian bookworm https://c.example/debian/\n"
    monkeypatch.setattr(root, "command", lambda name: f"/bin/{name}")
    monkeypatch.setattr(root.subprocess, "run", lambda *a, **k: SimpleNamespace(stdout=said))
    assert root.mirror() == ["https://c.example/debian/"]
    monkeypatch.setattr(root.subprocess, "run", lambda *a, **k: SimpleNamespace(stdout=""))
    assert root.mirror() == [], "debootstrap's own"
    monkeypatch.setattr(root, "command", lambda name: None)
    assert root.mirror() == []


def test_a_root_that_was_cut_short_is_made_anew(root, monkeypatch, tmp_path):
    made = []

    def make(folder: Path, fail: bool = False) -> None:
        made.append(folder)
        (folder / "half").touch()
        if fail:
            raise UserError("no network")

    monkeypatch.setattr(root, "make", lambda folder: make(folder, fail=True))
    with pytest.raises(UserError, match="no network"):
        root.ready()
    assert not root.ROOT.exists()
    monkeypatch.setattr(root, "make", make)
    assert root.ready() == root.ready() == tmp_path / "root" and len(made) == 2, "the second time it is there"
    assert {p.name for p in tmp_path.iterdir()} == {"root", "root.lock"}
    monkeypatch.setattr(root, "SUITE", "another")
    root.ready()
    assert len(made) == 3


def test_a_failing_command_is_told_in_one_line(root):
    with pytest.raises(UserError, match=r"failed \(3\): first / second$"):
        root.run([sys.executable, "-c", "print('first'); print('second'); raise SystemExit(3)"])


def test_which_files_and_texts(check, tmp_path):
    (tmp_path / "metadata.json").write_text('{"version": 1, "models": {}}')
    with pytest.raises(UserError, match="knows no .tflite file"):
        check.files_of(tmp_path)
    (tmp_path / "metadata.json").write_text('{"version": 1, "models": {"b.tflite": {}, "a.tflite": {}}}')
    assert check.files_of(tmp_path) == [tmp_path / "b.tflite", tmp_path / "a.tflite"]
    assert check.files_of(tmp_path / "a.tflite") == [tmp_path / "a.tflite"]
    (tmp_path / "dev.tsv").write_text("text\tlabel\n" + "".join(f"text {i}\tanything\n" for i in range(10)))
    source, rows = check.texts_for(TASK, str(tmp_path / "dev.tsv"), 4)
    assert source == "dev.tsv" and rows.text == ["text 0", "text 3", "", ".", "text 6", "text 9"]
    assert set(rows.label) == {-1}, "labels of another task would not fit"
    score = Task("toy", "regression", (), "pearson", ("pearson",), columns=Columns(("text",), "text_b"))
    assert np.isnan(unlabelled(score, ["a"], ["b"]).label).all()


def test_both_sides_answer_by_predict_s_own_code(check, monkeypatch, tmp_path):
    class Fake:
        task = TASK

        def scores(self, rows: Rows) -> np.ndarray:
            return np.array([[len(t), 0.1] for t in rows.text], np.float32)

    monkeypatch.setattr(check.Runner, "load_file", lambda path: Fake())
    (tmp_path / "texts.json").write_text('{"models": ["a.tflite"], "text": ["é", ""], "text_b": null}')
    check.answer_in(tmp_path)
    there = check.json.loads((tmp_path / "answer.json").read_text())
    assert there == check.answer([Path("a.tflite")], ["é", ""], None), "no digit is lost on the way"
    assert there["scores"]["a.tflite"][0][1] == float(np.float32(0.1))


def test_how_it_judges(check, capsys):
    rows = unlabelled(TASK, ["a"] * 4, None)
    want = [[0.2, 0.8], [0.7, 0.3], [0.505, 0.495], [0.1, 0.9]]

    def verdict(fmt: str, **changed: list[float]) -> int:
        got = [changed.get(f"row{i}", row) for i, row in enumerate(want)]
        here, there = ({"machine": "m", "litert": "1", "scores": {"x.tflite": s}} for s in (want, got))
        return check.judge(TASK, rows, {"x.tflite": fmt}, here, there)

    assert verdict("tflite_float32") == 0
    assert "score 0, of a logit 0; same label on 4 of 4 texts" in capsys.readouterr().out
    assert verdict("tflite_float32", row0=[0.201, 0.799]) == 1, "more than float32 may differ"
    assert "DISAGREES: x.tflite" in capsys.readouterr().out
    assert verdict("tflite_dynamic", row0=[0.21, 0.79]) == 0
    assert verdict("tflite_int8", row2=[0.495, 0.505]) == 0, "a close call"
    assert "same label on 3 of 4" in capsys.readouterr().out
    assert verdict("tflite_int8", row1=[0.4, 0.6]) == 1
    rows, want = unlabelled(TASK, ["a"] * 120, None), 30 * want
    assert verdict("tflite_int8", row1=[0.4, 0.6]) == 0, "one clear label of 90: export allows that"
    assert verdict("tflite_dynamic", row1=[0.4, 0.6]) == 1
