"""What a run concludes: whether distillation helped, and what to try next."""

from __future__ import annotations

import math
from collections.abc import Sequence

from kd_keras.common.cli import command
from kd_keras.common.config import AUTO
from kd_keras.common.layout import RunLayout
from kd_keras.distill.settings import BASELINE, DISTILLED
from kd_keras.metrics.answers import only_answer
from kd_keras.runs.choice import dev_error
from kd_keras.runs.inputs import Inputs
from kd_keras.runs.job import Job
from kd_keras.runs.next_steps import Step
from kd_keras.runs.students import Arm
from kd_keras.teachers.schedule import for_data

# Fewer updates than this teach a student too little.
_FEW_UPDATES = 200
# With fewer rows than this beyond the training rows, there is little text to distill on.
_LITTLE_TEXT = 20_000


def verdict(job: Job, inputs: Inputs, arms: Sequence[Arm], metrics: dict) -> tuple[str, list[Step]]:
    """The first line of report and screen. If distillation did not help, also two commands that may."""
    metric = job.task.metric
    score = metrics["student"]["dev"][metric]
    teacher = metrics["teacher"].get("dev", {}).get(metric)  # given signals may lack dev
    beside = f"; the teacher has {100 * teacher:.2f}" if teacher is not None else ""
    if "baseline" not in metrics:
        return f"The distilled student has dev {metric} {100 * score:.2f}{beside}.", []
    without = metrics["baseline"]["dev"][metric]
    found = f"dev {metric} {100 * score:.2f} with it, {100 * without:.2f} without it{beside}."
    if score > without:
        seeds = [metrics[kind]["spread"]["dev"][metric] for kind in ("student", "baseline")]
        clearly = ", but by less than seeds differ" if score - without < max(seeds) else ""
        return f"Distillation helped{clearly}: {found}", []
    unsure = metrics.get("kept", {}).get("unsure", False)
    first = [next(a for a in arms if a.kind == kind) for kind in (DISTILLED, BASELINE)]
    error = math.inf if unsure else dev_error(job, *first)
    cause, tries = _cause(job, inputs, arms, metrics, without, error)
    steps = [
        (what, _again(job, flags))
        for what, flags in zip(("this is most likely to help", "or this"), tries, strict=True)
    ]
    helped = "Dev does not tell whether distillation helped" if unsure else "Distillation did not help"
    return f"{helped}: {found} Likely cause: {cause}.", steps


def warnings(job: Job, chosen: Arm, metrics: dict) -> list[str]:
    """Warnings for report and screen: a student that always gives one answer, or is worse than a linear model."""
    task, out = job.task, []
    if (answer := only_answer(task, chosen.logits["dev"])) is not None and task.is_tagging:
        out.append(
            f"The kept student gives every word the tag {answer!r} on dev. Do not use it: give it more text "
            "(--unlabeled_files) or more --epochs."
        )
    elif answer is not None:
        out.append(
            f"The kept student always says {answer!r} on dev. Do not use it: give it more rows of the "
            "other labels, --class_weights=balanced, or more --epochs."
        )
    floor = metrics.get("references", {}).get("linear", {}).get("dev", {}).get(task.metric)
    mine = chosen.history["best"]
    if floor is not None and mine < floor:
        out.append(
            f"A linear model (TF-IDF) is better than the kept student: dev {task.metric} {100 * floor:.2f} against "
            f"{100 * mine:.2f}. Give the student more text (--unlabeled_files), a better teacher or more --epochs."
        )
    return out


def _cause(
    job: Job, inputs: Inputs, arms: Sequence[Arm], metrics: dict, without: float, noise: float = 0.0
) -> tuple[str, list[list[str]]]:
    """The likeliest cause, and two sets of flags to try, the likelier first. Infinite ``noise``: dev tells nothing."""
    metric, more = job.task.metric, sum(len(s) for s in inputs.transfer.values())
    teacher = metrics["teacher"].get("dev", {}).get(metric, 1.0)  # given signals may lack dev
    longest = max(a.history["best_step"] / max(1, a.updates) for a in arms if a.kind == DISTILLED)
    text = ["--unlabeled_files=FILE"]
    if not more and not job.task.is_tagging:
        text = ["--augment=all", *(["--unlabeled=task"] if job.task.is_pair else [])]
    if job.given is not None:
        text = ["--teacher_signals=FILE,MORE"]
    rows = max(len(a.plan.data) for a in arms)
    longer = [f"--epochs={math.ceil(2 * arms[0].most_updates * job.train.batch_size / rows)}"]
    mixed = ["--alpha=0.5"] if job.recipe.chosen or job.recipe.recipe == "soft" else ["--recipe=soft", "--alpha=0.5"]
    mixes = (inputs.how or job.recipe).alpha > 0
    if (updates := arms[0].most_updates) < _FEW_UPDATES and teacher > without and job.train.epochs != AUTO:
        return f"only {updates:,} updates, by --epochs={job.train.epochs:g}", [["--epochs=auto"], text]
    behind = without - metrics["student"]["dev"][metric]
    if behind and teacher <= without and math.isfinite(noise):
        cause = f"the teacher is no better than the student without it ({100 * teacher:.2f} on dev)"
        better = _better_teacher(job) if job.given is None else longer if mixes else mixed
        return cause, [better, text]
    if behind <= noise:
        cause = f"dev, of {len(job.data.dev):,} rows, does not tell the two apart"
        larger = {"custom": ["--dev_file=FILE"], "panx": ["--dev_per_language=0"]}.get(job.task.name, longer)
        return cause, [larger, text]
    if longest > 0.95:
        return "too few updates, because the distilled student was best at its end", [longer, text]
    if more < _LITTLE_TEXT:
        return f"little text: {more:,} rows beyond the training rows", [text, longer]
    if mixes:
        return "none that can be seen", [text, longer]
    return "none that can be seen; a mix with the gold labels may be better", [mixed, longer]


def _better_teacher(job: Job) -> list[str]:
    """Twice the epochs that the teacher had, and as many rounds. A finished one is not trained again, so it must be
    another."""
    if job.checkpoint.fine_tuned_for(job.task.name, job.data.fingerprint):
        return ["--teacher=ANOTHER"]
    epochs = for_data(job.teacher, job.checkpoint, job.data).teacher_epochs
    if not epochs:
        return ["--teacher_epochs=auto"]
    rounds = ["--teacher_rounds=2"] if job.teacher.teacher_rounds == 2 else []
    return [f"--teacher_epochs={math.ceil(2 * float(epochs))}", *rounds]


def _again(job: Job, flags: Sequence[str]) -> str:
    """The command of this run with other flags. They follow its flags.txt, so they count."""
    folder = job.folder()
    given = dict(flag.removeprefix("--").split("=", 1) for flag in flags)
    if job.job.output_dir:
        given["output_dir"] = f"{folder}-{'-'.join(given)}"
    return command("train", flagfile=RunLayout(folder).flags, **given)
