"""Which student a run keeps: the best on dev, as far as dev can tell."""

from __future__ import annotations

from collections.abc import Sequence

from kd_keras.distill.settings import BASELINE, DISTILLED, RecipeSettings
from kd_keras.metrics.spread import error_of_difference, standard_error, weighed
from kd_keras.runs.job import Job
from kd_keras.runs.students import Arm
from kd_keras.tasks import is_gold

# What distillation gained on 18 files and sizes, and how much that differs (docs/results/own-data.md).
GAIN, SPREAD = 0.06, 0.05


def choose(job: Job, how: RecipeSettings, arms: Sequence[Arm]) -> Arm:
    """The student with the best dev score, with or without distillation. It becomes ``student.keras``.

    The score is the best of many, so with few dev rows luck decides. A distilled student that is behind is kept if the
    gain of other files outweighs what dev says. Both then count by their best round: a distilled student keeps the
    weights of another one (STEADY), and so lacks the luck of the other.

    Args:
      how: the recipe of the distilled students. The gain of other files is that of auto, with a teacher that is better
        than a linear model. With another recipe dev alone decides.
    """
    best = _best(arms)
    distilled = [a for a in arms if a.kind == DISTILLED]
    if best.kind == DISTILLED or not distilled or not (how.chosen and how.alpha == 0):
        return best
    other = _best(distilled)
    gain = _top(other, job.task.metric) - _top(best, job.task.metric)
    return other if weighed(gain, dev_error(job, best, other), GAIN, SPREAD)[0] > 0 else best


def kept(job: Job, arms: Sequence[Arm], chosen: Arm) -> dict[str, str | bool]:
    """metrics.json's "kept": the arm that was chosen, as a folder's name and in words. "unsure": whether dev alone
    would have chosen another."""
    metric, mine = job.task.metric, chosen.history["best"]
    others = [a for a in arms if a.kind != chosen.kind]
    without = "with" if chosen.kind == BASELINE else "without"
    unsure = bool(others) and chosen.kind == DISTILLED and _best(others).history["best"] > mine
    count = f", the best of the {len(arms)} students trained" if len(arms) > 1 and not unsure else ""
    why = f"Its dev {metric} is {100 * mine:.2f}{count}."
    if others:
        why += f" The best student {without} distillation has {100 * _best(others).history['best']:.2f}"
        why += "." if not unsure else (
            f", but {len(job.data.dev):,} dev rows say little: the standard error of the difference is "
            f"{100 * dev_error(job, chosen, _best(others)):.1f}. On other files distillation gained "
            f"{100 * GAIN:.0f} ± {100 * SPREAD:.0f}. A larger --dev_file=FILE would decide."
        )  # fmt: skip
    return {"arm": chosen.name, "kind": chosen.kind, "why": why, **({"unsure": True} if unsure else {})}


def dev_error(job: Job, arm: Arm, other: Arm | None = None) -> float:
    """Standard error of a student's dev score, or of its difference to another's. 0 for regressions and taggings."""
    if job.task.is_tagging or not job.task.labels:
        return 0.0
    gold = is_gold(job.data.dev.label)
    label, *logits = (a[gold] for a in (job.data.dev.label, *(a.logits["dev"] for a in (arm, other) if a)))
    return (error_of_difference if other else standard_error)(job.task.metric, label, *logits)


def _top(arm: Arm, metric: str) -> float:
    """The best dev score of all rounds."""
    rounds = (entry.get(f"dev_{metric}", 0.0) for entry in arm.history.get("epochs", ()))
    return max([arm.history["best"], *rounds])


def _best(arms: Sequence[Arm]) -> Arm:
    return max(arms, key=lambda a: (a.history["best"], a.kind == DISTILLED, -a.seed))
