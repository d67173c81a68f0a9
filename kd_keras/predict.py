"""Labels texts with a trained student, as JSON lines.

python -m kd_keras.predict --model_dir=DIR "a gorgeous film"
python -m kd_keras.predict --model_dir=DIR "first text" --text_b="second text"
python -m kd_keras.predict --model_dir=DIR --input=FILE|- [--output=FILE|-]
python -m kd_keras.predict --model=FILE.tflite "a gorgeous film"
python -m kd_keras.predict --model_dir=DIR --input=A.conll --output=B.conll

Each line is a JSON object with the text and:
  classes: label, scores
  several labels a text: labels (those whose score is over 0.5), scores
  a regression: score
  names: entities; for a file of words tokens and tags, or columns again

--model is a file of export, with the files beside it that export wrote; it
needs no TensorFlow. With more than 10 labels, "scores" lists the best 5;
--top_k asks for another number.
"""

from __future__ import annotations

import sys
from itertools import chain
from pathlib import Path

from absl import flags

from kd_keras.common import cli, files, packages
from kd_keras.common.config import define_flags, define_own, from_flags
from kd_keras.common.devices import DeviceSettings
from kd_keras.common.errors import UserError
from kd_keras.common.progress import say
from kd_keras.deploy.answer_lines import ALL, BEST, answer_lines
from kd_keras.deploy.in_parts import in_parts
from kd_keras.tasks import FileSettings, Rows, Task, read_texts

FLAGS = flags.FLAGS
define_flags(FileSettings)
define_flags(DeviceSettings)
define_own("model_dir", None, "run folder of train.", "model", Path)
define_own("model", None, ".tflite file of export, instead of --model_dir.", "model", Path)
define_own(
    "input",
    None,
    "reads this text: one a line, or .csv, .tsv, .jsonl, .conll; or a pipe; -: standard input.",
    "data",
    Path,
)
define_own("text_b", None, "second text of a pair whose first is the argument.", "data")
define_own("text_column", None, "column of the text in .csv, .tsv and .jsonl.", "data")
define_own(
    "text_b_column", None, "column of a pair's second text; in plain text, a tab stands between the two.", "data"
)
define_own(
    "output", "-", "writes the JSON lines here, or columns if it ends in .conll; -: standard output.", "output", Path
)
define_own(
    "top_k",
    None,
    'lists this many labels in "scores", the best first; 0: all, in the order of the task; if not given, all if the '
    f"task has {ALL} labels or fewer, else the {BEST} best.",
    "output",
    int,
)


def main(argv: list[str]) -> None:
    texts, how = argv[1:], from_flags(FileSettings)
    cli.check_asked(texts, "--model_dir=DIR, a run folder of train, or --model=FILE.tflite, a file of export")
    if FLAGS.top_k is not None and FLAGS.top_k < 0:
        raise UserError(f"--top_k={FLAGS.top_k}: expected a number of labels, or 0 for all of them")

    from kd_keras.deploy.runner import Runner
    from kd_keras.runs.finished import FinishedRun

    # The run is opened first, because importing TensorFlow takes seconds.
    opened = Runner.load_file(FLAGS.model) if FLAGS.model else FinishedRun.open(FLAGS.model_dir)
    if not FLAGS.model:
        packages.require(f"--model_dir={FLAGS.model_dir}", "train")
    from_flags(DeviceSettings).take(f"--model={FLAGS.model}" if FLAGS.model else None)
    task = opened.task
    if task.is_text:
        where = FLAGS.model or FLAGS.model_dir
        raise UserError(f"{where}: gives vectors instead of labels; use python -m kd_keras.embed")
    _check_pair(task, texts)
    if FLAGS.top_k is not None and (task.is_regression or task.is_tagging):
        where, gives = FLAGS.model or FLAGS.model_dir, "entities" if task.is_tagging else "one number"
        raise UserError(f"--top_k={FLAGS.top_k}: {where} gives {gives}, no labels (task {task.name}); leave it out")
    if FLAGS.input and isinstance(opened, FinishedRun):
        how = opened.files_like(FLAGS.input, how)
    plain = FLAGS.output == "-" and not cli.writes_utf8()
    if task.is_tagging:
        from kd_keras.deploy import tagging

        asked = tagging.Asked.of(texts, task) if texts else tagging.read(FLAGS.input, task, FLAGS.text_column, how)
        columns, rows = tagging.writes_columns(FLAGS.output, how), asked.rows
        lines = tagging.answer_lines(Runner.of(opened), asked, columns, plain)
    else:
        rows = _rows(texts, task, how)
        runner = Runner.of(opened)
        each = (answer_lines(task, p, runner.scores(p), FLAGS.top_k, plain) for p in in_parts(rows, "predicting"))
        lines = chain.from_iterable(each)
    if FLAGS.output == "-":
        sys.stdout.writelines(lines)
    else:
        with files.atomic_path(FLAGS.output) as temp, open(temp, "w", encoding="utf-8", newline="\n") as f:
            f.writelines(lines)
        say(f"{len(rows):,} predictions in {FLAGS.output}")


def _rows(texts: list[str], task: Task, how: FileSettings) -> Rows:
    if not texts:
        return read_texts(FLAGS.input, FLAGS.text_column, FLAGS.text_b_column, task, on_disk=True, files=how)
    return task.rows(texts, [FLAGS.text_b] if task.is_pair else None)


def _check_pair(task: Task, texts: list[str]) -> None:
    model = FLAGS.model or FLAGS.model_dir
    if not task.is_pair:
        for flag in ("text_b", "text_b_column"):
            if FLAGS[flag].value is not None:
                raise UserError(f"--{flag}: {model} reads single texts (task {task.name})")
    elif texts and (len(texts) != 1 or FLAGS.text_b is None):
        raise UserError(f'{model} reads pairs (task {task.name}): give one text and --text_b="…", or --input=FILE')
    elif FLAGS.input and FLAGS.text_b is not None:
        raise UserError("--text_b belongs to a text argument; with --input, --text_b_column names a column")


if __name__ == "__main__":
    cli.run(main)
