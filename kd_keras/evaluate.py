"""Scores a trained student on a labelled file.

python -m kd_keras.evaluate --model_dir=DIR --data_file=FILE.tsv
"""

from __future__ import annotations

import json

from absl import flags

from kd_keras.common import cli
from kd_keras.common.config import define_string
from kd_keras.common.errors import UserError
from kd_keras.tasks import read_labelled

FLAGS = flags.FLAGS
define_string("model_dir", None, "run folder of train.")
define_string("data_file", None, "labelled .csv, .tsv or .jsonl with the task's columns.")
define_string("formats", "keras", "formats to score, with commas.")
define_string("on_bad_row", "stop", "what a row that cannot be used does.")


def main(argv: list[str]) -> None:
    cli.no_arguments(argv)
    for name in ("model_dir", "data_file"):
        if not FLAGS[name].value:
            raise UserError(f"--{name}=… is needed")
    if FLAGS.formats != "keras":
        raise UserError(f"--formats={FLAGS.formats}: expected keras")

    from kd_keras.deploy.runner import read_task

    task = read_task(FLAGS.model_dir)
    rows = read_labelled(FLAGS.data_file, task, FLAGS.on_bad_row)

    cli.import_tensorflow()
    from kd_keras.deploy.runner import Runner
    from kd_keras.metrics import score

    scores = score(task.metrics, rows.label, Runner.load(FLAGS.model_dir).logits(rows))
    print(json.dumps({"format": "keras", "data_file": FLAGS.data_file, "rows": len(rows), **scores}))


if __name__ == "__main__":
    cli.run(main)
