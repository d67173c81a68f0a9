"""A finished run's dev split, found again by the run's own flags."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from kd_keras.common import files
from kd_keras.common.errors import UserError
from kd_keras.common.layout import RunLayout
from kd_keras.tasks import Rows, Task, TaskSettings, has_label, load, read_labelled, resolve


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
        source, rows = "dev split", _dev(RunLayout(Path(model_dir)), data_dir)
    if not has_label(rows).any() or not any(rows.text):
        raise UserError(f"{source}: has no labelled text to measure on")
    return source, rows


def task_settings(flags_text: str) -> TaskSettings:
    """What a run's flags.txt says of its task; other flags are none of our business."""
    known = {f.name: f.default for f in dataclasses.fields(TaskSettings)}
    given: dict[str, str | bool] = {}
    for line in flags_text.splitlines():
        name, equals, value = line.removeprefix("--").partition("=")
        if not line.startswith("--"):
            continue
        if equals and name in known:
            given[name] = value
        elif isinstance(known.get(name), bool):
            given[name] = True
        elif name.startswith("no") and isinstance(known.get(name[2:]), bool):
            given[name[2:]] = False
    return TaskSettings(**given)


def _dev(layout: RunLayout, data_dir: str | None) -> Rows:
    advice = "--data_dir=DIR says where the data is now, --data_file=FILE takes a labelled file instead"
    for path in (layout.flags, layout.run):
        if not path.is_file():
            raise UserError(f"{layout.root}: has no {path.name}, so its dev split cannot be found; {advice}")
    settings = task_settings(layout.flags.read_text(encoding="utf-8"))
    if data_dir:
        settings = dataclasses.replace(settings, data_dir=data_dir)
    try:
        data = load(resolve(settings), settings.data_dir, settings.on_bad_row)
    except UserError as e:
        raise UserError(f"the run's dev split cannot be read ({e}); {advice}") from None
    if data.fingerprint != files.read_json(layout.run).get("data"):
        raise UserError(f"{data.source}: is not the data that this run was trained on; {advice}")
    return data.dev
