"""What a run measured of a tagging: entities by type and by language, teacher beside students."""

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
    """Split → "teacher", "student" (the kept one), "no distillation" → what ``tagging_scores`` says.

    Args:
      scored: the splits with gold that nothing was trained on.
      arms: every student; of several without distillation the best on dev is told.
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
    """Bars by language, or of a single language by type, of one split of :func:`scores`."""
    part = "by_language" if "by_language" in found[KEPT] else "by_type"
    name = "entity_f1" if part == "by_language" else "f1"
    return by_language.picture({t: {k: v[name] for k, v in each[part].items()} for t, each in found.items()})


def in_words(found: Mapping[str, Any], split: str) -> str:
    """The part of the report on one split: by type, and by language where there are several."""
    kept = found[KEPT]
    parts = [
        f"Entities of {split}: strict F1 counts those whose words and type are all right and that begin with a B "
        "(seqeval, strict); conlleval F1 lets an I begin one too. The kept student, type by type, in percent:",
        by_language.type_table(kept["by_type"]),
    ]
    if "by_language" in kept:
        titles = {title: each["by_language"] for title, each in found.items()}
        ratio = kept["mean_over_languages"]["entity_f1"] / max(found[TEACHER]["mean_over_languages"]["entity_f1"], 1e-9)
        parts += [
            f"Language by language ({len(kept['by_language'])}: {', '.join(kept['by_language'])}), strict F1 in "
            f"percent; the mean counts each language alike. The student has {ratio:.1%} of the teacher's mean.",
            by_language.table(titles),
        ]
    return "\n\n".join(parts)
