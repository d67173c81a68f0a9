"""What a universal student's model card says that no other does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kd_keras.common.markdown import markdown_table
from kd_keras.tasks import Task

SAME = "cosine of 0.98"
KOTLIN = """With MediaPipe Tasks on Android:

```kotlin
val embedder = TextEmbedder.createFromFile(context, "{file}")
val (a, b) = listOf("first text", "second text").map {{ embedder.embed(it).embeddingResult().embeddings()[0] }}
val alike = TextEmbedder.cosineSimilarity(a, b)
```"""


def gives(task: Task) -> str:
    return f"gives each a vector of {task.vector_size} numbers: texts that mean alike have vectors of a high cosine"


def limits() -> list[str]:
    return [
        "A cosine has no meaning by itself: compare it with those of other pairs, or find a threshold on your own.",
        "It was made for sentences; of a long text little is left in one vector.",
    ]


def scores(metrics: Mapping[str, Any]) -> str:
    """What the run measured, on dev texts and on the tasks that were tried; nothing where it measured nothing."""
    if "tasks" not in metrics:
        return ""
    dev, lines = metrics["dev"], []
    lines.append(["cosine with the teacher's vector", f"{dev['cosine']:.4f}", "1"])
    lines.append(["10 nearest texts in common, %", f"{100 * dev['neighbours']:.2f}", "100"])
    for name, found in metrics["tasks"].items():
        if "rows" not in found:
            values = (f"{100 * found[who]:.2f}" for who in ("student", "teacher"))
            lines.append([f"{name} dev, Spearman of cosines × 100, no labels", *values])
        for n, count in enumerate(found.get("rows", ())):
            values = (f"{100 * found[who][n]:.2f}" for who in ("student", "teacher"))
            lines.append([f"{name} dev, {found['metric']}, logistic regression, {count:,} labels", *values])
    return f"""## Scores

{markdown_table(["", "student", "teacher"], lines)}

The first two lines are of texts that the student has not learnt from."""


def usage(models: Mapping[str, Mapping[str, Any]]) -> str:
    """Kotlin, where MediaPipe takes one of the files."""
    taken = [name for name, entry in models.items() if entry["mediapipe"] == "TextEmbedder"]
    return KOTLIN.format(file=taken[0]) if taken else ""
