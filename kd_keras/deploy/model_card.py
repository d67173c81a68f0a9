"""README.md of an exported folder: what the files are, how good they are, where they come from, how to run them.

Every number comes from metrics.json or metadata.json. If these lack something, the card leaves it out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from kd_keras import metrics as known_metrics
from kd_keras.common import files
from kd_keras.common.layout import BundleLayout
from kd_keras.common.markdown import markdown_table
from kd_keras.deploy import encoder_card, tagger_card
from kd_keras.deploy.card_commands import checkpoint_name, made_by, public
from kd_keras.deploy.settings import ExportSettings
from kd_keras.formats.mediapipe import server
from kd_keras.runs.finished import FinishedRun, is_baseline
from kd_keras.runs.given import is_given
from kd_keras.runs.report import SETS
from kd_keras.runs.score_table import GIVEN, titles
from kd_keras.tasks import Task

_TEMPLATE = Path(__file__).with_name("model_card_template.md")
_USUAL = ExportSettings().tflite_length


def write(run: FinishedRun, about: Mapping[str, Any], models: Mapping[str, dict]) -> None:
    """Writes the card beside the files, or removes it if no file is left to describe.

    Args:
      run: its metrics.json and flags.txt may be missing, or older than today's.
      about: what :func:`bundle.describe` gives.
      models: every file of the folder → its entry in metadata.json.
    """
    card = BundleLayout(run.home.tflite).card
    if not models:
        card.unlink(missing_ok=True)
        return
    files.write_text(card, page(about, models, run.metrics, run.flags, run.kept_arm))


def page(about: Mapping[str, Any], models: Mapping[str, dict], metrics: dict, flags: str, kept: str | None) -> str:
    """The card as Markdown, from ``model_card_template.md``. ``kept`` is the student that the run kept."""
    task, arm = Task.from_json(about["task"]), about.get("arm")
    text = Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(
        front_matter=front_matter(task, metrics, arm).to_yaml(),
        what=_what(task, about, metrics, kept),
        files=_files(task, models),
        same=_same(task),
        scores="\n\n".join(filter(None, (_scores(task, metrics, arm), tagger_card.by_language(task, metrics)))),
        unit="words" if task.is_tagging else "texts",
        longer="read in windows" if task.is_tagging else "cut",
        data=_data(metrics, arm),
        **_use(task, models, about["tokenizer"]["max_length"]),
        limits=_limits(task, about, models),
        made=made_by(task, models, flags, arm if arm != kept else None, min(_USUAL, about["tokenizer"]["max_length"])),
    )
    return re.sub(r"\n{3,}", "\n\n", text)  # empty parts leave empty lines


def front_matter(task: Task, metrics: Mapping[str, Any], arm: str | None) -> ModelCardData:
    """What a model hub reads: kind of model, base model, metrics and scores.

    It names no licence, because that depends on data and teacher. The project's tasks are English, except panx. The
    language of a user's own files is unknown.
    """
    student = metrics.get("baseline" if is_baseline(arm) else "student", {})
    teacher = metrics.get("teacher", {})
    teacher = None if is_given(teacher) else teacher.get("name")
    scored = [split for split in metrics.get("rows", {}) if task.metric in student.get(split, {})]
    kind = "token-classification" if task.is_tagging else "text-classification"
    kind = "sentence-similarity" if task.is_text else kind
    languages = tagger_card.languages(metrics) or (None if task.name in ("custom", "panx", "universal") else "en")
    results = [
        EvalResult(
            task_type=kind, dataset_type=task.name, dataset_name=task.name, dataset_split=split,
            metric_type=metric, metric_value=round(student[split][metric], 4),
        )
        for split in scored for metric in task.metrics if metric in student[split]
    ]  # fmt: skip
    return ModelCardData(
        language=languages,
        license="other",
        base_model=checkpoint_name(teacher) if teacher and not is_baseline(arm) else None,
        library_name="kd_keras",
        pipeline_tag=kind,
        tags=["knowledge-distillation", "bilstm", "tflite"],
        metrics=list(task.metrics),
        model_name=f"{task.name} BiLSTM" if results else None,
        eval_results=results or None,
    )


def _what(task: Task, about: Mapping[str, Any], metrics: dict, kept: str | None) -> str:
    arm = about.get("arm")
    teacher, student = metrics.get("teacher", {}), metrics.get("student", {})
    many = len(teacher.get("seeds", ()))
    by = "distilled from BERT"
    if "name" in teacher:
        name = checkpoint_name(teacher["name"])
        by = f"distilled from {many} teachers ({name})" if many else f"distilled from the teacher {name}"
    if is_given(teacher):
        by = f'distilled from another model\'s answers ("{GIVEN}" in the tables)'
    if is_baseline(arm):
        by, teacher = "trained on the labels alone, without distillation", {}
    texts = "pairs of texts" if task.is_pair else "single texts"
    gives = "predicts a score" if task.is_regression else f"tells these apart: {', '.join(task.labels)}"
    if task.is_text:
        gives = encoder_card.gives(task)
    elif task.is_tagging:
        gives = tagger_card.gives(task)
    elif task.is_multilabel:
        gives = f"gives any of these labels, each by itself: {', '.join(task.labels)}"
    sizes = [
        f"{who} has {part['parameters']:,} parameters."
        for who, part in (("The student", student), ("Each teacher" if many else "The teacher", teacher))
        if "parameters" in part
    ]
    vocabulary = f"{about['vocab_size']:,} {'words' if about['tokenizer']['kind'] == 'words' else 'word pieces'}"
    return f"# {task.name}: a small BiLSTM for TFLite\n\n" + " ".join(
        [
            f"This BiLSTM is {by}. It reads {texts} and {gives}. Its vocabulary has {vocabulary}.",
            *sizes,
            *_which(arm, kept, metrics),
        ]
    )


def _which(arm: str | None, kept: str | None, metrics: dict) -> list[str]:
    """Sentences about the arm of these files, and why the run kept it."""
    if arm is None:
        return []
    if arm != kept:
        other = [f"The student that it kept is {kept}."] if kept else []
        return [f"These files are made of the run's {arm}.", *other]
    why = public(metrics.get("kept", {}).get("why", ""))
    return [f"These files are made of {arm}, the student that the run kept.", *([why] if why else [])]


def _files(task: Task, models: Mapping[str, dict]) -> str:
    scored = [] if task.is_text else [_titled(task.metric), "Keras"]
    what = "words" if task.is_tagging else "texts"
    head = ["file", "bytes", "tokens", _same(task), *scored, what, "checked on", "allowed"]
    lines = []
    for name, entry in models.items():
        v = entry["verification"]
        gold = (
            []
            if task.is_text
            else [_number(task.metric, v[part][task.metric]) if v.get(part) else "" for part in _OF_A_FILE]
        )
        length = str(entry["length"] or "any")
        agreement = f"{v['agreement']:.2%}" + (f" (mean {v['cosine']:.4f})" if task.is_text else "")
        checked = [f"{v.get('words', v['rows']):,}", entry["checked_on"], _allowed(v.get("allowed", {}))]
        lines.append([name, f"{entry['bytes']:,}", length, agreement, *gold, *checked])
    return markdown_table(head, lines)


def _same(task: Task) -> str:
    if task.is_text:
        return encoder_card.SAME
    if task.is_multilabel:
        return "same labels"
    return "same score" if task.is_regression else "same tag" if task.is_tagging else "same label"


def _allowed(bounds: Mapping[str, float]) -> str:
    """The bounds of a file. Empty if metadata.json is older than the bounds."""
    share = [f"{100 * bounds['agreement']:.4g}%"] if "agreement" in bounds else []
    return ", ".join(share + [f"± {bounds[k]:g}" for k in ("max_score_difference",) if k in bounds])


_OF_A_FILE = ("metrics", "keras_metrics")


def _scores(task: Task, metrics: dict, arm: str | None) -> str:
    """The scores of teacher, baseline and student. If there are several seeds, the one in these files too."""
    if task.is_text:
        return encoder_card.scores(metrics)
    splits = [s for s in metrics.get("rows", {}) if s in metrics.get("student", {})]
    seeds = metrics.get("seeds", [])
    rows = {}
    for kind, title in titles(metrics).items():
        part = metrics.get(kind, {})
        spread = part.get("spread", {}) if len(seeds) > 1 else {}
        if kind == "teacher" and (many := len(part.get("seeds", ()))):
            title = f"{many} teachers together"
        rows[title] = [_cell(part, spread, s, m) for s in splits for m in task.metrics]
    if len(seeds) > 1:
        kind, learnt = ("baseline", "no distillation") if is_baseline(arm) else ("student", "distilled")
        seed = int(arm.rpartition("seed")[2]) if arm else metrics.get("chosen_seed")
        per_seed = metrics.get(kind, {}).get("per_seed", {})
        mine = {s: next((r for r in found if r["seed"] == seed), {}) for s, found in per_seed.items()}
        rows[f"in these files: {learnt}, seed {seed}"] = [_cell(mine, {}, s, m) for s in splits for m in task.metrics]
    rows = {title: cells for title, cells in rows.items() if any(cells)}
    if not rows:
        return ""
    head = ["", *(f"{s} {_titled(m)}" for s in splits for m in task.metrics)]
    over = f": means of {len(seeds)} seeds ± standard deviation" if len(seeds) > 1 else ""
    return f"""## Scores

