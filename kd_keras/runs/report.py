"""Writes metrics.json, report.md and its plots. All numbers come from this run."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from kd_keras.common import files
from kd_keras.common.cli import command
from kd_keras.common.figures import Figure, as_drawn, can_draw
from kd_keras.common.layout import RunLayout
from kd_keras.common.machine import cpus
from kd_keras.common.ragged import flat
from kd_keras.distill.settings import STEADY
from kd_keras.metrics import confusion_matrix, score
from kd_keras.runs import by_label, error_plots, plots, references, tagging
from kd_keras.runs.given import answered, is_given
from kd_keras.runs.inputs import Inputs
from kd_keras.runs.job import Job, Run
from kd_keras.runs.next_steps import for_report, for_screen
from kd_keras.runs.results import results, scored_splits, scores_by_label
from kd_keras.runs.score_table import SIZES, TITLES, summary, titles
from kd_keras.runs.students import Arm
from kd_keras.runs.wrong_texts import wrong_texts
from kd_keras.students.settings import student_name
from kd_keras.tasks import Rows, Task, has_label

# What the rows of transfer sets are. Sets with other names were made by augmentation.
SETS = {"unlabeled": "unlabeled", "rest": "training rows without their labels", "given": "texts of the given signals"}
# How often a student agrees with its teacher, in words, for kinds of tasks that do not have one label a row.
_AGREES = {
    "tagging": " gives the teacher's tag to words of",
    "multilabel": " gives the teacher's labels, and no other, on",
    "regression": "'s scores correlate with the teacher's by",
}


def write_report(run: Run, inputs: Inputs, arms: list[Arm], chosen: Arm) -> dict:
    """Writes metrics.json, report.md and its plots. Returns metrics.json, with "screen" for the end of the command."""
    metrics = results(run, inputs, arms, chosen)
    files.write_json(run.layout.metrics, metrics)
    if can_draw():
        _draw(run, inputs, arms, chosen, metrics)
    wrong = wrong_texts(run.task, inputs.splits["dev"], chosen.logits["dev"], inputs.signals["dev"].logits)
    files.write_text(run.layout.report, as_drawn(_markdown(run.job, metrics, wrong)))
    said = [verdict_in_words(metrics), for_screen(metrics["next"]), summary(metrics)]
    return metrics | {"screen": "\n\n".join(said)}


def _draw(run: Run, inputs: Inputs, arms: list[Arm], chosen: Arm, metrics: dict) -> None:
    task, scored = run.task, scored_splits(inputs)
    metric, dev = task.metric, inputs.splits["dev"].label
    lines = {}
    if "dev" in metrics["teacher"]:
        lines[titles(metrics)["teacher"]] = metrics["teacher"]["dev"][metric]
    if "linear" in inputs.references.logits:
        lines[references.TITLES["linear"]] = score([metric], dev, inputs.references.logits["linear"]["dev"])[metric]
    pictures = {
        "learning_curves": plots.learning_curves(
            [(a.kind, a.seed, a.history["epochs"]) for a in arms],
            metric,
            lines=lines,
        ),
        "errors": _errors(task, scored, chosen, metrics),
    }
    teacher, student = flat(inputs.signals["dev"].logits), flat(chosen.logits["dev"])
    if (there := answered(teacher)).any():
        pictures["logits"] = plots.logit_scatter(teacher[there], student[there], task.is_multilabel, task.labels)
    for name, figure in pictures.items():
        plots.save(figure, run.layout.plots / f"{name}.png")


def _errors(task: Task, scored: Mapping[str, Rows], chosen: Arm, metrics: dict) -> Figure:
    """A picture of the kept student's errors."""
    split = _last(scored)
    if task.is_tagging:
        return tagging.picture(metrics["tagging"][split])
    gold, title = has_label(scored[split]), f"kept student ({chosen.name}), {split}"
    label, logits = scored[split].label[gold], chosen.logits[split][gold]
    if task.is_regression:
        return plots.score_scatter(label, logits[:, 0], title)
    if task.is_multilabel:
        return by_label.picture(scores_by_label(task, label, logits), title)
    return error_plots.errors(confusion_matrix(label, logits.argmax(-1), len(task.labels)), list(task.labels), title)


