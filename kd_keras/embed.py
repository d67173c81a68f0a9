"""Gives texts vectors with a universal student.

python -m kd_keras.embed --model_dir=RUN "first text" "second text"
python -m kd_keras.embed --model_dir=RUN --input=FILE --output=FILE.npy
python -m kd_keras.embed --model=FILE.tflite --input=- --output=FILE.jsonl

The cosine of two vectors says how alike the texts are. RUN is a run folder of
pretrain. FILE.tflite is a file of export, which needs no TensorFlow, or
RUN/student.keras. FILE.npy has float32[rows, dim] in the order of the rows;
other files have a JSON object a line: text, vector.
"""

from __future__ import annotations

from pathlib import Path

from absl import flags

from kd_keras.common import cli, packages
from kd_keras.common.config import define_flags, define_own, from_flags
from kd_keras.common.devices import DeviceSettings
from kd_keras.common.errors import UserError
from kd_keras.common.files import require_file
from kd_keras.common.progress import say
from kd_keras.tasks import FileSettings, read_texts

FLAGS = flags.FLAGS
define_flags(FileSettings)
define_flags(DeviceSettings)
define_own("model_dir", None, "run folder of pretrain.", "model", Path)
define_own("model", None, ".tflite file of export, or a run's student.keras, instead of --model_dir.", "model", Path)
define_own(
    "input", None, "reads this text: one a line, or .csv, .tsv, .jsonl; or a pipe; -: standard input.", "data", Path
)
define_own("text_column", None, "column of the text in .csv, .tsv and .jsonl.", "data")
define_own(
    "output",
    "-",
    "writes the vectors here: .npy, else JSON lines; -: standard output, in JSON lines.",
    "output",
    Path,
)


def main(argv: list[str]) -> None:
    texts, how = argv[1:], from_flags(FileSettings)
    cli.check_asked(texts, "--model_dir=DIR, a run folder of pretrain, or --model=FILE, a file of it or of export")

    from kd_keras.deploy import vectors
    from kd_keras.deploy.runner import Runner
    from kd_keras.runs.finished import FinishedRun

    file = Path(FLAGS.model or "")
    if file.suffix == ".keras":
        opened = FinishedRun.open(require_file(file, "--model").parent, flag="--model")
        if opened.layout.student.name != file.name:
            raise UserError(f"--model={file}: expected a run's {opened.layout.student.name}, or a .tflite file")
    else:
        opened = Runner.load_file(FLAGS.model) if FLAGS.model else FinishedRun.open(FLAGS.model_dir)
    if not isinstance(opened, Runner):
        packages.require(FLAGS.model or FLAGS.model_dir, "train")
    from_flags(DeviceSettings).take(f"--model={file}" if isinstance(opened, Runner) else None)
    vectors.require_encoder(opened.task, FLAGS.model or FLAGS.model_dir)
    if texts:
        rows = opened.task.rows(texts)
    else:
        rows = read_texts(FLAGS.input, FLAGS.text_column, on_disk=True, files=how)
    vectors.write(Runner.of(opened), rows, FLAGS.output, FLAGS.output == "-" and not cli.writes_utf8())
    if FLAGS.output != "-":
        say(f"{len(rows):,} vectors in {FLAGS.output}")


if __name__ == "__main__":
    cli.run(main)
