"""Builds a task's transfer set: text made from the training text by rules, each row with its source and rule.

python -m kd_keras.transfer --task=NAME --augment=all --n_iter=20 --output=FILE.jsonl
"""

from __future__ import annotations

import json

from absl import flags

from kd_keras.augment.settings import AugmentSettings
from kd_keras.common import cli, files
from kd_keras.common.config import define_flags, define_string, from_flags
from kd_keras.common.errors import UserError
from kd_keras.common.progress import say
from kd_keras.tasks import TaskSettings, load, resolve

FLAGS = flags.FLAGS
for _cls in (TaskSettings, AugmentSettings):
    define_flags(_cls)
define_string("output", None, "file for the rows, .jsonl: id, text (text_b), source, rule; label reads it.")


def main(argv: list[str]) -> None:
    cli.no_arguments(argv)
    tasks, settings = from_flags(TaskSettings), from_flags(AugmentSettings)
    task = resolve(tasks)
    if settings.augment == "none":
        raise UserError("--augment=none makes no text; take mask, pos, ngram or all")
    if not (FLAGS.output or "").endswith(".jsonl"):
        raise UserError(f"--output={FLAGS.output or ''}: expected a name that ends in .jsonl")
    if settings.chance("pos"):
        from kd_keras.augment.tagging import check_tagger

        check_tagger(settings.tagger)

    from kd_keras.augment.transfer import augment

    train = load(task, tasks.data_dir, tasks.on_bad_row, tasks.labels_per_class, tasks.labels_seed).train
    made = augment(train, settings)
    for note in made.notes:
        say(note)
    rows = made.rows
    with files.atomic_path(FLAGS.output) as temp, open(temp, "w", encoding="utf-8", newline="\n") as f:
        for i in range(len(made)):
            row = {"id": rows.ids[i], "text": rows.text[i]}
            if rows.text_b is not None:
                row["text_b"] = rows.text_b[i]
            row |= {"source": train.ids[made.source[i]], "rule": made.rule[i]}
            f.write(json.dumps(row, ensure_ascii=False) + "\n")
    print(f"{len(made):,} new rows from {len(train):,} in {FLAGS.output}")


if __name__ == "__main__":
    cli.run(main)
