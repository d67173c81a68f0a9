"""What to do after a run: commands to copy. A report has them at its top, the screen at its end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kd_keras.common.cli import command
from kd_keras.tasks import Task

# Purpose and command.
Step = tuple[str, str]


def for_report(steps: Sequence[Step]) -> str:
    """A section of Markdown. Empty if there is nothing to do.

    Example:
      >>> print(for_report([("try it", "python -m kd_keras.predict --model_dir=RUN 'a text'")]))
      ## Next
      <BLANKLINE>
      ```
      # try it
      python -m kd_keras.predict --model_dir=RUN 'a text'
      ```
    """
    return "\n".join(["## Next", "", "```", *_lines(steps), "```"]) if steps else ""


def for_screen(steps: Sequence[Step]) -> str:
    """The same for the screen. The space before a command keeps it on one line (``screen.fitted``)."""
    return "\n".join(["next:", *(f"  {line}" for line in _lines(steps))]) if steps else ""


def _lines(steps: Sequence[Step]) -> list[str]:
    return [line for what, said in steps for line in (f"# {what}", said)]


def with_student(folder: Path, task: Task) -> list[Step]:
    """Steps with a student of labels: ask it, make files for a phone, measure them."""
    second = ' --text_b="…"' if task.is_pair else ""
    return [
        ("try it", f'{command("predict", model_dir=folder)} "…"{second}'),
        ("make the files for a phone", command("export", model_dir=folder)),
        ("measure size, score and speed of each file, beside the teacher", command("benchmark", model_dir=folder)),
    ]


def with_vectors(folder: Path) -> list[Step]:
    """Steps with a universal student: make vectors, and start students of tasks from it."""
    return [
        ("try it", f'{command("embed", model_dir=folder)} "…" "…"'),
        ("start the student of a task from it", command("train", student_from=folder, task="TASK")),
        ("make the files for a phone", command("export", model_dir=folder)),
    ]
