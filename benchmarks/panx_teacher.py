"""Makes the teacher of PAN-X: me5-small, fine-tuned in three phases on rows that no earlier phase has read.

    python benchmarks/panx_teacher.py --data_dir=DIR --output_dir=DIR [--phases=1,2,3]

There are too many rows for a pass on two cores, and languages differ in size. Phase 1 reads 4,000 rows of each
language, phase 2 the next 3,000. Phase 3 reads the rest, mostly of languages with low F1, and repeats small languages.
The result is a teacher for train: --task=panx --teacher=DIR/phase-3/teacher --teacher_epochs=0. A killed run
continues where it was.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from kd_keras.common import cli
from kd_keras.common.seeds import rng
from kd_keras.tasks import Rows, TaskSettings, load_data
from kd_keras.tasks.tagging_sources import joined

# The languages with the lowest F1 after phase 2. ja and zh, whose words are characters, are lowest.
HARD = ("ja", "zh", "he", "ko", "en", "de", "ml", "ka", "ta", "te")
CHARACTERS = ("ja", "zh")


@dataclass(frozen=True)
class Phase:
    """Attributes:
    rate: peak learning rate.
    first, many: the first row and the number of rows of each language, in random order.
    """

    rate: float
    first: int
    many: int


PHASES = (Phase(3e-4, 0, 4_000), Phase(1.5e-4, 4_000, 3_000), Phase(2e-4, 7_000, 2_500))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data_dir", required=True)
    parser.add_argument("--output_dir", type=Path, required=True)
    parser.add_argument("--phases", default="1,2,3")
    args = parser.parse_args()
    print("python benchmarks/panx_teacher.py " + " ".join(sys.argv[1:]), flush=True)
    data = load_data(TaskSettings(task="panx", data_dir=args.data_dir, dev_per_language=100))
    cli.quiet()
    cli.import_tensorflow()
    from kd_keras.teachers.checkpoints import find_checkpoint
    from kd_keras.teachers.finetune import fine_tune
    from kd_keras.teachers.settings import TeacherSettings

    for number in map(int, args.phases.split(",")):
        phase = PHASES[number - 1]
        start = "me5-small" if number == 1 else str(args.output_dir / f"phase-{number - 1}" / "teacher")
        rows = joined(list(parts(data.train, number, phase)))
        print(f"phase {number}: {len(rows):,} rows", flush=True)
        settings = TeacherSettings(
            teacher=start, teacher_epochs=1, teacher_learning_rate=phase.rate, teacher_batch_size=64, teacher_evals=4,
            teacher_freeze="embeddings", teacher_precision="bfloat16", teacher_dropout=0.0, checkpoint_seconds=240.0,
        )  # fmt: skip
        fine_tune(
            find_checkpoint(start), replace(data, train=rows), settings, args.output_dir / f"phase-{number}" / "teacher"
        )


def parts(train: Rows, number: int, phase: Phase) -> Iterator[Rows]:
    """The rows of each language that a phase reads. A row that is read twice has another id the second time."""
    group = np.asarray(train.group)
    for language in sorted(set(group.tolist())):
        order = np.flatnonzero(group == language)
        order = order[rng(1, "phases", language).permutation(len(order))]
        some = order[phase.first : phase.first + phase.many]
        if number == 3:
            some = _last(order, language, phase)
        again = np.unique(some, return_counts=True)[1].max(initial=1)
        for n in range(again):
            # Each copy has each row once.
            rows = train.take(some if again == 1 else np.unique(some))
            yield replace(rows, ids=[f"{i}-{n}" for i in rows.ids]) if again > 1 else rows


def _last(order: np.ndarray, language: str, phase: Phase) -> np.ndarray:
    """The rows of a language that phase 3 reads: small languages repeat, hard ones have more rows."""
    count = len(order)
    if count <= 5_000:
        return np.repeat(order, 10 if count <= 100 else 5 if count <= 1_000 else 2)
    if language in CHARACTERS:
        return order[phase.first :]
    many = 9_000 if language in HARD else phase.many
    extra = order[:3_000] if language in HARD and count <= 10_000 else order[:0]
    return np.concatenate([order[phase.first : phase.first + many], extra])


if __name__ == "__main__":
    main()
