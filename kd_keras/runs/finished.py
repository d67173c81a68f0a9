"""A finished run's data, found again by the run's own flags."""

from __future__ import annotations

import dataclasses
import typing
from pathlib import Path

from kd_keras.common import files
from kd_keras.common.errors import UserError
from kd_keras.common.layout import RunLayout
from kd_keras.tasks import Rows, Task, TaskData, TaskSettings, has_label, load_data, read_labelled

_ADVICE = "--data_dir=DIR says where the data is now"
_FILE = "--data_file=FILE takes a labelled file instead"


def dev_rows(
    model_dir: str | Path, task: Task, data_dir: str | None = None, data_file: str | None = None
) -> tuple[str, Rows]:
    """Where the rows are from, and the rows: the run's dev split, or ``data_file``.

    Args:
      model_dir: the run folder.
      task: of the run.
      data_dir: instead of the run's own.
      data_file: a labelled file instead of the dev split.

    Raises:
      UserError: the data is not there any more, is other data than the run's, or has no labels.
    """
    if data_file:
        source, rows = Path(data_file).name, read_labelled(data_file, task, flag="--data_file")
    else:
        source, rows = "dev split", run_data(model_dir, data_dir, f"{_ADVICE}, {_FILE}").dev
    if not has_label(rows).any() or not any(rows.text):
        raise UserError(f"{source}: has no labelled text to measure on")
    return source, rows


def task_settings(flags_text: str) -> TaskSettings:
    """What a run's flags.txt says of its task; other flags are none of our business."""
    known = {f.name: f.default for f in dataclasses.fields(TaskSettings)}
    kinds = typing.get_type_hints(TaskSettings)
    given: dict[str, str | int | bool] = {}
    for line in flags_text.splitlines():
        name, equals, value = line.removeprefix("--").partition("=")
        if not line.startswith("--"):
            continue
        if equals and name in known:
            given[name] = int(value) if int in (kinds[name], *typing.get_args(kinds[name])) else value
        elif isinstance(known.get(name), bool):
            given[name] = True
        elif name.startswith("no") and isinstance(known.get(name[2:]), bool):
            given[name[2:]] = False
    return TaskSettings(**given)


def run_data(model_dir: str | Path, data_dir: str | None = None, advice: str = _ADVICE) -> TaskData:
    """The data that a run was trained on.

    Args:
      model_dir: the run folder.
      data_dir: instead of the run's own.
      advice: ends every error.

    Raises:
      UserError: the data is not there any more, or is other data than the run's.
    """
    layout = RunLayout(Path(model_dir))
    for path in (layout.flags, layout.run):
        if not path.is_file():
            raise UserError(f"{layout.root}: has no {path.name}, so its data cannot be found; {advice}")
    settings = task_settings(layout.flags.read_text(encoding="utf-8"))
    if data_dir:
        settings = dataclasses.replace(settings, data_dir=data_dir)
    try:
        data = load_data(settings)
    except UserError as e:
        raise UserError(f"the run's data cannot be read ({e}); {advice}") from None
    if data.fingerprint != files.read_json(layout.run).get("data"):
        raise UserError(f"{data.source}: is not the data that this run was trained on; {advice}")
    return data
