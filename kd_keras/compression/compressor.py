"""A run folder with a pruned or clustered student, made from another run's student and its teacher's signals."""

from __future__ import annotations

import gzip
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from kd_keras.augment import transfer
from kd_keras.common import files
from kd_keras.common.errors import UserError
from kd_keras.common.layout import RunLayout
from kd_keras.common.progress import say
from kd_keras.deploy.runner import Runner, read_task
from kd_keras.deploy.settings import CompressSettings
from kd_keras.metrics import score
from kd_keras.runs.finished import run_data
from kd_keras.students.inputs import join_ids, student_ids
from kd_keras.students.weights import student_weights
from kd_keras.tasks import Rows, Task, has_label
from kd_keras.teachers import ensemble
from kd_keras.teachers.signals import SignalStore


@dataclass(frozen=True)
class Plan:
    """All that is read before TensorFlow is imported.

    Attributes:
      source, out: run folders.
      key: what makes the result what it is.
      rows: what the student learns from, as far as the run's teacher labelled it.
      logits: float32[rows of all, outputs], what the teacher said.
      dev: what chooses.
      done: an earlier run of the same command ended.
    """

    source: RunLayout
    out: RunLayout
    settings: CompressSettings
    task: Task
    key: dict
    rows: Sequence[Rows]
    logits: np.ndarray
    dev: Rows
    done: bool = False


def check(model_dir: str | Path, output_dir: str | Path, settings: CompressSettings) -> Plan:
    """Reads data and signals, and looks for what would stop the work later. Writes nothing, imports no TensorFlow.

    Raises:
      UserError: no run, no signals, data that are gone, or an output folder that holds something else.
    """
    task, source, out = read_task(model_dir), RunLayout(Path(model_dir)), RunLayout(Path(output_dir))
    if task.kind == "tagging":
        raise UserError(f"--model_dir={model_dir}: task {task.name} tags tokens; compress takes sentences and pairs")
    if out.root.resolve() == source.root.resolve():
        raise UserError(f"--output_dir={output_dir}: is --model_dir itself; choose another folder")
    settings_key = {k: v for k, v in asdict(settings).items() if k != "data_dir"}
    key = {"student": files.sha256_file(source.student), **settings_key}
    done = out.compression.is_file()
    if done and (said := files.differences(files.read_json(out.compression)["key"], key)):
        raise UserError(
            f"--output_dir={output_dir}: holds a student compressed otherwise ({'; '.join(said[:3])}); choose another"
        )
    if not done and (out.root.is_file() or (out.root.is_dir() and any(out.root.iterdir()))):
        raise UserError(f"--output_dir={output_dir}: is there and not empty; choose another folder")
    data = run_data(model_dir, settings.data_dir)
    if not has_label(data.dev).any():
        raise UserError(f"{data.source}: its dev split has no labels to choose the best weights by")
    sets = {"train": data.train} | ({"rest": data.rest} if data.rest is not None else {})
    for path in source.transfer_sets():
        sets[path.stem] = transfer.load(path, None, data.train.label.dtype).rows
    sets = {name: rows for name, rows in sets.items() if name == "train" or source.every_signals(name)}
    logits = [_logits(source, name, rows) for name, rows in sets.items()]
    return Plan(source, out, settings, task, key, list(sets.values()), np.concatenate(logits), data.dev, done)


def _logits(layout: RunLayout, name: str, rows: Rows) -> np.ndarray:
    """The teacher's logits; of several teachers their mean."""
    folders = layout.every_signals(name) or [layout.signals(name)]  # which says that there are none
    return ensemble.mean([SignalStore(folder).read(rows, with_hidden=False) for folder in folders]).logits


