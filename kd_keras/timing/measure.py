"""Size, accuracy, memory and latency of a student in every format, and of its teacher converted the same way."""

from __future__ import annotations

import itertools
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from kd_keras import __version__
from kd_keras.common.cli import command
from kd_keras.common.errors import UserError
from kd_keras.common.layout import RunLayout
from kd_keras.common.machine import load_average, machine
from kd_keras.common.progress import progress, say
from kd_keras.common.seeds import rng
from kd_keras.deploy.runner import Runner, only_label, require_export
from kd_keras.formats import teacher_tflite
from kd_keras.formats.format import FORMATS, Format, parse_formats
from kd_keras.formats.litert import LiteRT
from kd_keras.metrics import score
from kd_keras.metrics.answers import as_logits, scores_of
from kd_keras.runs.finished import FinishedRun
from kd_keras.tasks import Rows, Task
from kd_keras.text.tokenizers import Tokenizer
from kd_keras.timing import phone, tagging, turns
from kd_keras.timing.duration import expected, in_words
from kd_keras.timing.models import MadeModels, RunTeacher, run_teacher
from kd_keras.timing.settings import BenchmarkSettings
from kd_keras.timing.texts import TimingTexts, timing_texts

VERSION = 1
# The teacher that computes with a student's precision. A float16 file is unpacked and computed in float32.
RIVAL = {"float32": "float32", "float16": "float32", "dynamic": "dynamic", "int8": "dynamic"}
# Papers on taggers report the time of a batch.
BATCH = 32
# These texts are enough to measure loading and memory.
_MEMORY_TEXTS = 50


@dataclass(frozen=True)
class Model:
    """One model that is measured.

    Attributes:
      name: the format's, or "teacher_float32".
      kind: of ``turns.Worker``.
      fmt: form and precision.
      path: the file that an app gets. The teacher's reads all that it was fine-tuned to read.
      at: length → the file for texts of that many tokens, if it is another one.
      many: the same for a batch, if it is another file. None stands for texts at their own length.
    """

    name: str
    kind: str
    fmt: Format
    path: Path
    at: dict[int, Path] = field(default_factory=dict)
    many: dict[int | None, Path] = field(default_factory=dict)

    @property
    def is_teacher(self) -> bool:
        return self.kind == "bert_tflite"

    def file(self, length: int | None, batch: int = 1) -> Path:
        found = self.at.get(length, self.path)
        return self.many.get(length, found) if batch > 1 else found

    def inputs(self, texts: TimingTexts) -> turns.Inputs:
        if self.is_teacher:
            return texts.teacher
        return {name: [t[i] for i in range(len(t))] for name, t in texts.student.items()}


@dataclass(frozen=True)
class Plan:
    """All that :func:`check` finds without TensorFlow."""

    run: FinishedRun
    settings: BenchmarkSettings
    lengths: list[int]
    formats: list[Format]
    source: str
    rows: Rows
    teacher: RunTeacher | None

    @property
    def layout(self) -> RunLayout:
        return self.run.layout

    @property
    def task(self) -> Task:
        return self.run.task

    @property
    def tokenizer(self) -> Tokenizer:
        return self.run.tokenizer

    @property
    def batches(self) -> tuple[int, ...]:
        return (1, BATCH) if self.task.is_tagging else (1,)


def check(model_dir: str | Path, settings: BenchmarkSettings) -> Plan:
    """Looks for what would stop the benchmark later. Imports nothing heavy.

    Raises:
      UserError: the run, the export or the data is missing, a model cannot read a length, …
    """
    run = FinishedRun.open(model_dir)
    task, layout = run.task, run.layout
    if settings.formats is None:
        formats = [f for f in FORMATS.values() if _is_exported(layout, f)]
        if not any(f.is_tflite for f in formats):
            raise UserError(f"{model_dir}: has no exported file; first run {command('export', model_dir=model_dir)}")
    else:
        formats = parse_formats(settings.formats, FORMATS)
    for fmt in formats:
        require_export(run, fmt)
    teacher = run_teacher(run) if settings.teacher_list() else None
    longest, whose = run.tokenizer.max_length * (2 if task.is_pair else 1), "the student"
    if teacher and teacher.positions < longest:
        longest, whose = teacher.positions, "the teacher"
    lengths = settings.length_list(longest, whose)
    source, rows = run.dev_rows(settings.data_dir, settings.data_file, settings)
    return Plan(run, settings, lengths, formats, source, rows, teacher)


