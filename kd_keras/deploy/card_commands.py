"""The commands that made a model card's files, without one machine's paths."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import Path, PurePath

from kd_keras.tasks import Task

# An absolute path, or a path from a home folder, in running text. The // of an address is none.
_PATH = re.compile(r"(?<![\w.~:/)-])~?/[^\s,;:'\"()]+")


def made_by(task: Task, models: Mapping[str, dict], flags: str, arm: str | None, usual: int) -> str:
    """The commands that make the files again.

    Args:
      arm: if it is not the kept one.
      usual: tokens that an unrolled file reads without ``--tflite_length``.
    """
    formats = ",".join(entry["format"] for entry in models.values())
    calibration = " --calibration_file=TEXTS" if any(e["precision"] == "int8" for e in models.values()) else ""
    lengths = {entry["length"] for entry in models.values() if entry.get("length")}
    length = f" --tflite_length={max(lengths)}" if lengths and max(lengths) != usual else ""
    of = f" {shlex.quote(f'--arm={arm}')}" if arm else ""
    export = f"python -m kd_keras.export --model_dir=RUN{of} --formats={formats}{length}{calibration}"
    given = [line for line in flags.splitlines() if line.startswith("--")]
    if not flags:
        return export
    if not task.is_text and not any(line.startswith("--task=") for line in given):
        given.insert(0, f"--task={task.name}")
    verb = "pretrain" if task.is_text else "train"
    train = " \\\n    ".join([f"python -m kd_keras.{verb}", *map(_flag, given)])
    return f"{train}\n{export}"


def _flag(line: str) -> str:
    """A line of flags.txt for a shell, without its files and folders."""
    name, equals, value = line.partition("=")
    if not equals:
        return line
    endings = {"FILE": ("_file", "_files", "vectors", "teacher_signals"), "DIR": ("_dir", "signals")}
    kind = next((kind for kind, ends in endings.items() if name.endswith(ends)), "")
    if not kind and re.search(r"[/~]", value):
        kind = "PATH"
    return f"{name}={kind or shlex.quote(value)}"


def public(text: str) -> str:
    """``text`` with each absolute path cut to its last part."""
    return _PATH.sub(lambda found: PurePath(found[0]).name, text)


def checkpoint_name(name: str) -> str:
    """A teacher's name without the folders that it lies in; a model hub's "owner/name" stays whole.

    >>> checkpoint_name("/home/me/my models/bert"), checkpoint_name("google/bert_uncased_L-2_H-128_A-2")
    ('bert', 'google/bert_uncased_L-2_H-128_A-2')
    """
    parts = [part for part in re.split(r"[/\\]", name) if part]
    of_hub = (
        name == "/".join(parts) and len(parts) == 2 and parts[0] not in (".", "..", "~") and not Path(name).is_dir()
    )
    return name if of_hub else parts[-1] if parts else name
