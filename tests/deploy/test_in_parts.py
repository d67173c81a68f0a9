"""Rows part by part are the same rows."""

from __future__ import annotations

import pytest

from kd_keras.common.columns import StringsOnDisk
from kd_keras.deploy import in_parts as module
from kd_keras.deploy.in_parts import in_parts
from kd_keras.tasks import Columns, Task


@pytest.mark.parametrize("count", [0, 1, 3, 4, 7])
@pytest.mark.parametrize("kind", ["single", "pair"])
@pytest.mark.parametrize("strings", [list, StringsOnDisk])
def test_parts_are_the_rows_in_order(monkeypatch, capsys, count, kind, strings):
    monkeypatch.setattr(module, "ROWS", 3)
    columns = Columns(("a",), "b") if kind == "pair" else Columns(("a",))
    task, texts = Task("toy", kind, ("a", "b"), columns=columns), [f"text {n}" for n in range(count)]
    rows = task.rows(strings(texts), strings(texts[::-1]) if kind == "pair" else None)
    parts = list(in_parts(rows, "predicting"))
    assert [len(p) for p in parts] == [3] * (count // 3) + [count % 3] * (count % 3 > 0)
    for name in ("text", "text_b", "ids"):
        found = [x for p in parts for x in getattr(p, name) or ()]
        assert found == list(getattr(rows, name) or ())
    assert [x for p in parts for x in p.label.tolist()] == rows.label.tolist()
    assert ("predicting: 100%" in capsys.readouterr().err) == (count > 3)
