"""What --help shows of every command, and the command that lists and runs the others."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from kd_keras.__main__ import commands

ROOT = Path(__file__).resolve().parents[2]
HEADING = re.compile(r"^(\w[\w. -]*):$", re.MULTILINE)
FLAG = re.compile(r"^  (?:-\S,)?--(?:\[no\])?(\w+):", re.MULTILINE)


def ask(*words: str, code: int = 0) -> str:
    done = subprocess.run([sys.executable, "-m", *words], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == code, done.stderr
    return done.stdout or done.stderr


def groups(page: str) -> dict[str, list[str]]:
    """Heading → its flags."""
    _, *parts = HEADING.split(page.partition("\nflags:\n")[2])
    return {name: FLAG.findall(text) for name, text in zip(parts[::2], parts[1::2], strict=True)}


@pytest.mark.parametrize("verb", sorted(commands()))
def test_the_first_screen_is_short_and_all_flags_are_in_groups(verb):
    code = (
        "import runpy, sys; from absl import flags; from kd_keras.common import config, help_pages\n"
        "sys.argv[:] = ['x', '--help']\n"
        f"try: runpy.run_module('kd_keras.{verb}', run_name='__main__', alter_sys=True)\n"
        "except SystemExit as e: print('END', e.code, 'tensorflow' in sys.modules)\n"
        "print([m for m in flags.FLAGS.flags_by_module_dict() if m not in config.GROUPS and m[:5] != 'absl.'])\n"
        "print('END', help_pages.page(flags.FLAGS, 'about', True))\n"
    )
    short, end, full = ask_code(code).split("END ")
    assert end.splitlines() == ["0 False", "[]"]
    assert short.startswith(commands()[verb] + "\n")
    assert short.count("\n") <= 62, short
    assert max(map(len, short.splitlines())) <= 80, short
    few, many = groups(short), groups(full)
    assert few.keys() <= many.keys() and all(set(few[name]) <= set(many[name]) for name in few)
    ours = {name: found for name, found in many.items() if not name.startswith("absl.")}
    shown, every = (sum(map(len, each.values())) for each in (few, ours))
    assert 3 <= shown <= 15, few
    last = short.strip().splitlines()[-1]
    assert last == (f"{shown} of {every} flags; --helpfull shows all." if shown < every else last)
    assert "--helpfull" in last and "flagfile" in many["absl.flags"] and "help" in many["absl.app"]


def ask_code(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_commands_are_listed_without_being_imported():
    code = (
        "import sys; sys.argv = ['kd-keras']; from kd_keras.__main__ import main; main()\n"
        "print(sorted(m for m in sys.modules if m.startswith('kd_keras.') and m.count('.') == 1))\n"
        "print([m for m in ('numpy', 'absl', 'tensorflow', 'transformers') if m in sys.modules])\n"
    )
    *page, ours, heavy = ask_code(code).splitlines()
    assert ours == "['kd_keras.__main__', 'kd_keras.common']" and heavy == "[]"
    assert page[0] == "kd-keras COMMAND …" and max(map(len, page)) <= 80
    listed = {name: about for name, _, about in (line.strip().partition("  ") for line in page if line[:1] == " ")}
    assert {name: about.strip() for name, about in listed.items()} == commands()
    assert {"train", "tasks", "predict"} <= set(listed) and all(commands().values())
    folder = ROOT / "kd_keras"
    assert len(listed) == len(list(folder.glob("[a-z]*.py"))) + len(list(folder.glob("*/__main__.py")))


def test_a_command_runs_by_its_name():
    assert (
        ask("kd_keras").splitlines()[0] == "python -m kd_keras COMMAND …" == ask("kd_keras", "--help").splitlines()[0]
    )
    assert ask("kd_keras", "label", "--help") == ask("kd_keras.label", "--help")
    full = ask("kd_keras.label", "--helpfull")
    assert groups(full)["teacher"][0] == "hidden" and "flagfile" in groups(full)["absl.flags"]
    error = ask("kd_keras", "label", "--inptu=x", code=2)
    assert error == ask("kd_keras.label", "--inptu=x", code=2) and "Unknown command line flag 'inptu'" in error


def test_an_unknown_command_names_near_ones():
    assert ask("kd_keras", "trian", code=2).startswith("error: trian: no such command. Did you mean train")
    assert "There are benchmark, compress," in ask("kd_keras", "qqq", code=2)