def run(plan: Plan) -> dict:
    """Fine-tunes, measures and writes the run folder; what ``compress.json`` holds.

    Raises:
      UserError: see :func:`check`; a student that is built otherwise; a full disk.
    """
    from kd_keras.compression import methods

    if plan.done:
        say(f"found in {plan.out.root}")
        return files.read_json(plan.out.compression)
    runner = Runner.load(plan.source.root)
    student, metric = runner.student, plan.task.metric
    ids = join_ids([student_ids(runner.tokenizer, rows) for rows in plan.rows])
    dev_ids = student_ids(runner.tokenizer, plan.dev)
    gold = has_label(plan.dev)

    def dev_scores(logits: np.ndarray) -> dict[str, float]:
        return score(plan.task.metrics, plan.dev.label[gold], logits[gold])

    say(f"{len(plan.logits):,} labelled texts of {plan.source.root}; dev: {len(plan.dev):,}")
    methods.require_same_logits(student, methods.twin(student), dev_ids)
    before = _measured(student, plan.source.student) | {"dev": dev_scores(runner.logits(plan.dev))}
    history = [
        methods.fine_tune(
            student, step, plan.settings, ids, plan.logits, dev_ids, lambda logits: dev_scores(logits)[metric]
        )
        for step in plan.settings.steps()
    ]
    with files.atomic_dir(plan.out.root) as temp:
        made = RunLayout(temp)
        _link_what_stays(plan.source, made)
        student.save(made.student)
        files.write_json(made.run, files.read_json(plan.source.run) | {"compress": plan.key})
        after = _measured(student, made.student) | {"dev": dev_scores(runner.logits(plan.dev))}
        results = {
            "key": plan.key,
            "from": str(plan.source.root),
            "metric": metric,
            "before": before,
            "after": after,
            "steps": history,
        }
        files.write_json(made.compression, results)
        files.write_text(made.report, f"# {plan.task.name}, compressed\n\n```\n{table(results)}\n```\n")
    return results


def _link_what_stays(source: RunLayout, made: RunLayout) -> None:
    """What predict, export and benchmark need of a run, and what another compress learns from.

    Its scores and exports are another student's and stay behind.
    """
    single = (source.flags, source.task, source.tokenizer, source.vocab, source.labels)
    folders = [*source.every_teacher(), source.root / "signals", source.root / "transfer"]
    inside = [Path(at) / name for folder in folders for at, _, names in os.walk(folder) for name in names]
    for path in [*(p for p in single if p.is_file()), *inside]:
        files.link_or_copy(path, made.root / path.relative_to(source.root))


def kernels(student) -> dict[str, np.ndarray]:
    """Name → the arrays that are pruned and clustered, read from a Keras 3 student."""
    weights = student_weights(student)
    found = {layer.name: layer.get_weights()[0] for layer in student.layers if layer.name.startswith("embeddings")}
    for name in ("forward", "backward"):
        direction = getattr(weights, name)
        found |= {f"{name} kernel": direction.kernel, f"{name} recurrent": direction.recurrent}
    return found | {"dense": weights.dense[0], "logits": weights.logits[0]}


def _measured(student, path: Path) -> dict:
    """Bytes of the file, as it is and packed, and zeros and distinct values of each kernel."""
    about = {
        name: {"values": v.size, "zeros": float(np.mean(v == 0)), "distinct": len(np.unique(v))}
        for name, v in kernels(student).items()
    }
    content = path.read_bytes()
    return {"bytes": len(content), "gzip_bytes": len(gzip.compress(content, 6)), "kernels": about}


def table(results: dict) -> str:
    """Before and after, as text in columns."""
    before, after = results["before"], results["after"]
    scores = [("", "before", "after")]
    scores += [(f"dev {m}", f"{before['dev'][m]:.4f}", f"{after['dev'][m]:.4f}") for m in before["dev"]]
    for key, title in (("bytes", "student.keras, bytes"), ("gzip_bytes", "student.keras, bytes gzipped")):
        scores.append((title, f"{before[key]:,}", f"{after[key]:,}"))
    lines = [("kernel", "values", "zeros before", "after", "distinct before", "after")]
    for name, b in before["kernels"].items():
        a = after["kernels"][name]
        zeros, distinct = ([f"{x['zeros']:.1%}" for x in (b, a)], [f"{x['distinct']:,}" for x in (b, a)])
        lines.append((name, f"{b['values']:,}", *zeros, *distinct))
    return f"{_columns(scores)}\n\n{_columns(lines)}"


def _columns(lines: list[tuple[str, ...]]) -> str:
    widths = [max(len(row[i]) for row in lines) for i in range(len(lines[0]))]
    rows = ([c.rjust(w) for c, w in zip(row, widths, strict=True)] for row in lines)
    return "\n".join("  ".join([row[0].lstrip().ljust(widths[0]), *row[1:]]) for row in rows)
