"""What a universal student's model card says that no other does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kd_keras.deploy.agreement import SAME_VECTOR
from kd_keras.runs.probing import table
from kd_keras.tasks import Task

SAME = f"cosine of {SAME_VECTOR}"
KOTLIN = """With MediaPipe Tasks on Android (`plain` stands in `android/Tokenizers.kt` of kd_keras' repository):

```kotlin
val embedder = TextEmbedder.createFromFile(context, "{file}")
val (a, b) = listOf("first text", "second text").map {{
    embedder.embed(plain(it)).embeddingResult().embeddings().first()
}}
println(TextEmbedder.cosineSimilarity(a, b))
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
    return f"""## Scores

{table(metrics)}

On dev, times 100 but for cosines. What the vectors are worth to a task: logistic regression on them, with so many
labels; the encoder has seen none."""


def usage(models: Mapping[str, Mapping[str, Any]]) -> str:
    """Kotlin, where MediaPipe takes one of the files."""
    taken = [name for name, entry in models.items() if entry["mediapipe"] == "TextEmbedder"]
    return KOTLIN.format(file=taken[0]) if taken else ""
