"""Compares a universal student with its teacher and with static word vectors: similarity, tasks, milliseconds, bytes.

    python benchmarks/universal_beside.py --universal=RUN --tasks=stsb=DIR,sst2=DIR,trec=DIR

RUN has been exported (tflite_dynamic, tflite_loop_dynamic). The static model is what many people would use instead
(Tulkens & van Dongen 2024, model2vec). The teacher reads each piece of the student's vocabulary alone, and a PCA
reduces the vectors. Rare pieces weigh more. A text is the mean of its pieces. All models answer the same real text in
turns, one text a call, on one thread.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from kd_keras import tasks
from kd_keras.common import cli
from kd_keras.common.markdown import markdown_table

# Pieces are weighed by rank, because their frequencies are unknown: Zipf's law with smooth inverse frequency.
_SIF = 1e-4
_TIMED, _ROUNDS = 300, 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--universal", type=Path, required=True)
    parser.add_argument(
        "--tasks", required=True, help="NAME=DIR, with commas; stsb among them gives the texts that are timed"
    )
    parser.add_argument("--teacher_length", type=int, default=64, help="pieces that the teacher's file reads")
    args = parser.parse_args()
    print("python benchmarks/universal_beside.py " + " ".join(sys.argv[1:]), flush=True)
    cli.quiet()
    cli.import_tensorflow()
    tried = {name: data(name, place) for name, place in (t.split("=", 1) for t in args.tasks.split(","))}
    models = made(args)
    from kd_keras.runs.probing import worth

    scores = worth({name: m["vectors"] for name, m in models.items()}, tried)
    some = next(iter(tried.values())).dev.text[:_TIMED]
    took = turns({name: m["one"] for name, m in models.items()}, some)
    head = ["", "MB", "ms a text", "× the teacher", *(f"{n} {s['metric']}" for n, s in scores.items())]
    slow, lines = took["teacher"], []
    for name, m in models.items():
        values = [s[name] if "rows" not in s else s[name][-1] for s in scores.values()]
        ratios = np.median(slow / took[name])
        lines.append([name, f"{m['bytes'] / 1e6:.2f}", f"{np.median(took[name]):.3f}", f"{ratios:.1f}",
                      *(f"{100 * v:.2f}" for v in values)])  # fmt: skip
    print(markdown_table(head, lines))


def data(name: str, place: str) -> tasks.TaskData:
    """The data of a task by name in its folder, or of a custom file."""
    return tasks.load(tasks.custom(place)) if Path(place).is_file() else tasks.load(tasks.get(name), place)


def made(args: argparse.Namespace) -> dict[str, dict]:
    """Name → {"vectors": texts → float32[texts, numbers], "one": answers a text's ids, "bytes"}."""
    from kd_keras.deploy.runner import Runner
    from kd_keras.deploy.vectors import embed
    from kd_keras.formats import teacher_tflite
    from kd_keras.formats.format import Format
    from kd_keras.formats.litert import LiteRT
    from kd_keras.runs.finished import FinishedRun
    from kd_keras.teachers.sentences import found_again
    from kd_keras.teachers.settings import LabelSettings, TargetSettings

    run = FinishedRun.open(args.universal)
    said = json.loads(run.layout.run.read_text())
    label = LabelSettings(hidden=said["label"]["hidden"], hidden_layer=said["label"]["hidden_layer"])
    target = TargetSettings(**said["target"])
    teacher = found_again(run.layout.projection, said["universal"]["teacher"], run.task.max_length, label, target)
    content = teacher_tflite.convert(teacher, Format("teacher_dynamic", "unrolled", "dynamic"), args.teacher_length)
    big = LiteRT(content)

    def ask(text: str) -> Callable[[], object]:
        x = teacher_tflite.bert_inputs(teacher.tokenizer, [text], None, args.teacher_length)
        return lambda: big.answer(x)

    def by_teacher(texts) -> np.ndarray:
        return teacher.logits(teacher.encode_texts(list(texts)))

    out = {"teacher": {"vectors": by_teacher, "one": ask, "bytes": len(content)}}
    for name in ("dynamic", "loop_dynamic"):
        path = run.layout.tflite / f"{name}.tflite"
        runner = Runner.load_file(path)

        def one(text: str, runner=runner) -> Callable[[], object]:
            x = runner.student.prepared({"ids": runner.tokenizer.encode([text])}, 0)
            return lambda: runner.student.answer(x)

        def vectors(texts, runner=runner) -> np.ndarray:
            return embed(runner, list(texts))

        out[f"student, {name}"] = {"vectors": vectors, "one": one, "bytes": path.stat().st_size}
    out["static vectors"] = static(run, teacher, target.vector_size)
    return out


def static(run, teacher, size: int) -> dict:
    from kd_keras.teachers.projection import principal

    tokenizer = run.tokenizer
    pieces = [piece.removeprefix("##") for piece in tokenizer.vocab]
    vectors_of_pieces = teacher.raw(teacher.encode_texts(pieces))
    table = principal(vectors_of_pieces, size)(vectors_of_pieces)
    share = 1.0 / np.arange(2, len(table) + 2)
    table *= (_SIF / (_SIF + share / share.sum()))[:, None]
    table[:5] = 0  # [PAD], [UNK] and the other special tokens
    # int8 with a scale for each row, as an app would store it.
    scale = np.maximum(np.abs(table).max(1, keepdims=True), 1e-9) / 127
    rows, scale = np.round(table / scale).astype(np.int8), scale.astype(np.float32)

    def of(ids: np.ndarray) -> np.ndarray:
        return (rows[ids] * scale[ids]).mean(0) if len(ids) else np.zeros(size, np.float32)

    def one(text: str) -> Callable[[], object]:
        ids = tokenizer.encode([text])[0]
        return lambda: of(ids)

    def vectors(texts) -> np.ndarray:
        encoded = tokenizer.encode(list(texts))
        return np.stack([of(encoded[i]) for i in range(len(encoded))]).astype(np.float32)

    return {"vectors": vectors, "one": one, "bytes": rows.nbytes + scale.nbytes}


def turns(models: dict[str, Callable], texts: list[str]) -> dict[str, np.ndarray]:
    """Name → the median milliseconds of each round."""
    ready = {name: [make(text) for text in texts] for name, make in models.items()}
    took: dict[str, list[float]] = {name: [] for name in models}
    for _ in range(_ROUNDS):
        for name, calls in ready.items():
            for call in calls[:20]:
                call()
            each = []
            for call in calls:
                start = time.perf_counter_ns()
                call()
                each.append((time.perf_counter_ns() - start) / 1e6)
            took[name].append(float(np.median(each)))
    return {name: np.array(ms) for name, ms in took.items()}


if __name__ == "__main__":
    main()