def _is_exported(layout: RunLayout, fmt: Format) -> bool:
    path = {"keras": layout.student, "saved_model": layout.saved_model_metadata}.get(fmt.name, layout.tflite / fmt.file)
    return path.is_file()


def run(plan: Plan) -> dict:
    """Measures everything. Returns what benchmark.json holds (``report`` has files and tables)."""
    load_before = load_average()
    made = MadeModels(plan.run, plan.rows)
    models = _models(plan, made)
    texts = {n: _texts(plan, n) for n in (*plan.lengths, None)}
    entries = {m.name: _about(m) for m in models}
    _accuracy(plan, models, entries)
    with progress(len(models), "load and memory", "models") as bar:
        for m in models:
            some = {n: t[:_MEMORY_TEXTS] for n, t in m.inputs(texts[None]).items()}
            entries[m.name] |= turns.load_and_memory(m.kind, m.path, some)
            bar.update()
    took = [entries[m.name].pop("text_ms") for m in models]
    say(f"timing takes about {in_words(expected(plan.settings, took, len(texts), len(plan.batches)))}")
    latency, ratios = _latency(plan, models, texts)
    for name, found in latency.items():
        entries[name]["latency"] = found
    return {
        "version": VERSION,
        "kd_keras": __version__,
        "task": plan.task.name,
        "metric": plan.task.metric,
        "student": plan.run.student_hash,
        "settings": asdict(plan.settings),
        "machine": machine() | {"load_average": [load_before, load_average()]},
        "text": {
            "source": plan.source,
            "rows": len(plan.rows),
            "timed": [{"length": n, "different": t.different, "joined": t.joined} for n, t in texts.items()],
        },
        "models": list(entries.values()),
        "made": made.checks(),
        "ratios": ratios,
        "inputs": _inputs_test(plan, models, texts),
        "commands": _commands(plan, models),
    }


