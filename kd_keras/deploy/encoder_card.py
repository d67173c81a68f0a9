"""The parts of a model card that only a universal student has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kd_keras.deploy.agreement import SAME_VECTOR
from kd_keras.runs.probing import table
from kd_keras.tasks import Task

SAME = f"cosine ≥ {SAME_VECTOR}"
KOTLIN = """On Android, MediaPipe Tasks compares two texts.
`plain` stands in `android/Tokenizers.kt` of kd_keras' repository.

```kotlin
val embedder = TextEmbedder.createFromFile(context, "{file}")
val (a, b) = listOf("first text", "second text").map {{
    embedder.embed(plain(it)).embeddingResult().embeddings().first()
}}
println(TextEmbedder.cosineSimilarity(a, b))
```"""


def gives(task: Task) -> str:
    return (
        f"gives each a vector of {task.vector_size} numbers. Texts that mean the same have vectors with a high cosine"
    )


def limits() -> list[str]:
    return [
        "A cosine means nothing by itself. Compare it with other pairs', or find a threshold on your own texts.",
        "It is for sentences. One vector keeps little of a long text.",
    ]


def scores(metrics: Mapping[str, Any]) -> str:
    """The run's scores on dev texts and on the tasks that were tried. Empty if there are none."""
    if "tasks" not in metrics:
        return ""
    return f"""## Scores

{table(metrics)}

These are dev scores, times 100 except for the cosine. A task's scores with labels are those of
logistic regression on the vectors. The encoder has seen no labels."""


def usage(models: Mapping[str, Mapping[str, Any]]) -> str:
    """Kotlin, if MediaPipe takes one of the files."""
    taken = [name for name, entry in models.items() if entry["mediapipe"] == "TextEmbedder"]
    return KOTLIN.format(file=taken[0]) if taken else ""