def _last(splits: Collection[str]) -> str:
    """The split whose errors are shown."""
    return "test" if "test" in splits else "dev"


def verdict_in_words(metrics: dict) -> str:
    """For report and screen: whether distillation helped, what else went wrong, and which student is kept."""
    kept = metrics["kept"]
    return "\n\n".join([metrics["verdict"], *metrics["warnings"], f"Kept: {kept['arm']}. {kept['why']}"])


def teacher_in_words(result: dict, metric: str) -> str:
    """The teacher's scores of a grid, for each split."""
    scored = {s: v for s, v in result["teacher"].items() if s in result["rows"]}
    return "; ".join(f"{s} {metric} {100 * v[metric]:.2f}" for s, v in scored.items())


def seeds_in_words(seeds: list[int]) -> str:
    """What the numbers of a table are: one seed's, or means."""
    if len(seeds) == 1:
        return f"seed {seeds[0]}"
    return f"means over seeds {', '.join(map(str, seeds))} ± standard deviation"


def ending(job: Job, seconds: dict[str, float]) -> str:
    """The last part of a report: wall times, and the command that repeats the run."""
    took = "\n".join(f"| {name} | {s:,.0f} |" for name, s in seconds.items())
    return f"""## Wall time, seconds ({cpus()} CPUs)

A step took no time if its result was found, here or in another run's folder.

| step | s |
| --- | ---: |
{took}

## Make it again

From the folder where `train` was called:

```
{command("train", flagfile=RunLayout(job.folder()).flags)}
```
"""


def _by_label(metrics: dict) -> str:
    if "by_label" not in metrics:
        return ""
    split, said = _last(metrics["by_label"]), ""
    if thresholds := metrics.get("thresholds"):
        moved = ", ".join(f"{name} {p:.2f}" for name, p in thresholds.items())
        said = (
            "\n\nA text has a label if its score is over 0.5. Scores were moved so that 0.5 is the threshold of the "
            f"best F1 on dev. Before, these were the thresholds: {moved}."
        )
    return (
        f"\nThe kept student on {split}, label by label, in percent:\n\n"
        + by_label.table(metrics["by_label"][split])
        + said
        + "\n"
    )


def _by_type(metrics: dict) -> str:
    if "tagging" not in metrics:
        return ""
    split = _last(metrics["tagging"])
    return "\n" + tagging.in_words(metrics["tagging"][split], split) + "\n"


def _about_teacher(teacher: Mapping[str, Any]) -> str:
    if is_given(teacher):
        rows = ", ".join(f"{split} {count:,}" for split, count in teacher["answered"].items())
        return f"- Teacher (given): {teacher['texts']:,} texts with signals; rows that have one: {rows}."
    each = " (each)" if len(teacher.get("seeds", ())) else ""
    disk = f"{teacher['bytes'] / 1e6:.1f} MB on disk{each}"
    return f"- Teacher: {teacher['name']}, {teacher['parameters']:,} parameters, {disk}."


def _fewer(teacher: Mapping[str, Any], student: Mapping[str, Any]) -> str:
    if is_given(teacher):
        return ""
    whole, bare = (teacher[count] / student[count] for count in SIZES)
    which = "one" if len(teacher.get("seeds", ())) else "the"
    return f"- Fewer parameters than {which} teacher: {whole:.1f}×, without\n  embeddings {bare:.1f}×.\n"


def _scatter(teacher: Mapping[str, Any]) -> str:
    """The scatter of logits, if dev has signals."""
    if is_given(teacher) and not teacher["answered"]["dev"]:
        return ""
    return "## Student's logits against the teacher's (dev)\n\n![scatter of logits](plots/logits.png)\n\n"


