"""What a run measured on a tagging task: entities by type and by language, for teacher and students."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kd_keras.common.figures import Figure
from kd_keras.distill.settings import BASELINE, DISTILLED
from kd_keras.metrics.answers import answers
from kd_keras.metrics.tagging import tagging_scores
from kd_keras.runs import by_language
from kd_keras.runs.inputs import Inputs
from kd_keras.runs.job import Job
from kd_keras.runs.students import Arm
from kd_keras.tasks import Rows

TEACHER, KEPT, ALONE = "teacher", "student", "no distillation"


def scores(job: Job, inputs: Inputs, scored: Mapping[str, Rows], arms: Sequence[Arm], chosen: Arm) -> dict[str, Any]:
    """Split → "teacher", "student" (the kept one), "no distillation" → the scores of ``tagging_scores``.

    Args:
      scored: the splits with gold on which nothing was trained.
      arms: every student. Of several without distillation, the best on dev is reported.
    """
    alone = max((a for a in arms if a.kind == BASELINE), key=lambda a: a.history["best"], default=None)
    out = {}
    for split, rows in scored.items():
        logits = {TEACHER: inputs.signals[split].logits, KEPT: chosen.logits[split]}
        if alone is not None and chosen.kind == DISTILLED:
            logits[ALONE] = alone.logits[split]
        out[split] = {title: tagging_scores(job.task, rows, answers(job.task, x)) for title, x in logits.items()}
    return out


def picture(found: Mapping[str, Any]) -> Figure:
    """Bars of one split of :func:`scores`: by language, or by type if there is only one language."""
    part = "by_language" if "by_language" in found[KEPT] else "by_type"
    name = "entity_f1" if part == "by_language" else "f1"
    return by_language.picture({t: {k: v[name] for k, v in each[part].items()} for t, each in found.items()})


def in_words(found: Mapping[str, Any], split: str) -> str:
    """The report's part on one split: by type, and by language if there are several."""
    kept = found[KEPT]
    parts = [
        f"Entities of {split}: strict F1 counts those whose words and type are all right and that begin with a B "
        "(seqeval, strict). In conlleval F1 an I may begin one too. The kept student, type by type, in percent:",
        by_language.type_table(kept["by_type"]),
    ]
    if "by_language" in kept:
        titles = {title: each["by_language"] for title, each in found.items()}
        ratio = kept["mean_over_languages"]["entity_f1"] / max(found[TEACHER]["mean_over_languages"]["entity_f1"], 1e-9)
        parts += [
            f"Language by language ({len(kept['by_language'])}: {', '.join(kept['by_language'])}), strict F1 in "
            f"percent. The mean counts each language alike. The student has {ratio:.1%} of the teacher's mean.",
            by_language.table(titles),
        ]
    return "\n\n".join(parts)
