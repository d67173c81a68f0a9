"""Lists the commands, or runs one: python -m kd_keras train --task=sst2 is python -m kd_keras.train --task=sst2.

python -m kd_keras [COMMAND [--help] …]
"""

from __future__ import annotations

import ast
import os
import runpy
import signal
import sys
from pathlib import Path

from kd_keras.common.errors import did_you_mean

_HELP = ("-h", "-?", "-help", "--help", "help")


def _files() -> dict[str, Path]:
    folder = Path(__file__).parent
    found = {path.stem: path for path in folder.glob("[!_]*.py")}
    return found | {path.parent.name: path for path in folder.glob("*/__main__.py")}


def commands() -> dict[str, str]:
    """Name → first line of its docstring. The files are read, not imported."""
    docs = {name: ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) for name, path in _files().items()}
    return {name: (docs[name] or "").partition("\n")[0] for name in sorted(docs)}


def overview(called: str) -> str:
    """Every command with its purpose. ``called`` is the name by which the user calls this one."""
    known = commands()
    width = max(map(len, known))
    lines = [f"  {name:<{width}}  {about}" for name, about in known.items()]
    return "\n".join([f"{called} COMMAND …", "", *lines, "", f"{called} COMMAND --help lists the flags of a command."])


def main() -> None:
    """Runs the command that the first argument names, as ``python -m kd_keras.COMMAND`` does."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # until the command sets its own handler
        signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    name = sys.argv[1] if len(sys.argv) > 1 else "help"
    if name in _HELP:
        print(overview("python -m kd_keras" if Path(sys.argv[0]).name == "__main__.py" else Path(sys.argv[0]).name))
        return
    known = sorted(_files())
    if name not in known:
        hint = did_you_mean(name, known) or f" There are {', '.join(known)}."
        print(f"error: {name}: no such command.{hint}", file=sys.stderr)
        sys.exit(2)
    del sys.argv[1]
    runpy.run_module(f"kd_keras.{name}", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
