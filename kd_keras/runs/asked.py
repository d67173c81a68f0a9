"""The text that a teacher is asked about, read as the files of the run that made the teacher."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from kd_keras.common import files
from kd_keras.common.layout import RunLayout
from kd_keras.common.progress import say
from kd_keras.runs.finished import FinishedRun
from kd_keras.tasks import Columns, FileSettings, Rows, Task, read_texts
from kd_keras.tasks.tagging_sources import tagging


def run_of_teacher(folder: str | Path) -> FinishedRun | None:
    """The run, finished or not, whose RUN/teacher (or RUN/teacher-2, …) the folder is; None if it is of none."""
    layout = RunLayout(Path(folder).absolute().parent)
    if Path(folder).absolute() not in layout.every_teacher() or not layout.task.is_file():
        return None
    return FinishedRun(layout, Task.from_json(files.read_json(layout.task)))


def texts_for(
    teacher: str | Path, made: dict, path: str, columns: tuple[str | None, str | None], how: FileSettings
) -> Rows:
    """The rows of ``path`` for a fine-tuned teacher.

    Args:
      teacher: its folder.
      made: its teacher.json.
      path: a file, or "-".
      columns: of the text and of a pair's second text, as flags name them; None: the run's own, else a usual one.
      how: how the file is written.

    Raises:
      UserError: it cannot be read, or lacks a column.
    """
    run, own, name = run_of_teacher(teacher), Columns(), "label"
    if run is not None:
        how, own, name = run.files_like(path, how), run.task.columns, run.task.name
    if made.get("tagging"):
        task = tagging(name, [name.removeprefix("B-") for name in made["labels"][1::2]], (), "what the teacher tags")
        return read_texts(path, columns[0], task=replace(task, columns=own), files=how)
    if run is None and (pair := made.get("pair")):
        own = Columns(tuple(pair[:-1]), pair[-1])
    texts = own.pair() or list(own.text)
    if columns == (None, None) and texts != ["text"]:
        say(f"a table's text is read from the run's own columns, if they are there: {', '.join(texts)}")
    task = Task(name, "pair" if own.text_b else "single", (), columns=own)
    return read_texts(path, *columns, task, on_disk=True, files=how)
