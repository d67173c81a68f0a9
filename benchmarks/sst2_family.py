"""The family of SST-2 students beside their teachers and rivals: one table and one plot, all of one run.

    python benchmarks/sst2_family.py --student=nano=RUN --student=mobile=RUN --teacher=mpnet=DIR --teacher=minilm=DIR \
        --rivals=OUT --peers_python=PYTHON --fasttext_python=PYTHON --data_dir=DIR --output_dir=DIR

A student is a run folder that was exported, or a bundle: its files of dynamic range are taken. A teacher is a folder
that finetune wrote, or teacher/ of a run; it is converted to TFLite of dynamic range. OUT is what sst2_rivals.py made.
All answer the same dev texts, one a call, in turns. Time is that of a model with its ids ready; fastText reads text.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kd_keras import tasks
from kd_keras.common import cli, files
from kd_keras.common.figures import can_draw
from kd_keras.common.machine import load_average, machine
from kd_keras.common.markdown import markdown_table
from kd_keras.common.progress import progress, say
from kd_keras.deploy.runner import Runner
from kd_keras.formats import teacher_tflite
from kd_keras.formats.format import Format
from kd_keras.tasks import Rows
from kd_keras.teachers.checkpoints import find_checkpoint, from_folder
from kd_keras.timing import turns
from kd_keras.timing.models import RunTeacher
from kd_keras.timing.numbers import length_text
from kd_keras.timing.texts import TimingTexts, timing_texts

PEER = Path(__file__).with_name("sst2_peer.py")
ONNX = "minilm-l6 ONNX int8"
# Folder in --rivals → file, name in the table.
_RIVALS = {
    "static": ("loop_dynamic.tflite", "static vectors"),
    "bert-1": ("loop_dynamic.tflite", "BERT of 1 layer"),
    "bert-2": ("loop_dynamic.tflite", "BERT of 2 layers"),
    "fasttext": ("model.ftz", "fastText"),
    "minilm": ("model.onnx", ONNX),
}


@dataclass
class Entry:
    """One thing that is measured.

    Attributes:
      kind: of ``turns.Worker``, or "onnx" or "fasttext", which a Python of their own runs.
      reads: its runner or its teacher, which have its tokenizer.
      at: length → file, of a teacher.
    """

    name: str
    who: str
    form: str
    kind: str
    path: Path
    reads: Any
    score: float
    at: dict[int | None, Path] = field(default_factory=dict)

    @property
    def precision(self) -> str:
        return "int8" if self.kind in ("onnx", "fasttext") else "dynamic"


class Peer:
    """``sst2_peer.py serve`` as a worker of ``turns.take_turns``."""

    def __init__(self, python: str, path: Path, threads: int):
        words = [python, str(PEER), "serve", str(path), str(threads)]
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8")

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def load(self, path: Path) -> None:
        """It has its one file."""

    def run(self, inputs: dict, warm_up: int = turns.WARM_UP, batch: int = 1) -> np.ndarray:
        return np.array(self.ask(inputs["texts"], warm_up)["ms"])

    def ask(self, texts: list, warm_up: int = 0) -> dict:
        self._process.stdin.write(json.dumps({"texts": texts, "warm_up": warm_up}) + "\n")
        self._process.stdin.flush()
        if not (line := self._process.stdout.readline()):
            raise SystemExit("a process of another Python ended; its message stands above")
        return json.loads(line)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--student", action="append", required=True, help="NAME=FOLDER; may be given again")
    parser.add_argument("--teacher", action="append", default=[], help="NAME=FOLDER; the first is the family's")
    parser.add_argument("--rivals", type=Path, help="what sst2_rivals.py made")
    parser.add_argument("--peers_python", help="a Python with onnxruntime, for minilm in --rivals")
    parser.add_argument("--fasttext_python", help="a Python with fasttext-wheel; that of --peers_python if not given")
    parser.add_argument("--data_dir", required=True, help="folder of SST-2's train.tsv and dev.tsv")
    parser.add_argument("--output_dir", type=Path, required=True)
    parser.add_argument("--lengths", default="25,32")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--texts", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=10)
    args = parser.parse_args()
    print("python benchmarks/sst2_family.py " + " ".join(sys.argv[1:]), flush=True)
    cli.quiet()
    lengths = [*sorted(int(n) for n in args.lengths.split(",")), None]
    dev = tasks.load(tasks.get("sst2"), args.data_dir).dev
    before = load_average()
    pythons = {"onnx": args.peers_python, "fasttext": args.fasttext_python or args.peers_python}
    entries = [*students(args.student, dev), *rivals(args.rivals, pythons, dev)]
    for pair in args.teacher:
        entries.append(teacher(*pair.split("=", 1), lengths, args.output_dir / "models", dev))
    took = timed(entries, pythons, lengths, args, dev)
    report = {
        "machine": machine() | {"load_average": [before, load_average()]},
        "threads": args.threads,
        "models": [described(e, entries, took) for e in entries],
    }
    args.output_dir.mkdir(parents=True, exist_ok=True)
    files.write_json(args.output_dir / "family.json", report)
    page = table(report, lengths)
    files.write_text(args.output_dir / "family.md", page + "\n")
    print(page)
    draw(report, lengths[-2], args)


def students(named: list[str], dev: Rows) -> list[Entry]:
    out = []
    for name, folder in (pair.split("=", 1) for pair in named):
        place = Path(folder) / "tflite" if (Path(folder) / "tflite").is_dir() else Path(folder)
        for form, short in (("unrolled", "dynamic"), ("loop", "loop_dynamic")):
            path = place / f"{short}.tflite"
            runner = Runner.load_file(path)
            found = accuracy(dev, runner.scores(dev))
            out.append(Entry(f"{name}, {form}", "student", form, "tflite", path, runner, found))
    return out


def rivals(folder: Path | None, pythons: dict[str, str | None], dev: Rows) -> list[Entry]:
    out = []
    for rival, (file, name) in _RIVALS.items() if folder else ():
        path = folder / rival / file
        kind = {".ftz": "fasttext", ".onnx": "onnx"}.get(path.suffix, "tflite")
        if not path.is_file() or (kind in pythons and not pythons[kind]):
            say(f"{name}: left out, as {'no Python is given for it' if path.is_file() else f'{path} is missing'}")
            continue
        if kind == "tflite":
            reads = Runner.load_file(path)
            found = accuracy(dev, reads.scores(dev))
        else:
            reads = find_checkpoint("minilm-l6").text.tokenizer(64)
            with Peer(pythons[kind], path, 1) as peer:
                texts = dev.text if kind == "fasttext" else without_padding(reads, list(dev.text), 64)
                found = accuracy(dev, np.array(peer.ask(list(texts))["scores"]))
        out.append(Entry(name, "rival", "loop", kind, path, reads, found))
    return out


def teacher(name: str, folder: str, lengths: list[int | None], models: Path, dev: Rows) -> Entry:
    """Converted to each length once; its score is that of the file which reads all that it was fine-tuned to read."""
    made = RunTeacher(from_folder(name, Path(folder)))
    at, live = {}, None
    for length in lengths:
        size = length or made.length
        at[length] = models / f"{name}-{made.checkpoint.weights_sha256[:12]}-dynamic-{size}.tflite"
        if at[length].is_file():
            continue
        if live is None:
            cli.import_tensorflow()
            from kd_keras.teachers.bert import Teacher

            live = Teacher.load_finished(made.checkpoint)
        say(f"{name}: converting for {size} tokens")
        with files.atomic_path(at[length]) as temp:
            temp.write_bytes(teacher_tflite.convert(live, Format(name, "unrolled", "dynamic"), size))
    inputs = teacher_tflite.bert_inputs(made.tokenizer, list(dev.text), None, made.length)
    found = accuracy(dev, teacher_tflite.logits(at[None], inputs, name))
    return Entry(name, "teacher", "unrolled", "bert_tflite", at[None], made, found, at)


def accuracy(dev: Rows, scores: np.ndarray) -> float:
    return float((np.asarray(scores).argmax(-1) == dev.label).mean())


def without_padding(tokenizer: Any, texts: list[str], length: int) -> list[list[int]]:
    inputs = teacher_tflite.bert_inputs(tokenizer, texts, None, length)
    kept = zip(inputs["input_ids"], inputs["attention_mask"], strict=True)
    return [ids[mask > 0].tolist() for ids, mask in kept]


def timed(
    entries: list[Entry], pythons: dict[str, str | None], lengths: list[int | None], args: argparse.Namespace, dev: Rows
) -> dict[int | None, dict[str, list[np.ndarray]]]:
    """Length → name → milliseconds of each round."""
    found = {}
    whole = find_checkpoint("minilm-l6").text.tokenizer(64)
    with ExitStack() as stack:
        workers: dict[str, Any] = {}
        for e in entries:
            worker = Peer(pythons[e.kind], e.path, args.threads) if e.kind in pythons else turns.Worker(
                e.kind, args.threads
            )  # fmt: skip
            workers[e.name] = stack.enter_context(worker)
        for length in lengths:
            inputs = {}
            with progress(len(entries), f"{length_text(length)}: texts", "models") as bar:
                for e in entries:
                    workers[e.name].load(e.at.get(length, e.path))
                    inputs[e.name] = read(e, dev, whole, length, args.texts)
                    bar.update()
            what = f"{args.threads} thread{'s' * (args.threads > 1)}, {length_text(length)}"
            found[length] = turns.take_turns(workers, inputs, args.rounds, what)
    return found


def read(e: Entry, dev: Rows, whole: Any, length: int | None, count: int) -> dict:
    """The texts as the model takes them. They are those with enough of BERT's pieces; the students have more."""
    if e.kind == "bert_tflite":
        return timing_texts(dev, e.reads.tokenizer, e.reads.tokenizer, length, count).teacher
    some = timing_texts(dev, whole if e.kind in ("onnx", "fasttext") else e.reads.tokenizer, whole, length, count)
    if e.kind == "onnx":
        kept = zip(some.teacher["input_ids"], some.teacher["attention_mask"], strict=True)
        return {"texts": [ids[mask > 0].tolist() for ids, mask in kept]}
    if e.kind == "fasttext":
        return {"texts": words(some, whole)}
    return {name: [ids[i] for i in range(len(ids))] for name, ids in some.student.items()}


