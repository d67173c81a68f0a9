"""Gives texts vectors with a universal student, whose cosines say how alike they are.

python -m kd_keras.embed --model_dir=RUN "first text" "second text"
python -m kd_keras.embed --model_dir=RUN --input=FILE --output=FILE.npy
python -m kd_keras.embed --model=FILE.tflite --input=- --output=FILE.jsonl

RUN is a run folder of pretrain, FILE.tflite a file of export (TensorFlow is not imported then), or RUN/student.keras.
FILE.npy has float32[rows, numbers] in the order of the rows; else each line is a JSON object: text, vector.
"""

from __future__ import annotations

from pathlib import Path

from absl import flags

from kd_keras.common import cli
from kd_keras.common.config import define_flags, define_path, define_string, from_flags
from kd_keras.common.errors import UserError
from kd_keras.common.places import check_output
from kd_keras.common.progress import say
from kd_keras.tasks import FileSettings, Rows, read_texts

FLAGS = flags.FLAGS
define_flags(FileSettings)
define_path("model_dir", None, "run folder of pretrain.")
define_path("model", None, "instead of --model_dir: a .tflite file of export, or a run's student.keras.")
define_path("input", None, "text, one a line, or .csv, .tsv, .jsonl; or a pipe; - is standard input.")
define_string("text_column", None, "column of the text in .csv, .tsv and .jsonl.")
define_path("output", "-", "file for the vectors: .npy, else JSON lines; - is standard output, which gets JSON lines.")


def main(argv: list[str]) -> None:
    texts, how = argv[1:], from_flags(FileSettings)
    if bool(FLAGS.model_dir) == bool(FLAGS.model):
        raise UserError(
            "give either --model_dir=DIR, a run folder of pretrain, or --model=FILE, a file of it or of export"
        )
    if bool(texts) == bool(FLAGS.input):
        raise UserError("give either texts as arguments or --input=FILE (- for standard input)")
    if FLAGS.input == "-":
        cli.require_stream("stdin", "give --input=FILE")
    if FLAGS.output == "-":
        cli.require_stream("stdout", "give --output=FILE")
    else:
        check_output(FLAGS.output, "--output", {"--input": FLAGS.input, "--model": FLAGS.model})

    from kd_keras.deploy import vectors
    from kd_keras.deploy.runner import Runner
    from kd_keras.runs.finished import FinishedRun

    file = FLAGS.model or ""
    if file.endswith(".keras"):
        opened = FinishedRun.open(Path(file).parent)
    else:
        opened = Runner.load_file(file) if file else FinishedRun.open(FLAGS.model_dir)
    vectors.require_encoder(opened.task, file or FLAGS.model_dir)
    rows = _rows(texts, how)
    if not isinstance(opened, Runner):
        cli.import_tensorflow()
        opened = Runner.load(opened)
    vectors.write(opened, rows, FLAGS.output, FLAGS.output == "-" and not cli.writes_utf8())
    if FLAGS.output != "-":
        say(f"{len(rows):,} vectors in {FLAGS.output}")


def _rows(texts: list[str], how: FileSettings) -> Rows:
    if texts:
        from kd_keras.deploy.vectors import rows_of

        return rows_of(texts)
    return read_texts(FLAGS.input, FLAGS.text_column, on_disk=True, files=how)


if __name__ == "__main__":
    cli.run(main)