def _markdown(job: Job, metrics: dict, wrong: str) -> str:
    teacher, student, seeds = metrics["teacher"], metrics["student"], metrics["seeds"]
    names = [title for kind, title in titles(metrics).items() if kind in metrics]
    agree = "; ".join(f"{s} {v:.1%}" for s, v in teacher["agreement_with_student"].items())
    notes = "\n".join(f"- {n}" for n in metrics["notes"])
    rows = ", ".join(f"{s} {n:,}" for s, n in metrics["rows"].items())
    more = "".join(f", {SETS.get(name, 'made by augmentation')} {n:,}" for name, n in metrics["transfer_rows"].items())
    alone = "baseline" not in metrics
    text = "the training rows"
    if more:
        text = "the whole transfer set" + ("" if alone else ", the baseline from the training rows")
    same = "The student" if alone else (
        "The two students have the same shape, first weights, budget of updates and seeds. The distilled one"
    )  # fmt: skip
    test = "; the test split was read for this table only" if "test" in student else ""
    learns = "learns from the teacher's logits"
    if student["recipe"] != "soft":
        learns = f"follows the recipe {student['recipe']}"
        learns += f" ({' → '.join(student['stages'])})" if len(student["stages"]) > 1 else ""
    made = "; ".join(
        f"{TITLES[kind]} {', '.join(f'{n:,}' for n in metrics[kind]['updates'])}"
        for kind in ("baseline", "student") if kind in metrics
    )  # fmt: skip
    near = ""
    if STEADY in student.get("selected_by", ()):
        near = "\nOf a distilled student's weights within two standard errors of the best, the dev loss chose."
    also = ", and with the usual gain of distillation" if metrics["kept"].get("unsure") else " and"
    config = job.student
    agrees = _AGREES.get(job.task.kind, " gives the teacher's label on")
    kind, bare = student_name(config, job.task.is_pair, job.task.is_tagging), "parameters_without_embeddings"
    many, given = len(teacher.get("seeds", ())), is_given(teacher)
    if given:
        taught = f"Teacher: given as signals ({', '.join(teacher['files'])}), scored on the rows that have one."
    elif not many:
        seed = teacher["seed"]
        taught = "Teacher: one, as it is." if seed is None else f"Teacher: one, seed {seed}."
    else:
        each = ", ".join(map(str, teacher["seeds"]))
        taught = f"Teachers: {many}, seeds {each}; the mean of their logits is what the student follows."

    return f"""# {job.task.name}: {" / ".join(names)}

{verdict_in_words(metrics)}

{for_report(metrics["next"])}

## Scores

{summary(metrics)}

Scores are in percent, {seeds_in_words(seeds)}. {taught}
{same} {learns} on {text}.
Updates, at most {metrics["most_updates"]:,} (--patience ends each student by itself): {made}.
Dev {job.task.metric} chose the best weights{also} the kept student ({metrics["kept"]["arm"]}).{near}
So dev scores are a little high in every row{test}.

## Data

{job.data.source}; rows: {rows}{more}.

{notes}

## Models

{_about_teacher(teacher)}
- Student: {kind}, {config.tokenizer}, embeddings {student["embedding_size"]},
  {config.channels}, {config.hidden_size} units per direction, fully connected {config.dense_size},
  {config.pooling} pooling{f", sentence vector {config.sentence_size}" if config.sentence_size else ""};
  {student["parameters"]:,} parameters ({student[bare]:,} without embeddings),
  {student["bytes"] / 1e6:.1f} MB as `student.keras`,
  {student["flops_per_token"] / 1e6:.2f} MFLOP a token.
{_fewer(teacher, student)}- The kept student{agrees}: {agree or "no row, because none has a signal"}.

## Learning curves

![dev score and loss over updates](plots/learning_curves.png)

## Where it is wrong

![errors by class, or by score](plots/errors.png)
{_by_label(metrics)}{_by_type(metrics)}{wrong}

{_scatter(teacher)}{ending(job, metrics["seconds"])}
Peak memory of the last run of the command: {metrics["machine"]["peak_memory_mb"]:,} MB.
The kept student's LSTM ran in {metrics["machine"]["lstm"]}.
kd_keras {metrics["version"]}, {metrics["machine"]["system"]}, Python {metrics["machine"]["python"]}.
"""
