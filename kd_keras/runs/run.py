"""The whole job: teacher → signals → student inputs → arms (baseline and distilled, each seed) → scores → report.

Every step finds what an earlier run of the same command finished, and continues from there.
"""

from __future__ import annotations

from kd_keras.common import files
from kd_keras.common.progress import say
from kd_keras.common.team import is_chief
from kd_keras.runs.augmentation_grid import run_augmentation_grid
from kd_keras.runs.choice import choose
from kd_keras.runs.given import given_set
from kd_keras.runs.inputs import prepare
from kd_keras.runs.job import Run, begin
from kd_keras.runs.more_text import more_text, rest_set
from kd_keras.runs.plans import main_arms
from kd_keras.runs.recipe_grid import run_recipe_grid
from kd_keras.runs.report import write_report
from kd_keras.runs.train import train_arms
from kd_keras.tasks.custom import keep_pipes


def distil(run: Run) -> dict:
    """Runs all steps after ``check``. Returns what ``metrics.json`` holds, and "screen", the text for the screen.

    Raises:
      UserError: the disk is full, the teacher is worse than a linear model, or signals do not fit.
    """
    job, layout = run.job, run.layout
    begin(layout, job.key(), job.task, job.flags_text)
    keep_pipes(job.task, layout.piped)
    say("\n".join([f"run folder: {layout.root}", f"data: {job.data.source}", *job.data.notes]))
    if job.job.ablate == "augmentation":
        return run_augmentation_grid(run)
    sets = rest_set(job) | more_text(run) | given_set(run)
    inputs = prepare(run, sets)
    if job.job.ablate in ("recipes", "transfer_sizes"):
        return run_recipe_grid(run, inputs)
    arms = train_arms(run, inputs, main_arms(job, inputs))
    if not is_chief():  # another worker writes the report
        return {}
    chosen = choose(job, inputs.how or job.recipe, arms)
    files.link_or_copy(chosen.folder / "student.keras", layout.student)
    files.write_json(layout.history, {arm.name: arm.history for arm in arms})
    return write_report(run, inputs, arms, chosen)