{markdown_table(head, [[title, *cells] for title, cells in rows.items()])}

These are the Keras models' scores{over}.
Dev {task.metric} chose the weights, so dev scores are a little high."""


def _cell(part: Mapping[str, dict], spread: Mapping[str, dict], split: str, metric: str) -> str:
    value, around = part.get(split, {}).get(metric), spread.get(split, {}).get(metric)
    if value is None:
        return ""
    return _number(metric, value) + ("" if around is None else f" ± {_number(metric, around)}")


def _titled(metric: str) -> str:
    return f"{metric}, %" if _percent(metric) else metric


def _number(metric: str, value: float) -> str:
    return f"{100 * value:.2f}" if _percent(metric) else f"{value:.4f}"


def _percent(metric: str) -> bool:
    return metric in known_metrics.names() and known_metrics.get(metric).percent


def _data(metrics: dict, arm: str | None) -> str:
    lines = [f"- Source: {public(metrics['source'])}"] if "source" in metrics else []
    more = {} if is_baseline(arm) else _more(metrics)
    for title, rows in (("Rows", metrics.get("rows")), ("More text, which the teacher labeled", more)):
        if rows:
            lines.append(f"- {title}: {', '.join(f'{name} {count:,}' for name, count in rows.items())}")
    return "\n".join(["## Data", "", *lines]) if lines else ""


def _more(metrics: dict) -> dict[str, int]:
    return {SETS.get(n, f"augmented ({n})"): count for n, count in metrics.get("transfer_rows", {}).items()}


def _use(task: Task, models: Mapping[str, dict], max_length: int) -> dict[str, str]:
    """A command, which MediaPipe task takes the files, and what each file reads and gives."""
    second = ' --text_b="second text"' if task.is_pair else ""
    alike: dict[str, list[str]] = {}
    for name, entry in models.items():
        shapes = ", ".join(f"`{x['name']}` {x['dtype']} {x['shape']}" for x in entry["inputs"])
        out = entry["output"]
        reads = f"{shapes} → `{out['name']}` {out['dtype']} {out['shape']}. {entry['reads']}."
        alike.setdefault(reads, []).append(name)
    inputs = "\n".join(f"- {', '.join(names)}: {reads}" for reads, names in alike.items())
    mediapipe = [name for name, entry in models.items() if entry["mediapipe"] == server(task)]
    take = "dynamic.tflite" if "dynamic.tflite" in models else next(iter(models))
    return {
        "predict": f'python -m kd_keras.{"embed" if task.is_text else "predict"} --model={take} "a text"' + second,
        "mediapipe": tagger_card.MEDIAPIPE
        if task.is_tagging
        else f"MediaPipe Tasks' `{server(task)}` takes these as they are: {', '.join(mediapipe)}." * bool(mediapipe),
        "inputs": inputs,
        "kotlin": tagger_card.usage(models.values(), max_length)
        if task.is_tagging
        else encoder_card.usage(models) * task.is_text,
    }


def _limits(task: Task, about: Mapping[str, Any], models: Mapping[str, dict]) -> str:
    integers = [name for name, entry in models.items() if entry["precision"] in ("dynamic", "int8")]
    errors = "its data's errors" if is_baseline(about.get("arm")) else "its teacher's errors, and its data's"
    length = about["tokenizer"]["max_length"]
    reads = [f"It reads at most {length} tokens of a text. The table says which files read fewer."]
    reads = tagger_card.limits(task, length) if task.is_tagging else reads
    lines = [
        "It is for texts like those it was trained on. Others were not measured.",
        *reads,
        "It reads [UNK] for all that its vocabulary lacks, above all for other languages.",
        f"It repeats {errors}.",
    ]
    if task.is_multilabel:
        lines.append(
            "A text has the labels with a score over 0.5. Each label's scores are moved, so that 0.5 is the threshold "
            "with the best F1 on dev. Scores are not calibrated: 0.9 does not mean nine right answers of ten."
        )
    elif task.is_text:
        lines += encoder_card.limits()
    elif not task.is_regression and not task.is_tagging:
        lines.append("Scores add up to 1 but are not calibrated: 0.9 does not mean nine right answers of ten.")
    if integers:
        lines.append(f"8-bit weights move scores a little, so close calls may change: {', '.join(integers)}.")
    return "\n".join(f"- {line}" for line in lines)
