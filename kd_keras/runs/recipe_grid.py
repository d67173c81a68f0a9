"""``--ablate=recipes``: {no distillation, each of ``RECIPES``} × transfer sizes.

``--ablate=transfer_sizes``: the same with one recipe.

Every arm has the same student, first weights, budget of updates and dev scores. Each size draws its rows from the
whole transfer set, and a larger size contains the smaller ones. The arm without distillation learns the training rows'
gold labels.
"""

from __future__ import annotations

from dataclasses import replace

from kd_keras.common import files
from kd_keras.common.figures import as_drawn, can_draw
from kd_keras.common.markdown import markdown_table
from kd_keras.common.progress import say
from kd_keras.distill.settings import BASELINE
from kd_keras.metrics import spread_cell
from kd_keras.runs import grid_plots, plots, report
from kd_keras.runs.grid_verdict import Cell, grid_verdict
from kd_keras.runs.inputs import Inputs
from kd_keras.runs.job import Job, Run
from kd_keras.runs.next_steps import for_report, for_screen
from kd_keras.runs.plans import Drawn, distilled, training_set, undistilled
from kd_keras.runs.results import arm_scores, scored_splits, teacher_scores
from kd_keras.runs.train import train_arms

_TITLE = {
    BASELINE: "no distillation",
    "soft": "soft (logits)",
    "hard": "hard (teacher's labels)",
    "joint": "joint",
    "two_stage": "two stages",
    "two_stage_unfreeze": "two stages + unfreezing",
    "staged": "staged",
    "staged_unfreeze": "staged + unfreezing",
}


def run_recipe_grid(run: Run, inputs: Inputs) -> dict:
    """Trains the grid and writes ``ablation.json``, ``report.md`` and a plot. Finished arms are found again."""
    job, layout, sets = run.job, run.layout, list(inputs.transfer)
    whole = sum(len(s) for s in inputs.transfer.values())
    sizes = sorted({min(whole, whole if s is None else s) for s in job.job.sizes()})
    recipes = job.recipes
    short = [f"{s:,}" for s in job.job.sizes() if s is not None and s > whole]
    notes = [f"transfer sizes: {', '.join(short)} asked for, but there are only {whole:,} rows"] if short else []
    for line in notes:
        say(line)
    plans = {(BASELINE, 0): undistilled(job, inputs, [], BASELINE)}
    for size in sizes:
        some = sets if size else []
        drawn = Drawn(training_set(job, inputs, some, limit=size), size)
        for name in recipes:
            how = replace(job.recipe, recipe=name)
            plans[name, size] = distilled(job, inputs, some, f"{name}-{size}", how, drawn)
    arms = train_arms(run, inputs, list(plans.values()))
    cells = {key: [a for a in arms if a.plan is p] for key, p in plans.items()}
    scored = scored_splits(inputs)
    scores = {key: arm_scores(job, scored, each) for key, each in cells.items()}
    verdict, following = grid_verdict(
        job, [Cell(each, scores[key], _alone(job, key, whole)) for key, each in cells.items()]
    )
    result = {
        "task": job.task.name,
        "source": job.data.source,
        "seeds": job.job.every_seed(),
        "updates": max(a.most_updates for a in arms),
        "teacher": teacher_scores(job, inputs) | inputs.teacher,
        "rows": {s: len(r) for s, r in inputs.splits.items()},
        "transfer_rows": {name: len(s) for name, s in inputs.transfer.items()},
        "transfer_sizes": sizes,
        "arms": {f"{name}-{size}": s for (name, size), s in scores.items()},
        "recipes": {name: [str(step) for step in plans[name, sizes[0]].recipe()] for name in recipes},
        "verdict": verdict,
        "next": following,
        "notes": [*job.data.notes, *inputs.notes, *notes],
        "seconds": run.timings.seconds,
    }
    files.write_json(layout.ablation, result)
    tables = "\n\n".join(_table(job, scores, sizes, recipes, split) for split in scored)
    split, metric = ("test" if "test" in scored else "dev"), job.task.metric
    curves = {
        _TITLE[name]: [(size, [100 * e[metric] for e in scores[name, size]["per_seed"][split]]) for size in sizes]
        for name in recipes
    }
    base = [100 * e[metric] for e in scores[BASELINE, 0]["per_seed"][split]]
    if can_draw():
        teacher = 100 * result["teacher"][split][metric]
        figure = grid_plots.transfer_curves(curves, base, teacher, f"{split} {metric}, %")
        plots.save(figure, layout.plots / "ablation.png")
    files.write_text(layout.report, as_drawn(_markdown(job, result, tables)))
    return result | {"screen": "\n\n".join([verdict, for_screen(following), tables])}


def _alone(job: Job, key: tuple[str, int], whole: int) -> dict[str, object] | None:
    """The flags of an arm as a run of its own; there are none for a part of the transfer rows. What auto decides
    differs there."""
    recipe, size = key
    if recipe == BASELINE or size < whole:
        return None
    weight = {"representation_weight": job.recipe.representation_weight} if recipe == "joint" else {}
    return {"recipe": recipe, **weight, "teacher_rounds": job.teacher.teacher_rounds}


def _table(job: Job, scores: dict, sizes: list[int], recipes: list[str], split: str) -> str:
    metric = job.task.metric

    def values(key: tuple[str, int]) -> list[float]:
        return [100 * e[metric] for e in scores[key]["per_seed"][split]]

    base = values((BASELINE, 0))
    lines = [[_TITLE[BASELINE], spread_cell(base), *[""] * (2 * len(sizes) - 1)]]
    for name in recipes:
        line = [_TITLE[name]]
        for size in sizes:
            each = values((name, size))
            line += [spread_cell(each), spread_cell([d - b for b, d in zip(base, each, strict=True)], "+")]
        lines.append(line)
    head = [f"{split} {metric}", *(h for size in sizes for h in (f"{size:,} rows more", "gain"))]
    return markdown_table(head, lines)


def _markdown(job: Job, result: dict, tables: str) -> str:
    over = report.seeds_in_words(result["seeds"])
    metric = job.task.metric
    notes = "\n".join(f"- {n}" for n in result["notes"])
    recipes = "\n".join(
        f"- {_TITLE[name]}\n" + "\n".join(f"  1. {s}" for s in each) for name, each in result["recipes"].items()
    )
    return f"""# {job.task.name}: recipes of distillation × rows of transfer text

{result["verdict"]}

{for_report(result["next"])}

## Scores

{tables}

Scores are in percent; {over}. Gains are taken seed by seed.
Teacher: {result["teacher"]["name"]}, {report.teacher_in_words(result, metric)}.

All arms have the same student, first weights and at most {result["updates"]:,} updates (--patience ends each stage
by itself). Dev {metric} chose the weights, in recipes of several stages once in each. The arm without distillation
learns the gold labels of the {result["rows"]["train"]:,} training rows. The other rows have no gold labels.

![scores over transfer rows](plots/ablation.png)

## Recipes

{recipes}

## Data

{result["source"]}.

{notes}

{report.ending(job, result["seconds"])}"""
