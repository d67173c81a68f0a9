"""Scores a trained student on a labeled file.

python -m kd_keras.evaluate --model_dir=DIR --data_file=FILE.tsv
python -m kd_keras.evaluate --model_dir=DIR --similarity=FILE.tsv

It prints a JSON object for each of --formats. A tagging has scores by type, by
language and their mean too; standard error has these as tables. For a
universal student, --similarity gives Spearman's correlation of cosines with
the gold scores of pairs.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import flags

from kd_keras.common import cli, packages
from kd_keras.common.config import define_flags, define_own, from_flags
from kd_keras.common.devices import DeviceSettings
from kd_keras.common.errors import UserError
from kd_keras.common.progress import say
from kd_keras.formats.format import FORMATS, Format, parse_formats
from kd_keras.tasks import FileSettings, Rows, read_labelled

FLAGS = flags.FLAGS
define_flags(FileSettings)
define_flags(DeviceSettings)
define_own("model_dir", None, "run folder of train.", "model", Path)
define_own(
    "data_file",
    None,
    "labeled .csv, .tsv or .jsonl file with the run's own columns; for a tagging, CoNLL columns or JSON lines.",
    "data",
    Path,
)
define_own(
    "similarity", None, "pairs of texts with gold scores, for a run of pretrain: .csv, .tsv or .jsonl.", "data", Path
)
define_own("text_column", "sentence1", "column of the first text in --similarity.", "data")
define_own("text_b_column", "sentence2", "column of the second text in --similarity.", "data")
define_own("score_column", "score", "column of the score in --similarity; a higher one means more alike.", "data")
define_own("formats", "keras", f"scores these formats: {', '.join(FORMATS)} (export makes the others).", "model")
define_own("on_bad_row", "stop", "what to do with a row that cannot be used: stop, or skip and list it.", "data")


def main(argv: list[str]) -> None:
    cli.no_arguments(argv)
    cli.required(model_dir="a run folder of train or pretrain")
    if not FLAGS.similarity:
        cli.required(data_file="labeled rows to score it on")
    cli.require_stream("stdout", "send it to a file")
    formats, how = parse_formats(FLAGS.formats, FORMATS), from_flags(FileSettings)

    from kd_keras.deploy.runner import Runner, always_answers, only_label, require_export
    from kd_keras.runs.finished import FinishedRun

    if not all(fmt.is_tflite for fmt in formats):
        packages.require(f"--formats={FLAGS.formats}", "train")
    run = FinishedRun.open(FLAGS.model_dir)
    from_flags(DeviceSettings).take(f"--formats={FLAGS.formats}" if all(fmt.is_tflite for fmt in formats) else None)
    task = run.task
    for fmt in formats:
        require_export(run, fmt)
    if task.is_text or FLAGS.similarity:
        _similarity(run, formats, how)
        return
    rows = read_labelled(FLAGS.data_file, task, FLAGS.on_bad_row, files=how)

    from kd_keras.metrics import score
    from kd_keras.metrics.answers import as_logits

    if not all(fmt.is_tflite for fmt in formats):
        cli.import_tensorflow()
    for fmt in formats:
        runner = Runner.load(run, fmt.name)
        about = {"format": fmt.name, "data_file": FLAGS.data_file, "rows": len(rows)}
        if task.is_tagging:
            print(json.dumps(about | _tagging(runner, rows), ensure_ascii=not cli.writes_utf8()), flush=True)
            continue
        got = runner.scores(rows)
        if cut := runner.cut(rows):
            about["cut"] = cut
        if (always := only_label(task, rows, got)) is not None:
            about["always"] = always
            say(always_answers(fmt.name, always))
        print(json.dumps(about | score(task.metrics, rows.label, as_logits(task, got))), flush=True)


def _similarity(run: Any, formats: Sequence[Format], how: FileSettings) -> None:
    """Of a universal student, which has no labels of its own to be scored on."""
    from kd_keras.deploy import vectors
    from kd_keras.deploy.runner import Runner

    vectors.require_encoder(run.task, FLAGS.model_dir)
    if FLAGS.data_file or not FLAGS.similarity:
        raise UserError(
            f"{FLAGS.model_dir}: gives vectors; --similarity=FILE scores their cosines on pairs; leave --data_file out"
        )
    columns = (FLAGS.text_column, FLAGS.text_b_column, FLAGS.score_column)
    task, pairs = vectors.read_pairs(FLAGS.similarity, columns, FLAGS.on_bad_row, how)
    if not all(fmt.is_tflite for fmt in formats):
        cli.import_tensorflow()
    for fmt in formats:
        about = {"format": fmt.name, "similarity": FLAGS.similarity, "rows": len(pairs)}
        print(json.dumps(about | vectors.similarity(Runner.load(run, fmt.name), task, pairs)), flush=True)


def _tagging(runner: Any, rows: Rows) -> dict[str, Any]:
    """Scores of a tagger, which are shown as tables too."""
    from kd_keras.deploy import tagging
    from kd_keras.deploy.runner import always_answers

    found = tagging.evaluate(runner, rows)
    if "always" in found:
        say(always_answers(runner.format.name, found["always"]))
    say(tagging.tables(found))
    return found


if __name__ == "__main__":
    cli.run(main)
