"""Builds a task's transfer set, to look at or to label.

python -m kd_keras.transfer --task=NAME --augment=all --output=FILE.jsonl
python -m kd_keras.transfer --task=NAME --unlabeled=task --output=FILE.jsonl

Its rows are made from the training text by rules, or they are unlabeled text.
A killed command goes on where it was.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags

from kd_keras.augment.settings import AugmentSettings, UnlabeledSettings
from kd_keras.common import cli, files, packages
from kd_keras.common.claims import claimed
from kd_keras.common.config import define_flags, define_own, from_flags
from kd_keras.common.errors import UserError
from kd_keras.common.places import check_output
from kd_keras.pipelines.settings import ClusterSettings
from kd_keras.tasks import TaskSettings, load_data, load_test, resolve

if TYPE_CHECKING:
    from kd_keras.augment.transfer import Transfer

FLAGS = flags.FLAGS
for _cls in (TaskSettings, AugmentSettings, UnlabeledSettings, ClusterSettings):
    define_flags(_cls)
define_own(
    "output",
    None,
    "writes the rows here, .jsonl: id, text (text_b), source, rule; label reads it. Parts of the text lie in "
    "FILE.parts until it is written.",
    "output",
    Path,
)


def main(argv: list[str]) -> None:
    cli.no_arguments(argv)
    tasks, settings, more = from_flags(TaskSettings), from_flags(AugmentSettings), from_flags(UnlabeledSettings)
    cluster = from_flags(ClusterSettings)
    cluster.check()
    task, settings = resolve(tasks), settings.decided(rows=0, automatic=False)
    if settings.augment == "none" and not more.wanted:
        raise UserError(
            "--augment=none makes no text; use mask, pos, ngram or all, or give text by --unlabeled or "
            "--unlabeled_files"
        )
    if not (FLAGS.output or "").endswith(".jsonl"):
        raise UserError(f"--output={FLAGS.output or ''}: expected a name that ends in .jsonl")
    read = {f"--{name}": getattr(tasks, name) for name in ("train_file", "dev_file", "test_file")}
    check_output(FLAGS.output, "--output", read)
    packages.require("transfer", "augment", "pyarrow")
    if settings.chance("pos"):
        from kd_keras.augment.tagging import check_tagger

        check_tagger(settings.tagger)

    from kd_keras.augment.augmentation import augmented
    from kd_keras.augment.unlabeled import UnlabeledText, check_unlabeled, split_like, unlabeled, unlabeled_files
    from kd_keras.pipelines.text import text_crew

    for path in unlabeled_files(more):
        check_output(FLAGS.output, "--output", {"--unlabeled_files": path})
    how = tasks.file_settings()
    text = UnlabeledText(task, more, tasks.data_dir, tasks.on_bad_row, how)
    check_unlabeled(text)
    data = load_data(tasks, task)
    test = load_test(task, tasks.data_dir, tasks.on_bad_row) if more.wanted else None
    more = split_like(more, task, data.train)
    work, sets = Path(f"{FLAGS.output}.parts"), []
    with _gone_if_empty(work), claimed(work / "command.claim", f"--output={FLAGS.output}"):
        if settings.augment != "none":
            crew = text_crew(cluster, settings.processes)
            sets.append(augmented(data.train, settings, work / "augmented.parquet", crew=crew))
        if more.wanted:
            known = [data.train, *([data.rest] if data.rest else [])]
            held_out = [data.dev, *data.extra.values(), *([test] if test else [])]
            text = replace(text, settings=more, train=data.train if task.is_pair else None)
            path = work / "unlabeled.parquet"
            sets.append(unlabeled(text, known, held_out, path, crew=text_crew(cluster)))
        _write(FLAGS.output, sets, data.train.ids)
        shutil.rmtree(work, ignore_errors=True)
    print(f"{sum(map(len, sets)):,} new rows beside the {len(data.train):,} of train in {FLAGS.output}")


@contextlib.contextmanager
def _gone_if_empty(folder: Path) -> Iterator[None]:
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # it is not empty, or gone
            folder.rmdir()


def _write(output: str, sets: list[Transfer], train_ids: Sequence[str]) -> None:
    with files.atomic_path(output) as temp, open(temp, "w", encoding="utf-8", newline="\n") as f:
        for made in sets:
            rows = made.rows
            for row_id, text, text_b, source, rule in zip(
                rows.ids, rows.text, rows.text_b or repeat(None), made.source, made.rule, strict=False
            ):
                row = {"id": row_id, "text": text} | ({} if text_b is None else {"text_b": text_b})
                row |= {"source": train_ids[source] if source >= 0 else None, "rule": rule}
                f.write(json.dumps(row, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    cli.run(main)
