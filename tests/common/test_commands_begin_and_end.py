"""How commands begin and end, whatever the streams, the locale and the words that they get."""

from __future__ import annotations

import os
import shlex
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from kd_keras.common import cli, flagfiles
from kd_keras.common.config import Checked, path_setting
from kd_keras.common.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
SAYS = "from kd_keras.common import cli\ndef main(argv):\n    print('1 \\u2026 \\xb1 \\u2265')\ncli.run(main)\n"


def shell(script: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess:
    """bash's exit code is that of the first command of a pipe."""
    there = os.environ | {"PYTHONPATH": str(ROOT), "PY": sys.executable, "SAYS": SAYS} | environment
    return subprocess.run(["bash", "-c", script], cwd=cwd, env=there, capture_output=True, timeout=120)


def test_a_terminal_of_ascii_shows_what_it_can(tmp_path):
    for environment in ({"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}):
        done = shell('"$PY" -c "$SAYS"', tmp_path, **environment)
        assert (done.returncode, done.stderr) == (0, b"") and done.stdout.startswith(rb"1 \u2026 \xb1"), done


@pytest.mark.parametrize(
    ("script", "code", "said"),
    [
        ('LC_ALL=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0 "$PY" -c "$SAYS" \'é\'', 2, b"set PYTHONUTF8=1"),
        ('"$PY" -c "$SAYS" >&-', 0, b""),
        ('"$PY" -c "$SAYS" <&- >&- 2>&-', 0, b""),
        ('"$PY" -c "$SAYS" | true; exit ${PIPESTATUS[0]}', 0, b""),
        ('"$PY" -c "$SAYS" --help | true; exit ${PIPESTATUS[0]}', 0, b""),
        ('"$PY" -c "$SAYS" > full', 2, b"error: standard output: cannot be written (No space left on device)\n"),
        ('"$PY" -c "$SAYS" $\'--caf\\xe9\'', 2, b"not UTF-8 (byte 0xe9 at position 6)"),
        ('"$PY" -c "$SAYS" $\'text \\xe9\'', 2, b"error: argument=text \\udce9: not UTF-8 (byte 0xe9 at position 6)"),
        ('"$PY" -c "$SAYS" $\'--v=\\xff\'', 2, b"error: --v=\\udcff: not UTF-8 (byte 0xff at position 1)"),
    ],
)
def test_streams_and_words(tmp_path, script, code, said):
    if "full" in script:
        try:
            os.mknod(tmp_path / "full", 0o600 | stat.S_IFCHR, os.makedev(1, 7))
            open(tmp_path / "full", "wb").close()
        except OSError as e:
            pytest.skip(f"no device nodes here: {e}")
    done = shell(script, tmp_path)
    assert done.returncode == code and b"Traceback" not in done.stderr and b"Exception" not in done.stderr, done
    assert said in done.stderr if said else not done.stderr, done


def test_an_early_interrupt_is_quiet(tmp_path):
    """While Python imports a command: one that sends it to itself as soon as the package is there."""
    (tmp_path / "sitecustomize.py").write_text(
        "import signal, sys\n"
        "class Sends:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'absl':\n"
        "            signal.raise_signal(signal.SIGINT)\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "sys.meta_path.insert(0, Sends())\n"
    )
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    for verb in ("predict", "tasks"):
        done = subprocess.run([sys.executable, "-m", f"kd_keras.{verb}"], env=environment, capture_output=True)
        assert (done.returncode, done.stdout, done.stderr) == (130, b"", b""), done
    # Whoever imports the package keeps the handler that they have.
    code = "import signal; was = signal.getsignal(signal.SIGINT); import kd_keras; assert signal.getsignal(2) == was"
    subprocess.run([sys.executable, "-c", code], env=environment | {"PYTHONPATH": str(ROOT)}, check=True)


def test_flagfiles(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "inner.txt").write_bytes(b"\xef\xbb\xbf--a=\xc3\xa4\r\n# a comment\n\n// another\n  --b=1 2  \n")
    (tmp_path / "outer.txt").write_text("--c=3\n--flagfile=~/inner.txt\n--d\n")
    words = ["text", "--flagfile", "~/outer.txt", "--e", "--", "--flagfile=none"]
    assert flagfiles.expanded(words) == ["text", "--c=3", "--a=ä", "--b=1 2", "--d", "--e", "--", "--flagfile=none"]
    assert flagfiles.expanded(["--flagfile=~/inner.txt"] * 2) == ["--a=ä", "--b=1 2"] * 2, "twice is no circle"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"--a=1\n--b=na\xefve\n", r"flags.txt, line 2: not UTF-8 \(byte 0xef at position 7\)"),
        ("--a=1\n".encode("utf-16"), "is UTF-16, expected UTF-8"),
        ("--a=1\n".encode("utf-16-le"), "line 1: has a NUL character"),
        (b"--flagfile=other.txt\n", "includes itself"),
        (b"--flagfile=none.txt\n", "none.txt: cannot be read .no such file"),
        (b"--flagfile=.\n", "cannot be read .is a directory"),
        (b"--flagfile=\n", "--flagfile=FILE is needed"),
        (b"--flagfile\n", "--flagfile=FILE is needed"),
    ],
)
def test_flagfiles_that_are_none(tmp_path, monkeypatch, content, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other.txt").write_text("--flagfile=flags.txt\n")
    (tmp_path / "flags.txt").write_bytes(content)
    with pytest.raises(UserError, match=said):
        flagfiles.expanded(["--flagfile=flags.txt"])


def test_a_command_to_copy_survives_the_shell(tmp_path):
    for name in ("my run", "it's", 'a "b"', "$HOME", "`ls`", "~x", "a;b&c|d", "(1)", "ä*?[1]", "-x", "a\\b", "!1"):
        said = cli.command("predict", model_dir=name, input="x")
        assert shlex.split(said) == ["python", "-m", "kd_keras.predict", f"--model_dir={name}", "--input=x"]
        got = shell(f'python() {{ printf "%s\\0" "$@"; }}; {said}', tmp_path).stdout
        assert got.decode().split("\0")[2] == f"--model_dir={name}"


def test_a_notebook_gets_the_same_paths(tmp_path, monkeypatch):
    import dataclasses

    from kd_keras.augment.settings import UnlabeledSettings
    from kd_keras.runs.settings import JobSettings
    from kd_keras.tasks import TaskSettings

    monkeypatch.setenv("HOME", str(tmp_path))
    assert TaskSettings(train_file=Path("~/a.csv")).train_file == f"{tmp_path}/a.csv"
    assert JobSettings(output_dir="~/x").output_dir == f"{tmp_path}/x"
    assert UnlabeledSettings(unlabeled_files="~/a*.txt, ~/b,c").unlabeled_files == f"{tmp_path}/a*.txt, {tmp_path}/b,c"
    with pytest.raises(UserError, match="--unlabeled_files=s3://a: is an address"):
        UnlabeledSettings(unlabeled_files="b,s3://a")
    with pytest.raises(UserError, match=r"--text_column=a\\udcff: not UTF-8"):
        TaskSettings(text_column="a\udcff")

    @dataclasses.dataclass(frozen=True)
    class Own(Checked):
        file: str = path_setting("~/d", "a file")

    assert Own().file == f"{tmp_path}/d"
