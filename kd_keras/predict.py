"""Classifies text with a trained student; one JSON object a line: text, label, scores.

python -m kd_keras.predict --model_dir=DIR "a gorgeous film"
python -m kd_keras.predict --model_dir=DIR --input=FILE|- [--output=FILE|-]
"""

from __future__ import annotations

import json
import sys

import numpy as np
from absl import flags

from kd_keras.common import cli, files
from kd_keras.common.config import define_string
from kd_keras.common.errors import UserError
from kd_keras.common.progress import say
from kd_keras.tasks import Rows, read_texts

FLAGS = flags.FLAGS
define_string("model_dir", None, "run folder of train.")
define_string("input", None, "text, one a line, or .csv, .tsv, .jsonl; - is standard input.")
define_string("text_column", None, "column of the text in .csv, .tsv and .jsonl.")
define_string("output", "-", "file for the JSON lines; - is standard output.")


def main(argv: list[str]) -> None:
    if not FLAGS.model_dir:
        raise UserError("--model_dir=DIR is needed: a run folder of train")
    texts = argv[1:]
    if bool(texts) == bool(FLAGS.input):
        raise UserError("give either texts as arguments or --input=FILE (- for standard input)")

    from kd_keras.deploy.runner import Runner, read_task, softmax

    task = read_task(FLAGS.model_dir)
    if texts:
        rows = Rows([f"row-{n}" for n in range(len(texts))], texts, None, np.full(len(texts), -1, np.int32))
    else:
        rows = read_texts(FLAGS.input, FLAGS.text_column, task=task)
    cli.import_tensorflow()
    runner = Runner.load(FLAGS.model_dir)
    scores = softmax(runner.logits(rows))
    names = runner.task.labels
    lines = [
        json.dumps(
            {
                "text": t,
                "label": names[s.argmax()],
                "scores": {n: round(float(p), 6) for n, p in zip(names, s, strict=True)},
            },
            ensure_ascii=False,
        )
        for t, s in zip(rows.text, scores, strict=True)
    ]
    text = "".join(line + "\n" for line in lines)
    if FLAGS.output == "-":
        sys.stdout.write(text)
    else:
        files.write_text(FLAGS.output, text)
        say(f"{len(lines):,} predictions in {FLAGS.output}")


if __name__ == "__main__":
    cli.run(main)
