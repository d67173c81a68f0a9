"""``--ablate=augmentation``: {no distillation, distillation} × {no augmentation, mask, pos, ngram, all}.

Tang et al. 2019 do not print this grid. Every arm has the same student, first weights, budget of updates and dev
scores. Without distillation, a made row has the gold label of its source row. So the two columns read the same text and
differ only in what teaches.
"""

from __future__ import annotations

from kd_keras.augment.settings import RULES
from kd_keras.common import files
from kd_keras.common.figures import as_drawn, can_draw
from kd_keras.common.markdown import markdown_table
from kd_keras.distill.settings import BASELINE, DISTILLED
from kd_keras.metrics import spread_cell
from kd_keras.runs import grid_plots, plots, report
from kd_keras.runs.grid_verdict import Cell, grid_verdict
from kd_keras.runs.inputs import Inputs, prepare
from kd_keras.runs.job import Job, Run
from kd_keras.runs.more_text import transfer_sets
from kd_keras.runs.next_steps import for_report, for_screen
from kd_keras.runs.plans import distilled, undistilled
from kd_keras.runs.results import arm_scores, scored_splits, teacher_scores
from kd_keras.runs.students import Arm
from kd_keras.runs.train import train_arms

GRID = ("none", *RULES, "all")
_ROW = {"none": "training rows only", "mask": "+ masking", "pos": "+ same-tag words", "ngram": "+ n-grams",
        "all": "+ all three"}  # fmt: skip


def run_augmentation_grid(run: Run) -> dict:
    """Trains the grid and writes ``ablation.json``, ``report.md`` and a plot. Finished arms are found again."""
    job, layout = run.job, run.layout
    inputs = prepare(run, transfer_sets(run, GRID))
    plans = [
        make(job, inputs, [] if rules == "none" else [rules], f"{kind}-{rules}")
        for rules in GRID
        for kind, make in ((BASELINE, undistilled), (DISTILLED, distilled))
    ]
    arms = train_arms(run, inputs, plans)
    cells = {p.name: [a for a in arms if a.plan.name == p.name] for p in plans}
    table, scores = _table(job, inputs, cells)
    verdict, following = grid_verdict(
        job, [Cell(each, scores[name], _alone(job, name)) for name, each in cells.items()]
    )
    result = {
        "task": job.task.name,
        "source": job.data.source,
        "seeds": job.job.every_seed(),
        "updates": arms[0].most_updates,
        "recipe": job.recipe.recipe,
        "teacher": teacher_scores(job, inputs) | inputs.teacher,
        "rows": {s: len(r) for s, r in inputs.splits.items()},
        "made_rows": {name: len(s) for name, s in inputs.transfer.items()},
        "arms": scores,
        "verdict": verdict,
        "next": following,
        "notes": [*job.data.notes, *inputs.notes],
        "seconds": run.timings.seconds,
    }
    files.write_json(layout.ablation, result)
    split, metric = _reported(inputs, job)
    bars = [
        (_ROW[r], [[100 * e[metric] for e in scores[f"{k}-{r}"]["per_seed"][split]] for k in (BASELINE, DISTILLED)])
        for r in GRID
    ]
    if can_draw():
        figure = grid_plots.ablation(bars, f"{split} {metric}, %", 100 * result["teacher"][split][metric])
        plots.save(figure, layout.plots / "ablation.png")
    files.write_text(layout.report, as_drawn(_markdown(job, result, table)))
    return result | {"screen": "\n\n".join([verdict, for_screen(following), table])}


def _alone(job: Job, name: str) -> dict[str, object] | None:
    """The flags of an arm as a run of its own, which trains on made rows with a teacher alone."""
    kind, _, rules = name.partition("-")
    if kind == BASELINE:
        return None
    return {"recipe": job.recipe.recipe, "augment": rules, "n_iter": job.augment.n_iter}


def _reported(inputs: Inputs, job: Job) -> tuple[str, str]:
    return ("test" if "test" in scored_splits(inputs) else "dev"), job.task.metric


def _table(job: Job, inputs: Inputs, cells: dict[str, list[Arm]]) -> tuple[str, dict]:
    """The grid as text, and the scores of every arm."""
    scored = scored_splits(inputs)
    scores = {name: arm_scores(job, scored, arms) for name, arms in cells.items()}
    metric = job.task.metric
    head = ["transfer set", "rows"]
    head += [f"{s} {metric}, {k}" for s in scored for k in ("no distillation", "distilled", "gain")]
    lines = []
    for rules in GRID:
        made = len(inputs.transfer[rules]) if rules != "none" else 0
        line = [_ROW[rules], f"{len(inputs.splits['train']) + made:,}"]
        for split in scored:
            each = [
                [100 * e[metric] for e in scores[f"{kind}-{rules}"]["per_seed"][split]]
                for kind in (BASELINE, DISTILLED)
            ]
            # Both sides have the same seed, so the gain's spread is over pairs.
            gains = [d - b for b, d in zip(*each, strict=True)]
            line += [spread_cell(values) for values in each] + [spread_cell(gains, "+")]
        lines.append(line)
    return markdown_table(head, lines), scores


def _markdown(job: Job, result: dict, table: str) -> str:
    notes = "\n".join(f"- {n}" for n in result["notes"])
    over = report.seeds_in_words(result["seeds"])
    metric, recipe = job.task.metric, job.recipe.recipe
    learn = "learn the teacher's logits" if recipe == "soft" else f"follow the recipe {recipe}"
    return f"""# {job.task.name}: what distillation and augmentation give, each by itself

{result["verdict"]}

{for_report(result["next"])}

## Scores

{table}

Scores are in percent; {over}. Gains are taken seed by seed.
Teacher: {result["teacher"]["name"]}, {report.teacher_in_words(result, metric)}.

All arms have the same student, first weights and at most {result["updates"]:,} updates (--patience ends each by
itself). Dev {metric} chose the weights. Arms without distillation learn the gold labels; a made row has its source
row's. Distilled arms {learn} on the same rows. The last column says whether
distillation is better than plain training on the same text.

![scores of all arms](plots/ablation.png)

## Data

{result["source"]}.

{notes}

{report.ending(job, result["seconds"])}"""