def words(some: TimingTexts, whole: Any) -> list[str]:
    """The pieces put together again, which is the text up to where it was cut."""
    (ids,), vocab = some.student.values(), whole.wordpiece.vocab
    return [" ".join(vocab[n] for n in ids[i]).replace(" ##", "") for i in range(len(ids))]


def described(e: Entry, entries: list[Entry], took: dict) -> dict:
    """A line of family.json; ratios are medians over the rounds."""
    big = next((other.name for other in entries if other.who == "teacher"), None)
    beside = {"teacher": big, "onnx": next((other.name for other in entries if other.kind == "onnx"), None)}
    ms = {str(n): turns.percentiles(np.concatenate(by_name[e.name])) for n, by_name in took.items()}
    ratios = {
        which: {str(n): turns.ratio(by_name[slow], by_name[e.name]) for n, by_name in took.items()}
        for which, slow in beside.items()
        if slow and slow != e.name
    }
    return {"name": e.name, "who": e.who, "form": e.form, "precision": e.precision, "bytes": e.path.stat().st_size,
            "accuracy": e.score, "ms": ms, "times_as_fast_as": ratios}  # fmt: skip


def table(report: dict, lengths: list[int | None]) -> str:
    last = str(lengths[-2])
    head = ["model", "MB", "dev accuracy", *(f"{length_text(n)} ms" for n in lengths),
            f"× teacher, {last} tokens", f"× {ONNX}, {last} tokens"]  # fmt: skip
    lines = []
    for m in report["models"]:
        ratios = [f"{m['times_as_fast_as'][k][last]['median']:.1f}" if k in m["times_as_fast_as"] else ""
                  for k in ("teacher", "onnx")]  # fmt: skip
        lines.append([m["name"], f"{m['bytes'] / 1e6:.2f}", f"{100 * m['accuracy']:.2f}",
                      *(f"{m['ms'][str(n)]['p50']:.3f}" for n in lengths), *ratios])  # fmt: skip
    return markdown_table(head, lines)


def draw(report: dict, length: int, args: argparse.Namespace) -> None:
    if not can_draw():
        return
    from kd_keras.runs import plots
    from kd_keras.timing.plot import pareto

    points = [
        {k: m[k] for k in ("name", "who", "form", "precision")}
        | {"score": 100 * m["accuracy"], "ms": m["ms"][str(length)]["p50"], "mb": m["bytes"] / 1e6}
        for m in report["models"]
    ]
    title = f"median ms of a text ({length_text(length)}, {args.threads} thread{'s' * (args.threads > 1)}, batch 1)"
    plots.save(pareto(points, title, "dev accuracy, %"), args.output_dir / "pareto.png")


if __name__ == "__main__":
    main()