def _models(plan: Plan, made: MadeModels) -> list[Model]:
    models, layout = [], plan.layout
    lengths, sides = plan.lengths, 2 if plan.task.is_pair else 1
    for fmt in plan.formats:
        if not fmt.is_tflite:
            path = layout.student if fmt.name == "keras" else layout.saved_model
            models.append(Model(fmt.name, fmt.name, fmt, path))
            continue
        path, at = layout.tflite / fmt.file, {}
        if fmt.form == "unrolled":
            own = LiteRT(path).length
            at = {n: made.student(fmt, n // sides) for n in lengths if n // sides != own}
        models.append(Model(fmt.name, "tflite", fmt, path, at))
    for precision in plan.settings.teacher_list():
        fmt, own = Format(f"teacher_{precision}", "unrolled", precision), plan.teacher.length
        at = {n: made.teacher(precision, n) for n in (*lengths, own)}
        many = {n: made.teacher(precision, n or own, b) for b in plan.batches[1:] for n in (*lengths, None)}
        models.append(Model(fmt.name, "bert_tflite", fmt, at[own], at, many))
    return models


def _texts(plan: Plan, length: int | None) -> TimingTexts:
    tokenizer = plan.teacher.tokenizer if plan.teacher else None
    return timing_texts(plan.rows, plan.tokenizer, tokenizer, length, plan.settings.texts)


def _about(m: Model) -> dict:
    parts = [p for p in m.path.rglob("*") if p.is_file()] if m.path.is_dir() else [m.path]
    return {
        "name": m.name,
        "who": "teacher" if m.is_teacher else "student",
        "form": m.fmt.form,
        "precision": m.fmt.precision,
        "length": LiteRT(m.path).length if m.path.suffix == ".tflite" else None,
        "bytes": sum(p.stat().st_size for p in parts),
    }


def _accuracy(plan: Plan, models: list[Model], entries: dict[str, dict]) -> None:
    """Adds "metrics" over the labeled rows, "cut" (rows longer than the file reads) and "always" (``only_label``)."""
    task, rows = plan.task, plan.rows
    with progress(len(models), "accuracy", "models") as bar:
        for m in models:
            if m.is_teacher and task.is_tagging:
                got, cut = scores_of(task, tagging.read_by_file(m.path, plan.teacher, rows, m.name)), 0
            elif m.is_teacher:
                inputs = teacher_tflite.bert_inputs(plan.teacher.tokenizer, rows.text, rows.text_b, plan.teacher.length)
                got, cut = scores_of(task, teacher_tflite.logits(m.path, inputs, m.name)), 0
            else:
                runner = Runner.load(plan.run, m.name)
                got, cut = runner.scores(rows), runner.cut(rows)
            found = {"metrics": score(task.metrics, rows.label, as_logits(task, got)), "cut": cut}
            entries[m.name] |= found | {"always": only_label(task, rows, got)}
            bar.update()


def _latency(
    plan: Plan, models: list[Model], texts: dict[int | None, TimingTexts]
) -> tuple[dict[str, list[dict]], list[dict]]:
    """Percentiles of each model, length and number of threads, and how many times faster than the teacher it is."""
    found, ratios = {m.name: [] for m in models}, []
    for threads in plan.settings.thread_list():
        with ExitStack() as stack:
            workers = {m.name: stack.enter_context(turns.Worker(m.kind, threads)) for m in models}
            for (length, some), batch in itertools.product(texts.items(), plan.batches):
                for m in models:
                    workers[m.name].load(m.file(length, batch))
                what = f"{threads} thread{'s' * (threads > 1)}, {f'{length} tokens' if length else 'own length'}"
                what += f", {batch} texts" * (batch > 1)
                inputs = {m.name: m.inputs(some) for m in models}
                took = turns.take_turns(workers, inputs, plan.settings.rounds, what, batch)
                setting = {"length": length, "threads": threads} | ({"batch": batch} if batch > 1 else {})
                for m in models:
                    found[m.name].append(setting | turns.percentiles(np.concatenate(took[m.name])))
                    rival = f"teacher_{RIVAL[m.fmt.precision]}"
                    if m.kind == "tflite" and rival in took:
                        ratios.append(
                            setting | {"fast": m.name, "slow": rival} | turns.ratio(took[rival], took[m.name])
                        )
    return found, ratios


def _inputs_test(plan: Plan, models: list[Model], texts: dict[int | None, TimingTexts]) -> list[dict]:
    """Times real text, zeros and random ids in turns, in one process: does speed depend on the input?"""
    length, threads = plan.lengths[-1], plan.settings.thread_list()[0]
    real, draw = texts[length].student, rng(0, "random ids")
    some = {"real text": {}, "zeros": {}, "random ids": {}}
    for name, t in real.items():
        shape = (len(t), len(t[0]))
        some["real text"][name] = [t[i] for i in range(len(t))]
        some["zeros"][name] = np.zeros(shape, int)
        some["random ids"][name] = draw.integers(1, len(plan.tokenizer), shape)
    out = []
    for form in ("unrolled", "loop"):
        chosen = [m for m in models if m.kind == "tflite" and m.fmt.form == form]
        # If there is a choice, the file that ships.
        m = next((m for m in chosen if m.fmt.precision == "dynamic"), chosen[0] if chosen else None)
        if m is None:
            continue
        with turns.Worker(m.kind, threads) as worker:
            worker.load(m.file(length))
            took = turns.take_turns(dict.fromkeys(some, worker), some, plan.settings.rounds, f"what {form} is fed")
        for fed, ms in took.items():
            entry = {"model": m.name, "length": length, "threads": threads, "fed": fed}
            out.append(entry | turns.percentiles(np.concatenate(ms)) | {"of_real": turns.ratio(ms, took["real text"])})
    return out


def _commands(plan: Plan, models: list[Model]) -> list[dict]:
    """Lines for the exported files. Fixed lengths are also timed at the longest length, so that they compare."""
    longest, threads, out = plan.lengths[-1], plan.settings.thread_list()[0], []
    for m in models:
        if m.kind not in ("tflite", "bert_tflite"):
            continue
        vocab = len(plan.teacher.tokenizer if m.is_teacher else plan.tokenizer)
        for path in dict.fromkeys((m.path, m.file(longest))):
            model = LiteRT(path)
            length = model.length or longest // len(model.inputs)
            said = phone.commands(path, model.inputs_in_order(), vocab, length, threads)
            exported = path == m.path and not m.is_teacher
            out.append({"model": m.name, "form": m.fmt.form, "tokens": length, "exported": exported} | said)
    return out
