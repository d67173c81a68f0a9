"""What people read: lines and tables that fit a terminal, and bars on a terminal and in a log."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import select
import struct
import sys
import termios

import pytest

from kd_keras.common import progress as bars
from kd_keras.common import screen
from kd_keras.common.markdown import markdown_table, width
from kd_keras.common.screen import fitted

TABLE = markdown_table(
    ["", "dev accuracy", "dev f1", "test accuracy", "parameters"],
    [["linear", "90.00", "80.00", "70.00", ""], ["student, distilled", "91.00 ± 0.50", "81.00", "71.00", "1.23 M"]],
)


def cells(text: str) -> list[list[str]]:
    return [[c.strip() for c in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]


def test_lines_are_folded_between_words_and_commands_stay_whole():
    command = "  python -m kd_keras.train --flagfile=saved_models/custom/run-12345678/flags.txt --alpha=0.5"
    said = f"teacher: {'a word ' * 15}--learning_rate=0.5\n{command}\nshort\n"
    lines = fitted(said, 40).split("\n")
    assert command in lines and lines[-2:] == ["short", ""]
    folded = lines[: lines.index(command)]
    assert all(width(line) <= 40 for line in folded) and folded[0].startswith("teacher: ")
    assert " ".join(" ".join(folded).split()) == said.split("\n")[0]
    assert all(line.startswith("  ") for line in folded[1:])


@pytest.mark.parametrize("room", [200, 60, 44, 30])
def test_a_wide_table_becomes_several_and_keeps_every_cell(room):
    text = fitted(f"scores:\n{TABLE}\nthat is all", room)
    lines = text.splitlines()
    assert lines[0] == "scores:" and lines[-1] == "that is all"
    if room == 200:
        assert text == f"scores:\n{TABLE}\nthat is all"
        return
    found: dict[tuple[str, str], str] = {}
    for part in "\n".join(lines[1:-1]).split("\n\n"):
        assert len({len(line) for line in part.splitlines()}) == 1
        assert room == 30 or max(map(width, part.splitlines())) <= room, "one column more than the first is the least"
        head, _, *rows = cells(part)
        found |= {(row[0], name): cell for row in rows for name, cell in zip(head[1:], row[1:], strict=True)}
    head, _, *rows = cells(TABLE)
    want = {(row[0], name): cell for row in rows for name, cell in zip(head[1:], row[1:], strict=True) if cell}
    assert {k: v for k, v in found.items() if v} == want
    if room == 30:
        assert ("linear", "parameters") not in found, "a row without a cell goes"


def test_a_stream_that_is_no_terminal_gets_lines_as_they_are():
    stream = io.StringIO()
    assert screen.columns(stream) is None
    screen.show(TABLE + "\n" + "word " * 40, stream)
    assert stream.getvalue() == TABLE + "\n" + "word " * 40 + "\n"


@pytest.fixture
def terminal(monkeypatch):
    """(columns) → what reads all that was written to standard error, a terminal of so many columns."""
    opened = []

    def make(columns: int):
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        stream = os.fdopen(theirs, "w")
        opened.append((ours, stream))
        monkeypatch.setattr(sys, "stderr", stream)

        def read() -> str:
            stream.flush()
            said = b""
            while select.select([ours], [], [], 0.2)[0]:
                said += os.read(ours, 1 << 16)
            return said.decode()

        return read

    yield make
    for ours, stream in opened:
        stream.close()
        os.close(ours)


@pytest.mark.parametrize("columns", [120, 80, 60, 20])
def test_a_live_bar_leaves_whole_parts_out(terminal, columns):
    read = terminal(columns)
    with bars.progress(4800, "no distillation, seed 1", "updates") as bar:
        bar.update(4800)
        bar.set_postfix_str("dev accuracy 0.9333, loss 1.5221")
    last = [part.strip() for part in read().split("\r") if part.strip()][-1]
    assert len(last) < columns
    parts = last.removeprefix("no distillation, seed 1: ").split(", ")
    if columns > 20:
        assert parts[0] == "100%" and "dev accuracy 0.9333" in parts
        known = {"100%", "4,800 of 4,800 updates", "dev accuracy 0.9333", "loss 1.5221"}
        assert all(part in known or part.startswith("00:0") for part in parts), "no part is cut in two"
    assert ("loss 1.5221" in parts) == (columns > 100)


def test_a_bar_inside_another_leaves_no_line(terminal):
    read = terminal(80)
    with bars.progress(1, "accuracy", "models") as outer:
        with bars.progress(3, "teacher", "texts") as inner:
            inner.update(3)
        outer.update(1)
    said = read()
    assert said.rstrip("\r\n").split("\r")[-1].startswith("accuracy: 100%") and said.count("\n") <= 4


def test_a_log_gets_first_and_last_line_and_one_now_and_then(monkeypatch):
    clock, log = [0.0], io.StringIO()
    monkeypatch.setattr(bars.time, "monotonic", lambda: clock[0])
    lines = bars._Lines(log)
    for second in range(0, 20_001, 2):
        clock[0] = float(second)
        lines.write(f"\rdistilled, seed 1: {second}   ")
    lines.write("")
    lines.write("\rdistilled, seed 1: done")
    lines.write("\n")
    said = log.getvalue().splitlines()
    assert said[:3] == [f"distilled, seed 1: {n}" for n in (0, 10, 20)] and said[-1] == "distilled, seed 1: done"
    assert 100 < len(said) < 130, "an hour more costs few lines"


def test_say_folds_on_a_terminal_alone(terminal, capsys):
    text = "teacher: " + "word " * 30
    bars.say(text)
    assert capsys.readouterr().err == text + "\n"
    read = terminal(60)
    bars.say(text)
    assert all(len(line.rstrip("\r")) <= 60 for line in read().split("\n"))


def test_a_narrow_column_has_a_rule_that_is_one():
    lines = markdown_table(["a", "#"], [["正", "1"]]).splitlines()
    assert lines[1] == "| -- | -: |"
