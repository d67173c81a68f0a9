"""Writes a run folder with a pruned or clustered student, from another run's student and its teacher's signals.

A student that was kept because its teacher was no better follows itself.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from kd_keras.augment import transfer
from kd_keras.common import files
from kd_keras.common.errors import UserError
from kd_keras.common.layout import RunLayout
from kd_keras.common.places import check_output_dir, local
from kd_keras.common.progress import say
from kd_keras.compression.report import measured, page
from kd_keras.compression.settings import CompressSettings
from kd_keras.metrics import score
from kd_keras.runs.finished import FinishedRun, is_baseline
from kd_keras.runs.next_steps import with_student
from kd_keras.students.inputs import join_ids, student_ids
from kd_keras.tasks import Rows, has_label


@dataclass(frozen=True)
class Plan:
    """All that is read before TensorFlow is imported.

    Attributes:
      run: the run whose student is compressed.
      out: the run folder to write.
      key: all that the result depends on.
      rows: the rows that the run's teacher labeled. The student learns from them.
      logits: float32[rows, outputs], the teacher's, over all ``rows``; None: what the student itself says.
      dev: the rows that choose the best weights.
      done: whether an earlier run of the same command has finished.
    """

    run: FinishedRun
    out: RunLayout
    settings: CompressSettings
    key: dict
    rows: Sequence[Rows]
    logits: np.ndarray | None
    dev: Rows
    done: bool = False


def check(model_dir: str | Path, output_dir: str | Path, settings: CompressSettings) -> Plan:
    """Reads data and signals, and looks for what would stop the work later. Writes nothing, imports no TensorFlow.

    Raises:
      UserError: the run, its signals or its data is missing, or the output folder holds something else.
    """
    run, out = FinishedRun.open(model_dir), RunLayout(Path(local(output_dir, "--output_dir")))
    task, source = run.task, run.layout
    if task.is_text:
        raise UserError(f"--model_dir={model_dir}: its student gives vectors; expected one with labels")
    if task.kind == "tagging":
        raise UserError(f"--model_dir={model_dir}: task {task.name} tags words; expected sentences or pairs")
    if out.root.resolve() == source.root.resolve():
        raise UserError(f"--output_dir={output_dir}: is the same folder as --model_dir; choose another one")
    settings_key = {k: v for k, v in asdict(settings).items() if k != "data_dir"}
    key = {"student": run.student_hash, **settings_key}
    done = out.compression.is_file()
    if done and (said := files.differences(files.read_json(out.compression)["key"], key)):
        raise UserError(
            f"--output_dir={output_dir}: holds a student that was compressed with other settings "
            f"({'; '.join(said[:3])}); choose another folder"
        )
    if not done and (out.root.is_file() or (out.root.is_dir() and any(out.root.iterdir()))):
        raise UserError(f"--output_dir={output_dir}: exists and is not empty; choose another folder")
    check_output_dir(out.root)
    data = run.data(settings.data_dir)
    if not has_label(data.dev).any():
        raise UserError(f"{data.source}: its dev split has no labels; they are needed to choose the best weights")
    sets = {"train": data.train} | ({"rest": data.rest} if data.rest is not None else {})
    for path in source.transfer_sets():
        sets[path.stem] = transfer.load(path, None, data.train.label).rows
    sets = {name: rows for name, rows in sets.items() if name == "train" or source.every_signals(name)}
    logits = [run.teacher_logits(name, rows) for name, rows in sets.items()]
    rows = list(sets.values())
    for n, some in enumerate(logits):
        there = np.isfinite(some).all(1)
        if not there.all():  # given signals may lack some rows
            rows[n], logits[n] = rows[n].take(np.flatnonzero(there)), some[there]
    follows = None if is_baseline(run.kept_arm) else np.concatenate(logits)
    return Plan(run, out, settings, key, rows, follows, data.dev, done)


def run(plan: Plan) -> dict:
    """Fine-tunes, measures and writes the run folder. Returns what ``compress.json`` holds.

    Raises:
      UserError: see :func:`check`; also if the student has another structure, or the disk is full.
    """
    from kd_keras.compression import methods
    from kd_keras.students.inference import predict
    from kd_keras.students.thresholds import move_thresholds

    if plan.done:
        say(f"found in {plan.out.root}")
        return files.read_json(plan.out.compression)
    source, task, tokenizer = plan.run.layout, plan.run.task, plan.run.tokenizer
    student, metric = plan.run.student(), task.metric
    ids = join_ids([student_ids(tokenizer, rows) for rows in plan.rows])
    dev_ids = student_ids(tokenizer, plan.dev)
    gold = has_label(plan.dev)

    def dev_scores(logits: np.ndarray) -> dict[str, float]:
        return score(task.metrics, plan.dev.label[gold], logits[gold])

    logits = predict(student, ids) if plan.logits is None else plan.logits
    told = "kept without distillation, so it follows itself" if plan.logits is None else "labeled"
    say(f"{len(logits):,} texts of {source.root}, {told}; dev: {len(plan.dev):,}")
    methods.require_same_logits(student, methods.twin(student), dev_ids)
    before = measured(student, source.student) | {"dev": dev_scores(predict(student, dev_ids))}
    history = [
        methods.fine_tune(student, step, plan.settings, ids, logits, dev_ids, lambda found: dev_scores(found)[metric])
        for step in plan.settings.steps()
    ]
    if task.is_multilabel:
        move_thresholds(student, plan.dev.label, dev_ids)
    with files.atomic_dir(plan.out.root) as temp:
        made = RunLayout(temp)
        _link_what_stays(source, made)
        with files.atomic_path(made.student) as to:
            student.save(to)
        files.write_json(made.run, files.read_json(source.run) | {"compress": plan.key})
        after = measured(student, made.student) | {"dev": dev_scores(predict(student, dev_ids))}
        results = {
            "key": plan.key,
            "from": str(source.root),
            "arm": plan.run.kept_arm,
            "metric": metric,
            "before": before,
            "after": after,
            "steps": history,
        }
        files.write_json(made.compression, results)
        files.write_text(made.report, page(results, task, with_student(plan.out.root, task)))
    return results


def _link_what_stays(source: RunLayout, made: RunLayout) -> None:
    """Links what predict, export, benchmark and another compress need of a run.

    Scores and exports are left out, because they belong to the other student.
    """
    single = (source.flags, source.task, source.tokenizer, source.vocab, source.labels)
    folders = [*source.every_teacher(), source.root / "signals", source.root / "transfer", source.piped]
    inside = [Path(at) / name for folder in folders for at, _, names in os.walk(folder) for name in names]
    for path in [*(p for p in single if p.is_file()), *inside]:
        files.link_or_copy(path, made.root / path.relative_to(source.root))
