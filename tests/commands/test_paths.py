"""Paths and outputs of a command, as a shell hands them over: right, or one line before TensorFlow."""

from __future__ import annotations

import json
import os
import stat

import pytest


@pytest.fixture(scope="module")
def home(tmp_path_factory, make_run):
    """A home folder with a run called "my [run] 100%:1" and some text."""
    home = tmp_path_factory.mktemp("home")
    os.rename(make_run().folder, home / "my [run] 100%:1")
    (home / "in.txt").write_text("good film\nan awful plot é\n")
    (home / "there.jsonl").write_text("old")
    (home / "there.jsonl").chmod(0o600)
    (home / "link.jsonl").symlink_to("there.jsonl")
    (home / "folder").mkdir()
    return home


MODEL = "--model_dir=~/my [run] 100%:1"
REFUSED = {
    "over its input": (["--input=~/in.txt", "--output=~/in.txt"], "is the file that --input reads"),
    "a folder": (["--input=~/in.txt", "--output=~/folder"], "is a folder, expected a file"),
    "a folder to be": (["--input=~/in.txt", "--output=~/new/"], "is a folder, expected a file"),
    "a pseudo file": (["--input=~/in.txt", "--output=/proc/x"], "nothing can be written in /proc"),
    "an address": (["--input=file:///etc/hosts"], "--input=file:///etc/hosts: is an address"),
    "nobody": (["--input=~nobody-of-this-name/x"], "no user 'nobody-of-this-name'"),
    "text that is no UTF-8": (["caf\udce9"], "not UTF-8 (byte 0xe9 at position 4)"),
    "a flagfile of none": (["--flagfile=~/none.txt"], "none.txt: cannot be read"),
}


@pytest.fixture(scope="module")
def answers(home, run_verb):
    cases = {name: [MODEL, *words] for name, (words, _) in REFUSED.items()}
    cases["good"] = [MODEL, "--input=~/in.txt", "--output=~/link.jsonl"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        return dict(zip(cases, run_verb("predict", *cases.values()), strict=True))


@pytest.mark.parametrize("name", list(REFUSED))
def test_one_line_before_tensorflow(answers, name):
    answer = answers[name]
    (line,) = answer["err"].splitlines()
    assert answer["code"] == 2 and not answer["tf"] and not answer["out"] and REFUSED[name][1] in line, answer


def test_home_links_and_modes(home, answers):
    assert answers["good"]["code"] == 0, answers["good"]["err"]
    lines = [json.loads(line) for line in (home / "there.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["text"] for line in lines] == ["good film", "an awful plot é"]
    assert (home / "link.jsonl").is_symlink() and stat.S_IMODE((home / "there.jsonl").stat().st_mode) == 0o600
    here = ["folder", "in.txt", "link.jsonl", "my [run] 100%:1", "there.jsonl"]
    assert sorted(n for n in os.listdir(home) if n[0] != "." or ".tmp" in n) == here


def test_json_for_a_terminal_of_ascii_is_json(home, run_python):
    code = (
        "import sys; sys.stdout.reconfigure(encoding='ascii'); sys.argv[:] = ['predict', *sys.argv[1:]]\n"
        "from kd_keras import predict; predict.cli.run(predict.main)"
    )
    done = run_python("-c", code, f"--model_dir={home / 'my [run] 100%:1'}", "é 😀 good")
    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii() and json.loads(done.stdout)["text"] == "é 😀 good"
