"""Builds a task's transfer set, to look at or to label: text made from the training text by rules, and unlabelled text.

python -m kd_keras.transfer --task=NAME [--augment=all --n_iter=20] [--unlabeled_files=FILES] --output=FILE.jsonl
"""

from __future__ import annotations

import json

from absl import flags

from kd_keras.augment.settings import AugmentSettings, UnlabeledSettings
from kd_keras.common import cli, files
from kd_keras.common.config import define_flags, define_string, from_flags
from kd_keras.common.errors import UserError
from kd_keras.common.progress import say
from kd_keras.tasks import TaskSettings, load, load_test, resolve

FLAGS = flags.FLAGS
for _cls in (TaskSettings, AugmentSettings, UnlabeledSettings):
    define_flags(_cls)
define_string("output", None, "file for the rows, .jsonl: id, text (text_b), source, rule; label reads it.")


def main(argv: list[str]) -> None:
    cli.no_arguments(argv)
    tasks, settings, more = from_flags(TaskSettings), from_flags(AugmentSettings), from_flags(UnlabeledSettings)
    task = resolve(tasks)
    if settings.augment == "none" and not more.wanted:
        raise UserError(
            "--augment=none makes no text; take mask, pos, ngram or all, or name text with --unlabeled or "
            "--unlabeled_files"
        )
    if not (FLAGS.output or "").endswith(".jsonl"):
        raise UserError(f"--output={FLAGS.output or ''}: expected a name that ends in .jsonl")
    if settings.chance("pos"):
        from kd_keras.augment.tagging import check_tagger

        check_tagger(settings.tagger)

    from kd_keras.augment.transfer import augment
    from kd_keras.augment.unlabeled import check_unlabeled, read_unlabeled

    check_unlabeled(task, tasks.data_dir, more)
    data = load(task, tasks.data_dir, tasks.on_bad_row, tasks.labels_per_class, tasks.labels_seed)
    sets = [augment(data.train, settings)] if settings.augment != "none" else []
    if more.wanted:
        test = load_test(task, tasks.data_dir, tasks.on_bad_row)
        held_out = [data.dev, *data.extra.values(), *([test] if test else [])]
        known = [data.train, *([data.rest] if data.rest else [])]
        sets.append(read_unlabeled(task, tasks.data_dir, more, known, held_out))
    with files.atomic_path(FLAGS.output) as temp, open(temp, "w", encoding="utf-8", newline="\n") as f:
        for made in sets:
            for note in made.notes:
                say(note)
            rows = made.rows
            for i in range(len(made)):
                row = {"id": rows.ids[i], "text": rows.text[i]}
                if rows.text_b is not None:
                    row["text_b"] = rows.text_b[i]
                source = data.train.ids[made.source[i]] if made.source[i] >= 0 else None
                row |= {"source": source, "rule": made.rule[i]}
                f.write(json.dumps(row, ensure_ascii=False) + "\n")
    print(f"{sum(map(len, sets)):,} new rows beside the {len(data.train):,} of train in {FLAGS.output}")


if __name__ == "__main__":
    cli.run(main)
