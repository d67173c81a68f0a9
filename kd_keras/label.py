"""Labels any file of text with a fine-tuned teacher.

python -m kd_keras.label --teacher_dir=DIR --input=FILE --output_dir=DIR
python -m kd_keras.label --teacher_dir=DIR --input=FILE --output=FILE.jsonl

A killed command continues where it was.
"""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

from absl import flags

from kd_keras.common import cli, packages
from kd_keras.common.config import AWAY, define_flags, define_own, from_flags
from kd_keras.common.devices import DeviceSettings, tell
from kd_keras.common.errors import UserError
from kd_keras.common.places import check_output
from kd_keras.pipelines.settings import ClusterSettings
from kd_keras.runs.asked import texts_for
from kd_keras.tasks import FileSettings
from kd_keras.teachers.checkpoints import find_checkpoint
from kd_keras.teachers.settings import WORD, LabelSettings

FLAGS = flags.FLAGS
define_flags(LabelSettings)
define_flags(FileSettings)
define_flags(ClusterSettings)
define_flags(DeviceSettings)
define_own(
    "teacher_dir",
    None,
    "folder of one fine-tuned teacher: that of finetune, or RUN/teacher, RUN/teacher-2, ….",
    "teacher",
    Path,
)
define_own(
    "input", None, "text, one a line, or .csv, .tsv, .jsonl, .conll; or a pipe; -: standard input.", "data", Path
)
define_own(
    "text_column",
    None,
    "column of the text in .csv, .tsv and .jsonl; if not given, the run's own, if --teacher_dir is in a run.",
    "data",
)
define_own("text_b_column", None, "column of a pair's second text; if not given, likewise.", "data")
define_own(
    "output_dir", None, "folder for the signals (Parquet shards, a manifest), or s3://BUCKET/PREFIX.", "output", AWAY
)
define_own(
    "output",
    None,
    "also, or instead, writes one file, as train --teacher_signals reads it: a JSON object a row with its text "
    "and the logit of each class (or the score of a regression). Shards lie in FILE.signals until it is written.",
    "output",
    Path,
)


def main(argv: list[str]) -> None:
    cli.no_arguments(argv)
    settings, how = from_flags(LabelSettings), from_flags(FileSettings)
    cli.required(teacher_dir="a fine-tuned teacher", input="the text to label")
    if not FLAGS.output_dir and not FLAGS.output:
        raise UserError("give --output_dir=DIR or --output=FILE.jsonl for the signals")
    packages.require("label", "teacher")
    cluster = from_flags(ClusterSettings)
    cluster.check()
    from_flags(DeviceSettings).take(cluster.on_cpus)
    settings.check_machine()
    if settings.hidden == WORD:
        raise UserError(f"--hidden={WORD}: only train stores states of words; use cls, mean or none")
    checkpoint = find_checkpoint(FLAGS.teacher_dir, "--teacher_dir")
    if "key" not in (made := checkpoint.manifest() or {}):
        raise UserError(
            f"--teacher_dir={FLAGS.teacher_dir}: not fine-tuned by finetune or train (no finished teacher.json)"
        )
    if made.get("tagging") and settings.hidden != "none":
        raise UserError(f"--hidden={settings.hidden}: {FLAGS.teacher_dir} tags words and has no vector of a sentence")
    if FLAGS.output:
        _check_output(FLAGS.output, settings, made)
    from kd_keras.teachers.signals import SignalStore

    folder = FLAGS.output_dir or f"{FLAGS.output}.signals"
    store = SignalStore(folder)
    store.check_free("--output_dir" if FLAGS.output_dir else "--output")
    if FLAGS.input == "-":
        cli.require_stream("stdin", "give --input=FILE")
    rows = texts_for(FLAGS.teacher_dir, made, FLAGS.input, (FLAGS.text_column, FLAGS.text_b_column), how)
    if not len(rows):
        raise UserError(f"--input={FLAGS.input}: holds no text; expected at least one line that is not blank")

    cli.import_tensorflow()
    tell()
    from kd_keras.pipelines.labelling import on_cluster
    from kd_keras.teachers.given import write_answers
    from kd_keras.teachers.labelling import label, make
    from kd_keras.teachers.tagger import load_finished, opened

    teacher = load_finished(checkpoint)
    teacher.crew = on_cluster(cluster, partial(opened, str(checkpoint.path.resolve())))
    task, there = made["key"]["task"], store.is_complete
    if FLAGS.output:
        signals = label(teacher, rows, folder, settings, task, "text")
        write_answers(FLAGS.output, rows, signals.logits, None if made["regression"] else checkpoint.labels)
        if not FLAGS.output_dir:
            shutil.rmtree(folder)
    else:
        make(teacher, rows, store, settings, task, "text")
        if there:
            store.verify()
    print(f"{len(rows):,} rows labeled in {FLAGS.output_dir or FLAGS.output}")


def _check_output(path: str, settings: LabelSettings, made: dict) -> None:
    """Refuses ``--output`` if it cannot be written, or cannot hold what the flags ask for."""
    if made.get("tagging"):
        raise UserError(f"--output={path}: {FLAGS.teacher_dir} tags words; expected --output_dir=DIR")
    if settings.hidden != "none" and not FLAGS.output_dir:
        raise UserError(f"--hidden={settings.hidden}: --output holds only logits; add --output_dir=DIR")
    if not path.endswith(".jsonl"):
        raise UserError(f"--output={path}: expected a name that ends in .jsonl")
    check_output(path, "--output", {"--input": FLAGS.input})


if __name__ == "__main__":
    cli.run(main)
