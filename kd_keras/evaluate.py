"""Scores a trained student on a labeled file.

python -m kd_keras.evaluate --model_dir=DIR --data_file=FILE.tsv
python -m kd_keras.evaluate --model_dir=DIR --similarity=FILE.tsv
python -m kd_keras.evaluate --model=FILE.tflite --data_file=FILE.tsv

It prints a JSON object for each of --formats. A tagging has scores by type and
by language too, as tables on standard error. For a universal student,
--similarity gives Spearman's correlation of cosines with gold scores of pairs.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from absl import flags

from kd_keras.common import cli, packages
from kd_keras.common.config import define_flags, define_own, from_flags
from kd_keras.common.devices import DeviceSettings
from kd_keras.common.errors import UserError
from kd_keras.common.progress import say
from kd_keras.formats.format import FORMATS, parse_formats
from kd_keras.tasks import FileSettings, Rows, Task, read_labelled

FLAGS = flags.FLAGS
define_flags(FileSettings)
define_flags(DeviceSettings)
define_own("model_dir", None, "run folder of train or pretrain.", "model", Path)
define_own("model", None, ".tflite file of export, instead of --model_dir and --formats.", "model", Path)
define_own("data_file", None, "labeled file: a table with the run's columns, CoNLL columns, JSON lines.", "data", Path)
define_own("similarity", None, "pairs of texts with gold scores, for a student of pretrain.", "data", Path)
define_own("text_column", "sentence1", "column of the first text in --similarity.", "data")
define_own("text_b_column", "sentence2", "column of the second text in --similarity.", "data")
define_own("score_column", "score", "column of the score in --similarity; a higher one means more alike.", "data")
define_own("formats", "keras", f"scores these formats: {', '.join(FORMATS)} (export makes the others).", "model")
define_own("on_bad_row", "stop", "what to do with a row that cannot be used: stop, or skip and list it.", "data")


def main(argv: list[str]) -> None:
    cli.no_arguments(argv)
    cli.one_model("--model_dir=DIR, a run folder of train or pretrain, or --model=FILE.tflite, a file of export")
    if not FLAGS.similarity:
        cli.required(data_file="labeled rows to score it on")
    cli.require_stream("stdout", "send it to a file")
    where, task, runners, how = _opened(from_flags(FileSettings))
    if task.is_text or FLAGS.similarity:
        return _similarity(where, task, runners, how)
    rows = read_labelled(FLAGS.data_file, task, FLAGS.on_bad_row, files=how)

    from kd_keras.deploy.runner import always_answers, only_label
    from kd_keras.metrics import score
    from kd_keras.metrics.answers import as_logits

    for runner in runners():
        about = {"format": runner.format.name, "data_file": FLAGS.data_file, "rows": len(rows)}
        if task.is_tagging:
            print(json.dumps(about | _tagging(runner, rows), ensure_ascii=not cli.writes_utf8()), flush=True)
            continue
        got = runner.scores(rows)
        about |= {"cut": cut} if (cut := runner.cut(rows)) else {}
        if (always := only_label(task, rows, got)) is not None:
            about["always"] = always
            say(always_answers(runner.format.name, always))
        print(json.dumps(about | score(task.metrics, rows.label, as_logits(task, got))), flush=True)


def _opened(how: FileSettings) -> tuple[str, Task, Callable[[], Any], FileSettings]:
    """The model's name, its task, its runners, and how to read the file. Runners import TensorFlow only if needed."""
    from kd_keras.deploy.runner import Runner, require_export
    from kd_keras.runs.finished import FinishedRun

    device = from_flags(DeviceSettings)
    if FLAGS.model:
        if FLAGS["formats"].present:
            raise UserError(f"--formats={FLAGS.formats}: --model names one file; leave one of the two out")
        device.take(f"--model={FLAGS.model}")
        runner = Runner.load_file(FLAGS.model)
        return FLAGS.model, runner.task, lambda: iter([runner]), how
    formats = parse_formats(FLAGS.formats, FORMATS)
    asked, without = f"--formats={FLAGS.formats}", all(fmt.is_tflite for fmt in formats)
    if not without:
        packages.require(asked, "train")
    run = FinishedRun.open(FLAGS.model_dir)
    device.take(asked if without else None)
    for fmt in formats:
        require_export(run, fmt)

    def runners() -> Any:
        if not without:
            cli.import_tensorflow()
        return (Runner.load(run, fmt.name) for fmt in formats)

    how = run.files_like(FLAGS.data_file or FLAGS.similarity, how, run.task.is_tagging)
    return FLAGS.model_dir, run.task, runners, how


def _similarity(where: str, task: Task, runners: Callable[[], Any], how: FileSettings) -> None:
    """Scores a universal student on pairs, because it has no labels."""
    from kd_keras.deploy import vectors

    vectors.require_encoder(task, where)
    if FLAGS.data_file or not FLAGS.similarity:
        raise UserError(
            f"{where}: gives vectors; --similarity=FILE scores their cosines on pairs; leave --data_file out"
        )
    columns = (FLAGS.text_column, FLAGS.text_b_column, FLAGS.score_column)
    scored, pairs = vectors.read_pairs(FLAGS.similarity, columns, FLAGS.on_bad_row, how)
    for runner in runners():
        about = {"format": runner.format.name, "similarity": FLAGS.similarity, "rows": len(pairs)}
        print(json.dumps(about | vectors.similarity(runner, scored, pairs)), flush=True)


def _tagging(runner: Any, rows: Rows) -> dict[str, Any]:
    """Scores of a tagger. They are printed as tables too."""
    from kd_keras.deploy import tagging

    found = tagging.evaluate(runner, rows)
    if "always" in found:
        say(f"{runner.format.name}: gives every word the tag {found['always']!r}")
    say(tagging.tables(found))
    return found


if __name__ == "__main__":
    cli.run(main)
