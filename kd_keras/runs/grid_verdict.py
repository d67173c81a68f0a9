"""What a grid says of itself: which arm is best on dev, whether that is more than chance, and what to do next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kd_keras.common.cli import command
from kd_keras.common.layout import RunLayout
from kd_keras.distill.settings import BASELINE
from kd_keras.runs.choice import dev_error
from kd_keras.runs.job import Job
from kd_keras.runs.next_steps import Step
from kd_keras.runs.students import Arm


@dataclass(frozen=True)
class Cell:
    """An arm of a grid.

    Attributes:
      arms: its students, one for each seed.
      scores: see ``results.arm_scores``.
      alone: the flags that make a run of its own of it; None if no flags do.
    """

    arms: Sequence[Arm]
    scores: dict
    alone: dict[str, object] | None = None

    @property
    def title(self) -> str:
        return self.arms[0].plan.title

    @property
    def is_baseline(self) -> bool:
        return self.arms[0].kind == BASELINE

    def dev(self, metric: str) -> float:
        """The mean over seeds, in percent."""
        return 100 * self.scores["dev"][metric]

    def spread(self, metric: str) -> float:
        return 100 * self.scores["spread"]["dev"][metric]


def grid_verdict(job: Job, cells: Sequence[Cell]) -> tuple[str, list[Step]]:
    """The first lines of a grid's report and screen, and two or three commands that come next."""
    metric = job.task.metric
    best, second, *_ = ranked = sorted(cells, key=lambda cell: -cell.dev(metric))
    other = next(cell for cell in ranked if cell.is_baseline != best.is_baseline)
    error = 100 * dev_error(job, best.arms[0])
    said = [f'The best arm on dev is "{best.title}", with {metric} {best.dev(metric):.2f}.']
    for cell in [second] if second is other else [second, other]:
        said.append(_lead(best, cell, metric, error))
    sure = best.dev(metric) - second.dev(metric) > _chance(best, second, metric, error)[0]
    return " ".join(said), _next(job, best, sure)


def _chance(best: Cell, cell: Cell, metric: str, error: float) -> tuple[float, str]:
    """How far two arms may differ by chance, in percent, and what says so."""
    spread = max(best.spread(metric), cell.spread(metric))
    if spread > error:
        return spread, f"the seeds' spread ({spread:.2f})"
    return error, f"dev's standard error ({error:.2f})"


def _lead(best: Cell, cell: Cell, metric: str, error: float) -> str:
    lead, (chance, by) = best.dev(metric) - cell.dev(metric), _chance(best, cell, metric, error)
    start = f'It leads "{cell.title}" by {lead:.2f}'
    if not chance:
        return f"{start}; with one seed, nothing says whether that is chance."
    return f"{start}, which is {'more than' if lead > chance else 'within'} {by}."


def _next(job: Job, best: Cell, sure: bool) -> list[Step]:
    folder, seeds = job.folder(), max(3, job.job.seeds + 2)
    again = {"flagfile": RunLayout(folder).flags}
    arm = max(best.arms, key=lambda arm: arm.history["best"]).name
    steps = [("make the files of the best arm for a phone", command("export", model_dir=folder, arm=arm))]
    if best.alone is not None:
        own = {"output_dir": f"{folder}-best"} if job.job.output_dir else {}
        steps.append(("train it as a run of its own", command("train", **again, ablate="none", **best.alone, **own)))
    if not sure or best.alone is None:
        steps.append(("train more seeds, which tell more", command("train", **again, seeds=seeds)))
    return steps
