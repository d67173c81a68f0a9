"""The parts of a model card that only a tagger has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from kd_keras.common.markdown import markdown_table
from kd_keras.tasks import Task

MEDIAPIPE = "MediaPipe Tasks has no task that tags words. These files are for a plain interpreter."
KOTLIN = """On Android, take the Kotlin files of `android/` from kd_keras' repository:

```kotlin
Tagger(context, room = {room}).use {{ tagger ->
    for (entity in tagger.entities(text))
        println("${{entity.type}} ${{text.substring(entity.start, entity.end)}} ${{entity.score}}")
}}
```"""


def languages(metrics: Mapping[str, Any]) -> list[str]:
    """The languages that have scores in metrics.json. Empty if the data's languages are unknown."""
    return sorted({name for found in _splits(metrics).values() for name in found})


def _splits(metrics: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """split → language → scores of the kept student. Empty if there are no languages."""
    found = {split: each.get("student", {}) for split, each in metrics.get("tagging", {}).items()}
    return {split: each["by_language"] for split, each in found.items() if "by_language" in each}


def gives(task: Task) -> str:
    return f"finds {', '.join(task.types)}. It gives each word a tag (IOB2)"


def usage(models: Iterable[Mapping[str, Any]], max_length: int) -> str:
    """Kotlin whose windows fit into each of ``models`` (entries of metadata.json), even into a fixed length."""
    lengths = [length for m in models for x in m["inputs"] if (length := x["shape"][-1]) > 0]
    return KOTLIN.format(room=min([max_length, *lengths]))


def limits(task: Task, max_length: int) -> list[str]:
    return [
        f"It reads windows of at most {max_length} pieces. The table says which files read fewer. A longer text has "
        "several windows. A word's answer comes from the window in which it is farthest from a cut.",
        "A word is tagged by its first piece. The app splits texts into words. If it splits them differently from "
        "training, entities are lost.",
        "Logits are not calibrated: a probability of 0.9 does not mean nine right answers of ten.",
    ]


def by_language(task: Task, metrics: Mapping[str, Any]) -> str:
    """A table of the last split that was scored. Empty if there are no languages."""
    splits = _splits(metrics)
    if not splits:
        return ""
    split = list(splits)[-1]
    names = [m for m in ("entity_f1", "conlleval_f1") if m in task.metrics]
    lines = [
        [language, f"{found['rows']:,}", *(f"{100 * found[m]:.2f}" if m in found else "" for m in names)]
        for language, found in sorted(splits[split].items())
    ]
    return f"## Languages, {split}\n\n" + markdown_table(["language", "rows", *(f"{m}, %" for m in names)], lines)
